// What the dispatch loop needs of a translator, which stands on a higher floor: where hot blocks get host code.
#pragma once

#include <atomic>
#include <cstdint>

#include "cpu/exec/op.h"

namespace calco::cpu {

class Cpu;
struct Block;

// Why translated code came back. RIP is exact.
enum class TranslationExit : uint8_t {
  Next,       // go on at RIP
  Interpret,  // go on at RIP, and with the interpreter there, even where a translation is known
};

// One block's host code. The translator owns it; once it is not runnable it stays a valid object until
// forget_translations() was called on every processor's block cache.
struct TranslatedCode {
  const void* entry = nullptr;  // as JumpCacheEntry::code

  // False: the guest's code has changed, or there is no host code for it so far. Set under the translator's lock, while
  // processors ask without.
  bool runnable() const { return std::atomic_ref(const_cast<bool&>(runnable_)).load(std::memory_order_relaxed); }
  void set_runnable(bool runnable) { std::atomic_ref(runnable_).store(runnable, std::memory_order_relaxed); }

 private:
  bool runnable_ = false;
};

// Makes and runs host code. One for all processors of a machine.
//
// Threads: each vCPU calls it on its own thread, several at once.
class Translator {
 public:
  virtual ~Translator() = default;
  // The block of `cpu` that begins at its current RIP has become hot. Null: the interpreter keeps it.
  virtual const TranslatedCode* translate(Cpu& cpu, const Block& block) = 0;
  // Runs from `code` on, through whatever it is chained to, until the dispatch loop is needed.
  virtual TranslationExit execute(Cpu& cpu, const TranslatedCode& code) = 0;
  // JumpCacheEntry::code where nothing is translated.
  virtual const void* no_code() const = 0;
  // How many times the interpreter executes a block before it asks for a translation; at least 1.
  virtual uint32_t threshold() const = 0;
};

// In front of a block that may be translated: counts down, then asks for a translation and from then on enters it.
CALCO_HANDLER_CONVENTION void count_entry(Cpu* cpu, const Op* op, TlbEntry* tlb);
CALCO_HANDLER_CONVENTION void enter_translation(Cpu* cpu, const Op* op, TlbEntry* tlb);
// ... where there is none to be had.
CALCO_HANDLER_CONVENTION void skip_entry(Cpu* cpu, const Op* op, TlbEntry* tlb);

// STI where the next instruction follows in the same translation, whatever happens: no interrupt is taken between the
// two, so there is no need for an interrupt shadow.
CALCO_HANDLER_CONVENTION void enable_interrupts_behind_next(Cpu* cpu, const Op* op, TlbEntry* tlb);

// Makes `op` count from the start again.
void reset_entry(Op& op, uint32_t threshold);

// True for operations that stand in front of a block and belong to no instruction.
inline bool is_entry(const Op& op) {
  return op.handler == &count_entry || op.handler == &enter_translation || op.handler == &skip_entry;
}

}  // namespace calco::cpu
