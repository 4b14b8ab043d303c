// What a processor's translated code did, in numbers.
#pragma once

#include <atomic>
#include <cstdint>

namespace calco::cpu {

// Who executes a processor's code, or makes it executable. None: it sleeps, or another engine has it.
enum class ExecutionTier : uint8_t { None, Interpreter, Translator, Baseline, Optimizer, Count };

// Threads: the processor's own writes; others read `tier` at any time and the rest while the processor is paused.
struct TranslationCounters {
  // An ExecutionTier. Between baseline and optimizer exact only where somebody samples it.
  std::atomic<uint8_t> tier{static_cast<uint8_t>(ExecutionTier::None)};
  void enter_tier(ExecutionTier now) { tier.store(static_cast<uint8_t>(now), std::memory_order_relaxed); }

  // From C++ into translated code, and back by reason. What is missing in the sum left by a fault, or because an
  // instruction changed the code around it.
  uint64_t entries = 0, link_exits = 0, hot_exits = 0, interpret_exits = 0, request_exits = 0, next_exits = 0;
  uint64_t slow_accesses = 0;  // to memory, by translated code, that its look into the TLB did not serve
  // Counted by translated code where somebody asked for it.
  uint64_t baseline_instructions = 0, optimizer_instructions = 0, accesses = 0;
};

}  // namespace calco::cpu
