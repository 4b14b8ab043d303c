// Floating-point arithmetic and rounding (SDM vol. 1, 10.4.1, 11.4.1, 12.3, 12.10).
#include <array>
#include <utility>

#include "cpu/exec/vector/families.h"
#include "cpu/exec/vector/float_forms.h"

namespace calco::cpu::vector {
namespace {

using decode::Instruction;
using decode::Mnemonic;

template <auto F>
Selection packed_singles(const Op& op) {
  return select_float<F, 16, Tiny::Singles>(op);
}
template <auto F>
Selection packed_doubles(const Op& op) {
  return select_float<F, 16, Tiny::Doubles>(op);
}
template <auto F>
Selection scalar_single(const Op& op) {
  return select_float<F, 4, Tiny::LowSingle>(op);
}
template <auto F>
Selection scalar_double(const Op& op) {
  return select_float<F, 8, Tiny::LowDouble>(op);
}

Selection select_basic(const Instruction& instruction, const Op& op) {
  switch (instruction.mnemonic) {
    case Mnemonic::Addps:
      return packed_singles<host::addps>(op);
    case Mnemonic::Addpd:
      return packed_doubles<host::addpd>(op);
    case Mnemonic::Addss:
      return scalar_single<host::addss>(op);
    case Mnemonic::Addsd:
      return scalar_double<host::addsd>(op);
    case Mnemonic::Subps:
      return packed_singles<host::subps>(op);
    case Mnemonic::Subpd:
      return packed_doubles<host::subpd>(op);
    case Mnemonic::Subss:
      return scalar_single<host::subss>(op);
    case Mnemonic::Subsd:
      return scalar_double<host::subsd>(op);
    case Mnemonic::Mulps:
      return packed_singles<host::mulps>(op);
    case Mnemonic::Mulpd:
      return packed_doubles<host::mulpd>(op);
    case Mnemonic::Mulss:
      return scalar_single<host::mulss>(op);
    case Mnemonic::Mulsd:
      return scalar_double<host::mulsd>(op);
    case Mnemonic::Divps:
      return packed_singles<host::divps>(op);
    case Mnemonic::Divpd:
      return packed_doubles<host::divpd>(op);
    case Mnemonic::Divss:
      return scalar_single<host::divss>(op);
    case Mnemonic::Divsd:
      return scalar_double<host::divsd>(op);
    case Mnemonic::Addsubps:
      return packed_singles<host::addsubps>(op);
    case Mnemonic::Addsubpd:
      return packed_doubles<host::addsubpd>(op);
    case Mnemonic::Haddps:
      return packed_singles<host::haddps>(op);
    case Mnemonic::Haddpd:
      return packed_doubles<host::haddpd>(op);
    case Mnemonic::Hsubps:
      return packed_singles<host::hsubps>(op);
    case Mnemonic::Hsubpd:
      return packed_doubles<host::hsubpd>(op);
    default:
      return {};
  }
}

// Their results are never tiny, or are an operand, or (RCP, RSQRT) raise nothing.
Selection select_without_underflow(const Instruction& instruction, const Op& op) {
  switch (instruction.mnemonic) {
    case Mnemonic::Minps:
      return select_float<host::minps, 16, Tiny::None>(op);
    case Mnemonic::Minpd:
      return select_float<host::minpd, 16, Tiny::None>(op);
    case Mnemonic::Minss:
      return select_float<host::minss, 4, Tiny::None>(op);
    case Mnemonic::Minsd:
      return select_float<host::minsd, 8, Tiny::None>(op);
    case Mnemonic::Maxps:
      return select_float<host::maxps, 16, Tiny::None>(op);
    case Mnemonic::Maxpd:
      return select_float<host::maxpd, 16, Tiny::None>(op);
    case Mnemonic::Maxss:
      return select_float<host::maxss, 4, Tiny::None>(op);
    case Mnemonic::Maxsd:
      return select_float<host::maxsd, 8, Tiny::None>(op);
    case Mnemonic::Sqrtps:
      return select_float<host::sqrtps, 16, Tiny::None>(op);
    case Mnemonic::Sqrtpd:
      return select_float<host::sqrtpd, 16, Tiny::None>(op);
    case Mnemonic::Sqrtss:
      return select_float<host::sqrtss, 4, Tiny::None>(op);
    case Mnemonic::Sqrtsd:
      return select_float<host::sqrtsd, 8, Tiny::None>(op);
    case Mnemonic::Rcpps:
      return select_float<host::rcpps, 16, Tiny::None>(op);
    case Mnemonic::Rcpss:
      return select_float<host::rcpss, 4, Tiny::None>(op);
    case Mnemonic::Rsqrtps:
      return select_float<host::rsqrtps, 16, Tiny::None>(op);
    case Mnemonic::Rsqrtss:
      return select_float<host::rsqrtss, 4, Tiny::None>(op);
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

Selection select_immediate(const Instruction& instruction, const Op& op) {
  constexpr unsigned kRoundings = 16;  // bits 4-7 are ignored
  switch (instruction.mnemonic) {
    case Mnemonic::Roundps:
      return select_float_immediate<by_immediate<Roundps, kRoundings>, 16, Tiny::None>(op);
    case Mnemonic::Roundpd:
      return select_float_immediate<by_immediate<Roundpd, kRoundings>, 16, Tiny::None>(op);
    case Mnemonic::Roundss:
      return select_float_immediate<by_immediate<Roundss, kRoundings>, 4, Tiny::None>(op);
    case Mnemonic::Roundsd:
      return select_float_immediate<by_immediate<Roundsd, kRoundings>, 8, Tiny::None>(op);
    case Mnemonic::Dpps:
      return select_float_immediate<by_immediate<Dpps, 256>, 16, Tiny::Singles>(op);
    case Mnemonic::Dppd:
      return select_float_immediate<by_immediate<Dppd, 256>, 16, Tiny::Doubles>(op);
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
