#include "jit/opt/dead_code.h"

namespace calco::jit::opt {

namespace {

using ir::Instruction;
using ir::Value;

// Reading plain memory (LoadHost) is no effect; Load may fault.
constexpr uint32_t kStays =
    ir::kWritesState | ir::kWritesFlags | ir::kWritesMemory | ir::kVector | ir::kMayLeave | ir::kTerminator;

void mark_used(const ir::Block& block, std::vector<uint8_t>& used) {
  used.assign(block.code.size(), 0);
  for (size_t i = block.code.size(); i-- > 0;) {
    const Instruction& instruction = block.code[i];
    if ((info(instruction.opcode).effects & kStays) != 0) used[i] = 1;
    if (used[i] == 0) continue;
    for (const Value argument : instruction.arguments) {
      if (argument != ir::kNoValue) used[argument] = 1;
    }
  }
}

}  // namespace

void remove_dead_code(ir::Block& block, Scratch& scratch) {
  mark_used(block, scratch.used);
  scratch.renumbering.resize(block.code.size());
  size_t kept = 0;
  for (size_t i = 0; i < block.code.size(); ++i) {
    if (scratch.used[i] == 0) continue;
    Instruction instruction = block.code[i];
    for (Value& argument : instruction.arguments) {
      if (argument != ir::kNoValue) argument = scratch.renumbering[argument];
    }
    scratch.renumbering[i] = static_cast<Value>(kept);
    block.code[kept++] = instruction;
  }
  block.code.resize(kept);
}

}  // namespace calco::jit::opt
