// The hand-written pieces of host code between translated code and C++.
#pragma once

#include "jit/runtime/abi.h"
#include "jit/runtime/code_cache.h"

namespace calco::jit {

// Entry points for code that the baseline makes, all executable addresses. Slow paths are called with their arguments
// in the frame (frame_slot): 0 linear address, then the result; 1 site or operation; 2 value. They keep every register
// but the vector registers (`flags` these too) and the host's flags.
struct BaselineEntries {
  const uint8_t* load = nullptr;
  const uint8_t* store = nullptr;
  const uint8_t* host_address = nullptr;
  const uint8_t* interpret = nullptr;  // slot 1: const cpu::Op*; pinned registers are loaded anew
  const uint8_t* flags = nullptr;      // slot 0: the six flags
  const uint8_t* enter_x87 = nullptr;  // slot 0: 0 where the interpreter must execute x87 instructions
  const uint8_t* probe = nullptr;      // jump: exact RIP in r10 -> through the jump cache
  const uint8_t* exit_next = nullptr;  // jump: RIP is in the state -> ExitReason::Next
  const uint8_t* exit_interpret = nullptr;
  const uint8_t* exit_link = nullptr;         // jump: Link* in r10
  const uint8_t* exit_hot = nullptr;          // jump: Translation* in r10
  const uint8_t* interpret_at_end = nullptr;  // jump: as RuntimeEntries'
  const uint8_t* no_code = nullptr;           // JumpCacheEntry::code where nothing is translated: exact RIP in r10
  int exit_link_offset = 0;                   // StateLayout::exit_link, for hosts without a baseline
  // void(CpuState*, const void* code): C++ into translated code.
  void (*enter)(cpu::CpuState* state, const void* code) = nullptr;
};

// Offset from rsp, at a translation's entry, of the frame's slot.
constexpr int frame_slot(int slot) { return 8 + 8 * slot; }
constexpr int kArgumentSlots = 3;

struct Entries {
  BaselineEntries baseline;
  RuntimeEntries shared;
};

struct Link;

// Emits the stub of a link and answers its executable address; null where the cache's segment is full.
const uint8_t* emit_link_stub(CodeCache& cache, const BaselineEntries& entries, Link& link);

// On x86-64 emits them into the cache. Without `jump_cache` the probe always leaves to the dispatch loop.
Entries make_entries(CodeCache& cache, const StateLayout& layout, bool jump_cache = true);

}  // namespace calco::jit
