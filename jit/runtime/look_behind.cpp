#include "jit/runtime/look_behind.h"

#include <algorithm>

#include "jit/opt/flags_at_target.h"

namespace calco::jit {

namespace {

constexpr size_t kMaximumInstructionLength = 15;

// Bytes that flags_dead_at() looks at, at most.
constexpr size_t kLookAhead = 4 * kMaximumInstructionLength;

}  // namespace

void look_behind(ir::Block& block, std::span<const uint8_t> page, const decode::FeatureSet& features,
                 std::vector<CodeRange>& ranges) {
  const auto dead_at = [&](int32_t target) {
    if (target < 0 || target >= static_cast<int32_t>(page.size())) return false;
    const auto code = page.subspan(static_cast<size_t>(target));
    const auto seen = code.first(std::min(code.size(), kLookAhead));
    if (!opt::flags_dead_at(seen, features)) return false;
    ranges.push_back({static_cast<uint16_t>(target), static_cast<uint16_t>(seen.size())});
    return true;
  };
  const ir::Instruction& end = block.terminator();
  if (end.opcode == ir::Opcode::Jump) {
    block.flags_dead_if_taken = dead_at(static_cast<int32_t>(end.immediate));
  } else if (end.opcode == ir::Opcode::Branch) {
    block.flags_dead_if_taken = dead_at(ir::taken_target(end));
    block.flags_dead_if_not_taken = dead_at(ir::not_taken_target(end));
  }
}

}  // namespace calco::jit
