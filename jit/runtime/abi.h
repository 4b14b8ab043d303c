// The convention that all translated code shares, whichever tier made it, so that code tail-calls code without going
// through memory.
//
// Registers at every entry of a translation, and wherever one translation goes on to another (they are the argument
// registers of clang's and LLVM's preserve_none convention, in its order):
//
//   r12 guest RBX    r13 state pointer   r14 guest RBP   r15 guest RSP   rdi guest RDI   rsi guest RSI
//   rdx guest RDX    rcx guest RCX       r8 guest R8     r9 guest R9     r11 guest R12   rax guest RAX
//
// rbx, rbp and r10 are scratch, as are all vector registers; the other guest registers (R10, R11, R13, R14, R15), the
// lazy flags and the vector registers live in the CpuState. rsp is what it was on entry: 8 bytes below a multiple of
// 16, with a return address on top that leads back to the dispatch loop. Above it lie kFrameBytes for spills.
//
// The state pointer is the CpuState's address + kStateBias. While translated code runs, CpuState::registers[kRip] holds
// the RIP of the first byte of the page that the translation lies in (so it need not be written from block to block of
// a page), and the pinned registers' slots in CpuState::registers are stale. MXCSR is the guest's. The host's x87 unit
// holds the guest's registers where CpuState::x87_residence says so; whatever leaves translated code or calls C++ takes
// them back.
#pragma once

#include <array>
#include <cstdint>

#include "cpu/state.h"

namespace calco::jit {

constexpr int kStateBias = 128;
constexpr int kFrameBytes = 256;

// Guest registers in the order of the preserve_none arguments; kZero stands for the state pointer.
constexpr std::array<uint8_t, 12> kArgumentRegisters = {cpu::kRbx, cpu::kZero, cpu::kRbp, cpu::kRsp,
                                                        cpu::kRdi, cpu::kRsi,  cpu::kRdx, cpu::kRcx,
                                                        cpu::kR8,  cpu::kR9,   cpu::kR12, cpu::kRax};

// Where things lie, counted in bytes from the CpuState's first byte. Beyond CpuState: members of Cpu.
struct StateLayout {
  int tlb = 0;           // TlbEntry*
  int exit_request = 0;  // uint32_t
  int jump_cache = 0;    // JumpCacheEntry*
  int jump_tags = 0;     // uint64_t[2]
  int exit_reason = 0;   // uint64_t, ExitReason
  int counters = 0;      // cpu::TranslationCounters
  int rounds_left = 0;   // uint32_t, counted down where regions go round; 0: not counted
  int exit_link = 0;     // Link*, or Translation* for ExitReason::Hot; const cpu::Op* for interpret_at_end
};

// Why translated code returned to the dispatch loop. CpuState::registers[kRip] is exact then.
enum class ExitReason : uint64_t {
  Next,       // go on at RIP: nothing is known of what is there, or somebody wants the processor
  Link,       // the same, through the Link that StateLayout::exit_link names: it may be patched
  Interpret,  // the instruction at RIP is for the interpreter
  Hot,        // the translation at RIP was entered often: StateLayout::exit_link names it
};

// What translated code notes of itself in StateLayout::counters. It costs time.
struct Measurement {
  bool tier = false;  // TranslationCounters::tier
  bool work = false;  // instructions and accesses
};

// What a slow path needs to know of its place, packed into one 32-bit number.
constexpr uint32_t access_site(unsigned page_offset, unsigned size, bool stack) {
  return page_offset | size << 12 | (stack ? 1u << 20 : 0);
}
constexpr unsigned site_page_offset(uint32_t site) { return site & 0xFFF; }
constexpr unsigned site_size(uint32_t site) { return site >> 12 & 0xFF; }
constexpr bool site_stack(uint32_t site) { return (site >> 20 & 1) != 0; }
constexpr uint32_t kSiteWrite = 1u << 21;    // host_address: for reading and writing
constexpr uint32_t kSiteAligned = 1u << 22;  // host_address: #GP(0) where not aligned to its size

// Entry points that translated code calls or jumps to. Made once by the runtime.
//
// Tail targets are entered by a jump (preserve_none tail call with the twelve registers above):
struct RuntimeEntries {
  const void* exit = nullptr;         // RIP and exit_reason are in the state
  const void* exit_stored = nullptr;  // the same; so are all registers, and r13 alone counts
  const void* probe = nullptr;        // RIP (exact) is in the state: goes on there through the jump cache, or exits
  const void* interpret_at_end = nullptr;  // StateLayout::exit_link: const cpu::Op*, ir::Block::last; goes on behind it
  // Functions of LLVM's preserve_allcc convention (arguments and result as in C, every other register kept).
  // Accesses: state pointer, linear address, site, value, const StateTable* (state_table.h), which says where the guest
  // state is that the CpuState lacks (but RIP, which stays the page's), for they may raise a fault.
  const void* load = nullptr;          // uint64_t: what was read
  const void* store = nullptr;         // uint64_t: 0 done; 1: leave to the interpreter
  const void* host_address = nullptr;  // uint8_t*: null: leave to the interpreter
  // With the whole state in the CpuState, but RIP.
  const void* interpret = nullptr;  // void(state, const cpu::Op*): runs one interpreter operation
  const void* enter_x87 = nullptr;  // uint64_t(state): as x87_unit.h; 0: leave to the interpreter
  const void* get_flags = nullptr;  // uint64_t(state): the six flags of the lazy triple in the state
  // void(state, const StateTable*), state_table.h; all registers are kept. Null, like exit_stored, on hosts without:
  // code stores the whole state then, and the tables of accesses are null.
  const void* put_state = nullptr;
};

}  // namespace calco::jit
