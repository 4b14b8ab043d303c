// Conversions between integers, singles and doubles (SDM vol. 1, 10.4.4, 11.4.1).
#include "cpu/exec/vector/families.h"
#include "cpu/exec/vector/float_forms.h"

namespace calco::cpu::vector {
namespace {

using decode::Instruction;
using decode::Mnemonic;

// --- General registers
// -------------------------------------------------------------------------------------------------

// xmm = F(xmm, r/m)
template <typename Integer, auto F, Encoding kEncoding>
void from_general(Cpu& cpu, const Op& op, TlbEntry* tlb) {
  const auto source = source_general<Integer>(cpu, op, tlb);
  const Xmm first = xmm(cpu, first_source<kEncoding>(op));
  set_result<kEncoding>(cpu, op.reg, with_guest_mxcsr(cpu, [=] { return F(first, source); }));
}
template <typename Integer, auto F>
Selection select_from_general(const Instruction& instruction) {
  return by_scalar_encoding(
      instruction, []<Encoding kEncoding>() { return select_sse<from_general<Integer, F, kEncoding>, kEncoding>(); });
}
// r = F(xmm/memory)
template <typename Integer, auto F, unsigned kBytes, Source kSource>
void to_general(Cpu& cpu, const Op& op, TlbEntry* tlb) {
  const Xmm source = source_xmm<kSource, kBytes>(cpu, op, tlb);
  cpu.registers[op.reg] = with_guest_mxcsr(cpu, [=] {
    Integer result;
    F(source, result);
    return result;
  });
}
template <typename Integer, auto F, unsigned kBytes>
Selection select_to_general(const Instruction& instruction, const Op& op) {
  return by_scalar_operands(instruction, op, []<Encoding kEncoding, Source kSource>() {
    return select_sse<to_general<Integer, F, kBytes, kSource>, kEncoding>();
  });
}

// The host functions have a form for each width of integer.
#define CALCO_FROM_GENERAL(name)                                                                        \
  Selection select_##name(const Instruction& instruction) {                                             \
    constexpr Xmm (*kDword)(Xmm, uint32_t) = host::name;                                                \
    constexpr Xmm (*kQword)(Xmm, uint64_t) = host::name;                                                \
    const size_t source = instruction.vector_length == 0 ? 1 : 2;                                       \
    return instruction.operands[source].size == 8 ? select_from_general<uint64_t, kQword>(instruction)  \
                                                  : select_from_general<uint32_t, kDword>(instruction); \
  }
CALCO_FROM_GENERAL(cvtsi2ss)
CALCO_FROM_GENERAL(cvtsi2sd)
#undef CALCO_FROM_GENERAL

#define CALCO_TO_GENERAL(name, bytes)                                                                       \
  Selection select_##name(const Instruction& instruction, const Op& op) {                                   \
    constexpr void (*kDword)(Xmm, uint32_t&) = host::name;                                                  \
    constexpr void (*kQword)(Xmm, uint64_t&) = host::name;                                                  \
    return instruction.operands[0].size == 8 ? select_to_general<uint64_t, kQword, bytes>(instruction, op)  \
                                             : select_to_general<uint32_t, kDword, bytes>(instruction, op); \
  }
CALCO_TO_GENERAL(cvtss2si, 4)
CALCO_TO_GENERAL(cvttss2si, 4)
CALCO_TO_GENERAL(cvtsd2si, 8)
CALCO_TO_GENERAL(cvttsd2si, 8)
#undef CALCO_TO_GENERAL

Selection select_general(const Instruction& instruction, const Op& op) {
  switch (instruction.mnemonic) {
    case Mnemonic::Cvtsi2ss:
      return select_cvtsi2ss(instruction);
    case Mnemonic::Cvtsi2sd:
      return select_cvtsi2sd(instruction);
    case Mnemonic::Cvtss2si:
      return select_cvtss2si(instruction, op);
    case Mnemonic::Cvttss2si:
      return select_cvttss2si(instruction, op);
    case Mnemonic::Cvtsd2si:
      return select_cvtsd2si(instruction, op);
    case Mnemonic::Cvttsd2si:
      return select_cvttsd2si(instruction, op);
    default:
      return {};
  }
}

// --- Between XMM registers
// -----------------------------------------------------------------------------------------------

// To elements half as wide, so that the results of two lanes fit in one.
template <auto F, Encoding kEncoding, Source kSource>
void narrow(Cpu& cpu, const Op& op, TlbEntry* tlb) {
  auto value = source_lanes<kEncoding, kSource>(cpu, op, tlb);
  value = with_guest_mxcsr(cpu, [&] { return each_lane(value, value, [](Xmm a, Xmm b) { return F(a, b); }); });
  set_narrowed<kEncoding>(cpu, op.reg, value);
}
template <auto F>
Selection select_narrow(const Instruction& instruction, const Op& op) {
  return by_operands(instruction, op, []<Encoding kEncoding, Source kSource>() {
    return select_sse<narrow<F, kEncoding, kSource>, kEncoding>();
  });
}

