// ADD, OR, ADC, SBB, AND, SUB, XOR, CMP, TEST, INC, DEC, NEG, NOT, XADD, CMPXCHG, ADCX, ADOX.
#include "cpu/exec/condition.h"
#include "jit/frontend/groups.h"

namespace calco::jit {
namespace {

using cpu::FlagKind;
using decode::Mnemonic;
using ir::Opcode;
using ir::Type;
using ir::Value;

// --- The operations: destination and source in, result out, flags set
// --------------------------------------------------

// Results and flags are separate because a result goes to memory before flags change.
struct Result {
  Value value = ir::kNoValue;
  FlagKind kind{};
  Value first = ir::kNoValue;
  Value second = ir::kNoValue;
  Value carry = ir::kNoValue;  // ADC and SBB: the flag that came in
  bool sets_flags = true;
};

Result logic(Value result) { return {.value = result, .kind = FlagKind::Logic, .first = result}; }

Result add(Emitter& emit, Value a, Value b) {
  const Value sum = emit.add(a, b);
  return {.value = sum, .kind = FlagKind::Add, .first = sum, .second = b};
}
Result subtract(Emitter& emit, Value a, Value b) {
  return {.value = emit.subtract(a, b), .kind = FlagKind::Subtract, .first = a, .second = b};
}
Result add_with_carry(Emitter& emit, Value a, Value b) {
  const Value carry = emit.carry();
  const Value sum = emit.ternary(Opcode::AddWithCarry, a, b, carry);
  return {.value = sum, .kind = FlagKind::Add, .first = sum, .second = b, .carry = carry};
}
Result subtract_with_borrow(Emitter& emit, Value a, Value b) {
  const Value borrow = emit.carry();
  const Value difference = emit.ternary(Opcode::SubtractWithBorrow, a, b, borrow);
  return {.value = difference, .kind = FlagKind::Subtract, .first = a, .second = b, .carry = borrow};
}
// INC and DEC keep CF.
Result count(Emitter& emit, FlagKind kind, Value a) {
  const Value carry = emit.carry();
  const Value one = emit.constant(emit.type(a), 1);
  const Value result = kind == FlagKind::Increment ? emit.add(a, one) : emit.subtract(a, one);
  return {.value = result, .kind = kind, .first = result, .second = carry};
}
Result negate(Emitter& emit, Value a) {
  const Value zero = emit.constant(emit.type(a), 0);
  return {.value = emit.unary(Opcode::Negate, a), .kind = FlagKind::Subtract, .first = zero, .second = a};
}

Result compute(Emitter& emit, Mnemonic mnemonic, Value a, Value b) {
  switch (mnemonic) {
    case Mnemonic::Add:
      return add(emit, a, b);
    case Mnemonic::Adc:
      return add_with_carry(emit, a, b);
    case Mnemonic::Sub:
    case Mnemonic::Cmp:
      return subtract(emit, a, b);
    case Mnemonic::Sbb:
      return subtract_with_borrow(emit, a, b);
    case Mnemonic::And:
    case Mnemonic::Test:
      return logic(emit.bit_and(a, b));
    case Mnemonic::Or:
      return logic(emit.bit_or(a, b));
    case Mnemonic::Xor:
      return logic(emit.bit_xor(a, b));
    case Mnemonic::Inc:
      return count(emit, FlagKind::Increment, a);
    case Mnemonic::Dec:
      return count(emit, FlagKind::Decrement, a);
    case Mnemonic::Neg:
      return negate(emit, a);
    default:  // NOT
      return {.value = emit.unary(Opcode::Not, a), .sets_flags = false};
  }
}

void set_flags(Emitter& emit, const Result& result) {
  if (!result.sets_flags) return;
  if (result.carry == ir::kNoValue) {
    emit.set_flags(result.kind, result.first, result.second);
  } else {
    emit.append(Opcode::SetFlagsWithCarry, Type::Void, {result.first, result.second, result.carry},
                static_cast<uint8_t>(result.kind));
  }
}

// --- Operand forms
// -----------------------------------------------------------------------------------------------------

// XOR r, r and SUB r, r: the result does not depend on the register.
bool clears_register(const Emitter& emit) {
  const Mnemonic mnemonic = emit.instruction().mnemonic;
  if (mnemonic != Mnemonic::Xor && mnemonic != Mnemonic::Sub) return false;
  const decode::Operand &first = emit.operand(0), &second = emit.operand(1);
  return first.kind == decode::OperandKind::General && second.kind == first.kind && first.number == second.number;
}

Outcome clear_register(Emitter& emit) {
  const Value zero = emit.constant(emit.operand_type(0), 0);
  emit.write(0, zero);
  if (emit.instruction().mnemonic == Mnemonic::Xor) {
    emit.set_logic_flags(zero);
  } else {
    emit.set_flags(FlagKind::Subtract, zero, zero);
  }
  return Outcome::Next;
}

Outcome compare_only(Emitter& emit) {
  const Value a = emit.read(0);
  set_flags(emit, compute(emit, emit.instruction().mnemonic, a, emit.read(1)));
  return Outcome::Next;
}

// The atomic operation that leaves memory as the locked instruction does, and its operand.
Outcome locked(Emitter& emit) {
  const Mnemonic mnemonic = emit.instruction().mnemonic;
  const Type type = emit.operand_type(0);
  if (mnemonic == Mnemonic::Adc || mnemonic == Mnemonic::Sbb || mnemonic == Mnemonic::Neg) return Outcome::Interpret;
  const Value source = emit.exists(1) ? emit.read(1) : emit.constant(type, 1);
  const Value host = emit.host_address(emit.linear_address(), emit.operand(0).size, ir::kHostWrite);
  Opcode opcode = Opcode::AtomicAdd;
  Value change = source;
  switch (mnemonic) {
    case Mnemonic::And:
      opcode = Opcode::AtomicAnd;
      break;
    case Mnemonic::Or:
      opcode = Opcode::AtomicOr;
      break;
    case Mnemonic::Xor:
      opcode = Opcode::AtomicXor;
      break;
    case Mnemonic::Not:
      opcode = Opcode::AtomicXor;
      change = emit.constant(type, ~uint64_t{0});
      break;
    case Mnemonic::Sub:
      change = emit.unary(Opcode::Negate, source);
      break;
    case Mnemonic::Dec:
      change = emit.constant(type, ~uint64_t{0});
      break;
    default:
      break;
  }
  const Value old = emit.operation(opcode, type, host, change);
  set_flags(emit, compute(emit, mnemonic, old, source));
  return Outcome::Next;
}

Outcome modify(Emitter& emit) {
  if (clears_register(emit)) return clear_register(emit);
  if (emit.instruction().lock) return locked(emit);
  const Destination destination = emit.read_destination(0);
  const Value source = emit.exists(1) ? emit.read(1) : ir::kNoValue;
  const Result result = compute(emit, emit.instruction().mnemonic, destination.value, source);
  emit.write_destination(0, destination, result.value);
  set_flags(emit, result);
  return Outcome::Next;
}

// --- XADD, CMPXCHG
// -----------------------------------------------------------------------------------------------------

Outcome exchange_add(Emitter& emit) {
  const Value source = emit.read(1);
  Value old;
  if (!emit.is_memory(0)) {
    old = emit.read(0);
  } else {
    const Value host = emit.host_address(emit.linear_address(), emit.operand(0).size, ir::kHostWrite);
    if (emit.instruction().lock) {
      old = emit.operation(Opcode::AtomicAdd, emit.operand_type(0), host, source);
    } else {
      old = emit.load_host(emit.operand_type(0), host);
      emit.store_host(host, emit.add(old, source));
    }
  }
  const Result sum = add(emit, old, source);
  emit.write(1, old);
  // The sum goes last: where both operands are one register, it stays.
  if (!emit.is_memory(0)) emit.write(0, sum.value);
  set_flags(emit, sum);
  return Outcome::Next;
}

// The whole register that `number` is part of.
uint8_t whole_register(uint8_t number, Type type) {
  return type == Type::I8 && number >= 16 ? static_cast<uint8_t>(number - 16) : number;
}

// Writes a general register where `condition` is true; otherwise all 64 bits stay.
void write_general_if(Emitter& emit, Value condition, uint8_t number, Value value) {
  const uint8_t whole = whole_register(number, emit.type(value));
  const Value merged = emit.merged_general(number, value);
  emit.set_register(whole, emit.select(condition, merged, emit.get_register(whole)));
}

Outcome compare_exchange(Emitter& emit) {
  const Type type = emit.operand_type(0);
  const Value accumulator = emit.read_general(cpu::kRax, type);
  const Value source = emit.read(1);
  Value old;
  Value equal;
  if (emit.is_memory(0)) {
    const Value host = emit.host_address(emit.linear_address(), emit.operand(0).size, ir::kHostWrite);
    if (emit.instruction().lock) {
      old = emit.operation(Opcode::AtomicCompareExchange, type, host, accumulator, source);
      equal = emit.compare(cpu::kEqual, accumulator, old);
    } else {
      old = emit.load_host(type, host);
      equal = emit.compare(cpu::kEqual, accumulator, old);
      emit.store_host(host, emit.select(equal, source, old));  // hardware always writes
    }
  } else {
    old = emit.read(0);
    equal = emit.compare(cpu::kEqual, accumulator, old);
    write_general_if(emit, equal, emit.operand(0).number, source);
  }
  // Only the accumulator that differed is written: with equal 32-bit values the upper half of RAX stays.
  const Value different = emit.compare(cpu::kNotEqual, accumulator, old);
  write_general_if(emit, different, cpu::kRax, old);
  emit.set_flags(FlagKind::Subtract, accumulator, old);
  return Outcome::Next;
}

// --- ADCX, ADOX: an addition whose carry is CF, or OF, alone
// -------------------------------------------------------------

Outcome add_extended(Emitter& emit, uint64_t flag, cpu::Condition set) {
  const Value source = emit.read(1);
  const Value target = emit.read(0);
  const Value carry = emit.condition(set);
  const Value sum = emit.ternary(Opcode::AddWithCarry, target, source, carry);
  const Value wrapped = emit.compare(cpu::kBelow, sum, target);
  const Value same = emit.compare(cpu::kEqual, sum, target);
  const Value carry_out = emit.bit_or(wrapped, emit.bit_and(carry, same));
  emit.write(0, sum);
  emit.change_flags(flag, emit.flag_if(carry_out, flag));
  return Outcome::Next;
}

}  // namespace

Outcome translate_alu(Emitter& emit) {
  switch (emit.instruction().mnemonic) {
    case Mnemonic::Cmp:
    case Mnemonic::Test:
      return compare_only(emit);
    case Mnemonic::Add:
    case Mnemonic::Adc:
    case Mnemonic::Sub:
    case Mnemonic::Sbb:
    case Mnemonic::And:
    case Mnemonic::Or:
    case Mnemonic::Xor:
    case Mnemonic::Inc:
    case Mnemonic::Dec:
    case Mnemonic::Neg:
    case Mnemonic::Not:
      return modify(emit);
    case Mnemonic::Xadd:
      return exchange_add(emit);
    case Mnemonic::Cmpxchg:
      return compare_exchange(emit);
    case Mnemonic::Adcx:
      return add_extended(emit, cpu::rflags::kCf, cpu::kBelow);
    case Mnemonic::Adox:
      return add_extended(emit, cpu::rflags::kOf, cpu::kOverflowSet);
    default:
      return Outcome::Interpret;
  }
}

}  // namespace calco::jit
