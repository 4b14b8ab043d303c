// BT, BTS, BTR, BTC, BSF, BSR, POPCNT, LZCNT, TZCNT, and BMI1 and BMI2 but for the shifts.
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

// --- Bit tests
// ---------------------------------------------------------------------------------------------------------

// The bit's number within the operand, I8.
Value bit_number(Emitter& emit, Type type) {
  const unsigned mask = ir::bits_of(type) - 1;
  if (emit.operand(1).kind == OperandKind::Immediate)
    return emit.constant(Type::I8, emit.instruction().immediate & mask);
  return emit.bit_and(emit.read_general(emit.operand(1).number, Type::I8), emit.constant(Type::I8, mask));
}

void set_carry_to_bit(Emitter& emit, Value value, Value number) {
  const Value bit = emit.truncate(Type::I1, emit.binary(Opcode::ShiftRight, value, number));
  emit.change_flags(rflags::kCf, emit.zero_extend(Type::I64, bit));
}

// In memory a register's bit number reaches beyond the operand, in either direction (SDM vol. 2, BT).
Value bit_operand_address(Emitter& emit, Type type) {
  const Value effective = emit.effective_address();
  if (emit.operand(1).kind == OperandKind::Immediate) return emit.in_segment(effective);
  const auto size_log2 = static_cast<uint8_t>(std::countr_zero(ir::bytes_of(type)));
  const Value number = emit.sign_extend(Type::I64, emit.read(1));
  const Value element = emit.shift(Opcode::ShiftArithmetic, number, size_log2 + 3u);
  return emit.in_segment(emit.cut_address(emit.address(Type::I64, effective, element, size_log2, 0)));
}

struct Change {
  Opcode plain;
  Opcode atomic;
  bool complement;  // of the bit's mask
};
Change change_of(Mnemonic mnemonic) {
  if (mnemonic == Mnemonic::Bts) return {Opcode::Or, Opcode::AtomicOr, false};
  if (mnemonic == Mnemonic::Btr) return {Opcode::And, Opcode::AtomicAnd, true};
  return {Opcode::Xor, Opcode::AtomicXor, false};
}

Outcome bit_test(Emitter& emit) {
  const Type type = emit.operand_type(0);
  const Value number = bit_number(emit, type);
  const Value value =
      emit.is_memory(0) ? emit.load(type, bit_operand_address(emit, type), emit.stack_segment()) : emit.read(0);
  set_carry_to_bit(emit, value, number);
  return Outcome::Next;
}

Outcome bit_change(Emitter& emit) {
  const Type type = emit.operand_type(0);
  const Change change = change_of(emit.instruction().mnemonic);
  const Value number = bit_number(emit, type);
  Value mask = emit.binary(Opcode::ShiftLeft, emit.constant(type, 1), number);
  if (change.complement) mask = emit.unary(Opcode::Not, mask);
  Value value;
  if (emit.is_memory(0)) {
    const Value host = emit.host_address(bit_operand_address(emit, type), ir::bytes_of(type), ir::kHostWrite);
    if (emit.instruction().lock) {
      value = emit.operation(change.atomic, type, host, mask);
    } else {
      value = emit.load_host(type, host);
      emit.store_host(host, emit.binary(change.plain, value, mask));
    }
  } else {
    value = emit.read(0);
    emit.write(0, emit.binary(change.plain, value, mask));
  }
  set_carry_to_bit(emit, value, number);
  return Outcome::Next;
}

// --- Scans and counts
// --------------------------------------------------------------------------------------------------

// A source of 0 sets ZF and leaves the destination as it was, its upper half included.
Outcome bit_scan(Emitter& emit, bool forward) {
  const Type type = emit.operand_type(0);
  const Value source = emit.read(1);
  const Value zero = emit.is_zero(source);
  const Value count =
      forward ? emit.unary(Opcode::TrailingZeros, source)
              : emit.bit_xor(emit.unary(Opcode::LeadingZeros, source), emit.constant(type, ir::bits_of(type) - 1));
  const uint8_t number = emit.operand(0).number;
  emit.set_register(number, emit.select(zero, emit.get_register(number), emit.merged_general(number, count)));
  emit.change_flags(rflags::kZf, emit.flag_if(zero, rflags::kZf));
  return Outcome::Next;
}

Outcome population_count(Emitter& emit) {
  const Value source = emit.read(1);
  emit.write(0, emit.unary(Opcode::PopulationCount, source));
  emit.set_flags(FlagKind::Explicit, emit.flag_if(emit.is_zero(source), rflags::kZf));
  return Outcome::Next;
}

Outcome count_zeros(Emitter& emit, Opcode opcode) {
  const Value source = emit.read(1);
  const Value count = emit.unary(opcode, source);
  emit.write(0, count);
  const Value carry = emit.flag_if(emit.is_zero(source), rflags::kCf);
  emit.change_flags(rflags::kCf | rflags::kZf, emit.bit_or(carry, emit.flag_if(emit.is_zero(count), rflags::kZf)));
  return Outcome::Next;
}

// --- BMI1
// --------------------------------------------------------------------------------------------------------------

// SF and ZF from the result, CF as given; OF is cleared, and so are AF and PF, which are undefined.
void set_result_flags(Emitter& emit, Value result, Value carry) {
  emit.set_logic_flags(result);
  emit.change_flags(rflags::kPf | rflags::kCf, carry);
}

