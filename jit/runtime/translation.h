// One piece of translated code and its ways on.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

#include "cpu/exec/op.h"
#include "cpu/exec/translation.h"
#include "machine/core/guest_memory.h"

namespace calco::jit {

struct Translation;
struct RegionCode;

// A jump from a translation to an instruction of its own page. Until its target is known it leads to a stub that asks.
struct Link {
  Translation* from = nullptr;
  Translation* to = nullptr;  // where it leads now; null: the stub
  uint16_t target = 0;        // page offset
  bool cell = false;          // `site` is a pointer to jump through (LLVM), not a displacement in code (baseline)
  uint8_t* site = nullptr;    // writable: the cell, or the aligned 32-bit displacement of the jump
  const uint8_t* stub = nullptr;
};

constexpr unsigned kRecordedTargets = 32;

// Guest code that a translation depends on, in its page; or, with an offset beyond that, in its second page.
struct CodeRange {
  uint16_t page_offset = 0;
  uint16_t size = 0;
};

// Where the range begins, as a memory offset. Both offsets are the translation's.
inline uint64_t begin_of(const CodeRange& range, uint64_t memory_offset, uint64_t second_page) {
  return range.page_offset < kPageSize ? (memory_offset & kPageMask) + range.page_offset
                                       : second_page + range.page_offset - kPageSize;
}

// Host code for one block of guest code. Owned by the TranslationCache; described there.
struct Translation : cpu::TranslatedCode {
  static constexpr uint64_t kNowhere = ~uint64_t{0};

  bool alive = false;  // false: the guest's code has changed
  uint64_t memory_offset = 0;
  uint64_t second_page = kNowhere;  // memory offset of the page that its only instruction runs into
  uint32_t mode_key = 0;
  uint16_t byte_length = 0;
  uint16_t guest_instructions = 0;
  uint32_t host_bytes = 0;
  unsigned segment = 0;                // of the code cache
  const uint8_t* head_exit = nullptr;  // executable: leaves to the dispatch loop in front of the block
  // Executable: what follows the question at the entry whether somebody wants the processor. Where entries are counted
  // its first instruction has 8 bytes, aligned, and a jump takes its place when there is better code for the block.
  const uint8_t* body = nullptr;
  Translation* successor = nullptr;  // who has the code since it was revived
  uint64_t first_bytes = 0;          // of the entry, as emitted
  int32_t* countdown = nullptr;      // entries left until it counts as hot; null: not counted
  int32_t countdown_start = 0;
  const void** better_code = nullptr;  // where the jump at `body` finds its target; beside the countdown
  const uint64_t* targets = nullptr;   // RIPs that the indirect jump at the end went to last: kRecordedTargets, or null
  uint64_t body_bytes = 0;             // of the body, as emitted
  bool promoted = false;               // a region that begins here is being compiled or in use
  std::vector<RegionCode*> regions;    // which it is a member of
  // The block's own code; then what was looked at behind it, to find out whether flags are needed there.
  std::vector<CodeRange> ranges;
  std::vector<uint8_t> guest_code;  // the bytes of all ranges
  std::deque<Link> links;           // addresses are stable
  std::vector<Link*> incoming;
  std::unique_ptr<cpu::Op[]> interpreted;  // ir::Block::interpreted and last
};

}  // namespace calco::jit
