#include "jit/llvm/page_groups.h"

#include <algorithm>

namespace calco::jit {

using ir::Opcode;

namespace {

// Each group wants two or three host registers.
constexpr unsigned kMaximumGroups = 6;

// Numbers for where an address comes from: general registers are 0-15.
constexpr uint32_t kNothing = 100;       // no index
constexpr uint32_t kPage = 200;          // PageBase and a displacement: + the page it leads to
constexpr uint32_t kSegmentBase = 1000;  // + the segment
constexpr uint32_t kUnknown = 10000;     // + a number of its own
using Key = std::pair<uint32_t, uint32_t>;

class BlockAddresses {
 public:
  BlockAddresses(const ir::Block& block, uint32_t& next_unknown)
      : block_(block), register_of_(block.code.size(), kNothing), next_unknown_(next_unknown) {
    for (const ir::Instruction& instruction : block.code) {
      if (instruction.opcode == Opcode::SetRegister) register_of_[instruction.arguments[0]] = instruction.auxiliary;
    }
  }

  Key key(ir::Value linear) {
    const ir::Instruction& instruction = block_[linear];
    if (instruction.opcode != Opcode::Address) return {origin(linear, 0), kNothing};
    const auto displacement = static_cast<int64_t>(instruction.immediate);
    const ir::Value base = instruction.arguments[0];
    const ir::Value index = instruction.arguments[1];
    return {base == ir::kNoValue ? kNothing : origin(base, displacement),
            index == ir::kNoValue ? kNothing : origin(index, 0)};
  }

 private:
  uint32_t origin(ir::Value value, int64_t displacement) {
    const ir::Instruction& instruction = block_[value];
    if (instruction.opcode == Opcode::GetRegister) return instruction.auxiliary;
    if (instruction.opcode == Opcode::PageBase) return kPage + (static_cast<uint32_t>(displacement >> 12) & 0x1FF);
    if (instruction.opcode == Opcode::SegmentBase) return kSegmentBase + instruction.auxiliary;
    if (instruction.opcode == Opcode::Address && instruction.arguments[0] != ir::kNoValue &&
        instruction.arguments[1] == ir::kNoValue) {
      return origin(instruction.arguments[0], displacement + static_cast<int64_t>(instruction.immediate));
    }
    const bool moved = instruction.opcode == Opcode::Add || instruction.opcode == Opcode::Subtract;
    if (moved && block_[instruction.arguments[1]].opcode == Opcode::Constant) {
      return origin(instruction.arguments[0], displacement);
    }
    if (register_of_[value] != kNothing) return register_of_[value];
    return kUnknown + next_unknown_++;
  }

  const ir::Block& block_;
  std::vector<uint32_t> register_of_;  // the register that a value is written to
  uint32_t& next_unknown_;
};

bool is_access(const ir::Instruction& instruction) {
  return instruction.opcode == Opcode::Load || instruction.opcode == Opcode::Store ||
         instruction.opcode == Opcode::HostAddress;
}

}  // namespace

PageGroups::PageGroups(const Region& region, bool enabled, bool loops) : of_access_(region.blocks.size()) {
  if (!enabled) return;
  struct Member {
    size_t block;
    ir::Value access;
  };
  std::map<Key, std::vector<Member>> members;
  uint32_t next_unknown = 0;
  for (size_t number = 0; number < region.blocks.size(); ++number) {
    const ir::Block& block = region.blocks[number];
    BlockAddresses addresses(block, next_unknown);
    of_access_[number].assign(block.code.size(), kNone);
    for (size_t i = 0; i < block.code.size(); ++i) {
      if (is_access(block.code[i])) {
        members[addresses.key(block.code[i].arguments[0])].push_back({number, static_cast<ir::Value>(i)});
      }
    }
  }
  std::vector<std::pair<size_t, Key>> by_size;
  for (const auto& [key, group] : members) {
    if (loops || group.size() > 1) by_size.emplace_back(group.size(), key);
  }
  std::sort(by_size.rbegin(), by_size.rend());
  by_size.resize(std::min<size_t>(by_size.size(), kMaximumGroups));
  for (const auto& [size, key] : by_size) {
    for (const Member& member : members[key]) of_access_[member.block][member.access] = static_cast<int>(count_);
    ++count_;
  }
}

}  // namespace calco::jit
