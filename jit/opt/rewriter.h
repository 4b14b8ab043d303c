// The walk that forward passes share: copies a block operation by operation, in order, to a new list.
#pragma once

#include "jit/opt/scratch.h"

namespace calco::jit::opt {

class Rewriter {
 public:
  // A visit appends no more operations than this.
  static constexpr size_t kGrowth = 8;

  Rewriter(ir::Block& block, Scratch& scratch) : block_(block), scratch_(scratch) {}

  // visit(ir::Instruction&) -> ir::Value is called for each operation, with its arguments numbered as in the new list.
  // It appends what it likes and returns the value that stands for the operation's result from now on (anything where
  // it has none). The operation lies where the next one appended goes: appending it costs no copy, but appending any
  // other overwrites it.
  template <typename Visit>
  void run(Visit&& visit) {
    const size_t count = block_.code.size();
    if (scratch_.code.size() < kGrowth * (count + 1)) scratch_.code.resize(kGrowth * (count + 1));
    scratch_.start_renumbering(count);
    size_ = 0;
    for (size_t i = 0; i < count; ++i) {
      const ir::Instruction& old = block_.code[i];
      ir::Instruction& instruction = scratch_.code[size_];
      instruction = old;
      for (unsigned k = 0; k < 3; ++k) instruction.arguments[k] = scratch_.renumbered(old.arguments[k], count);
      guest_ = old.guest;
      scratch_.renumbering[i] = visit(instruction);
    }
    // Copied, not swapped, so that the big buffer stays with the scratch.
    block_.code.assign(scratch_.code.begin(), scratch_.code.begin() + static_cast<ptrdiff_t>(size_));
  }

  ir::Block& block() { return block_; }

  // The new list so far.
  const ir::Instruction& operator[](ir::Value value) const { return scratch_.code[value]; }
  ir::Type type(ir::Value value) const { return scratch_.code[value].type; }
  uint8_t guest() const { return guest_; }  // of the operation that is being visited
  ir::Value next() const { return static_cast<ir::Value>(size_); }

  ir::Value append(const ir::Instruction& instruction) {
    ir::Instruction& end = scratch_.code[size_];
    if (&end != &instruction) end = instruction;
    return static_cast<ir::Value>(size_++);
  }

  // A new operation of the guest instruction that is being visited.
  ir::Value append(ir::Opcode opcode, ir::Type type, ir::Value first, ir::Value second = ir::kNoValue,
                   ir::Value third = ir::kNoValue, uint8_t auxiliary = 0, uint64_t immediate = 0) {
    ir::Instruction instruction;
    instruction.opcode = opcode;
    instruction.type = type;
    instruction.auxiliary = auxiliary;
    instruction.guest = guest_;
    instruction.arguments = {first, second, third};
    instruction.immediate = immediate;
    return append(instruction);
  }
  // Cut to the type.
  ir::Value constant(ir::Type type, uint64_t value) {
    return append(ir::Opcode::Constant, type, ir::kNoValue, ir::kNoValue, ir::kNoValue, 0, value & ir::mask_of(type));
  }
  ir::Value compare(uint8_t condition, ir::Value first, ir::Value second) {
    return append(ir::Opcode::Compare, ir::Type::I1, first, second, ir::kNoValue, condition);
  }
  ir::Value complement(ir::Value condition) {
    return append(ir::Opcode::Xor, ir::Type::I1, condition, constant(ir::Type::I1, 1));
  }

 private:
  ir::Block& block_;
  Scratch& scratch_;
  size_t size_ = 0;  // of the new list
  uint8_t guest_ = 0;
};

}  // namespace calco::jit::opt
