// Comparisons and classification (SDM vol. 1, 8.3.6).
#include "cpu/exec/x87_host.h"
#include "cpu/exec/x87_state.h"

namespace calco::cpu {
namespace {

using decode::Mnemonic;
using x87_host::Format;
using namespace x87_status;

constexpr uint16_t kUnordered = kC0 | kC2 | kC3;

// The answer counts even where an exception is unmasked; only the pop waits for the handler.
bool finish_compare(X87State& x87, uint16_t status) {
  x87_finish(x87, status, kConditions);
  return (x87_unmasked(x87, status) & kPreComputation) == 0;
}
// An empty operand compares unordered.
bool compare_empty(X87State& x87) {
  x87.status |= kUnordered;
  return x87_stack_underflow(x87);
}

template <Format kFormat, typename T, bool kPop>
void compare_memory(Cpu& cpu, const Op& op) {
  const T source = load_operand<T>(cpu, op);
  X87State& x87 = cpu.x87;
  const bool done = x87_is_empty(x87, 0)
                        ? compare_empty(x87)
                        : finish_compare(x87, x87_host::compare<kFormat>(x87_mode(x87), x87_st(x87, 0), &source));
  if (kPop && done) x87_pop(x87);
}

template <bool kQuiet>
uint16_t compare_with(X87State& x87, unsigned index) {
  if (kQuiet) return x87_host::compare_unordered(x87_mode(x87), x87_st(x87, 0), x87_st(x87, index));
  return x87_host::compare<Format::Extended>(x87_mode(x87), x87_st(x87, 0), &x87_st(x87, index));
}

// kQuiet: quiet NaNs raise nothing (FUCOM).
template <bool kQuiet, unsigned kPops>
void compare_register(Cpu& cpu, const Op& op) {
  X87State& x87 = cpu.x87;
  const bool empty = x87_is_empty(x87, 0) || x87_is_empty(x87, op.rm);
  const bool done = empty ? compare_empty(x87) : finish_compare(x87, compare_with<kQuiet>(x87, op.rm));
  if (!done) return;
  for (unsigned i = 0; i < kPops; ++i) x87_pop(x87);
}

// FCOMI and FUCOMI answer in ZF, PF and CF, where the condition codes have C3, C2 and C0. The condition codes stay.
uint64_t flags_of(uint16_t status) {
  return ((status & kC3) != 0 ? rflags::kZf : 0) | ((status & kC2) != 0 ? rflags::kPf : 0) |
         ((status & kC0) != 0 ? rflags::kCf : 0);
}
template <bool kQuiet, bool kPop>
void compare_to_flags(Cpu& cpu, const Op& op) {
  X87State& x87 = cpu.x87;
  uint16_t answer = kUnordered;
  bool done;
  if (x87_is_empty(x87, 0) || x87_is_empty(x87, op.rm)) {
    done = x87_stack_underflow(x87);
  } else {
    answer = compare_with<kQuiet>(x87, op.rm);
    x87_finish(x87, answer, 0);
    done = (x87_unmasked(x87, answer) & kPreComputation) == 0;
  }
  set_arithmetic_flags(cpu.flags, flags_of(answer));
  if (kPop && done) x87_pop(x87);
}

void test(Cpu& cpu, const Op&) {
  X87State& x87 = cpu.x87;
  if (x87_is_empty(x87, 0)) {
    compare_empty(x87);
  } else {
    finish_compare(x87, x87_host::test(x87_mode(x87), x87_st(x87, 0)));
  }
}

// An empty register is C3 and C0, with the sign of what it holds in C1 as always.
void examine(Cpu& cpu, const Op&) {
  X87State& x87 = cpu.x87;
  const X87Register& value = x87_st(x87, 0);
  const uint16_t sign = (value.sign_exponent & 0x8000) != 0 ? kC1 : 0;
  const uint16_t answer = x87_is_empty(x87, 0) ? static_cast<uint16_t>(kC3 | kC0 | sign) : x87_host::examine(value);
  x87.status = static_cast<uint16_t>((x87.status & ~kConditions) | (answer & kConditions));
}

template <bool kPop>
Selection select_compare(const decode::Instruction& instruction) {
  if (!instruction.has_memory()) return select_x87_instruction<compare_register<false, kPop ? 1 : 0>>();
  if (instruction.opcode == 0xD8) return select_x87_instruction<compare_memory<Format::Single, uint32_t, kPop>>();
  return select_x87_instruction<compare_memory<Format::Double, uint64_t, kPop>>();
}
template <bool kPop>
Selection select_integer_compare(const decode::Instruction& instruction) {
  if (instruction.opcode == 0xDA) return select_x87_instruction<compare_memory<Format::Int32, uint32_t, kPop>>();
  return select_x87_instruction<compare_memory<Format::Int16, uint16_t, kPop>>();
}

}  // namespace

Selection select_x87_compare(const decode::Instruction& instruction) {
  switch (instruction.mnemonic) {
    case Mnemonic::Fcom:
      return select_compare<false>(instruction);
    case Mnemonic::Fcomp:
      return select_compare<true>(instruction);
    case Mnemonic::Fcompp:
      return select_x87_instruction<compare_register<false, 2>>();
    case Mnemonic::Ficom:
      return select_integer_compare<false>(instruction);
    case Mnemonic::Ficomp:
      return select_integer_compare<true>(instruction);
    case Mnemonic::Fucom:
      return select_x87_instruction<compare_register<true, 0>>();
    case Mnemonic::Fucomp:
      return select_x87_instruction<compare_register<true, 1>>();
    case Mnemonic::Fucompp:
      return select_x87_instruction<compare_register<true, 2>>();
    case Mnemonic::Fcomi:
      return select_x87_instruction<compare_to_flags<false, false>>();
    case Mnemonic::Fcomip:
      return select_x87_instruction<compare_to_flags<false, true>>();
    case Mnemonic::Fucomi:
      return select_x87_instruction<compare_to_flags<true, false>>();
    case Mnemonic::Fucomip:
      return select_x87_instruction<compare_to_flags<true, true>>();
    case Mnemonic::Ftst:
      return select_x87_instruction<test>();
    case Mnemonic::Fxam:
      return select_x87_instruction<examine>();
    default:
      return {};
  }
}

}  // namespace calco::cpu
