#include "jit/llvm/page_groups.h"

#include <algorithm>
#include <array>
#include <map>
#include <utility>

#include "cpu/state.h"

namespace calco::jit {

using ir::Opcode;

namespace {

// Each group wants two or three host registers.
constexpr unsigned kMaximumGroups = 6;

// Numbers for where an address comes from: general registers are 0-15.
constexpr uint32_t kRegisters = 16;
constexpr uint32_t kNothing = 100;       // no index
constexpr uint32_t kPage = 200;          // PageBase and a displacement: + the page it leads to
constexpr uint32_t kSegmentBase = 1000;  // + the segment
constexpr uint32_t kTable = 5000;        // as an index, into a table that the base's page does not hold
constexpr uint32_t kUnknown = 10000;     // + a number of its own
constexpr uint64_t kPageOffset = 0xFFF;
using Key = std::pair<uint32_t, uint32_t>;

// The number, and the value behind all displacements; for a register as the block finds it, kNoValue.
struct Origin {
  uint32_t number = kNothing;
  ir::Value root = ir::kNoValue;
  bool small = false;  // an index that leads to the base's page or the next: into a table of 256 entries, say
};

class BlockAddresses {
 public:
  BlockAddresses(const Region& region, size_t number, uint32_t& next_unknown)
      : block_(region.blocks[number]),
        registers_(region.registers),
        page_start_(region.page_start(number)),
        register_of_(block_.code.size(), kNothing),
        next_unknown_(next_unknown) {
    for (const ir::Instruction& instruction : block_.code) {
      if (instruction.opcode == Opcode::SetRegister) register_of_[instruction.arguments[0]] = instruction.auxiliary;
    }
  }

  std::pair<Origin, Origin> origins(ir::Value linear) {
    const ir::Instruction& instruction = block_[linear];
    if (instruction.opcode != Opcode::Address) return {origin(linear, 0), {}};
    const auto displacement = static_cast<int64_t>(instruction.immediate);
    const ir::Value base = instruction.arguments[0];
    const ir::Value index = instruction.arguments[1];
    const Origin base_origin = base == ir::kNoValue ? Origin{} : origin(base, displacement);
    Origin index_origin = index == ir::kNoValue ? Origin{} : origin(index, 0);
    if (index != ir::kNoValue && base_origin.number < kRegisters) {
      const uint64_t begin = registers_[base_origin.number] + instruction.immediate;
      const uint64_t span = largest(index) << instruction.auxiliary;
      index_origin.small = span <= kPageOffset;
      const bool crosses = (begin & kPageOffset) + span > kPageOffset;
      if (index_origin.small && crosses) index_origin = {.number = kTable, .small = true};
    }
    return {base_origin, index_origin};
  }

  // The register plus a constant.
  bool is_step(ir::Value value, uint32_t register_number) {
    const Origin found = origin(value, 0);
    return found.number == register_number && found.root == ir::kNoValue;
  }

 private:
  Origin origin(ir::Value value, int64_t displacement, bool choices = true) {
    const ir::Instruction& instruction = block_[value];
    if (instruction.opcode == Opcode::GetRegister) return {instruction.auxiliary, ir::kNoValue};
    if (instruction.opcode == Opcode::PageBase) {
      return {kPage + (static_cast<uint32_t>((page_start_ + displacement) >> 12) & 0x1FF), ir::kNoValue};
    }
    if (instruction.opcode == Opcode::SegmentBase) return {kSegmentBase + instruction.auxiliary, ir::kNoValue};
    if (instruction.opcode == Opcode::Address && instruction.arguments[0] != ir::kNoValue &&
        instruction.arguments[1] == ir::kNoValue) {
      return origin(instruction.arguments[0], displacement + static_cast<int64_t>(instruction.immediate), choices);
    }
    const bool moved = instruction.opcode == Opcode::Add || instruction.opcode == Opcode::Subtract;
    if (moved && block_[instruction.arguments[1]].opcode == Opcode::Constant) {
      return origin(instruction.arguments[0], displacement, choices);
    }
    // A choice between places of one origin, a node's left and right link, say.
    if (instruction.opcode == Opcode::Select && choices) {
      const Origin first = origin(instruction.arguments[1], displacement, /*choices=*/false);
      const Origin second = origin(instruction.arguments[2], displacement, /*choices=*/false);
      if (first.number == second.number && first.root == second.root) return first;
    }
    if (register_of_[value] != kNothing) return {register_of_[value], value};
    return {kUnknown + next_unknown_++, value};
  }

  // An upper bound of a value, as far as its operation shows it.
  uint64_t largest(ir::Value value) const {
    constexpr uint64_t kAny = uint64_t{1} << 32;
    const ir::Instruction& instruction = block_[value];
    if (instruction.opcode == Opcode::ZeroExtend) {
      return std::min(largest(instruction.arguments[0]), ir::mask_of(block_[instruction.arguments[0]].type));
    }
    if (instruction.opcode != Opcode::And || block_[instruction.arguments[1]].opcode != Opcode::Constant) return kAny;
    return std::min(kAny, block_[instruction.arguments[1]].immediate);
  }

