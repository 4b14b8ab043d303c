#include "cpu/exec/translation.h"

#include "cpu/cpu.h"
#include "cpu/exec/chain.h"

namespace calco::cpu {

namespace {

// What the jump cache knows of this block gets the code, or loses it.
void publish(Cpu& cpu, const Op* ops, const void* code) {
  JumpCacheEntry& entry = cpu.jump_cache[BlockCache::jump_cache_index(cpu.registers[kRip])];
  if (entry.ops == ops) entry.code = code;
}

}  // namespace

void reset_entry(Op& op, uint32_t threshold) {
  op.handler = &count_entry;
  op.immediate = threshold;
}

// The block was entered often enough: from now on it is translated, or the question is settled.
[[gnu::noinline]] static void ask_for_translation(Cpu& cpu, Op& op) {
  const TranslatedCode* code = cpu.translator()->translate(cpu, Block::of(&op));
  if (code == nullptr) {
    op.handler = &skip_entry;
    return;
  }
  op.handler = &enter_translation;
  op.immediate = reinterpret_cast<uint64_t>(code);
  cpu.blocks().note_entry(op);
  publish(cpu, &op, code->entry);
}

CALCO_HANDLER_CONVENTION void count_entry(Cpu* cpu, const Op* op, TlbEntry* tlb) {
  Op& self = const_cast<Op&>(*op);
  if (--self.immediate != 0) [[likely]]
    [[clang::musttail]] return op[1].handler(cpu, op + 1, tlb);
  cpu->current_op = nullptr;
  ask_for_translation(*cpu, self);
  [[clang::musttail]] return op->handler(cpu, op, tlb);
}

CALCO_HANDLER_CONVENTION void enter_translation(Cpu* cpu, const Op* op, TlbEntry* tlb) {
  // Translations leave at their first boundary while somebody wants the processor; the interpreter does one block.
  if (cpu->exit_request.load(std::memory_order_relaxed) != 0) [[unlikely]]
    [[clang::musttail]] return op[1].handler(cpu, op + 1, tlb);
  const auto* code = reinterpret_cast<const TranslatedCode*>(op->immediate);
  if (!code->runnable()) [[unlikely]] {
    reset_entry(const_cast<Op&>(*op), cpu->translator()->threshold());
    publish(*cpu, op, cpu->translator()->no_code());
    [[clang::musttail]] return op[1].handler(cpu, op + 1, tlb);
  }
  cpu->current_op = nullptr;
  cpu->run_translation(*code);
}

CALCO_HANDLER_CONVENTION void skip_entry(Cpu* cpu, const Op* op, TlbEntry* tlb) {
  [[clang::musttail]] return op[1].handler(cpu, op + 1, tlb);
}

}  // namespace calco::cpu
