// Roots, remainders, scaling, transcendental functions (SDM vol. 1, 8.3.5 to 8.3.8).
#include "cpu/exec/x87_host.h"
#include "cpu/exec/x87_state.h"

namespace calco::cpu {
namespace {

using decode::Mnemonic;
using x87_host::Binary;
using x87_host::Outcome;
using x87_host::Popping;
using x87_host::Pushing;
using x87_host::Unary;
using namespace x87_status;

// `kAnswers`: the condition codes that the instruction sets besides C1. Where a stack fault, a NaN or an unmasked
// exception leaves FPREM without a quotient, C2 becomes 0 while C0 and C3 stay.
template <uint16_t kAnswers>
void finish(X87State& x87, uint16_t status) {
  constexpr uint16_t kNoQuotient = kC1 | (kAnswers & kC2);
  const X87Register& result = x87_st(x87, 0);
  const bool nan = (result.sign_exponent & 0x7FFF) == 0x7FFF && result.significand != uint64_t{1} << 63;
  const bool quotient = !nan && (x87_unmasked(x87, status) & kPreComputation) == 0;
  x87_finish(x87, status, quotient ? kC1 | kAnswers : kNoQuotient);
}
template <uint16_t kAnswers>
bool stack_fault(X87State& x87, bool overflow) {
  x87.status &= static_cast<uint16_t>(~(kAnswers & kC2));
  return x87_stack_fault(x87, overflow);
}

template <Unary kOperation, uint16_t kAnswers>
void unary(Cpu& cpu, const Op&) {
  X87State& x87 = cpu.x87;
  if (x87_is_empty(x87, 0)) {
    if (stack_fault<kAnswers>(x87, false)) x87_write(x87, 0, kX87Indefinite);
    return;
  }
  finish<kAnswers>(x87, x87_host::unary<kOperation>(x87_mode(x87), x87_st(x87, 0)));
}

template <Binary kOperation, uint16_t kAnswers>
void binary(Cpu& cpu, const Op&) {
  X87State& x87 = cpu.x87;
  if (x87_is_empty(x87, 0) || x87_is_empty(x87, 1)) {
    if (stack_fault<kAnswers>(x87, false)) x87_write(x87, 0, kX87Indefinite);
    return;
  }
  finish<kAnswers>(x87, x87_host::binary<kOperation>(x87_mode(x87), x87_st(x87, 0), x87_st(x87, 1)));
}

template <Popping kOperation>
void popping(Cpu& cpu, const Op&) {
  X87State& x87 = cpu.x87;
  if (x87_is_empty(x87, 0) || x87_is_empty(x87, 1)) {
    if (!x87_stack_underflow(x87)) return;
    x87_write(x87, 1, kX87Indefinite);
    x87_pop(x87);
    return;
  }
  const Outcome outcome = x87_host::popping<kOperation>(x87_mode(x87), x87_st(x87, 0), x87_st(x87, 1));
  x87_finish(x87, outcome.status);
  if (outcome.done) x87_pop(x87);
}

template <Pushing kOperation, uint16_t kAnswers>
void pushing(Cpu& cpu, const Op&) {
  X87State& x87 = cpu.x87;
  const bool underflow = x87_is_empty(x87, 0);
  if (underflow || !x87_is_empty(x87, 7)) {
    if (!stack_fault<kAnswers>(x87, !underflow)) return;
    x87_write(x87, 0, kX87Indefinite);
    x87_push(x87, kX87Indefinite);
    return;
  }
  X87Register second;
  const Outcome outcome = x87_host::pushing<kOperation>(x87_mode(x87), x87_st(x87, 0), second);
  finish<kAnswers>(x87, outcome.status);
  if (outcome.done) x87_push(x87, second);
}

}  // namespace

Selection select_x87_function(const decode::Instruction& instruction) {
  switch (instruction.mnemonic) {
    case Mnemonic::F2xm1:
      return select_x87_instruction<unary<Unary::TwoToXMinusOne, 0>>();
    case Mnemonic::Fsqrt:
      return select_x87_instruction<unary<Unary::SquareRoot, 0>>();
    case Mnemonic::Frndint:
      return select_x87_instruction<unary<Unary::RoundToInteger, 0>>();
    case Mnemonic::Fsin:
      return select_x87_instruction<unary<Unary::Sine, kC2>>();
    case Mnemonic::Fcos:
      return select_x87_instruction<unary<Unary::Cosine, kC2>>();
    case Mnemonic::Fprem:
      return select_x87_instruction<binary<Binary::PartialRemainder, kC0 | kC2 | kC3>>();
    case Mnemonic::Fprem1:
      return select_x87_instruction<binary<Binary::PartialRemainderNearest, kC0 | kC2 | kC3>>();
    case Mnemonic::Fscale:
      return select_x87_instruction<binary<Binary::Scale, 0>>();
    case Mnemonic::Fpatan:
      return select_x87_instruction<popping<Popping::ArcTangent>>();
    case Mnemonic::Fyl2x:
      return select_x87_instruction<popping<Popping::YLog2X>>();
    case Mnemonic::Fyl2xp1:
      return select_x87_instruction<popping<Popping::YLog2XPlusOne>>();
    case Mnemonic::Fxtract:
      return select_x87_instruction<pushing<Pushing::Extract, 0>>();
    case Mnemonic::Fptan:
      return select_x87_instruction<pushing<Pushing::Tangent, kC2>>();
    case Mnemonic::Fsincos:
      return select_x87_instruction<pushing<Pushing::SineCosine, kC2>>();
    default:
      return {};
  }
}

}  // namespace calco::cpu