  const ir::Block& block_;
  const std::array<uint64_t, 16>& registers_;
  const int64_t page_start_;           // from the region's first page
  std::vector<uint32_t> register_of_;  // the register that a value is written to
  uint32_t& next_unknown_;
};

bool is_access(const ir::Instruction& instruction) {
  return instruction.opcode == Opcode::Load || instruction.opcode == Opcode::Store ||
         instruction.opcode == Opcode::HostAddress;
}

// The general registers that a block writes other than by adding a constant.
VariableSet registers_that_jump(const ir::Block& block, BlockAddresses& addresses) {
  VariableSet set = 0;
  for (const ir::Instruction& instruction : block.code) {
    if (instruction.opcode == Opcode::Interpret) return ~VariableSet{0};
    if (instruction.opcode == Opcode::SetRegister &&
        addresses.is_step(instruction.arguments[0], instruction.auxiliary)) {
      continue;
    }
    set |= variables_written(block, instruction);
  }
  return set;
}

// The same for the shortest way from each block round to itself; all registers where there is none.
std::vector<VariableSet> jumps_on_way_round(const RegionGraph& graph, const std::vector<VariableSet>& jumps) {
  std::vector<VariableSet> result(jumps.size(), ~VariableSet{0});
  for (size_t start = 0; start < jumps.size(); ++start) {
    const std::vector<size_t> round = graph.way_round(start);
    if (!round.empty()) result[start] = 0;
    for (const size_t block : round) result[start] |= jumps[block];
  }
  return result;
}

struct Member {
  size_t block;
  ir::Value access;
  bool refreshes;
};

void join(PageGroups::Group& group, const ir::Block& block, const ir::Instruction& access) {
  const bool store = access.opcode == Opcode::Store;
  const bool host = access.opcode == Opcode::HostAddress;
  const unsigned size = host    ? static_cast<unsigned>(access.immediate & 0xFF)
                        : store ? ir::bytes_of(block[access.arguments[1]].type)
                                : ir::bytes_of(access.type);
  const bool writes = store || (host && (access.immediate & ir::kHostWrite) != 0);
  group.maximum_size = std::max(group.maximum_size, size);
  group.writes |= writes;
  group.reads |= !writes;
}

bool jumps(const Origin& origin, VariableSet registers) {
  if (origin.small) return false;
  if (origin.number < kRegisters) return (registers & variable_bit(origin.number)) != 0;
  return origin.number >= kUnknown;
}

}  // namespace

PageGroups::PageGroups(const Region& region, const RegionGraph& graph, bool enabled)
    : of_access_(region.blocks.size()) {
  if (!enabled) return;
  uint32_t next_unknown = 0;
  std::vector<BlockAddresses> addresses;
  std::vector<VariableSet> jumping;
  for (size_t number = 0; number < region.blocks.size(); ++number) {
    addresses.emplace_back(region, number, next_unknown);
    jumping.push_back(registers_that_jump(region.blocks[number], addresses.back()));
  }
  jumping = jumps_on_way_round(graph, jumping);

  std::map<Key, std::vector<Member>> members;
  for (size_t number = 0; number < region.blocks.size(); ++number) {
    const ir::Block& block = region.blocks[number];
    of_access_[number].resize(block.code.size());
    std::map<Key, std::pair<ir::Value, ir::Value>> last_roots;
    for (size_t i = 0; i < block.code.size(); ++i) {
      if (!is_access(block.code[i])) continue;
      const auto [base, index] = addresses[number].origins(block.code[i].arguments[0]);
      const Key key{base.number, index.number};
      const std::pair roots{base.root, index.root};
      const auto [last, is_first] = last_roots.try_emplace(key, roots);
      const bool is_new = is_first || last->second != roots;
      last->second = roots;
      const bool refreshes = is_new && (jumps(base, jumping[number]) || jumps(index, jumping[number]));
      members[key].push_back({number, static_cast<ir::Value>(i), refreshes});
    }
  }

  // Worth a group is what asks for its page.
  std::vector<std::pair<size_t, Key>> by_use;
  for (const auto& [key, group] : members) {
    const auto use = static_cast<size_t>(std::ranges::count(group, false, &Member::refreshes));
    if (use != 0) by_use.emplace_back(use, key);
  }
  std::sort(by_use.rbegin(), by_use.rend());
  by_use.resize(std::min<size_t>(by_use.size(), kMaximumGroups));
  for (const auto& [use, key] : by_use) {
    const int number = static_cast<int>(groups_.size());
    Group& group = groups_.emplace_back();
    group.table = key.second == kTable;
    for (const Member& member : members[key]) {
      const ir::Block& block = region.blocks[member.block];
      of_access_[member.block][member.access] = {number, member.refreshes, group.table};
      join(group, block, block.code[member.access]);
    }
  }
}

}  // namespace calco::jit
