// The dispatch loop: runs chains of blocks, and between them serves requests, interrupts and faults.
#include "cpu/cpu.h"
#include "cpu/exec/block_cache.h"
#include "cpu/exec/chain.h"
#include "cpu/exec/translation.h"
#include "cpu/system/debug.h"
#include "cpu/system/exceptions.h"
#include "cpu/system/processor_group.h"
#include "cpu/system/register_dump.h"
#include "cpu/system/smm.h"

namespace calco::cpu {

RunExit Cpu::run() {
  environment_.group.enter();
  const RunExit exit = dispatch(~uint64_t{0});
  translation_counters.enter_tier(ExecutionTier::None);
  environment_.group.leave();
  return exit;
}

RunExit Cpu::run_instructions(uint64_t count) {
  environment_.group.enter();
  single_instructions_ = true;
  mode_changed();
  const RunExit exit = dispatch(count);
  translation_counters.enter_tier(ExecutionTier::None);
  single_instructions_ = false;
  mode_changed();
  environment_.group.leave();
  return exit;
}

RunExit Cpu::step_for_debugger() {
  // Nobody loses a request to stop: there is nothing to stop behind the one instruction.
  exit_request.fetch_and(~request::kStop);
  events_held_ = activity == Activity::Running;
  const RunExit exit = run_instructions(1);
  events_held_ = false;
  return steps_left_ == 0 ? RunExit::Debugger : exit;
}

RunExit Cpu::run_uncached(uint64_t count, bool hold_events) {
  blocks_->set_keeping(false);
  events_held_ = hold_events;
  const RunExit exit = run_instructions(count);
  events_held_ = false;
  blocks_->set_keeping(true);
  return exit;
}

// Through dispatch(), which is where the faults of the delivery end.
void Cpu::deliver(const UndeliveredEvent& event) {
  undelivered_ = event;
  run_uncached(0, true);
}

namespace {

constexpr uint32_t kBlockItems = static_cast<uint32_t>(LogItem::Exec) | static_cast<uint32_t>(LogItem::Cpu);

}  // namespace

// The log lines in front of a block. The request keeps the block from chaining to the next, which would be silent.
void Cpu::trace_block() {
  exit_request.fetch_or(request::kTrace, std::memory_order_relaxed);
  log().print(LogItem::Exec, "CPU {}: block at {:04x}:{:016x}", environment_.index, segments[kCs].selector,
              registers[kRip]);
  if (log().enabled(LogItem::Cpu))
    log().print(LogItem::Cpu, "CPU {}\n{}", environment_.index, describe_registers(*this));
}

// Everything that lives across a fault is a member: longjmp comes back here.
RunExit Cpu::dispatch(uint64_t step_limit) {
  steps_left_ = step_limit;
  if (setjmp(fault_return_) == kLongjmpFault) {
    // A fault ends the instruction's interrupt shadow and counts as a step.
    interrupt_shadow = false;
    if (single_step_ && steps_left_ != 0) --steps_left_;
    handle_fault(*this, fault_.vector, fault_.has_error_code, fault_.error_code);
    mode_changed();
  }
  translation_counters.enter_tier(ExecutionTier::Interpreter);  // a fault may have ended translated code
  if (undelivered_) {
    const UndeliveredEvent event = *undelivered_;
    undelivered_.reset();
    if (event.source == InterruptSource::Exception) {
      handle_fault(*this, static_cast<Vector>(event.vector), event.has_error_code, event.error_code);
    } else {
      deliver_interrupt(*this, event.vector, event.source);
    }
    mode_changed();
  }
  for (;;) {
    RunExit exit;
    if (exit_request.load(std::memory_order_acquire) != 0 && handle_requests(exit)) return exit;
    if (activity != Activity::Running) return activity == Activity::Shutdown ? RunExit::Shutdown : RunExit::Halted;
    if (steps_left_ == 0) return RunExit::Stopped;
    if ((log().items() & kBlockItems) != 0) [[unlikely]]
      trace_block();
    if (single_step_ || interrupt_shadow) {
      step();
      if (single_step_) --steps_left_;
    } else {
      const Op* ops = next_block(*this);
      if (interpret_next_) {
        interpret_next_ = false;
        if (is_entry(*ops)) ++ops;
      }
      ++blocks_entered;
      ops->handler(this, ops, tlb);
    }
  }
}

// One instruction, with the debug exceptions around it and the interrupt shadow behind it.
void Cpu::step() {
  if (stop_at_debugger_breakpoint()) return;
  const bool shadowed = interrupt_shadow;
  flags_before_step_ = system_flags;
  exit_request.fetch_or(request::kSingleStep, std::memory_order_relaxed);
  select_mode();
  check_instruction_breakpoint(*this);
  interrupt_shadow = false;
  const Op* ops = next_block(*this);
  while (ops->handler == &block_dropped) {
    ops->handler(this, ops, tlb);
    ops = next_block(*this);
  }
  ops->handler(this, ops, tlb);
  // A shadow that the instruction began itself covers the next one.
  if (shadowed) recheck_interrupts();
  if (!single_step_) exit_request.fetch_and(~request::kSingleStep, std::memory_order_relaxed);
  after_instruction(*this, flags_before_step_);
  select_mode();
}

// Serves requests at an instruction boundary, in the order of priority of SDM vol. 3, table 6-2. True: leave with
// `exit`.
bool Cpu::handle_requests(RunExit& exit) {
  // The usual one: IF was set.
  const bool only_interrupt = exit_request.load() == request::kInterrupt;
  if (only_interrupt && activity == Activity::Running && !interrupt_shadow && !events_held_) {
    take_interrupt();
    return false;
  }
  const auto take = [this](uint32_t bit) { return (exit_request.fetch_and(~bit) & bit) != 0; };
  if ((log().items() & kBlockItems) == 0) take(request::kTrace);
  if (take(request::kExclusive)) environment_.group.pause_point();
  if (take(request::kInvalidateCode)) blocks_->maintain();
  if (take(request::kFlushTlb)) mmu_.flush_all();
  if (!single_step_) exit_request.fetch_and(~request::kSingleStep, std::memory_order_relaxed);
  if (take(request::kReset)) reset();
  if (take(request::kDebugger)) {
    exit = RunExit::Debugger;
    return true;
  }
  if (take(request::kStop)) {
    exit = RunExit::Stopped;
    return true;
  }
  if (interrupt_shadow || events_held_) return false;
  if (!in_smm && activity != Activity::WaitForStartUp && take(request::kSmi)) {
    enter_smm(*this);
  }
  if (!in_smm && take(request::kInit)) {
    init();
    environment_.apic.init_reset();
  }
  if (activity == Activity::WaitForStartUp) {
    if (take(request::kStartUp)) begin_at_start_up_vector();
  } else if ((exit_request.load() & request::kInit) == 0) {
    take(request::kStartUp);  // ignored by a processor that does not wait for it
  }
  if (activity == Activity::WaitForStartUp || activity == Activity::Shutdown) return false;
  if (!nmi_blocked && take(request::kNmi)) {
    activity = Activity::Running;
    deliver_interrupt(*this, kNmi, InterruptSource::Nmi);
    return false;
  }
  take_interrupt();
  return false;
}

void Cpu::take_interrupt() {
  // While IF is clear the request sleeps; whoever sets IF calls recheck_interrupts().
  exit_request.fetch_and(~request::kInterrupt);
  if (!interrupts_enabled() || !interrupt_pending_.load(std::memory_order_seq_cst)) return;
  const int vector = environment_.apic.acknowledge();
  if (vector < 0) return;
  // Where the APIC has another, its pin is still up.
  if (interrupt_pending_.load(std::memory_order_seq_cst)) recheck_interrupts();
  activity = Activity::Running;
  deliver_interrupt(*this, static_cast<uint8_t>(vector), InterruptSource::Hardware);
}

void Cpu::begin_at_start_up_vector() {
  const uint8_t vector = start_up_vector_.load(std::memory_order_relaxed);
  segments[kCs].selector = static_cast<uint16_t>(vector << 8);
  segments[kCs].base = uint64_t{vector} << 12;
  registers[kRip] = 0;
  activity = Activity::Running;
  mode_changed();
}

}  // namespace calco::cpu
