// Floating-point arithmetic and rounding (SDM vol. 1, 10.4.1, 11.4.1, 12.3, 12.10).
#include <array>
#include <utility>

#include "cpu/exec/vector/families.h"
#include "cpu/exec/vector/float_forms.h"

namespace calco::cpu::vector {
namespace {

using decode::Instruction;
using decode::Mnemonic;

Selection select_basic(const Instruction& instruction, const Op& op) {
  switch (instruction.mnemonic) {
    case Mnemonic::Addps:
      return select_arithmetic<host::addps, Operation::Add, Elements::Singles>(instruction, op);
    case Mnemonic::Addpd:
      return select_arithmetic<host::addpd, Operation::Add, Elements::Doubles>(instruction, op);
    case Mnemonic::Addss:
      return select_arithmetic<host::addss, Operation::Add, Elements::LowSingle>(instruction, op);
    case Mnemonic::Addsd:
      return select_arithmetic<host::addsd, Operation::Add, Elements::LowDouble>(instruction, op);
    case Mnemonic::Subps:
      return select_arithmetic<host::subps, Operation::Subtract, Elements::Singles>(instruction, op);
    case Mnemonic::Subpd:
      return select_arithmetic<host::subpd, Operation::Subtract, Elements::Doubles>(instruction, op);
    case Mnemonic::Subss:
      return select_arithmetic<host::subss, Operation::Subtract, Elements::LowSingle>(instruction, op);
    case Mnemonic::Subsd:
      return select_arithmetic<host::subsd, Operation::Subtract, Elements::LowDouble>(instruction, op);
    case Mnemonic::Mulps:
      return select_arithmetic<host::mulps, Operation::Multiply, Elements::Singles>(instruction, op);
    case Mnemonic::Mulpd:
      return select_arithmetic<host::mulpd, Operation::Multiply, Elements::Doubles>(instruction, op);
    case Mnemonic::Mulss:
      return select_arithmetic<host::mulss, Operation::Multiply, Elements::LowSingle>(instruction, op);
    case Mnemonic::Mulsd:
      return select_arithmetic<host::mulsd, Operation::Multiply, Elements::LowDouble>(instruction, op);
    case Mnemonic::Divps:
      return select_arithmetic<host::divps, Operation::Divide, Elements::Singles>(instruction, op);
    case Mnemonic::Divpd:
      return select_arithmetic<host::divpd, Operation::Divide, Elements::Doubles>(instruction, op);
    case Mnemonic::Divss:
      return select_arithmetic<host::divss, Operation::Divide, Elements::LowSingle>(instruction, op);
    case Mnemonic::Divsd:
      return select_arithmetic<host::divsd, Operation::Divide, Elements::LowDouble>(instruction, op);
    case Mnemonic::Addsubps:
      return select_arithmetic<host::addsubps, Operation::AddSubtract, Elements::Singles>(instruction, op);
    case Mnemonic::Addsubpd:
      return select_arithmetic<host::addsubpd, Operation::AddSubtract, Elements::Doubles>(instruction, op);
    case Mnemonic::Haddps:
      return select_arithmetic<host::haddps, Operation::HorizontalAdd, Elements::Singles>(instruction, op);
    case Mnemonic::Haddpd:
      return select_arithmetic<host::haddpd, Operation::HorizontalAdd, Elements::Doubles>(instruction, op);
    case Mnemonic::Hsubps:
      return select_arithmetic<host::hsubps, Operation::HorizontalSubtract, Elements::Singles>(instruction, op);
    case Mnemonic::Hsubpd:
      return select_arithmetic<host::hsubpd, Operation::HorizontalSubtract, Elements::Doubles>(instruction, op);
    default:
      return {};
  }
}

// They neither overflow nor underflow, or (RCP, RSQRT) do not report it.
Selection select_without_underflow(const Instruction& instruction, const Op& op) {
  switch (instruction.mnemonic) {
    case Mnemonic::Minps:
      return select_float<host::minps>(instruction, op);
    case Mnemonic::Minpd:
      return select_float<host::minpd>(instruction, op);
    case Mnemonic::Minss:
      return select_low_float<host::minss, 4>(instruction, op);
    case Mnemonic::Minsd:
      return select_low_float<host::minsd, 8>(instruction, op);
    case Mnemonic::Maxps:
      return select_float<host::maxps>(instruction, op);
    case Mnemonic::Maxpd:
      return select_float<host::maxpd>(instruction, op);
    case Mnemonic::Maxss:
      return select_low_float<host::maxss, 4>(instruction, op);
    case Mnemonic::Maxsd:
      return select_low_float<host::maxsd, 8>(instruction, op);
    case Mnemonic::Sqrtps:
      return select_float<host::sqrtps>(instruction, op);
    case Mnemonic::Sqrtpd:
      return select_float<host::sqrtpd>(instruction, op);
    case Mnemonic::Sqrtss:
      return select_low_float<host::sqrtss, 4>(instruction, op);
    case Mnemonic::Sqrtsd:
      return select_low_float<host::sqrtsd, 8>(instruction, op);
    case Mnemonic::Rcpps:
      return select_float<host::rcpps>(instruction, op);
    case Mnemonic::Rcpss:
      return select_low_float<host::rcpss, 4>(instruction, op);
    case Mnemonic::Rsqrtps:
      return select_float<host::rsqrtps>(instruction, op);
    case Mnemonic::Rsqrtss:
      return select_low_float<host::rsqrtss, 4>(instruction, op);
    default:
      return {};
  }
}

// --- Immediates
// ------------------------------------------------------------------------------------------------------------

// One host instruction for each value of the immediate.
template <template <int> typename Family, int... kImmediates>
constexpr auto make_table(std::integer_sequence<int, kImmediates...>) {
  return std::array<HostFunction, sizeof...(kImmediates)>{Family<kImmediates>::function...};
}
template <template <int> typename Family, unsigned kSize>
HostFunction by_immediate(uint8_t immediate) {
  static constexpr auto kTable = make_table<Family>(std::make_integer_sequence<int, kSize>{});
  return kTable[immediate % kSize];
}

#define CALCO_IMMEDIATE_FAMILY(Name, name)                           \
  template <int kImmediate>                                          \
  struct Name {                                                      \
    static constexpr HostFunction function = host::name<kImmediate>; \
  };
CALCO_IMMEDIATE_FAMILY(Roundps, roundps)
CALCO_IMMEDIATE_FAMILY(Roundpd, roundpd)
CALCO_IMMEDIATE_FAMILY(Roundss, roundss)
CALCO_IMMEDIATE_FAMILY(Roundsd, roundsd)
CALCO_IMMEDIATE_FAMILY(Dpps, dpps)
CALCO_IMMEDIATE_FAMILY(Dppd, dppd)
#undef CALCO_IMMEDIATE_FAMILY

template <auto F, Elements kElements, Encoding kEncoding, Source kSource>
void dot_product(Cpu& cpu, const Op& op, TlbEntry* tlb) {
  const auto source = source_lanes<kEncoding, kSource>(cpu, op, tlb);
  const auto first = lanes<kLanes<kEncoding>>(cpu, first_source<kEncoding>(op));
  const auto immediate = static_cast<uint8_t>(op.immediate);
  const HostFunction function = F(immediate);
  set_lanes<kEncoding>(cpu, op.reg,
                       all_masked(cpu) ? result_all_masked(cpu, [&] { return each_lane(first, source, function); })
                                       : arithmetic_unmasked(cpu, {Operation::DotProduct, kElements}, function, first,
                                                             source, immediate));
}
template <auto F, Elements kElements>
Selection select_dot_product(const Instruction& instruction, const Op& op) {
  return by_operands(instruction, op, []<Encoding kEncoding, Source kSource>() {
    return select_sse<dot_product<F, kElements, kEncoding, kSource>, kEncoding>();
  });
}

Selection select_immediate(const Instruction& instruction, const Op& op) {
  constexpr unsigned kRoundings = 16;  // bits 4-7 are ignored
  switch (instruction.mnemonic) {
    case Mnemonic::Roundps:
      return select_float_immediate<by_immediate<Roundps, kRoundings>>(instruction, op);
    case Mnemonic::Roundpd:
      return select_float_immediate<by_immediate<Roundpd, kRoundings>>(instruction, op);
    case Mnemonic::Roundss:
      return select_low_float_immediate<by_immediate<Roundss, kRoundings>, 4>(instruction, op);
    case Mnemonic::Roundsd:
      return select_low_float_immediate<by_immediate<Roundsd, kRoundings>, 8>(instruction, op);
    case Mnemonic::Dpps:
      return select_dot_product<by_immediate<Dpps, 256>, Elements::Singles>(instruction, op);
    case Mnemonic::Dppd:
      return select_dot_product<by_immediate<Dppd, 256>, Elements::Doubles>(instruction, op);
    default:
      return {};
  }
}

}  // namespace

Selection select_float_arithmetic(const Instruction& instruction, Op& op) {
  for (const auto select : {select_basic, select_without_underflow, select_immediate}) {
    const Selection selection = select(instruction, op);
    if (selection.handler != nullptr) return selection;
  }
  return {};
}

}  // namespace calco::cpu::vector