Selection select_xmm(const Instruction& instruction, const Op& op) {
  switch (instruction.mnemonic) {
    case Mnemonic::Cvtdq2ps:
      return select_float<host::cvtdq2ps>(instruction, op);
    case Mnemonic::Cvtps2dq:
      return select_float<host::cvtps2dq>(instruction, op);
    case Mnemonic::Cvttps2dq:
      return select_float<host::cvttps2dq>(instruction, op);
    case Mnemonic::Cvtdq2pd:
      return select_widening_float<host::cvtdq2pd>(instruction, op);
    case Mnemonic::Cvtpd2dq:
      return select_narrow<host::cvtpd2dq>(instruction, op);
    case Mnemonic::Cvttpd2dq:
      return select_narrow<host::cvttpd2dq>(instruction, op);
    case Mnemonic::Cvtps2pd:
      return select_widening_float<host::cvtps2pd>(instruction, op);
    case Mnemonic::Cvtpd2ps:
      return select_arithmetic<host::cvtpd2ps, Operation::Narrow, Elements::Doubles>(instruction, op);
    case Mnemonic::Cvtss2sd:
      return select_low_float<host::cvtss2sd, 4>(instruction, op);
    case Mnemonic::Cvtsd2ss:
      return select_arithmetic<host::cvtsd2ss, Operation::Narrow, Elements::LowDouble>(instruction, op);
    default:
      return {};
  }
}

// --- MMX registers
// ---------------------------------------------------------------------------------------------------------

// Two dwords to the low two singles; the rest of the destination stays.
Xmm cvtpi2ps(Xmm destination, Xmm source) {
  return _mm_blend_epi16(destination, host::cvtdq2ps(destination, source), 0x0F);
}
Xmm cvtpi2pd(Xmm destination, Xmm source) { return host::cvtdq2pd(destination, source); }

// Of four singles the upper two must be harmless.
Xmm cvtps2pi(Xmm source) { return host::cvtps2dq(source, _mm_move_epi64(source)); }
Xmm cvttps2pi(Xmm source) { return host::cvttps2dq(source, _mm_move_epi64(source)); }
Xmm cvtpd2pi(Xmm source) { return host::cvtpd2dq(source, source); }
Xmm cvttpd2pi(Xmm source) { return host::cvttpd2dq(source, source); }

// MMX state is entered even if the conversion raises #XM.
template <auto F>
void from_mmx(Cpu& cpu, const Op& op, TlbEntry*) {
  const Xmm source = from_qword(mmx(cpu, op.rm));
  const Xmm destination = xmm(cpu, op.reg);
  enter_mmx(cpu);
  set_xmm(cpu, op.reg, with_guest_mxcsr(cpu, [=] { return F(destination, source); }));
}
// From memory no MMX state is involved.
template <auto F>
void from_dwords_in_memory(Cpu& cpu, const Op& op, TlbEntry* tlb) {
  const Xmm source = from_qword(load_memory<uint64_t>(cpu, op, tlb));
  const Xmm destination = xmm(cpu, op.reg);
  set_xmm(cpu, op.reg, with_guest_mxcsr(cpu, [=] { return F(destination, source); }));
}
template <auto F, unsigned kBytes, Source kSource>
void to_mmx(Cpu& cpu, const Op& op, TlbEntry* tlb) {
  const Xmm source = source_xmm<kSource, kBytes>(cpu, op, tlb);
  enter_mmx(cpu);
  set_mmx(cpu, op.reg, low_qword(with_guest_mxcsr(cpu, [=] { return F(source); })));
}

template <auto F>
Selection select_from_mmx(const Op& op) {
  return op.is_memory ? select_sse<from_dwords_in_memory<F>>() : select_mmx_sse<from_mmx<F>>();
}
template <auto F, unsigned kBytes>
Selection select_to_mmx(const Op& op) {
  return by_source(op, []<Source kSource>() { return select_mmx_sse<to_mmx<F, kBytes, kSource>>(); });
}

Selection select_mmx_conversion(const Instruction& instruction, const Op& op) {
  switch (instruction.mnemonic) {
    case Mnemonic::Cvtpi2ps:
      return select_from_mmx<cvtpi2ps>(op);
    case Mnemonic::Cvtpi2pd:
      return select_from_mmx<cvtpi2pd>(op);
    case Mnemonic::Cvtps2pi:
      return select_to_mmx<cvtps2pi, 8>(op);
    case Mnemonic::Cvttps2pi:
      return select_to_mmx<cvttps2pi, 8>(op);
    case Mnemonic::Cvtpd2pi:
      return select_to_mmx<cvtpd2pi, 16>(op);
    case Mnemonic::Cvttpd2pi:
      return select_to_mmx<cvttpd2pi, 16>(op);
    default:
      return {};
  }
}

}  // namespace

Selection select_conversion(const Instruction& instruction, Op& op) {
  for (const auto select : {select_general, select_xmm, select_mmx_conversion}) {
    const Selection selection = select(instruction, op);
    if (selection.handler != nullptr) return selection;
  }
  return {};
}

}  // namespace calco::cpu::vector
