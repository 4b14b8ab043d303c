// Floating-point comparisons (SDM vol. 1, 10.4.2, 11.4.1).
#include <array>
#include <utility>

#include "cpu/exec/vector/families.h"
#include "cpu/exec/vector/float_forms.h"

namespace calco::cpu::vector {
namespace {

using decode::Instruction;
using decode::Mnemonic;

// CMPPS and its like: legacy encodings look at bits 0-2 of the predicate.
#define CALCO_COMPARE_BY_PREDICATE(name)                             \
  HostFunction name##_by_predicate(uint8_t predicate) {              \
    static constexpr std::array<HostFunction, 8> kTable = {          \
        host::name<0>, host::name<1>, host::name<2>, host::name<3>,  \
        host::name<4>, host::name<5>, host::name<6>, host::name<7>}; \
    return kTable[predicate & 7];                                    \
  }
CALCO_COMPARE_BY_PREDICATE(cmpps)
CALCO_COMPARE_BY_PREDICATE(cmppd)
CALCO_COMPARE_BY_PREDICATE(cmpss)
CALCO_COMPARE_BY_PREDICATE(cmpsd)
#undef CALCO_COMPARE_BY_PREDICATE

// VEX encodings look at bits 0-4.
constexpr int kVexPredicates = 32;
#define CALCO_COMPARE_BY_VEX_PREDICATE(name)                                                                    \
  template <int... kPredicates>                                                                                 \
  constexpr std::array<HostFunction, kVexPredicates> name##_table(std::integer_sequence<int, kPredicates...>) { \
    return {host::name<kPredicates>...};                                                                        \
  }                                                                                                             \
  HostFunction name##_by_predicate(uint8_t predicate) {                                                         \
    static constexpr auto kTable = name##_table(std::make_integer_sequence<int, kVexPredicates>{});             \
    return kTable[predicate % kVexPredicates];                                                                  \
  }
CALCO_COMPARE_BY_VEX_PREDICATE(vcmpps)
CALCO_COMPARE_BY_VEX_PREDICATE(vcmppd)
CALCO_COMPARE_BY_VEX_PREDICATE(vcmpss)
CALCO_COMPARE_BY_VEX_PREDICATE(vcmpsd)
#undef CALCO_COMPARE_BY_VEX_PREDICATE

// COMISS and its like: ZF, PF, CF from the comparison, the other three flags 0.
template <auto F, unsigned kBytes, Source kSource>
void compare_to_flags(Cpu& cpu, const Op& op, TlbEntry* tlb) {
  const Xmm second = source_xmm<kSource, kBytes>(cpu, op, tlb);
  const Xmm first = xmm(cpu, op.reg);
  const host::Comparison result = with_guest_mxcsr(cpu, [=] { return F(first, second); });
  set_arithmetic_flags(cpu.flags, (result.zero ? rflags::kZf : 0) | (result.parity ? rflags::kPf : 0) |
                                      (result.carry ? rflags::kCf : 0));
}
template <auto F, unsigned kBytes>
Selection to_flags(const Instruction& instruction, const Op& op) {
  return by_scalar_operands(instruction, op, []<Encoding kEncoding, Source kSource>() {
    return select_sse<compare_to_flags<F, kBytes, kSource>, kEncoding>();
  });
}

}  // namespace

Selection select_float_compare(const Instruction& instruction, Op& op) {
  switch (instruction.mnemonic) {
    case Mnemonic::Cmpps:
      return select_float_immediate<cmpps_by_predicate>(instruction, op);
    case Mnemonic::Cmppd:
      return select_float_immediate<cmppd_by_predicate>(instruction, op);
    case Mnemonic::Cmpss:
      return select_low_float_immediate<cmpss_by_predicate, 4>(instruction, op);
    case Mnemonic::Cmpsd:
      return select_low_float_immediate<cmpsd_by_predicate, 8>(instruction, op);
    case Mnemonic::Vcmpps:
      return select_float_immediate<vcmpps_by_predicate>(instruction, op);
    case Mnemonic::Vcmppd:
      return select_float_immediate<vcmppd_by_predicate>(instruction, op);
    case Mnemonic::Vcmpss:
      return select_low_float_immediate<vcmpss_by_predicate, 4>(instruction, op);
    case Mnemonic::Vcmpsd:
      return select_low_float_immediate<vcmpsd_by_predicate, 8>(instruction, op);
    case Mnemonic::Comiss:
      return to_flags<host::comiss, 4>(instruction, op);
    case Mnemonic::Comisd:
      return to_flags<host::comisd, 8>(instruction, op);
    case Mnemonic::Ucomiss:
      return to_flags<host::ucomiss, 4>(instruction, op);
    case Mnemonic::Ucomisd:
      return to_flags<host::ucomisd, 8>(instruction, op);
    default:
      return {};
  }
}

}  // namespace calco::cpu::vector
