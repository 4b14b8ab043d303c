// Appends operations to a block.
#pragma once

#include "jit/ir/ir.h"

namespace calco::jit::ir {

class Builder {
 public:
  explicit Builder(Block& block) : block_(block) {}

  Block& block() { return block_; }
  Type type(Value value) const { return block_.code[value].type; }

  // Operations appended from now on belong to this guest instruction.
  void begin_guest_instruction(uint16_t page_offset, uint8_t length) { block_.guest.push_back({page_offset, length}); }

  // The general form; the short forms below are what frontends use.
  Value append(Opcode opcode, Type type, std::array<Value, 3> arguments = {kNoValue, kNoValue, kNoValue},
               uint8_t auxiliary = 0, uint64_t immediate = 0) {
    Instruction instruction;
    instruction.opcode = opcode;
    instruction.type = type;
    instruction.auxiliary = auxiliary;
    instruction.guest = static_cast<uint8_t>(block_.guest.size() - 1);
    instruction.arguments = arguments;
    instruction.immediate = immediate;
    block_.code.push_back(instruction);
    return static_cast<Value>(block_.code.size() - 1);
  }

  Value constant(Type of, uint64_t value) {
    return append(Opcode::Constant, of, {kNoValue, kNoValue, kNoValue}, 0, value & mask_of(of));
  }
  Value unary(Opcode opcode, Value a) { return append(opcode, type(a), {a, kNoValue, kNoValue}); }
  Value binary(Opcode opcode, Value a, Value b) { return append(opcode, type(a), {a, b, kNoValue}); }
  Value ternary(Opcode opcode, Value a, Value b, Value c) { return append(opcode, type(a), {a, b, c}); }
  Value convert(Opcode opcode, Type to, Value a) {
    return type(a) == to ? a : append(opcode, to, {a, kNoValue, kNoValue});
  }
  Value truncate(Type to, Value a) { return convert(Opcode::Truncate, to, a); }
  Value zero_extend(Type to, Value a) { return convert(Opcode::ZeroExtend, to, a); }
  Value sign_extend(Type to, Value a) { return convert(Opcode::SignExtend, to, a); }
  Value compare(uint8_t condition, Value a, Value b) {
    return append(Opcode::Compare, Type::I1, {a, b, kNoValue}, condition);
  }
  Value select(Value condition, Value a, Value b) { return append(Opcode::Select, type(a), {condition, a, b}); }
  Value address(Type of, Value base, Value index, uint8_t scale, int32_t displacement) {
    return append(Opcode::Address, of, {base, index, kNoValue}, scale,
                  static_cast<uint64_t>(static_cast<int64_t>(displacement)));
  }

  Value get_register(uint8_t number) {
    return append(Opcode::GetRegister, Type::I64, {kNoValue, kNoValue, kNoValue}, number);
  }
  void set_register(uint8_t number, Value value) {
    append(Opcode::SetRegister, Type::Void, {value, kNoValue, kNoValue}, number);
  }
  Value load(Type of, Value linear, bool stack) {
    return append(Opcode::Load, of, {linear, kNoValue, kNoValue}, stack ? kStackAccess : 0);
  }
  void store(Value linear, Value value, bool stack) {
    append(Opcode::Store, Type::Void, {linear, value, kNoValue}, stack ? kStackAccess : 0);
  }

 private:
  Block& block_;
};

}  // namespace calco::jit::ir
