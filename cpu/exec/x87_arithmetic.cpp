// FADD, FMUL, FSUB, FSUBR, FDIV, FDIVR, their popping and integer forms (SDM vol. 1, 8.3.5).
#include "cpu/exec/x87_host.h"
#include "cpu/exec/x87_state.h"

namespace calco::cpu {
namespace {

using decode::Mnemonic;
using x87_host::Arithmetic;
using x87_host::Format;

// ST(0) = ST(0) operation memory.
template <Arithmetic kOperation, Format kFormat, typename T>
void from_memory(Cpu& cpu, const Op& op) {
  const T source = load_operand<T>(cpu, op);
  X87State& x87 = cpu.x87;
  if (x87_is_empty(x87, 0)) {
    if (x87_stack_underflow(x87)) x87_write(x87, 0, kX87Indefinite);
    return;
  }
  x87_finish(x87, x87_host::arithmetic<kOperation, kFormat>(x87_mode(x87), x87_st(x87, 0), &source));
}

// ST(destination) = ST(destination) operation ST(source), then perhaps pops.
template <Arithmetic kOperation, bool kPop>
void between_registers(X87State& x87, unsigned destination, unsigned source) {
  if (x87_is_empty(x87, destination) || x87_is_empty(x87, source)) {
    if (!x87_stack_underflow(x87)) return;
    x87_write(x87, destination, kX87Indefinite);
    if (kPop) x87_pop(x87);
    return;
  }
  const uint16_t status =
      x87_host::arithmetic<kOperation, Format::Extended>(x87_mode(x87), x87_st(x87, destination), &x87_st(x87, source));
  x87_finish(x87, status);
  if (kPop && (x87_unmasked(x87, status) & x87_status::kPreComputation) == 0) x87_pop(x87);
}
template <Arithmetic kOperation>
void to_top(Cpu& cpu, const Op& op) {
  between_registers<kOperation, false>(cpu.x87, 0, op.rm);
}
template <Arithmetic kOperation, bool kPop>
void to_register(Cpu& cpu, const Op& op) {
  between_registers<kOperation, kPop>(cpu.x87, op.rm, 0);
}

template <Arithmetic kOperation>
Selection select_plain_form(const decode::Instruction& instruction) {
  switch (instruction.opcode) {
    case 0xD8:
      if (!instruction.has_memory()) return select_x87_instruction<to_top<kOperation>>();
      return select_x87_instruction<from_memory<kOperation, Format::Single, uint32_t>>();
    case 0xDC:
      if (!instruction.has_memory()) return select_x87_instruction<to_register<kOperation, false>>();
      return select_x87_instruction<from_memory<kOperation, Format::Double, uint64_t>>();
    default:
      return {};
  }
}
template <Arithmetic kOperation>
Selection select_integer_form(const decode::Instruction& instruction) {
  if (instruction.opcode == 0xDA) return select_x87_instruction<from_memory<kOperation, Format::Int32, uint32_t>>();
  return select_x87_instruction<from_memory<kOperation, Format::Int16, uint16_t>>();
}
template <Arithmetic kOperation>
Selection select_popping_form() {
  return select_x87_instruction<to_register<kOperation, true>>();
}

}  // namespace

Selection select_x87_arithmetic(const decode::Instruction& instruction) {
  switch (instruction.mnemonic) {
    case Mnemonic::Fadd:
      return select_plain_form<Arithmetic::Add>(instruction);
    case Mnemonic::Fmul:
      return select_plain_form<Arithmetic::Multiply>(instruction);
    case Mnemonic::Fsub:
      return select_plain_form<Arithmetic::Subtract>(instruction);
    case Mnemonic::Fsubr:
      return select_plain_form<Arithmetic::SubtractReversed>(instruction);
    case Mnemonic::Fdiv:
      return select_plain_form<Arithmetic::Divide>(instruction);
    case Mnemonic::Fdivr:
      return select_plain_form<Arithmetic::DivideReversed>(instruction);
    case Mnemonic::Fiadd:
      return select_integer_form<Arithmetic::Add>(instruction);
    case Mnemonic::Fimul:
      return select_integer_form<Arithmetic::Multiply>(instruction);
    case Mnemonic::Fisub:
      return select_integer_form<Arithmetic::Subtract>(instruction);
    case Mnemonic::Fisubr:
      return select_integer_form<Arithmetic::SubtractReversed>(instruction);
    case Mnemonic::Fidiv:
      return select_integer_form<Arithmetic::Divide>(instruction);
    case Mnemonic::Fidivr:
      return select_integer_form<Arithmetic::DivideReversed>(instruction);
    case Mnemonic::Faddp:
      return select_popping_form<Arithmetic::Add>();
    case Mnemonic::Fmulp:
      return select_popping_form<Arithmetic::Multiply>();
    case Mnemonic::Fsubp:
      return select_popping_form<Arithmetic::Subtract>();
    case Mnemonic::Fsubrp:
      return select_popping_form<Arithmetic::SubtractReversed>();
    case Mnemonic::Fdivp:
      return select_popping_form<Arithmetic::Divide>();
    case Mnemonic::Fdivrp:
      return select_popping_form<Arithmetic::DivideReversed>();
    default:
      return {};
  }
}

}  // namespace calco::cpu
