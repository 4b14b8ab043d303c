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
  if (entry.rip == rip && entry.tag == cpu.jump_tag) [[likely]]
    return entry.ops;
  cpu.current_op = nullptr;
  return cpu.blocks().find(rip);
}

// Goes on at the current RIP, which is exact, unless somebody wants the processor. `count`: instructions of the block.
#define CALCO_NEXT_BLOCK(count)                                              \
  cpu->instructions_retired += (count);                                      \
  if (cpu->exit_request.load(std::memory_order_relaxed) != 0) [[unlikely]] { \
    cpu->current_op = nullptr;                                               \
    return;                                                                  \
  }                                                                          \
  const Op* next_ops = next_block(*cpu);                                     \
  [[clang::musttail]] return next_ops->handler(cpu, next_ops, tlb)

// The same through one side of the Link behind `op`; `side` is Link::taken or Link::not_taken, `bit` its linkable bit.
#define CALCO_FOLLOW_LINK(count, side, bit)                                  \
  cpu->instructions_retired += (count);                                      \
  if (cpu->exit_request.load(std::memory_order_relaxed) != 0) [[unlikely]] { \
    cpu->current_op = nullptr;                                               \
    return;                                                                  \
  }                                                                          \
  auto* link = reinterpret_cast<Link*>(const_cast<Op*>(op + 1));             \
  const Op* next_ops = link->side;                                           \
  if (next_ops == nullptr) {                                                 \
    next_ops = next_block(*cpu);                                             \
    if ((op->rm & (bit)) != 0) link->side = next_ops;                        \
  }                                                                          \
  [[clang::musttail]] return next_ops->handler(cpu, next_ops, tlb)

// Behind the last operation of a block that ends without a transfer.
CALCO_HANDLER_CONVENTION void fall_through(Cpu* cpu, const Op* op, TlbEntry* tlb);
// In place of every operation of a dropped block: back to the dispatch loop with RIP at this operation.
CALCO_HANDLER_CONVENTION void block_dropped(Cpu* cpu, const Op* op, TlbEntry* tlb);
// Operations that raise what the fetch or the decoder found.
CALCO_HANDLER_CONVENTION void invalid_opcode(Cpu* cpu, const Op* op, TlbEntry* tlb);
CALCO_HANDLER_CONVENTION void instruction_too_long(Cpu* cpu, const Op* op, TlbEntry* tlb);

}  // namespace calco::cpu
