// From the end of one block to the next without going back to the dispatch loop.
#pragma once

#include "cpu/exec/block_cache.h"
#include "cpu/exec/handlers.h"

namespace calco::cpu {

// Bits of Op::rm in an operation that has a Link behind it: which of its targets lie in the block's own page.
constexpr uint8_t kTakenLinkable = 1, kNotTakenLinkable = 2;

// The operations at the current RIP: from the jump cache, else found or decoded. Faults of the fetch are raised at the
// target.
[[gnu::always_inline]] inline const Op* next_block(Cpu& cpu) {
  const uint64_t rip = cpu.registers[kRip];
  const JumpCacheEntry& entry = cpu.jump_cache[BlockCache::jump_cache_index(rip)];
  if (entry.rip == rip && entry.tag == cpu.jump_tag(rip)) [[likely]]
    return entry.ops;
  cpu.current_op = nullptr;
  return cpu.blocks().find(rip);
}

// The rare ways on from a block's end, kept out of the hot handlers so that these need no stack frame:
// back to the dispatch loop, ...
CALCO_HANDLER_CONVENTION void leave_chain(Cpu* cpu, const Op* op, TlbEntry* tlb);
// ... to a block that the jump cache does not know, ...
CALCO_HANDLER_CONVENTION void enter_unknown_block(Cpu* cpu, const Op* op, TlbEntry* tlb);
// ... through a side of the Link behind `op` that is still empty (kTakenLinkable or kNotTakenLinkable).
template <uint8_t kSide>
CALCO_HANDLER_CONVENTION void enter_unlinked_block(Cpu* cpu, const Op* op, TlbEntry* tlb);

// Goes on at the current RIP, which is exact, unless somebody wants the processor.
#define CALCO_NEXT_BLOCK()                                                                    \
  cpu->instructions_retired += op->instructions;                                              \
  if (cpu->exit_request.load(std::memory_order_relaxed) != 0) [[unlikely]]                    \
    [[clang::musttail]] return leave_chain(cpu, op, tlb);                                     \
  const uint64_t next_rip = cpu->registers[kRip];                                             \
  const JumpCacheEntry& next_entry = cpu->jump_cache[BlockCache::jump_cache_index(next_rip)]; \
  if (next_entry.rip != next_rip || next_entry.tag != cpu->jump_tag(next_rip)) [[unlikely]]   \
    [[clang::musttail]] return enter_unknown_block(cpu, op, tlb);                             \
  const Op* next_ops = next_entry.ops;                                                        \
  [[clang::musttail]] return next_ops->handler(cpu, next_ops, tlb)

// The same through one side of the Link behind `op`; `side` is Link::taken or Link::not_taken, `bit` its linkable bit.
#define CALCO_FOLLOW_LINK(side, bit)                                       \
  cpu->instructions_retired += op->instructions;                           \
  if (cpu->exit_request.load(std::memory_order_relaxed) != 0) [[unlikely]] \
    [[clang::musttail]] return leave_chain(cpu, op, tlb);                  \
  const Op* next_ops = reinterpret_cast<const Link*>(op + 1)->side;        \
  if (next_ops == nullptr) [[unlikely]]                                    \
    [[clang::musttail]] return enter_unlinked_block<bit>(cpu, op, tlb);    \
  [[clang::musttail]] return next_ops->handler(cpu, next_ops, tlb)

// Behind the last operation of a block that ends without a transfer.
CALCO_HANDLER_CONVENTION void fall_through(Cpu* cpu, const Op* op, TlbEntry* tlb);
// In place of every operation of a dropped block: back to the dispatch loop with RIP at this operation.
CALCO_HANDLER_CONVENTION void block_dropped(Cpu* cpu, const Op* op, TlbEntry* tlb);
// In front of an instruction that the debugger may have a breakpoint on: back to the dispatch loop where it has.
CALCO_HANDLER_CONVENTION void debugger_breakpoint(Cpu* cpu, const Op* op, TlbEntry* tlb);
// Operations that raise what the fetch or the decoder found.
CALCO_HANDLER_CONVENTION void invalid_opcode(Cpu* cpu, const Op* op, TlbEntry* tlb);
CALCO_HANDLER_CONVENTION void instruction_too_long(Cpu* cpu, const Op* op, TlbEntry* tlb);

}  // namespace calco::cpu
