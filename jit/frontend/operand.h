// One guest instruction on its way to IR: its operands, read and written.
#pragma once

#include <cstdint>

#include "cpu/decode/instruction.h"
#include "cpu/flags.h"
#include "jit/ir/builder.h"

namespace calco::jit {

// An operand that is read, changed and written back.
struct Destination {
  ir::Value value = ir::kNoValue;
  ir::Value host = ir::kNoValue;  // host address of an operand in memory
};

// Appends the IR of guest instructions to a block. Operands are named by their index in decode::Instruction::operands.
class Emitter : public ir::Builder {
 public:
  explicit Emitter(ir::Block& block) : Builder(block) {}

  void begin(const decode::Instruction& instruction, uint16_t page_offset);
  const decode::Instruction& instruction() const { return *instruction_; }
  const decode::Operand& operand(unsigned index) const { return instruction_->operands[index]; }
  bool is_memory(unsigned index) const { return operand(index).kind == decode::OperandKind::Memory; }
  bool exists(unsigned index) const { return operand(index).kind != decode::OperandKind::None; }
  ir::Type operand_type(unsigned index) const { return ir::type_of_bytes(operand(index).size); }
  unsigned page_offset() const { return page_offset_; }
  unsigned next_offset() const { return page_offset_ + instruction_->length; }

  // --- Operands
  // -------------------------------------------------------------------------------------------------------- General
  // register, memory or immediate, as the operand's own type.
  ir::Value read(unsigned index);
  void write(unsigned index, ir::Value value);
  Destination read_destination(unsigned index);
  void write_destination(unsigned index, const Destination& destination, ir::Value value);

  // Register numbers as in decode::Operand: of bytes, 16 to 19 are AH to BH.
  ir::Value read_general(uint8_t number, ir::Type type);
  void write_general(uint8_t number, ir::Value value);
  // The register's 64 bits after a write of `value`.
  ir::Value merged_general(uint8_t number, ir::Value value);

  // --- Memory operand
  // --------------------------------------------------------------------------------------------------
  ir::Value effective_address();  // I64, without the segment's base
  ir::Value linear_address();
  // Adds the memory operand's segment base, if it has one.
  ir::Value in_segment(ir::Value effective);
  // Cuts an address to the instruction's address size.
  ir::Value cut_address(ir::Value address);
  bool stack_segment() const;
  // Host address of `bytes` at a linear address of the memory operand's segment; `flags`: ir::kHostWrite and so on.
  ir::Value host_address(ir::Value linear, unsigned bytes, uint64_t flags);
  ir::Value load_host(ir::Type type, ir::Value host) { return operation(ir::Opcode::LoadHost, type, host); }
  void store_host(ir::Value host, ir::Value value) { operation(ir::Opcode::StoreHost, ir::Type::Void, host, value); }

  void bail_unless_next_page(const uint8_t* memory) {
    append(ir::Opcode::BailUnlessNextPage, ir::Type::Void, {ir::kNoValue, ir::kNoValue, ir::kNoValue}, 0,
           reinterpret_cast<uint64_t>(memory));
  }

  // --- x87
  // The host's x87 unit holds the guest's registers from here on.
  void enter_x87();
  // Not any more: the interpreter executes something.
  void forget_x87() { x87_entered_ = false; }

  // --- Flags
  // -----------------------------------------------------------------------------------------------------------
  void set_flags(cpu::FlagKind kind, ir::Value first, ir::Value second = ir::kNoValue);
  void set_logic_flags(ir::Value result) { set_flags(cpu::FlagKind::Logic, result); }
  void change_flags(uint64_t mask, ir::Value value);
  ir::Value get_flags() { return operation(ir::Opcode::GetFlags, ir::Type::I64); }
  ir::Value carry() { return operation(ir::Opcode::Carry, ir::Type::I1); }
  ir::Value condition(uint8_t code) {
    return append(ir::Opcode::Condition, ir::Type::I1, {ir::kNoValue, ir::kNoValue, ir::kNoValue}, code);
  }
  // I64 with `bit` set where `condition` (I1) is true.
  ir::Value flag_if(ir::Value condition, uint64_t bit);

  // --- Short forms
  // -----------------------------------------------------------------------------------------------------
  ir::Value operation(ir::Opcode opcode, ir::Type type, ir::Value a = ir::kNoValue, ir::Value b = ir::kNoValue,
                      ir::Value c = ir::kNoValue) {
    return append(opcode, type, {a, b, c});
  }
  ir::Value add(ir::Value a, ir::Value b) { return binary(ir::Opcode::Add, a, b); }
  ir::Value subtract(ir::Value a, ir::Value b) { return binary(ir::Opcode::Subtract, a, b); }
  ir::Value bit_and(ir::Value a, ir::Value b) { return binary(ir::Opcode::And, a, b); }
  ir::Value bit_or(ir::Value a, ir::Value b) { return binary(ir::Opcode::Or, a, b); }
  ir::Value bit_xor(ir::Value a, ir::Value b) { return binary(ir::Opcode::Xor, a, b); }
  // Shift or rotation by a constant.
  ir::Value shift(ir::Opcode opcode, ir::Value value, unsigned count);
  ir::Value page_base() { return operation(ir::Opcode::PageBase, ir::Type::I64); }
  // I1: the value is 0.
  ir::Value is_zero(ir::Value value);
  // I1: the value's highest bit.
  ir::Value is_negative(ir::Value value);
  void bail_if(ir::Value condition) { operation(ir::Opcode::BailIf, ir::Type::Void, condition); }

 private:
  const decode::Instruction* instruction_ = nullptr;
  uint16_t page_offset_ = 0;
  bool x87_entered_ = false;
};

}  // namespace calco::jit
