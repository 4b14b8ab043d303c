#include "jit/opt/dead_code.h"

namespace calco::jit::opt {

namespace {

using ir::Instruction;
using ir::Value;

// Reading plain memory (LoadHost) is no effect; Load may fault.
constexpr uint32_t kStays =
    ir::kWritesState | ir::kWritesFlags | ir::kWritesMemory | ir::kVector | ir::kMayLeave | ir::kTerminator;

// No branches here: whether an operation is used is hard to predict. The entry behind the last stands for all arguments
// that are absent.
void mark_used(const ir::Block& block, std::vector<uint8_t>& used) {
  const size_t count = block.code.size();
  used.assign(count + 1, 0);
  for (size_t i = count; i-- > 0;) {
    const Instruction& instruction = block.code[i];
    used[i] |= (info(instruction.opcode).effects & kStays) != 0 ? 1 : 0;
    for (const Value argument : instruction.arguments) used[std::min<size_t>(argument, count)] |= used[i];
  }
}

}  // namespace

void remove_dead_code(ir::Block& block, Scratch& scratch) {
  mark_used(block, scratch.used);
  const size_t count = block.code.size();
  scratch.start_renumbering(count);
  size_t kept = 0;
  for (size_t i = 0; i < count; ++i) {
    // Copied first, then renumbered: a copy of what was just written in parts would wait for the writes.
    const std::array<Value, 3> arguments = block.code[i].arguments;
    block.code[kept] = block.code[i];
    for (unsigned k = 0; k < 3; ++k) block.code[kept].arguments[k] = scratch.renumbered(arguments[k], count);
    scratch.renumbering[i] = static_cast<Value>(kept);
    kept += scratch.used[i];
  }
  block.code.resize(kept);
}

}  // namespace calco::jit::opt
