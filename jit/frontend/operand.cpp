#include "jit/frontend/operand.h"

#include "cpu/exec/condition.h"
#include "cpu/state.h"

namespace calco::jit {

using decode::OperandKind;
using ir::Opcode;
using ir::Type;
using ir::Value;

namespace {

constexpr uint8_t kFirstHighByte = 16;  // numbers of AH, CH, DH, BH begin here

bool fits_displacement(int64_t value) { return value == static_cast<int32_t>(value); }

}  // namespace

void Emitter::begin(const decode::Instruction& instruction, uint16_t page_offset) {
  instruction_ = &instruction;
  page_offset_ = page_offset;
  begin_guest_instruction(page_offset, instruction.length);
}

// --- Operands --------------------------------------------------------------------------------------------------------

Value Emitter::read(unsigned index) {
  const decode::Operand& source = operand(index);
  const Type type = operand_type(index);
  switch (source.kind) {
    case OperandKind::Memory:
      return load(type, linear_address(), stack_segment());
    case OperandKind::Immediate:
      return constant(type, instruction_->immediate);
    default:
      return read_general(source.number, type);
  }
}

void Emitter::write(unsigned index, Value value) {
  if (is_memory(index)) {
    store(linear_address(), value, stack_segment());
  } else {
    write_general(operand(index).number, value);
  }
}

Destination Emitter::read_destination(unsigned index) {
  if (!is_memory(index)) return {read(index), ir::kNoValue};
  const Value host = host_address(linear_address(), operand(index).size, ir::kHostWrite);
  return {load_host(operand_type(index), host), host};
}

void Emitter::write_destination(unsigned index, const Destination& destination, Value value) {
  if (destination.host != ir::kNoValue) {
    store_host(destination.host, value);
  } else {
    write_general(operand(index).number, value);
  }
}

Value Emitter::read_general(uint8_t number, Type type) {
  if (type == Type::I8 && number >= kFirstHighByte) {
    return operation(Opcode::HighByte, Type::I8, get_register(number - kFirstHighByte));
  }
  return truncate(type, get_register(number));
}

void Emitter::write_general(uint8_t number, Value value) {
  const bool high_byte = type(value) == Type::I8 && number >= kFirstHighByte;
  set_register(high_byte ? number - kFirstHighByte : number, merged_general(number, value));
}

Value Emitter::merged_general(uint8_t number, Value value) {
  switch (type(value)) {
    case Type::I8:
      if (number < kFirstHighByte) return operation(Opcode::InsertLowByte, Type::I64, get_register(number), value);
      return operation(Opcode::InsertHighByte, Type::I64, get_register(number - kFirstHighByte), value);
    case Type::I16:
      return operation(Opcode::InsertWord, Type::I64, get_register(number), value);
    default:
      return zero_extend(Type::I64, value);
  }
}

// --- Memory operand --------------------------------------------------------------------------------------------------

Value Emitter::effective_address() {
  const decode::MemoryOperand& memory = instruction_->memory;
  const bool relative = memory.base == cpu::kRip;
  const int64_t displacement = memory.displacement + (relative ? next_offset() : 0);
  const bool has_base = memory.base != cpu::kZero;
  const bool has_index = memory.index != cpu::kZero;
  if (!has_base && !has_index) return cut_address(constant(Type::I64, static_cast<uint64_t>(displacement)));
  const Value base = !has_base ? ir::kNoValue : relative ? page_base() : get_register(memory.base);
  const Value index = has_index ? get_register(memory.index) : ir::kNoValue;
  if (!fits_displacement(displacement)) {
    return cut_address(add(base, constant(Type::I64, static_cast<uint64_t>(displacement))));
  }
  if (has_base && !has_index && displacement == 0) return cut_address(base);
  return cut_address(address(Type::I64, base, index, memory.scale, static_cast<int32_t>(displacement)));
}

Value Emitter::cut_address(Value address) {
  if (instruction_->address_size == 8) return address;
  return zero_extend(Type::I64, truncate(Type::I32, address));
}

Value Emitter::in_segment(Value effective) {
  const uint8_t segment = instruction_->memory.segment;
  if (segment != cpu::kFs && segment != cpu::kGs) return effective;
  const Value base = append(Opcode::SegmentBase, Type::I64, {ir::kNoValue, ir::kNoValue, ir::kNoValue}, segment);
  return address(Type::I64, base, effective, 0, 0);
}

Value Emitter::linear_address() { return in_segment(effective_address()); }

bool Emitter::stack_segment() const { return instruction_->memory.segment == cpu::kSs; }

Value Emitter::host_address(Value linear, unsigned bytes, uint64_t flags) {
  return append(Opcode::HostAddress, Type::I64, {linear, ir::kNoValue, ir::kNoValue},
                stack_segment() ? ir::kStackAccess : 0, bytes | flags);
}

// --- x87 -------------------------------------------------------------------------------------------------------------

void Emitter::enter_x87() {
  if (x87_entered_) return;
  operation(Opcode::EnterX87, Type::Void);
  x87_entered_ = true;
}

// --- Flags -----------------------------------------------------------------------------------------------------------

void Emitter::set_flags(cpu::FlagKind kind, Value first, Value second) {
  append(Opcode::SetFlags, Type::Void, {first, second, ir::kNoValue}, static_cast<uint8_t>(kind));
}

void Emitter::change_flags(uint64_t mask, Value value) {
  append(Opcode::ChangeFlags, Type::Void, {value, ir::kNoValue, ir::kNoValue}, 0, mask);
}

Value Emitter::flag_if(Value condition, uint64_t bit) {
  return shift(Opcode::ShiftLeft, zero_extend(Type::I64, condition), static_cast<unsigned>(std::countr_zero(bit)));
}

// --- Short forms -----------------------------------------------------------------------------------------------------

Value Emitter::shift(Opcode opcode, Value value, unsigned count) {
  return count == 0 ? value : binary(opcode, value, constant(Type::I8, count));
}

Value Emitter::is_zero(Value value) { return compare(cpu::kEqual, value, constant(type(value), 0)); }

Value Emitter::is_negative(Value value) { return compare(cpu::kLess, value, constant(type(value), 0)); }

}  // namespace calco::jit
