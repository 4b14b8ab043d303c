#include "jit/llvm/loop_heads.h"

#include <algorithm>

#include "jit/llvm/region_graph.h"

namespace calco::jit {

using ir::Opcode;

namespace {

// Guest instructions: in longer heads three more moves do not matter.
constexpr size_t kLongestHead = 16;
constexpr size_t kMostCopied = 48;  // of a region

// Whether something may leave the block, or call, before anything sets or asks for flags.
bool leaves_with_foreign_flags(const ir::Block& block) {
  bool leaves = false;
  for (const ir::Instruction& instruction : block.code) {
    const uint32_t effects = ir::info(instruction.opcode).effects;
    if ((effects & ir::kReadsFlags) != 0 || instruction.opcode == Opcode::Interpret) return false;
    if ((effects & ir::kWritesFlags) != 0) return leaves;
    leaves |= (effects & (ir::kMayLeave | ir::kReadsMemory | ir::kWritesMemory)) != 0;
  }
  return false;
}

}  // namespace

void copy_loop_heads(Region& region) {
  const RegionGraph graph(region);
  size_t copied = 0;
  const size_t originals = region.blocks.size();
  for (size_t head = 0; head < originals; ++head) {
    const size_t length = region.blocks[head].guest.size();
    if (length > kLongestHead || copied + length > kMostCopied) continue;
    if (!graph.nodes[head].reachable || !leaves_with_foreign_flags(region.blocks[head])) continue;
    const std::vector<size_t> round = graph.way_round(head);
    if (round.empty()) continue;
    const unsigned entries = graph.nodes[head].edges_in + (head == 0 ? 1 : 0);
    if (entries < 2 || !flag_kind_at_end(region.blocks[round.back()])) continue;
    copied += length;
    region.copies.push_back({head, round.back()});
  }
  for (const Region::Copy& copy : region.copies) {
    region.blocks.push_back(region.blocks[copy.original]);
    if (!region.pages.empty()) region.pages.push_back(region.pages[copy.original]);
    if (!region.indirect_targets.empty()) region.indirect_targets.push_back(region.indirect_targets[copy.original]);
  }
}

}  // namespace calco::jit
