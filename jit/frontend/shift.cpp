// SHL, SHR, SAR, ROL, ROR, RCL, RCR, SHLD, SHRD and BMI2's SHLX, SHRX, SARX, RORX.
#include "cpu/exec/condition.h"
#include "jit/frontend/groups.h"

namespace calco::jit {
namespace {

using cpu::FlagKind;
using decode::Mnemonic;
using decode::OperandKind;
using ir::Opcode;
using ir::Type;
using ir::Value;
namespace rflags = cpu::rflags;

// Counts are taken modulo 32, or 64 for 64-bit operands (SDM vol. 2, SAL/SAR/SHL/SHR).
constexpr unsigned count_mask(Type type) { return type == Type::I64 ? 63 : 31; }

Value masked_count(Emitter& emit, Type type, uint8_t register_number) {
  const Value count = emit.read_general(register_number, Type::I8);
  return emit.bit_and(count, emit.constant(Type::I8, count_mask(type)));
}

// The operand that counts: an immediate, CL, or (shifts by one) none.
struct Count {
  bool by_register = false;
  unsigned known = 1;  // masked; where not by a register
};
Count count_of(const Emitter& emit, unsigned index, Type type) {
  if (emit.operand(index).kind == OperandKind::General) return {.by_register = true};
  if (emit.operand(index).kind == OperandKind::None) return {};
  return {.known = static_cast<unsigned>(emit.instruction().immediate) & count_mask(type)};
}

// A count of 0 leaves flags and memory, but a 32-bit register still loses its upper half.
Outcome shift_by_zero(Emitter& emit) {
  const Destination destination = emit.read_destination(0);
  emit.write_destination(0, destination, destination.value);
  return Outcome::Next;
}

// --- SHL, SHR, SAR
// -----------------------------------------------------------------------------------------------------

Outcome shift(Emitter& emit, Opcode opcode, FlagKind kind) {
  const Type type = emit.operand_type(0);
  const Count count = count_of(emit, 1, type);
  if (!count.by_register && count.known == 0) return shift_by_zero(emit);
  const Destination destination = emit.read_destination(0);
  if (!count.by_register) {
    const Value result = emit.shift(opcode, destination.value, count.known);
    const Value before_last = emit.shift(opcode, destination.value, count.known - 1);
    emit.write_destination(0, destination, result);
    emit.set_flags(kind, result, before_last);
    return Outcome::Next;
  }
  const Value amount = masked_count(emit, type, cpu::kRcx);
  const Value one_less =
      emit.bit_and(emit.subtract(amount, emit.constant(Type::I8, 1)), emit.constant(Type::I8, count_mask(type)));
  const Value result = emit.binary(opcode, destination.value, amount);
  const Value before_last = emit.binary(opcode, destination.value, one_less);
  emit.write_destination(0, destination, result);
  emit.append(Opcode::SetFlagsOfShift, Type::Void, {result, before_last, amount}, static_cast<uint8_t>(kind));
  return Outcome::Next;
}

// --- ROL, ROR
// ----------------------------------------------------------------------------------------------------------

// Bit `bit` of a value as an I1.
Value bit_of(Emitter& emit, Value value, unsigned bit) {
  return emit.truncate(Type::I1, emit.shift(Opcode::ShiftRight, value, bit));
}

Value carry_and_overflow(Emitter& emit, Value carry, Value overflow) {
  return emit.bit_or(emit.zero_extend(Type::I64, carry), emit.flag_if(overflow, rflags::kOf));
}

// CF and OF after a rotation, from its result. They change with any count but 0, even a multiple of the width.
Value rotation_flags(Emitter& emit, Opcode opcode, Value result) {
  const unsigned top = ir::bits_of(emit.type(result)) - 1;
  const Value highest = bit_of(emit, result, top);
  if (opcode == Opcode::RotateLeft) {
    const Value carry = emit.truncate(Type::I1, result);
    return carry_and_overflow(emit, carry, emit.bit_xor(highest, carry));
  }
  return carry_and_overflow(emit, highest, emit.bit_xor(highest, bit_of(emit, result, top - 1)));
}

Outcome rotate(Emitter& emit, Opcode opcode) {
  const Type type = emit.operand_type(0);
  const Count count = count_of(emit, 1, type);
  if (!count.by_register && count.known == 0) return shift_by_zero(emit);
  const Destination destination = emit.read_destination(0);
  const Value amount = count.by_register ? masked_count(emit, type, cpu::kRcx) : emit.constant(Type::I8, count.known);
  const Value result = emit.binary(opcode, destination.value, amount);
  emit.write_destination(0, destination, result);
  Value flags = rotation_flags(emit, opcode, result);
  if (count.by_register) flags = emit.select(emit.is_zero(amount), emit.get_flags(), flags);
  emit.change_flags(rflags::kCf | rflags::kOf, flags);
  return Outcome::Next;
}

// RCL and RCR by one; other counts are rare.
Outcome rotate_carry(Emitter& emit, bool left) {
  const Type type = emit.operand_type(0);
  const Count count = count_of(emit, 1, type);
  if (count.by_register || count.known != 1) return Outcome::Interpret;
  const unsigned top = ir::bits_of(type) - 1;
  const Destination destination = emit.read_destination(0);
  const Value value = destination.value;
  const Value carry_in = emit.zero_extend(type, emit.carry());
  const Value carry_out = left ? bit_of(emit, value, top) : emit.truncate(Type::I1, value);
  const Value result =
      left ? emit.bit_or(emit.shift(Opcode::ShiftLeft, value, 1), carry_in)
           : emit.bit_or(emit.shift(Opcode::ShiftRight, value, 1), emit.shift(Opcode::ShiftLeft, carry_in, top));
  const Value overflow = emit.bit_xor(bit_of(emit, result, top), left ? carry_out : bit_of(emit, result, top - 1));
  emit.write_destination(0, destination, result);
  emit.change_flags(rflags::kCf | rflags::kOf, carry_and_overflow(emit, carry_out, overflow));
  return Outcome::Next;
}

// --- SHLD, SHRD
// --------------------------------------------------------------------------------------------------------

// `value` shifted by `count`, filled from `fill`. The fill goes in two steps, so that a count of 0 takes nothing of it.
Value double_shift_value(Emitter& emit, bool left, Value value, Value fill, Value count) {
  const Opcode out = left ? Opcode::ShiftLeft : Opcode::ShiftRight;
  const Opcode in = left ? Opcode::ShiftRight : Opcode::ShiftLeft;
  const unsigned mask = count_mask(emit.type(value));
  const Value rest = emit.bit_xor(count, emit.constant(Type::I8, mask));
  return emit.bit_or(emit.binary(out, value, count), emit.binary(in, emit.shift(in, fill, 1), rest));
}

Outcome double_shift(Emitter& emit, bool left) {
  const Type type = emit.operand_type(0);
  if (type == Type::I16) return Outcome::Interpret;  // counts above 16 have their own rules
  const Count count = count_of(emit, 2, type);
  if (!count.by_register && count.known == 0) return shift_by_zero(emit);
  const unsigned top = ir::bits_of(type) - 1;
  const Destination destination = emit.read_destination(0);
  const Value fill = emit.read(1);
  const Value amount = count.by_register ? masked_count(emit, type, cpu::kRcx) : emit.constant(Type::I8, count.known);
  const Value one_less =
      emit.bit_and(emit.subtract(amount, emit.constant(Type::I8, 1)), emit.constant(Type::I8, count_mask(type)));
  const Value result = double_shift_value(emit, left, destination.value, fill, amount);
  const Value before_last = double_shift_value(emit, left, destination.value, fill, one_less);
  const Value carry = left ? bit_of(emit, before_last, top) : emit.truncate(Type::I1, before_last);
  const Value overflow = emit.bit_xor(bit_of(emit, result, top), bit_of(emit, destination.value, top));
  const Value flags = carry_and_overflow(emit, carry, overflow);
  emit.write_destination(0, destination, result);
  const Value before = count.by_register ? emit.get_flags() : ir::kNoValue;
  emit.set_logic_flags(result);
  emit.change_flags(rflags::kCf | rflags::kOf, flags);
  if (count.by_register) {
    emit.set_flags(FlagKind::Explicit, emit.select(emit.is_zero(amount), before, emit.get_flags()));
  }
  return Outcome::Next;
}

// --- BMI2: no flags
// ------------------------------------------------------------------------------------------------------

Outcome shift_without_flags(Emitter& emit, Opcode opcode) {
  const Value value = emit.read(1);
  const Value amount = masked_count(emit, emit.operand_type(0), emit.operand(2).number);
  emit.write(0, emit.binary(opcode, value, amount));
  return Outcome::Next;
}

Outcome rotate_without_flags(Emitter& emit) {
  const unsigned count = emit.instruction().immediate & count_mask(emit.operand_type(0));
  emit.write(0, emit.shift(Opcode::RotateRight, emit.read(1), count));
  return Outcome::Next;
}

}  // namespace

Outcome translate_shift(Emitter& emit) {
  switch (emit.instruction().mnemonic) {
    case Mnemonic::Shl:
      return shift(emit, Opcode::ShiftLeft, FlagKind::ShiftLeft);
    case Mnemonic::Shr:
      return shift(emit, Opcode::ShiftRight, FlagKind::ShiftRight);
    case Mnemonic::Sar:
      return shift(emit, Opcode::ShiftArithmetic, FlagKind::ShiftArithmetic);
    case Mnemonic::Rol:
      return rotate(emit, Opcode::RotateLeft);
    case Mnemonic::Ror:
      return rotate(emit, Opcode::RotateRight);
    case Mnemonic::Rcl:
      return rotate_carry(emit, true);
    case Mnemonic::Rcr:
      return rotate_carry(emit, false);
    case Mnemonic::Shld:
      return double_shift(emit, true);
    case Mnemonic::Shrd:
      return double_shift(emit, false);
    case Mnemonic::Shlx:
      return shift_without_flags(emit, Opcode::ShiftLeft);
    case Mnemonic::Shrx:
      return shift_without_flags(emit, Opcode::ShiftRight);
    case Mnemonic::Sarx:
      return shift_without_flags(emit, Opcode::ShiftArithmetic);
    case Mnemonic::Rorx:
      return rotate_without_flags(emit);
    default:
      return Outcome::Interpret;
  }
}

}  // namespace calco::jit
