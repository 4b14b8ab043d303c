#include "jit/runtime/region_former.h"

#include <algorithm>
#include <utility>

#include "cpu/system/cpu_model.h"
#include "jit/frontend/frontend.h"
#include "machine/core/guest_memory.h"

namespace calco::jit {

namespace {

constexpr int64_t kPage = static_cast<int64_t>(kPageSize);

// Nothing farther away is taken in: a relative jump must reach it, with room to spare.
constexpr int64_t kReach = int64_t{1} << 30;

constexpr int32_t page_of(int64_t place) { return static_cast<int32_t>(place >> 12); }

}  // namespace

RegionFormer::RegionFormer(const cpu::Cpu& cpu, TranslationCache& cache, Translation& hot, const RegionOptions& options,
                           opt::Scratch& scratch)
    : cpu_(cpu),
      cache_(cache),
      hot_(hot),
      options_(options),
      scratch_(scratch),
      linear_page_(cpu.registers[cpu::kRip] & kPageMask) {
  const uint64_t memory_offset = hot.memory_offset & kPageMask;
  pages_[0] = Page{memory_offset, cpu.environment().memory_map.memory().data() + memory_offset};
}

void RegionFormer::run() {
  const auto first = static_cast<int64_t>(hot_.memory_offset & ~kPageMask);
  if (!add(first)) return;
  seen_.insert(first);
  while (!waiting_.empty() && region.blocks.size() < options_.maximum_blocks &&
         instructions < options_.maximum_instructions) {
    add(waiting_.front());
    waiting_.pop_front();
  }
  resolve_indirect_targets();
  region.guess_returns = options_.ways.returns;
  std::copy_n(std::begin(cpu_.registers), region.registers.size(), region.registers.begin());
}

const std::optional<RegionFormer::Page>& RegionFormer::page(int32_t distance) {
  const auto [known, is_new] = pages_.try_emplace(distance);
  if (is_new) known->second = find_page(distance);
  return known->second;
}

std::optional<RegionFormer::Page> RegionFormer::find_page(int32_t distance) const {
  if (!options_.ways.pages) return std::nullopt;
  const uint64_t linear = linear_page_ + static_cast<uint64_t>(int64_t{distance} * kPage);
  const cpu::TlbEntry& entry = *cpu::tlb_entry(cpu_.tlb, linear);
  if (entry.execute != linear) return std::nullopt;
  const auto* bytes = reinterpret_cast<const uint8_t*>(linear + entry.addend);
  return Page{cpu_.environment().memory_map.memory().offset_of(bytes), bytes};
}

// False where the region cannot have it.
bool RegionFormer::add(int64_t place) {
  const std::optional<Page>& page = this->page(page_of(place));
  if (!page) return false;
  const uint64_t offset = static_cast<uint64_t>(place) % kPageSize;
  Translation* const member = cache_.find(page->memory_offset + offset, hot_.mode_key);
  if (member == nullptr) return false;
  ir::Block block;
  const CodeSource source{{page->bytes + offset, kPageSize - offset},
                          page->memory_offset + offset,
                          hot_.mode_key,
                          cpu_.model().features(),
                          std::max<unsigned>(1, member->guest_instructions),
                          /*next_page=*/nullptr,
                          options_.frontend};
  if (!translate(source, block) || block.byte_length != member->byte_length) return false;
  opt::optimize(block, options_.passes, scratch_);
  instructions += block.guest.size();
  add_ways(block, *member, int64_t{page_of(place)} * kPage);
  region.blocks.push_back(std::move(block));
  region.pages.push_back({page_of(place), page->bytes});
  members.push_back(member);
  return true;
}

void RegionFormer::add_ways(const ir::Block& block, const Translation& member, int64_t page_start) {
  indirect_places_.emplace_back();
  const ir::Instruction& end = block.terminator();
  const auto hint = static_cast<ir::JumpHint>(end.auxiliary);
  switch (end.opcode) {
    case ir::Opcode::Jump:
      if (hint == ir::JumpHint::Call && !options_.ways.calls) break;
      add_way(page_start + static_cast<int32_t>(end.immediate));
      break;
    case ir::Opcode::Branch:
      add_way(page_start + ir::taken_target(end));
      add_way(page_start + ir::not_taken_target(end));
      return;
    case ir::Opcode::JumpIndirect:
      if (hint == ir::JumpHint::Return) {
        returns_ = true;
        for (const int64_t place : std::exchange(behind_calls_, {})) add_way(place);
        return;
      }
      if (member.targets == nullptr) break;
      for (unsigned i = 0; i < kRecordedTargets; ++i) {
        const auto place = static_cast<int64_t>(member.targets[i] - linear_page_);
        if (member.targets[i] == 0 || place < -kReach || place > kReach) continue;
        if (std::ranges::find(indirect_places_.back(), place) != indirect_places_.back().end()) continue;
        indirect_places_.back().push_back(place);
        add_way(place);
      }
      break;
    default:
      return;
  }
  if (hint != ir::JumpHint::Call || !options_.ways.returns) return;
  const int64_t behind = page_start + block.page_offset + block.byte_length;
  returns_ ? add_way(behind) : behind_calls_.push_back(behind);
}

void RegionFormer::add_way(int64_t place) {
  loops |= place == static_cast<int64_t>(hot_.memory_offset & ~kPageMask);
  if (seen_.insert(place).second) waiting_.push_back(place);
}

void RegionFormer::resolve_indirect_targets() {
  for (const std::vector<int64_t>& places : indirect_places_) {
    std::vector<size_t>& targets = region.indirect_targets.emplace_back();
    for (const int64_t place : places) {
      for (size_t block = 0; block < region.blocks.size(); ++block) {
        if (region.place(block) == place) targets.push_back(block);
      }
    }
  }
}

}  // namespace calco::jit
