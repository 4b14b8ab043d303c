#include "cpu/system/debug.h"

#include "cpu/system/exceptions.h"

namespace calco::cpu {

namespace {

enum Condition : unsigned { kExecute = 0, kWrite = 1, kIo = 2, kReadWrite = 3 };

constexpr unsigned kBreakpointCount = 4;

bool enabled(uint64_t control, unsigned index) { return (control >> (index * 2) & 3) != 0; }
Condition condition(uint64_t control, unsigned index) { return Condition(control >> (16 + index * 4) & 3); }
// LEN encodes 1, 2, 8 and 4 bytes (SDM vol. 3, 17.2.4).
uint64_t length(uint64_t control, unsigned index) {
  constexpr uint64_t kLengths[] = {1, 2, 8, 4};
  return kLengths[control >> (18 + index * 4) & 3];
}
bool is_data(Condition which) { return which == kWrite || which == kReadWrite; }

// The bytes that breakpoint `index` watches: its address is aligned to its length.
bool overlaps(const Cpu& cpu, unsigned index, uint64_t first, uint64_t size) {
  const uint64_t watched = length(cpu.dr[7], index);
  const uint64_t start = cpu.dr[index] & ~(watched - 1);
  return first < start + watched && start < first + size;
}

void note_trap(Cpu& cpu, uint64_t status) {
  if (status == 0) return;
  cpu.pending_debug_trap = true;
  cpu.pending_debug_status |= status;
}

uint64_t take_pending_status(Cpu& cpu) {
  const uint64_t status = cpu.pending_debug_trap ? cpu.pending_debug_status : 0;
  cpu.pending_debug_trap = false;
  cpu.pending_debug_status = 0;
  return status;
}

}  // namespace

bool single_step_needed(const Cpu& cpu) {
  return (cpu.system_flags & (rflags::kTf | rflags::kRf)) != 0 || (cpu.dr[7] & dr7::kEnables) != 0 ||
         cpu.pending_debug_trap;
}

void report_debug_status(Cpu& cpu, uint64_t status) {
  cpu.dr[6] = (cpu.dr[6] & ~dr6::kBreakpoints) | status | dr6::kFixed;
}

void report_pending_traps(Cpu& cpu) {
  if (cpu.pending_debug_trap) report_debug_status(cpu, take_pending_status(cpu));
}

void check_instruction_breakpoint(Cpu& cpu) {
  cpu.trace = {};
  const bool shadow = cpu.interrupt_shadow && cpu.debug_shadow;
  cpu.debug_shadow = false;
  // What is left over from an instruction that was not stepped, as a task switch to a TSS with its T flag set.
  if (cpu.pending_debug_trap && !shadow) {
    report_debug_status(cpu, take_pending_status(cpu));
    cpu.raise(kDebug);
  }
  // An instruction behind MOV SS or POP SS is treated as if RF were set (SDM vol. 3, 17.3.1.1).
  if (shadow || (cpu.system_flags & rflags::kRf) != 0 || (cpu.dr[7] & dr7::kEnables) == 0) return;
  const uint64_t rip = cpu.instruction_pointer();
  const uint64_t linear = cpu.code_64() ? rip : (cpu.segments[kCs].base + rip) & 0xFFFFFFFF;
  uint64_t status = 0;
  for (unsigned index = 0; index < kBreakpointCount; ++index) {
    if (!enabled(cpu.dr[7], index) || condition(cpu.dr[7], index) != kExecute) continue;
    if (cpu.dr[index] == linear) status |= uint64_t{1} << index;
  }
  if (status == 0) return;
  report_debug_status(cpu, status);
  cpu.raise(kDebug);
}

void after_instruction(Cpu& cpu, uint64_t flags_before) {
  const InstructionTrace trace = cpu.trace;
  cpu.trace = {};
  if ((flags_before & rflags::kRf) != 0 && !trace.resume_flag_loaded) cpu.system_flags &= ~rflags::kRf;
  if (cpu.debug_shadow) return;  // MOV SS: traps wait for the end of the next instruction
  uint64_t status = take_pending_status(cpu);
  if ((flags_before & rflags::kTf) != 0 && !trace.no_single_step) status |= dr6::kSingleStep;
  if (status == 0) return;
  report_debug_status(cpu, status);
  deliver_exception(cpu, kDebug);
}

bool data_breakpoints_enabled(const Cpu& cpu) {
  for (unsigned index = 0; index < kBreakpointCount; ++index) {
    if (enabled(cpu.dr[7], index) && is_data(condition(cpu.dr[7], index))) return true;
  }
  return false;
}

bool data_breakpoint_in_page(const Cpu& cpu, uint64_t linear_page) {
  for (unsigned index = 0; index < kBreakpointCount; ++index) {
    if (!enabled(cpu.dr[7], index) || !is_data(condition(cpu.dr[7], index))) continue;
    if (overlaps(cpu, index, linear_page, kPageSize)) return true;
  }
  return false;
}

void check_data_breakpoint(Cpu& cpu, uint64_t linear, unsigned size, bool write) {
  uint64_t status = 0;
  for (unsigned index = 0; index < kBreakpointCount; ++index) {
    if (!enabled(cpu.dr[7], index)) continue;
    const Condition which = condition(cpu.dr[7], index);
    const bool hits = which == kReadWrite || (which == kWrite && write);
    if (hits && overlaps(cpu, index, linear, size)) status |= uint64_t{1} << index;
  }
  note_trap(cpu, status);
}

void check_io_breakpoint(Cpu& cpu, uint16_t port, unsigned size) {
  if ((cpu.dr[7] & dr7::kEnables) == 0 || (cpu.cr4 & cr4::kDe) == 0) return;
  uint64_t status = 0;
  for (unsigned index = 0; index < kBreakpointCount; ++index) {
    if (!enabled(cpu.dr[7], index) || condition(cpu.dr[7], index) != kIo) continue;
    if (overlaps(cpu, index, port, size)) status |= uint64_t{1} << index;
  }
  note_trap(cpu, status);
}

uint64_t debug_register_value(const Cpu& cpu, unsigned number) {
  if (number == 6) return cpu.dr[6] | dr6::kFixed;
  if (number == 7) return cpu.dr[7] | dr7::kFixed;
  return cpu.dr[number];
}

void set_debug_register(Cpu& cpu, unsigned number, uint64_t value) {
  constexpr uint64_t kDr6Writable = 0xE00F;
  constexpr uint64_t kDr7Writable = 0xFFFF23FF;
  if (number == 6) {
    cpu.dr[6] = (value & kDr6Writable) | dr6::kFixed;
  } else if (number == 7) {
    cpu.dr[7] = (value & kDr7Writable) | dr7::kFixed;
  } else {
    cpu.dr[number] = value;
  }
  // Pages that gain or lose a breakpoint change between fast and slow path.
  cpu.mmu().flush_all();
  cpu.mode_changed();
}

}  // namespace calco::cpu
