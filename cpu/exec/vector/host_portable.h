// vector/host.h on any host: libsimde's functions for integer instructions, and floating-point instructions computed by
// cpu/exec/portable/soft_float.h.
//
// The guest's MXCSR is a variable of the thread here, as it is a register of the processor's on x86-64: the host's own
// floating-point environment always is the default one.
#pragma once

#include <simde/x86/sse4.2.h>

#include <cstdint>

#include "cpu/exec/portable/crypto.h"

namespace calco::cpu::vector {

using Xmm = simde__m128i;

// --- Integer instructions
// ----------------------------------------------------------------------------------------------------------

constexpr auto _mm_abs_epi16 = simde_mm_abs_epi16;
constexpr auto _mm_abs_epi32 = simde_mm_abs_epi32;
constexpr auto _mm_abs_epi8 = simde_mm_abs_epi8;
constexpr auto _mm_add_epi16 = simde_mm_add_epi16;
constexpr auto _mm_add_epi32 = simde_mm_add_epi32;
constexpr auto _mm_add_epi64 = simde_mm_add_epi64;
constexpr auto _mm_add_epi8 = simde_mm_add_epi8;
constexpr auto _mm_adds_epi16 = simde_mm_adds_epi16;
constexpr auto _mm_adds_epi8 = simde_mm_adds_epi8;
constexpr auto _mm_adds_epu16 = simde_mm_adds_epu16;
constexpr auto _mm_adds_epu8 = simde_mm_adds_epu8;
constexpr auto _mm_and_si128 = simde_mm_and_si128;
constexpr auto _mm_andnot_si128 = simde_mm_andnot_si128;
constexpr auto _mm_avg_epu16 = simde_mm_avg_epu16;
constexpr auto _mm_avg_epu8 = simde_mm_avg_epu8;
constexpr auto _mm_blendv_epi8 = simde_mm_blendv_epi8;
constexpr auto _mm_blendv_pd = simde_mm_blendv_pd;
constexpr auto _mm_blendv_ps = simde_mm_blendv_ps;
constexpr auto _mm_castpd_si128 = simde_mm_castpd_si128;
constexpr auto _mm_castps_si128 = simde_mm_castps_si128;
constexpr auto _mm_castsi128_pd = simde_mm_castsi128_pd;
constexpr auto _mm_castsi128_ps = simde_mm_castsi128_ps;
constexpr auto _mm_cmpeq_epi16 = simde_mm_cmpeq_epi16;
constexpr auto _mm_cmpeq_epi32 = simde_mm_cmpeq_epi32;
constexpr auto _mm_cmpeq_epi64 = simde_mm_cmpeq_epi64;
constexpr auto _mm_cmpeq_epi8 = simde_mm_cmpeq_epi8;
constexpr auto _mm_cmpgt_epi16 = simde_mm_cmpgt_epi16;
constexpr auto _mm_cmpgt_epi32 = simde_mm_cmpgt_epi32;
constexpr auto _mm_cmpgt_epi64 = simde_mm_cmpgt_epi64;
constexpr auto _mm_cmpgt_epi8 = simde_mm_cmpgt_epi8;
constexpr auto _mm_cvtepi16_epi32 = simde_mm_cvtepi16_epi32;
constexpr auto _mm_cvtepi16_epi64 = simde_mm_cvtepi16_epi64;
constexpr auto _mm_cvtepi32_epi64 = simde_mm_cvtepi32_epi64;
constexpr auto _mm_cvtepi8_epi16 = simde_mm_cvtepi8_epi16;
constexpr auto _mm_cvtepi8_epi32 = simde_mm_cvtepi8_epi32;
constexpr auto _mm_cvtepi8_epi64 = simde_mm_cvtepi8_epi64;
constexpr auto _mm_cvtepu16_epi32 = simde_mm_cvtepu16_epi32;
constexpr auto _mm_cvtepu16_epi64 = simde_mm_cvtepu16_epi64;
constexpr auto _mm_cvtepu32_epi64 = simde_mm_cvtepu32_epi64;
constexpr auto _mm_cvtepu8_epi16 = simde_mm_cvtepu8_epi16;
constexpr auto _mm_cvtepu8_epi32 = simde_mm_cvtepu8_epi32;
constexpr auto _mm_cvtepu8_epi64 = simde_mm_cvtepu8_epi64;
constexpr auto _mm_cvtsd_f64 = simde_mm_cvtsd_f64;
constexpr auto _mm_cvtsi128_si32 = simde_mm_cvtsi128_si32;
constexpr auto _mm_cvtsi128_si64 = simde_mm_cvtsi128_si64;
constexpr auto _mm_cvtsi64_si128 = simde_mm_cvtsi64_si128;
constexpr auto _mm_cvtss_f32 = simde_mm_cvtss_f32;
constexpr auto _mm_hadd_epi16 = simde_mm_hadd_epi16;
constexpr auto _mm_hadd_epi32 = simde_mm_hadd_epi32;
constexpr auto _mm_hadds_epi16 = simde_mm_hadds_epi16;
constexpr auto _mm_hsub_epi16 = simde_mm_hsub_epi16;
constexpr auto _mm_hsub_epi32 = simde_mm_hsub_epi32;
constexpr auto _mm_hsubs_epi16 = simde_mm_hsubs_epi16;
constexpr auto _mm_load_si128 = simde_mm_load_si128;
constexpr auto _mm_loadu_si128 = simde_mm_loadu_si128;
constexpr auto _mm_madd_epi16 = simde_mm_madd_epi16;
constexpr auto _mm_maddubs_epi16 = simde_mm_maddubs_epi16;
constexpr auto _mm_max_epi16 = simde_mm_max_epi16;
constexpr auto _mm_max_epi32 = simde_mm_max_epi32;
constexpr auto _mm_max_epi8 = simde_mm_max_epi8;
constexpr auto _mm_max_epu16 = simde_mm_max_epu16;
constexpr auto _mm_max_epu32 = simde_mm_max_epu32;
constexpr auto _mm_max_epu8 = simde_mm_max_epu8;
constexpr auto _mm_min_epi16 = simde_mm_min_epi16;
constexpr auto _mm_min_epi32 = simde_mm_min_epi32;
constexpr auto _mm_min_epi8 = simde_mm_min_epi8;
constexpr auto _mm_min_epu16 = simde_mm_min_epu16;
constexpr auto _mm_min_epu32 = simde_mm_min_epu32;
constexpr auto _mm_min_epu8 = simde_mm_min_epu8;
constexpr auto _mm_minpos_epu16 = simde_mm_minpos_epu16;
constexpr auto _mm_move_epi64 = simde_mm_move_epi64;
constexpr auto _mm_movemask_epi8 = simde_mm_movemask_epi8;
constexpr auto _mm_movemask_pd = simde_mm_movemask_pd;
constexpr auto _mm_movemask_ps = simde_mm_movemask_ps;
constexpr auto _mm_mul_epi32 = simde_mm_mul_epi32;
constexpr auto _mm_mul_epu32 = simde_mm_mul_epu32;
constexpr auto _mm_mulhi_epi16 = simde_mm_mulhi_epi16;
constexpr auto _mm_mulhi_epu16 = simde_mm_mulhi_epu16;
constexpr auto _mm_mulhrs_epi16 = simde_mm_mulhrs_epi16;
constexpr auto _mm_mullo_epi16 = simde_mm_mullo_epi16;
constexpr auto _mm_mullo_epi32 = simde_mm_mullo_epi32;
constexpr auto _mm_or_si128 = simde_mm_or_si128;
constexpr auto _mm_packs_epi16 = simde_mm_packs_epi16;
constexpr auto _mm_packs_epi32 = simde_mm_packs_epi32;
constexpr auto _mm_packus_epi16 = simde_mm_packus_epi16;
constexpr auto _mm_packus_epi32 = simde_mm_packus_epi32;
constexpr auto _mm_sad_epu8 = simde_mm_sad_epu8;
constexpr auto _mm_set1_epi32 = simde_mm_set1_epi32;
constexpr auto _mm_set1_epi8 = simde_mm_set1_epi8;
constexpr auto _mm_set_epi64x = simde_mm_set_epi64x;
constexpr auto _mm_setr_epi32 = simde_mm_setr_epi32;
constexpr auto _mm_setr_epi8 = simde_mm_setr_epi8;
constexpr auto _mm_setzero_si128 = simde_mm_setzero_si128;
constexpr auto _mm_shuffle_epi8 = simde_mm_shuffle_epi8;
constexpr auto _mm_sign_epi16 = simde_mm_sign_epi16;
constexpr auto _mm_sign_epi32 = simde_mm_sign_epi32;
constexpr auto _mm_sign_epi8 = simde_mm_sign_epi8;
constexpr auto _mm_sll_epi16 = simde_mm_sll_epi16;
constexpr auto _mm_sll_epi32 = simde_mm_sll_epi32;
constexpr auto _mm_sll_epi64 = simde_mm_sll_epi64;
constexpr auto _mm_sra_epi16 = simde_mm_sra_epi16;
constexpr auto _mm_sra_epi32 = simde_mm_sra_epi32;
constexpr auto _mm_srl_epi16 = simde_mm_srl_epi16;
constexpr auto _mm_srl_epi32 = simde_mm_srl_epi32;
constexpr auto _mm_srl_epi64 = simde_mm_srl_epi64;
constexpr auto _mm_store_si128 = simde_mm_store_si128;
constexpr auto _mm_storeu_si128 = simde_mm_storeu_si128;
constexpr auto _mm_sub_epi16 = simde_mm_sub_epi16;
constexpr auto _mm_sub_epi32 = simde_mm_sub_epi32;
constexpr auto _mm_sub_epi64 = simde_mm_sub_epi64;
constexpr auto _mm_sub_epi8 = simde_mm_sub_epi8;
constexpr auto _mm_subs_epi16 = simde_mm_subs_epi16;
constexpr auto _mm_subs_epi8 = simde_mm_subs_epi8;
constexpr auto _mm_subs_epu16 = simde_mm_subs_epu16;
constexpr auto _mm_subs_epu8 = simde_mm_subs_epu8;
constexpr auto _mm_testz_si128 = simde_mm_testz_si128;
constexpr auto _mm_unpackhi_epi16 = simde_mm_unpackhi_epi16;
constexpr auto _mm_unpackhi_epi32 = simde_mm_unpackhi_epi32;
constexpr auto _mm_unpackhi_epi64 = simde_mm_unpackhi_epi64;
constexpr auto _mm_unpackhi_epi8 = simde_mm_unpackhi_epi8;
constexpr auto _mm_unpacklo_epi16 = simde_mm_unpacklo_epi16;
constexpr auto _mm_unpacklo_epi32 = simde_mm_unpacklo_epi32;
constexpr auto _mm_unpacklo_epi64 = simde_mm_unpacklo_epi64;
constexpr auto _mm_unpacklo_epi8 = simde_mm_unpacklo_epi8;
constexpr auto _mm_xor_si128 = simde_mm_xor_si128;

// Those that take an immediate.
#undef _mm_blend_epi16
#define _mm_blend_epi16(a, b, immediate) simde_mm_blend_epi16(a, b, immediate)
#undef _mm_shuffle_epi32
#define _mm_shuffle_epi32(a, immediate) simde_mm_shuffle_epi32(a, immediate)
#undef _mm_srli_si128
#define _mm_srli_si128(a, immediate) simde_mm_srli_si128(a, immediate)
#undef _mm_mpsadbw_epu8
#define _mm_mpsadbw_epu8(a, b, immediate) simde_mm_mpsadbw_epu8(a, b, immediate)

namespace host {

// The guest's MXCSR while a function below computes for it.
inline constinit thread_local uint32_t mxcsr = 0x1F80;

inline void load_mxcsr(uint32_t value) { mxcsr = value; }
inline uint32_t store_mxcsr() { return mxcsr; }

// Instructions of the shape "name xmm, xmm". `destination` is what the instruction finds in its destination: scalar
// forms keep the rest of it.
#define CALCO_HOST_FLOAT(name) Xmm name(Xmm destination, Xmm source);
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

// What an instruction does to one element, or to the low one and the rest stays.
enum class Elements : uint8_t { Singles, Doubles, LowSingle, LowDouble };

// "name xmm, xmm, imm8"
Xmm compare(Elements elements, Xmm first, Xmm second, unsigned predicate);
Xmm round(Elements elements, Xmm destination, Xmm source, unsigned immediate);
Xmm dot_product(Elements elements, Xmm destination, Xmm source, unsigned immediate);
#define CALCO_HOST_FLOAT_IMMEDIATE(name, function, elements)    \
  template <int kImmediate>                                     \
  Xmm name(Xmm destination, Xmm source) {                       \
    return function(elements, destination, source, kImmediate); \
  }
CALCO_HOST_FLOAT_IMMEDIATE(cmpps, compare, Elements::Singles)
CALCO_HOST_FLOAT_IMMEDIATE(cmppd, compare, Elements::Doubles)
CALCO_HOST_FLOAT_IMMEDIATE(cmpss, compare, Elements::LowSingle)
CALCO_HOST_FLOAT_IMMEDIATE(cmpsd, compare, Elements::LowDouble)
CALCO_HOST_FLOAT_IMMEDIATE(vcmpps, compare, Elements::Singles)
CALCO_HOST_FLOAT_IMMEDIATE(vcmppd, compare, Elements::Doubles)
CALCO_HOST_FLOAT_IMMEDIATE(vcmpss, compare, Elements::LowSingle)
CALCO_HOST_FLOAT_IMMEDIATE(vcmpsd, compare, Elements::LowDouble)
CALCO_HOST_FLOAT_IMMEDIATE(roundps, round, Elements::Singles)
CALCO_HOST_FLOAT_IMMEDIATE(roundpd, round, Elements::Doubles)
CALCO_HOST_FLOAT_IMMEDIATE(roundss, round, Elements::LowSingle)
CALCO_HOST_FLOAT_IMMEDIATE(roundsd, round, Elements::LowDouble)
CALCO_HOST_FLOAT_IMMEDIATE(dpps, dot_product, Elements::Singles)
CALCO_HOST_FLOAT_IMMEDIATE(dppd, dot_product, Elements::Doubles)
#undef CALCO_HOST_FLOAT_IMMEDIATE

// "name xmm, xmm, xmm" with three sources: which of them are multiplied, in the order of the digits, and the signs.
enum class FusedOrder : uint8_t { k132, k213, k231 };
enum class FusedKind : uint8_t { Add, Subtract, NegativeAdd, NegativeSubtract, AddSubtract, SubtractAdd };
Xmm multiply_add(FusedKind kind, FusedOrder order, Elements elements, Xmm first, Xmm second, Xmm third);
#define CALCO_HOST_FUSED(name, kind, order, suffix, elements)                                   \
  inline Xmm name##order##suffix(Xmm first, Xmm second, Xmm third) {                            \
    return multiply_add(FusedKind::kind, FusedOrder::k##order, elements, first, second, third); \
  }
#define CALCO_HOST_FUSED_ORDERS(name, kind, suffix, elements) \
  CALCO_HOST_FUSED(name, kind, 132, suffix, elements)         \
  CALCO_HOST_FUSED(name, kind, 213, suffix, elements)         \
  CALCO_HOST_FUSED(name, kind, 231, suffix, elements)
#define CALCO_HOST_FUSED_PACKED(name, kind)                  \
  CALCO_HOST_FUSED_ORDERS(name, kind, ps, Elements::Singles) \
  CALCO_HOST_FUSED_ORDERS(name, kind, pd, Elements::Doubles)
#define CALCO_HOST_FUSED_FAMILY(name, kind)                    \
  CALCO_HOST_FUSED_PACKED(name, kind)                          \
  CALCO_HOST_FUSED_ORDERS(name, kind, ss, Elements::LowSingle) \
  CALCO_HOST_FUSED_ORDERS(name, kind, sd, Elements::LowDouble)
CALCO_HOST_FUSED_FAMILY(vfmadd, Add)
CALCO_HOST_FUSED_FAMILY(vfmsub, Subtract)
CALCO_HOST_FUSED_FAMILY(vfnmadd, NegativeAdd)
CALCO_HOST_FUSED_FAMILY(vfnmsub, NegativeSubtract)
CALCO_HOST_FUSED_PACKED(vfmaddsub, AddSubtract)
CALCO_HOST_FUSED_PACKED(vfmsubadd, SubtractAdd)
#undef CALCO_HOST_FUSED_FAMILY
#undef CALCO_HOST_FUSED_PACKED
#undef CALCO_HOST_FUSED_ORDERS
#undef CALCO_HOST_FUSED

// Between four halves in the low half and four singles.
Xmm vcvtph2ps(Xmm source);
Xmm to_halves(Xmm source, unsigned immediate);
template <int kImmediate>
Xmm vcvtps2ph(Xmm source) {
  return to_halves(source, kImmediate);
}

// "name r, xmm"
void cvtss2si(Xmm source, uint32_t& out);
void cvtss2si(Xmm source, uint64_t& out);
void cvtsd2si(Xmm source, uint32_t& out);
void cvtsd2si(Xmm source, uint64_t& out);
void cvttss2si(Xmm source, uint32_t& out);
void cvttss2si(Xmm source, uint64_t& out);
void cvttsd2si(Xmm source, uint32_t& out);
void cvttsd2si(Xmm source, uint64_t& out);

// "name xmm, r"
Xmm cvtsi2ss(Xmm destination, uint32_t source);
Xmm cvtsi2ss(Xmm destination, uint64_t source);
Xmm cvtsi2sd(Xmm destination, uint32_t source);
Xmm cvtsi2sd(Xmm destination, uint64_t source);

// The ZF, PF and CF that an ordered or unordered comparison gives.
struct Comparison {
  bool zero, parity, carry;
};
Comparison comiss(Xmm first, Xmm second);
Comparison comisd(Xmm first, Xmm second);
Comparison ucomiss(Xmm first, Xmm second);
Comparison ucomisd(Xmm first, Xmm second);

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
// PCMPESTRI, PCMPESTRM, PCMPISTRI and PCMPISTRM with the control byte as a template parameter.
enum class StringLengths : uint8_t { Explicit, Implicit };
void compare_strings(unsigned control, StringLengths lengths, const Strings& strings, StringResult& result);
#define CALCO_HOST_STRINGS(Name, lengths)                                 \
  template <int kControl>                                                 \
  struct Name {                                                           \
    static void compare(const Strings& strings, StringResult& result) {   \
      compare_strings(kControl, StringLengths::lengths, strings, result); \
    }                                                                     \
  };
CALCO_HOST_STRINGS(ExplicitIndex, Explicit)
CALCO_HOST_STRINGS(ExplicitMask, Explicit)
CALCO_HOST_STRINGS(ImplicitIndex, Implicit)
CALCO_HOST_STRINGS(ImplicitMask, Implicit)
#undef CALCO_HOST_STRINGS

// --- Judges of rounding
// ---------------------------------------------------------------------------------

// Whether the result, rounded to the precision (RC as in MXCSR) though the exponent be unbounded, is inexact. Operands
// are finite.
enum class Precision : uint8_t { Single, Double };
bool add_is_inexact(double first, double second, Precision precision, unsigned rounding);
bool multiply_is_inexact(double first, double second, Precision precision, unsigned rounding);
bool divide_is_inexact(double first, double second, Precision precision, unsigned rounding);
bool multiply_add_is_inexact(double first, double second, double third, Precision precision);

}  // namespace host
}  // namespace calco::cpu::vector
