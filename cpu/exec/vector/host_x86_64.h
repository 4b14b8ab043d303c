// vector/host.h on x86-64: the host's own instructions.
//
// Integer operations are the compiler's intrinsics. Floating-point operations are inline assembly: the compiler takes
// addition and multiplication for commutative (with two NaNs they are not: the first operand's is the answer), may
// fold them, and does not know that they read and write MXCSR.
#pragma once

#include <immintrin.h>

#include <bit>
#include <cstdint>

namespace calco::cpu::vector {

using Xmm = __m128i;

namespace host {

inline void load_mxcsr(uint32_t value) { asm volatile("ldmxcsr %0" : : "m"(value)); }
inline uint32_t store_mxcsr() {
  uint32_t value;
  asm volatile("stmxcsr %0" : "=m"(value));
  return value;
}

// Instructions of the shape "name xmm, xmm". `destination` is what the instruction finds in its destination: scalar
// forms keep the rest of it.
#define CALCO_HOST_FLOAT(name)                                          \
  [[gnu::always_inline]] inline Xmm name(Xmm destination, Xmm source) { \
    asm volatile(#name " %1, %0" : "+x"(destination) : "x"(source));    \
    return destination;                                                 \
  }
#define CALCO_HOST_FLOAT_FAMILY(name) \
  CALCO_HOST_FLOAT(name##ps)          \
  CALCO_HOST_FLOAT(name##pd)          \
  CALCO_HOST_FLOAT(name##ss)          \
  CALCO_HOST_FLOAT(name##sd)

CALCO_HOST_FLOAT_FAMILY(add)
CALCO_HOST_FLOAT_FAMILY(sub)
CALCO_HOST_FLOAT_FAMILY(mul)
CALCO_HOST_FLOAT_FAMILY(div)
CALCO_HOST_FLOAT_FAMILY(min)
CALCO_HOST_FLOAT_FAMILY(max)
CALCO_HOST_FLOAT_FAMILY(sqrt)
CALCO_HOST_FLOAT(rcpps)
CALCO_HOST_FLOAT(rcpss)
CALCO_HOST_FLOAT(rsqrtps)
CALCO_HOST_FLOAT(rsqrtss)
CALCO_HOST_FLOAT(addsubps)
CALCO_HOST_FLOAT(addsubpd)
CALCO_HOST_FLOAT(haddps)
CALCO_HOST_FLOAT(haddpd)
CALCO_HOST_FLOAT(hsubps)
CALCO_HOST_FLOAT(hsubpd)
CALCO_HOST_FLOAT(cvtdq2ps)
CALCO_HOST_FLOAT(cvtps2dq)
CALCO_HOST_FLOAT(cvttps2dq)
CALCO_HOST_FLOAT(cvtdq2pd)
CALCO_HOST_FLOAT(cvtpd2dq)
CALCO_HOST_FLOAT(cvttpd2dq)
CALCO_HOST_FLOAT(cvtps2pd)
CALCO_HOST_FLOAT(cvtpd2ps)
CALCO_HOST_FLOAT(cvtss2sd)
CALCO_HOST_FLOAT(cvtsd2ss)
#undef CALCO_HOST_FLOAT_FAMILY
#undef CALCO_HOST_FLOAT

// "name xmm, xmm, imm8"
#define CALCO_HOST_FLOAT_IMMEDIATE(name)                                                  \
  template <int kImmediate>                                                               \
  Xmm name(Xmm destination, Xmm source) {                                                 \
    asm volatile(#name " %2, %1, %0" : "+x"(destination) : "x"(source), "i"(kImmediate)); \
    return destination;                                                                   \
  }
CALCO_HOST_FLOAT_IMMEDIATE(cmpps)
CALCO_HOST_FLOAT_IMMEDIATE(cmppd)
CALCO_HOST_FLOAT_IMMEDIATE(cmpss)
CALCO_HOST_FLOAT_IMMEDIATE(cmpsd)
CALCO_HOST_FLOAT_IMMEDIATE(roundps)
CALCO_HOST_FLOAT_IMMEDIATE(roundpd)
CALCO_HOST_FLOAT_IMMEDIATE(roundss)
CALCO_HOST_FLOAT_IMMEDIATE(roundsd)
CALCO_HOST_FLOAT_IMMEDIATE(dpps)
CALCO_HOST_FLOAT_IMMEDIATE(dppd)
#undef CALCO_HOST_FLOAT_IMMEDIATE

// "name xmm, xmm, xmm, imm8": the comparisons of VEX encodings, which have 32 predicates. AVX.
#define CALCO_HOST_COMPARE_VEX(name)                                                                 \
  template <int kImmediate>                                                                          \
  Xmm name(Xmm first, Xmm second) {                                                                  \
    Xmm result;                                                                                      \
    asm volatile(#name " %3, %2, %1, %0" : "=x"(result) : "x"(first), "x"(second), "i"(kImmediate)); \
    return result;                                                                                   \
  }
CALCO_HOST_COMPARE_VEX(vcmpps)
CALCO_HOST_COMPARE_VEX(vcmppd)
CALCO_HOST_COMPARE_VEX(vcmpss)
CALCO_HOST_COMPARE_VEX(vcmpsd)
#undef CALCO_HOST_COMPARE_VEX

// "name xmm, xmm, xmm" with three sources. FMA.
#define CALCO_HOST_FUSED(name)                                                 \
  [[gnu::always_inline]] inline Xmm name(Xmm first, Xmm second, Xmm third) {   \
    asm volatile(#name " %2, %1, %0" : "+x"(first) : "x"(second), "x"(third)); \
    return first;                                                              \
  }
#define CALCO_HOST_FUSED_ORDERS(name, elements) \
  CALCO_HOST_FUSED(name##132##elements)         \
  CALCO_HOST_FUSED(name##213##elements)         \
  CALCO_HOST_FUSED(name##231##elements)
#define CALCO_HOST_FUSED_PACKED(name) \
  CALCO_HOST_FUSED_ORDERS(name, ps)   \
  CALCO_HOST_FUSED_ORDERS(name, pd)
#define CALCO_HOST_FUSED_FAMILY(name) \
  CALCO_HOST_FUSED_PACKED(name)       \
  CALCO_HOST_FUSED_ORDERS(name, ss)   \
  CALCO_HOST_FUSED_ORDERS(name, sd)
CALCO_HOST_FUSED_FAMILY(vfmadd)
CALCO_HOST_FUSED_FAMILY(vfmsub)
CALCO_HOST_FUSED_FAMILY(vfnmadd)
CALCO_HOST_FUSED_FAMILY(vfnmsub)
CALCO_HOST_FUSED_PACKED(vfmaddsub)
CALCO_HOST_FUSED_PACKED(vfmsubadd)
#undef CALCO_HOST_FUSED_FAMILY
#undef CALCO_HOST_FUSED_PACKED
#undef CALCO_HOST_FUSED_ORDERS
#undef CALCO_HOST_FUSED

// Between four halves in the low half and four singles. F16C.
[[gnu::always_inline]] inline Xmm vcvtph2ps(Xmm source) {
  Xmm result;
  asm volatile("vcvtph2ps %1, %0" : "=x"(result) : "x"(source));
  return result;
}
template <int kImmediate>
Xmm vcvtps2ph(Xmm source) {
  Xmm result;
  asm volatile("vcvtps2ph %2, %1, %0" : "=x"(result) : "x"(source), "i"(kImmediate));
  return result;
}

// "name r, xmm"
#define CALCO_HOST_FLOAT_TO_INTEGER(name, Integer, operands)          \
  [[gnu::always_inline]] inline void name(Xmm source, Integer& out) { \
    asm volatile(operands : "=r"(out) : "x"(source));                 \
  }
CALCO_HOST_FLOAT_TO_INTEGER(cvtss2si, uint32_t, "cvtss2si %1, %k0")
CALCO_HOST_FLOAT_TO_INTEGER(cvtss2si, uint64_t, "cvtss2si %1, %q0")
CALCO_HOST_FLOAT_TO_INTEGER(cvtsd2si, uint32_t, "cvtsd2si %1, %k0")
CALCO_HOST_FLOAT_TO_INTEGER(cvtsd2si, uint64_t, "cvtsd2si %1, %q0")
CALCO_HOST_FLOAT_TO_INTEGER(cvttss2si, uint32_t, "cvttss2si %1, %k0")
CALCO_HOST_FLOAT_TO_INTEGER(cvttss2si, uint64_t, "cvttss2si %1, %q0")
CALCO_HOST_FLOAT_TO_INTEGER(cvttsd2si, uint32_t, "cvttsd2si %1, %k0")
CALCO_HOST_FLOAT_TO_INTEGER(cvttsd2si, uint64_t, "cvttsd2si %1, %q0")
#undef CALCO_HOST_FLOAT_TO_INTEGER

// "name xmm, r"
#define CALCO_HOST_INTEGER_TO_FLOAT(name, Integer, operands)                \
  [[gnu::always_inline]] inline Xmm name(Xmm destination, Integer source) { \
    asm volatile(operands : "+x"(destination) : "r"(source));               \
    return destination;                                                     \
  }
CALCO_HOST_INTEGER_TO_FLOAT(cvtsi2ss, uint32_t, "cvtsi2ssl %k1, %0")
CALCO_HOST_INTEGER_TO_FLOAT(cvtsi2ss, uint64_t, "cvtsi2ssq %q1, %0")
CALCO_HOST_INTEGER_TO_FLOAT(cvtsi2sd, uint32_t, "cvtsi2sdl %k1, %0")
CALCO_HOST_INTEGER_TO_FLOAT(cvtsi2sd, uint64_t, "cvtsi2sdq %q1, %0")
#undef CALCO_HOST_INTEGER_TO_FLOAT

// The ZF, PF and CF that an ordered or unordered comparison gives. Set in the assembly: where several flags are outputs
// of their own, clang 19 reads the later ones from EFLAGS behind instructions that have changed them.
struct Comparison {
  bool zero, parity, carry;
};
#define CALCO_HOST_COMPARE(name)                                              \
  [[gnu::always_inline]] inline Comparison name(Xmm first, Xmm second) {      \
    Comparison result;                                                        \
    asm volatile(#name " %4, %3\n\tsetz %0\n\tsetp %1\n\tsetc %2"             \
                 : "=r"(result.zero), "=r"(result.parity), "=r"(result.carry) \
                 : "x"(first), "x"(second)                                    \
                 : "cc");                                                     \
    return result;                                                            \
  }
CALCO_HOST_COMPARE(comiss)
CALCO_HOST_COMPARE(comisd)
CALCO_HOST_COMPARE(ucomiss)
CALCO_HOST_COMPARE(ucomisd)
#undef CALCO_HOST_COMPARE

// --- String comparisons
// --------------------------------------------------------------------------------------------------

// Everything that the four instructions can produce; an index or a mask, as the instruction says.
struct StringResult {
  Xmm mask;
  uint32_t index;
  bool carry, zero, sign, overflow;
};

// The lengths are those of RAX and RDX; implicit forms ignore them.
struct Strings {
  Xmm first, second;
  int32_t first_length, second_length;
};
#define CALCO_STRING_INSTRUCTION(text) text "\n\tsetc %1\n\tsetz %2\n\tsets %3\n\tseto %4"
#define CALCO_STRING_FLAGS(result) \
  "=r"((result).carry), "=r"((result).zero), "=r"((result).sign), "=r"((result).overflow)

template <int kControl>
struct ExplicitIndex {
  static void compare(const Strings& s, StringResult& result) {
    asm(CALCO_STRING_INSTRUCTION("pcmpestri %9, %6, %5")
        : "=c"(result.index), CALCO_STRING_FLAGS(result)
        : "x"(s.first), "x"(s.second), "a"(s.first_length), "d"(s.second_length), "i"(kControl)
        : "cc");
  }
};
template <int kControl>
struct ExplicitMask {
  static void compare(const Strings& s, StringResult& result) {
    asm(CALCO_STRING_INSTRUCTION("pcmpestrm %9, %6, %5")
        : "=Yz"(result.mask), CALCO_STRING_FLAGS(result)
        : "x"(s.first), "x"(s.second), "a"(s.first_length), "d"(s.second_length), "i"(kControl)
        : "cc");
  }
};
template <int kControl>
struct ImplicitIndex {
  static void compare(const Strings& s, StringResult& result) {
    asm(CALCO_STRING_INSTRUCTION("pcmpistri %7, %6, %5")
        : "=c"(result.index), CALCO_STRING_FLAGS(result)
        : "x"(s.first), "x"(s.second), "i"(kControl)
        : "cc");
  }
};
template <int kControl>
struct ImplicitMask {
  static void compare(const Strings& s, StringResult& result) {
    asm(CALCO_STRING_INSTRUCTION("pcmpistrm %7, %6, %5")
        : "=Yz"(result.mask), CALCO_STRING_FLAGS(result)
        : "x"(s.first), "x"(s.second), "i"(kControl)
        : "cc");
  }
};
#undef CALCO_STRING_FLAGS
#undef CALCO_STRING_INSTRUCTION

// --- Judges of rounding
// ---------------------------------------------------------------------------------

// As x87 precision control says it.
enum class Precision : uint16_t { Single = 0, Double = 2 };

// Whether "first op second", rounded to the precision (RC as in MXCSR) though the exponent be unbounded, is inexact:
// asks the x87 unit, whose exponents are wide enough. Operands are finite.
#define CALCO_HOST_X87(name, instruction)                                                                      \
  inline bool name(double first, double second, Precision precision, unsigned rounding) {                      \
    const auto control = static_cast<uint16_t>(0x3F | static_cast<uint16_t>(precision) << 8 | rounding << 10); \
    uint16_t before, status;                                                                                   \
    asm volatile("fnstcw %0; fnclex; fldcw %2; fldl %4; fldl %3; " instruction                                 \
                 "; fnstsw %1; fstp %%st; fnclex; fldcw %0"                                                    \
                 : "=&m"(before), "=&a"(status)                                                                \
                 : "m"(control), "m"(first), "m"(second)                                                       \
                 : "st", "st(1)");                                                                             \
    constexpr uint16_t kInexact = 1u << 5;                                                                     \
    return (status & kInexact) != 0;                                                                           \
  }
CALCO_HOST_X87(add_is_inexact, "faddp")
CALCO_HOST_X87(multiply_is_inexact, "fmulp")
CALCO_HOST_X87(divide_is_inexact, "fdivp")
#undef CALCO_HOST_X87

// The same for first * second + third, whose product no register of the host holds exactly: quadruple precision does,
// and so finds what is lost in the sum (Knuth's two-sum).
inline bool multiply_add_is_inexact(double first, double second, double third, Precision precision) {
  const __float128 product = static_cast<__float128>(first) * second;
  const __float128 addend = third;
  const __float128 sum = product + addend;
  const __float128 added = sum - product;
  const __float128 lost = (product - (sum - added)) + (addend - added);
  constexpr unsigned kFractionBits = 112, kDoubleBits = 52, kSingleBits = 23;
  const unsigned beyond = kFractionBits - (precision == Precision::Double ? kDoubleBits : kSingleBits);
  return lost != 0 ||
         (std::bit_cast<unsigned __int128>(sum) & ((static_cast<unsigned __int128>(1) << beyond) - 1)) != 0;
}

}  // namespace host
}  // namespace calco::cpu::vector
