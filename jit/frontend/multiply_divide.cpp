// MUL, IMUL, DIV, IDIV.
#include "cpu/exec/condition.h"
#include "jit/frontend/groups.h"

namespace calco::jit {
namespace {

using decode::Mnemonic;
using decode::OperandKind;
using ir::Opcode;
using ir::Type;
using ir::Value;
namespace rflags = cpu::rflags;

// CF = OF = the upper half says more than the lower. The other flags are undefined and stay, as in the interpreter.
void set_overflow(Emitter& emit, Value overflow) {
  emit.change_flags(rflags::kCf | rflags::kOf, emit.unary(Opcode::Negate, emit.zero_extend(Type::I64, overflow)));
}

// A type with room for a product of two operands of `type` (not I64).
Type wider(Type type) { return type == Type::I8 ? Type::I16 : type == Type::I16 ? Type::I32 : Type::I64; }

// RDX:RAX = RAX * operand, for 4 and 8 bytes.
Outcome multiply_wide(Emitter& emit, bool is_signed) {
  const Type type = emit.operand_type(0);
  emit.operation(is_signed ? Opcode::WideMultiplySigned : Opcode::WideMultiply, Type::Void, emit.read(0));
  const Value high = emit.read_general(cpu::kRdx, type);
  const Value sign =
      is_signed ? emit.shift(Opcode::ShiftArithmetic, emit.read_general(cpu::kRax, type), ir::bits_of(type) - 1)
                : emit.constant(type, 0);
  set_overflow(emit, emit.compare(cpu::kNotEqual, high, sign));
  return Outcome::Next;
}

// AX = AL * operand; DX:AX = AX * operand.
Outcome multiply_narrow(Emitter& emit, Opcode extend) {
  const Type type = emit.operand_type(0);
  const Type wide = wider(type);
  const Value source = emit.convert(extend, wide, emit.read(0));
  const Value accumulator = emit.convert(extend, wide, emit.read_general(cpu::kRax, type));
  const Value product = emit.binary(Opcode::Multiply, accumulator, source);
  const Value low = emit.truncate(type, product);
  if (type == Type::I8) {
    emit.write_general(cpu::kRax, product);
  } else {
    emit.write_general(cpu::kRax, low);
    emit.write_general(cpu::kRdx, emit.truncate(type, emit.shift(Opcode::ShiftRight, product, 16)));
  }
  set_overflow(emit, emit.compare(cpu::kNotEqual, product, emit.convert(extend, wide, low)));
  return Outcome::Next;
}

Outcome multiply_accumulator(Emitter& emit, bool is_signed) {
  if (emit.operand(0).size >= 4) return multiply_wide(emit, is_signed);
  return multiply_narrow(emit, is_signed ? Opcode::SignExtend : Opcode::ZeroExtend);
}

// IMUL with two operands (first *= second) or three (first = second * third).
Outcome multiply_to_register(Emitter& emit) {
  const Type type = emit.operand_type(0);
  const bool three = emit.exists(2);
  const Value left = emit.read(1);
  const Value right = three ? emit.constant(type, emit.instruction().immediate) : emit.read(0);
  const Value product = emit.binary(Opcode::Multiply, left, right);
  Value overflow;
  if (type == Type::I64) {
    const Value high = emit.binary(Opcode::MultiplyHighSigned, left, right);
    overflow = emit.compare(cpu::kNotEqual, high, emit.shift(Opcode::ShiftArithmetic, product, 63));
  } else {
    const Type wide = wider(type);
    const Value exact = emit.binary(Opcode::Multiply, emit.sign_extend(wide, left), emit.sign_extend(wide, right));
    overflow = emit.compare(cpu::kNotEqual, exact, emit.sign_extend(wide, product));
  }
  emit.write(0, product);
  set_overflow(emit, overflow);
  return Outcome::Next;
}

// What would raise #DE is left to the interpreter: a quotient that does not fit, a divisor of 0 among them.
Outcome divide(Emitter& emit) {
  if (emit.operand(0).size < 4) return Outcome::Interpret;
  const Value divisor = emit.read(0);
  emit.bail_if(emit.compare(cpu::kAboveOrEqual, emit.read_general(cpu::kRdx, emit.operand_type(0)), divisor));
  emit.operation(Opcode::WideDivide, Type::Void, divisor);
  return Outcome::Next;
}

// Translated for dividends that RDX only sign-extends, as compilers make them; then only 0 and -1 can overflow.
Outcome divide_signed(Emitter& emit) {
  if (emit.operand(0).size < 4) return Outcome::Interpret;
  const Type type = emit.operand_type(0);
  const Value divisor = emit.read(0);
  const Value low = emit.read_general(cpu::kRax, type);
  const Value high = emit.read_general(cpu::kRdx, type);
  const Value one = emit.constant(type, 1);
  emit.bail_if(emit.compare(cpu::kBelowOrEqual, emit.add(divisor, one), one));
  emit.bail_if(emit.compare(cpu::kNotEqual, high, emit.shift(Opcode::ShiftArithmetic, low, ir::bits_of(type) - 1)));
  emit.operation(Opcode::WideDivideSigned, Type::Void, divisor);
  return Outcome::Next;
}

}  // namespace

Outcome translate_multiply_divide(Emitter& emit) {
  switch (emit.instruction().mnemonic) {
    case Mnemonic::Mul:
      return multiply_accumulator(emit, false);
    case Mnemonic::Imul:
      return emit.exists(1) ? multiply_to_register(emit) : multiply_accumulator(emit, true);
    case Mnemonic::Div:
      return divide(emit);
    case Mnemonic::Idiv:
      return divide_signed(emit);
    default:
      return Outcome::Interpret;
  }
}

}  // namespace calco::jit