Outcome and_not(Emitter& emit) {
  const Value source = emit.read(2);
  const Value result = emit.bit_and(emit.unary(Opcode::Not, emit.read(1)), source);
  emit.write(0, result);
  set_result_flags(emit, result, emit.constant(Type::I64, 0));
  return Outcome::Next;
}

// BLSI, BLSMSK, BLSR.
Outcome lowest_bit(Emitter& emit, Mnemonic mnemonic) {
  const Value source = emit.read(1);
  const Value zero = emit.is_zero(source);
  const Value less_one = emit.subtract(source, emit.constant(emit.type(source), 1));
  Value result;
  Value carry = zero;
  if (mnemonic == Mnemonic::Blsi) {
    result = emit.bit_and(source, emit.unary(Opcode::Negate, source));
    carry = emit.compare(cpu::kNotEqual, source, emit.constant(emit.type(source), 0));
  } else if (mnemonic == Mnemonic::Blsmsk) {
    result = emit.bit_xor(source, less_one);
  } else {
    result = emit.bit_and(source, less_one);
  }
  emit.write(0, result);
  set_result_flags(emit, result, emit.zero_extend(Type::I64, carry));
  return Outcome::Next;
}

// The lowest `count` (I8) bits of a value; all of them where `count` is the width or more.
Value lowest_bits(Emitter& emit, Value value, Value count, Value all) {
  const Type type = emit.type(value);
  const Value within = emit.bit_and(count, emit.constant(Type::I8, ir::bits_of(type) - 1));
  const Value bit = emit.binary(Opcode::ShiftLeft, emit.constant(type, 1), within);
  const Value mask = emit.subtract(bit, emit.constant(type, 1));
  return emit.select(all, value, emit.bit_and(value, mask));
}

Value at_least_width(Emitter& emit, Value count, Type type) {
  return emit.compare(cpu::kAboveOrEqual, count, emit.constant(Type::I8, ir::bits_of(type)));
}

// The control: start in its low byte, length in the next.
Outcome bit_extract(Emitter& emit) {
  const Type type = emit.operand_type(0);
  const Value source = emit.read(1);
  const Value control = emit.get_register(emit.operand(2).number);
  const Value start = emit.truncate(Type::I8, control);
  const Value length = emit.operation(Opcode::HighByte, Type::I8, control);
  const Value within = emit.bit_and(start, emit.constant(Type::I8, ir::bits_of(type) - 1));
  const Value shifted = emit.select(at_least_width(emit, start, type), emit.constant(type, 0),
                                    emit.binary(Opcode::ShiftRight, source, within));
  const Value result = lowest_bits(emit, shifted, length, at_least_width(emit, length, type));
  emit.write(0, result);
  emit.set_flags(FlagKind::Explicit, emit.flag_if(emit.is_zero(result), rflags::kZf));
  return Outcome::Next;
}

// --- BMI2
// --------------------------------------------------------------------------------------------------------------

Outcome zero_high_bits(Emitter& emit) {
  const Type type = emit.operand_type(0);
  const Value source = emit.read(1);
  const Value index = emit.read_general(emit.operand(2).number, Type::I8);
  const Value beyond = at_least_width(emit, index, type);
  const Value result = lowest_bits(emit, source, index, beyond);
  emit.write(0, result);
  set_result_flags(emit, result, emit.zero_extend(Type::I64, beyond));
  return Outcome::Next;
}

// RDX times the operand: high half to the first operand, low half to the second. Where both are one register, the high
// half stays.
Outcome multiply_without_flags(Emitter& emit) {
  const Type type = emit.operand_type(0);
  const Value source = emit.read(2);
  const Value other = emit.read_general(cpu::kRdx, type);
  Value low;
  Value high;
  if (type == Type::I64) {
    low = emit.binary(Opcode::Multiply, source, other);
    high = emit.binary(Opcode::MultiplyHigh, source, other);
  } else {
    const Value product =
        emit.binary(Opcode::Multiply, emit.zero_extend(Type::I64, source), emit.zero_extend(Type::I64, other));
    low = emit.truncate(type, product);
    high = emit.truncate(type, emit.shift(Opcode::ShiftRight, product, 32));
  }
  emit.write(1, low);
  emit.write(0, high);
  return Outcome::Next;
}

}  // namespace

Outcome translate_bit(Emitter& emit) {
  const Mnemonic mnemonic = emit.instruction().mnemonic;
  switch (mnemonic) {
    case Mnemonic::Bt:
      return bit_test(emit);
    case Mnemonic::Bts:
    case Mnemonic::Btr:
    case Mnemonic::Btc:
      return bit_change(emit);
    case Mnemonic::Bsf:
      return bit_scan(emit, true);
    case Mnemonic::Bsr:
      return bit_scan(emit, false);
    case Mnemonic::Popcnt:
      return population_count(emit);
    case Mnemonic::Lzcnt:
      return count_zeros(emit, Opcode::LeadingZeros);
    case Mnemonic::Tzcnt:
      return count_zeros(emit, Opcode::TrailingZeros);
    case Mnemonic::Andn:
      return and_not(emit);
    case Mnemonic::Bextr:
      return bit_extract(emit);
    case Mnemonic::Blsi:
    case Mnemonic::Blsmsk:
    case Mnemonic::Blsr:
      return lowest_bit(emit, mnemonic);
    case Mnemonic::Bzhi:
      return zero_high_bits(emit);
    case Mnemonic::Mulx:
      return multiply_without_flags(emit);
    default:
      return Outcome::Interpret;
  }
}

}  // namespace calco::jit
