#include "cpu/system/task_switch.h"

#include <array>
#include <span>

#include "cpu/mmu/access.h"
#include "cpu/system/control_registers.h"
#include "cpu/system/debug.h"

namespace calco::cpu {

namespace {

constexpr uint32_t kMinimumLimit16 = 0x2B;
constexpr uint32_t kMinimumLimit32 = 0x67;
constexpr unsigned kGeneralRegisters = 8;

// Order of the segment registers in both TSS formats (SDM vol. 3, figures 7-2 and 7-10); the 16-bit one ends at DS.
constexpr std::array<SegmentRegister, 6> kSegmentOrder = {kEs, kCs, kSs, kDs, kFs, kGs};

// Where the two formats keep what both have.
struct Format {
  unsigned size;    // of a field
  unsigned stride;  // from one segment selector to the next
  uint32_t instruction_pointer, flags, registers, segments, ldt;
  unsigned segment_count;
  uint32_t saved_first, saved_last;  // what leaving the task writes
};
constexpr Format kFormat16{2, 2, 0x0E, 0x10, 0x12, 0x22, 0x2A, 4, 0x0E, 0x29};
constexpr Format kFormat32{4, 4, 0x20, 0x24, 0x28, 0x48, 0x60, 6, 0x20, 0x5D};
constexpr uint32_t kPageDirectoryOffset = 0x1C;
constexpr uint32_t kTrapFlagOffset = 0x64;

const Format& format_of(unsigned type) { return (type & 8) != 0 ? kFormat32 : kFormat16; }

uint64_t load_field(Cpu& cpu, uint64_t base, uint32_t offset, unsigned size) {
  return cpu.mmu().load_slow((base + offset) & 0xFFFFFFFF, size, Protection::Supervisor);
}

void store_field(Cpu& cpu, uint64_t base, uint32_t offset, unsigned size, uint64_t value) {
  cpu.mmu().store_slow((base + offset) & 0xFFFFFFFF, size, value, Protection::Supervisor);
}

struct TaskState {
  uint64_t cr3 = 0, instruction_pointer = 0, flags = 0;
  std::array<uint64_t, kGeneralRegisters> registers{};
  std::array<uint16_t, 6> selectors{};
  uint16_t ldt = 0;
  bool debug_trap = false;
};

TaskState read_task(Cpu& cpu, const Segment& tss) {
  const Format& format = format_of(tss.type());
  TaskState task;
  task.instruction_pointer = load_field(cpu, tss.base, format.instruction_pointer, format.size);
  task.flags = load_field(cpu, tss.base, format.flags, format.size);
  for (unsigned i = 0; i < kGeneralRegisters; ++i) {
    task.registers[i] = load_field(cpu, tss.base, format.registers + i * format.size, format.size);
  }
  for (unsigned i = 0; i < format.segment_count; ++i) {
    task.selectors[i] = static_cast<uint16_t>(load_field(cpu, tss.base, format.segments + i * format.stride, 2));
  }
  task.ldt = static_cast<uint16_t>(load_field(cpu, tss.base, format.ldt, 2));
  if (format.size == 4) {
    task.cr3 = load_field(cpu, tss.base, kPageDirectoryOffset, 4);
    task.debug_trap = (load_field(cpu, tss.base, kTrapFlagOffset, 2) & 1) != 0;
  } else {  // the upper halves of what a 16-bit TSS holds read as ones (SDM vol. 3, 7.6)
    for (uint64_t& value : task.registers) value |= 0xFFFF0000;
  }
  return task;
}

void save_task(Cpu& cpu, uint64_t return_address, uint64_t flags) {
  const uint64_t base = cpu.tr.base;
  const Format& format = format_of(cpu.tr.type());
  cpu.mmu().probe_write((base + format.saved_first) & 0xFFFFFFFF, format.saved_last - format.saved_first,
                        Protection::Supervisor);
  store_field(cpu, base, format.instruction_pointer, format.size, return_address);
  store_field(cpu, base, format.flags, format.size, flags);
  for (unsigned i = 0; i < kGeneralRegisters; ++i) {
    store_field(cpu, base, format.registers + i * format.size, format.size, cpu.registers[i]);
  }
  for (unsigned i = 0; i < format.segment_count; ++i) {
    store_field(cpu, base, format.segments + i * format.stride, 2, cpu.segments[kSegmentOrder[i]].selector);
  }
}

void load_task_code_segment(Cpu& cpu, uint16_t selector) {
  const uint32_t error = selector_error(selector);
  if (is_null(selector)) cpu.raise(kInvalidTss, 0);
  Descriptor code = require_descriptor(cpu, selector, kInvalidTss);
  const unsigned privilege = requested_privilege(selector);
  const bool allowed =
      code.is_conforming_code() ? code.privilege() <= privilege : code.is_code() && code.privilege() == privilege;
  if (!allowed) cpu.raise(kInvalidTss, error);
  if (!code.present()) cpu.raise(kSegmentNotPresent, error);
  mark_accessed(cpu, code);
  cpu.segments[kCs] = make_segment(selector, code);
}

void load_task_data_segment(Cpu& cpu, SegmentRegister which, uint16_t selector) {
  if (is_null(selector)) return;
  const uint32_t error = selector_error(selector);
  Descriptor data = require_descriptor(cpu, selector, kInvalidTss);
  if (data.system() || !data.is_readable()) cpu.raise(kInvalidTss, error);
  if (!data.is_conforming_code() && (requested_privilege(selector) > data.privilege() || cpu.cpl > data.privilege())) {
    cpu.raise(kInvalidTss, error);
  }
  if (!data.present()) cpu.raise(kSegmentNotPresent, error);
  mark_accessed(cpu, data);
  cpu.segments[which] = make_segment(selector, data);
}

// The checks of SDM vol. 3, table 7-1, that are made in the context of the new task.
void load_task_segments(Cpu& cpu, const TaskState& task) {
  load_ldtr(cpu, task.ldt, kInvalidTss);
  if (cpu.virtual_8086()) {
    for (unsigned i = 0; i < kSegmentOrder.size(); ++i) {
      cpu.segments[kSegmentOrder[i]] = virtual_8086_segment(task.selectors[i]);
    }
    return;
  }
  load_task_code_segment(cpu, task.selectors[1]);
  cpu.segments[kSs] = check_stack_segment(cpu, task.selectors[2], cpu.cpl, kInvalidTss);
  for (const unsigned i : {0u, 3u, 4u, 5u}) load_task_data_segment(cpu, kSegmentOrder[i], task.selectors[i]);
}

// Replaces everything that cannot fault. Segment registers get their selectors but stay unusable.
void commit_task(Cpu& cpu, const TaskState& task, const Segment& tss, uint64_t flags) {
  cpu.tr = tss;
  cpu.cr0 |= cr0::kTs;
  const bool virtual_8086 = (flags & rflags::kVm) != 0;
  for (unsigned i = 0; i < kGeneralRegisters; ++i) cpu.registers[i] = task.registers[i];
  for (unsigned i = 0; i < kSegmentOrder.size(); ++i) cpu.segments[kSegmentOrder[i]] = null_segment(task.selectors[i]);
  set_rflags_value(cpu, flags);
  cpu.cpl = virtual_8086 ? 3 : static_cast<uint8_t>(requested_privilege(task.selectors[1]));
  cpu.ldtr = null_segment(task.ldt);
  cpu.registers[kRip] = task.instruction_pointer;
  cpu.current_op = nullptr;  // from here on faults are the new task's
  cpu.dr[7] &= ~dr7::kLocalEnables;
  cpu.trace.resume_flag_loaded = true;
  cpu.trace.no_single_step = true;
  cpu.mode_changed();
}

}  // namespace

Descriptor check_task_segment(Cpu& cpu, uint16_t selector, TaskSwitch kind) {
  const Vector vector = kind == TaskSwitch::Return ? kInvalidTss : kGeneralProtection;
  const uint32_t error = selector_error(selector);
  if ((selector & 4) != 0 || is_null(selector)) cpu.raise(vector, error);
  const Descriptor descriptor = require_descriptor(cpu, selector, vector);
  const unsigned wanted = kind == TaskSwitch::Return ? system_type::kTss16Busy : system_type::kTss16;
  if (!descriptor.system() || (descriptor.type() & ~8u) != wanted) cpu.raise(vector, error);
  if (!descriptor.present()) cpu.raise(kSegmentNotPresent, error);
  return descriptor;
}

void switch_task(Cpu& cpu, uint16_t selector, const Descriptor& descriptor, TaskSwitch kind, uint64_t return_address,
                 uint64_t flags) {
  Segment tss = make_segment(selector, descriptor);
  const bool wide = (tss.type() & 8) != 0;
  if (tss.limit < (wide ? kMinimumLimit32 : kMinimumLimit16)) cpu.raise(kInvalidTss, selector_error(selector));
  const TaskState task = read_task(cpu, tss);
  const bool nested = kind == TaskSwitch::Call || kind == TaskSwitch::Interrupt;
  if (nested) cpu.mmu().probe_write(tss.base & 0xFFFFFFFF, 2, Protection::Supervisor);

  if (kind == TaskSwitch::Return) flags &= ~rflags::kNt;
  save_task(cpu, return_address, flags);
  if (!nested) {
    Descriptor old;
    if (read_descriptor(cpu, cpu.tr.selector, old)) set_busy(cpu, old.address, false);
  } else {
    store_field(cpu, tss.base, 0, 2, cpu.tr.selector);
  }
  if (kind != TaskSwitch::Return) set_busy(cpu, descriptor.address, true);
  tss.attributes |= 2;

  constexpr uint64_t kDefined = 0x3F7FD7;
  uint64_t new_flags = (task.flags & kDefined) | rflags::kFixed;
  if (nested) new_flags |= rflags::kNt;
  if (wide && (cpu.cr0 & cr0::kPg) != 0) load_task_cr3(cpu, task.cr3);
  commit_task(cpu, task, tss, new_flags);
  load_task_segments(cpu, task);
  if (task.debug_trap) {
    cpu.pending_debug_trap = true;
    cpu.pending_debug_status |= dr6::kTaskSwitch;
  }
  cpu.mode_changed();
}

void check_new_task_instruction_pointer(Cpu& cpu) { check_code_offset(cpu, cpu.segments[kCs], cpu.registers[kRip]); }

}  // namespace calco::cpu
