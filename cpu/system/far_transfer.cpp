#include "cpu/system/far_transfer.h"

#include <algorithm>
#include <array>

#include "cpu/mmu/access.h"
#include "cpu/system/descriptors.h"
#include "cpu/system/task_switch.h"

namespace calco::cpu {

namespace {

constexpr unsigned kMaximumGateParameters = 31;

bool real_addressing(const Cpu& cpu) { return !cpu.protected_mode() || cpu.virtual_8086(); }

void load_real_code_segment(Cpu& cpu, uint16_t selector) {
  if (cpu.virtual_8086()) {
    cpu.segments[kCs] = virtual_8086_segment(selector);
  } else {
    load_real_segment(cpu, kCs, selector);
  }
}

// Commits CS and RIP, the last step of every transfer; mark_accessed() comes before the first commit, as it can fault.
void enter_code(Cpu& cpu, uint16_t selector, const Descriptor& descriptor, unsigned privilege, uint64_t offset) {
  const auto visible = static_cast<uint16_t>((selector & 0xFFFC) | privilege);
  cpu.segments[kCs] = make_segment(visible, descriptor);
  cpu.cpl = static_cast<uint8_t>(privilege);
  cpu.registers[kRip] = offset;
  cpu.mode_changed();
}

// A code segment with L and D both set is reserved in IA-32e mode.
bool reserved_size(const Cpu& cpu, const Descriptor& code) {
  return cpu.long_mode_active() && code.long_mode() && code.big();
}

// The checks of a direct jump or call to a code segment (SDM vol. 3, 5.8.1): CPL does not change.
void check_direct_code(Cpu& cpu, uint16_t selector, const Descriptor& code) {
  const uint32_t error = selector_error(selector);
  if (reserved_size(cpu, code)) cpu.raise(kGeneralProtection, error);
  const bool allowed = code.is_conforming_code()
                           ? code.privilege() <= cpu.cpl
                           : code.privilege() == cpu.cpl && requested_privilege(selector) <= cpu.cpl;
  if (!allowed) cpu.raise(kGeneralProtection, error);
  if (!code.present()) cpu.raise(kSegmentNotPresent, error);
}

bool is_call_gate(const Cpu& cpu, const Descriptor& gate) {
  return gate.type() == system_type::kCallGate32 ||
         (gate.type() == system_type::kCallGate16 && !cpu.long_mode_active());
}

// Privilege and presence of a gate or TSS that a far pointer names.
void check_gate_privilege(Cpu& cpu, uint16_t selector, const Descriptor& gate) {
  if (gate.privilege() < cpu.cpl || gate.privilege() < requested_privilege(selector)) {
    cpu.raise(kGeneralProtection, selector_error(selector));
  }
}

struct GateTarget {
  Descriptor code;
  uint16_t selector;
  uint64_t offset;
  unsigned size;  // operand size of the gate
};

// Follows a call gate to its code segment; everything but the privilege of the code segment is checked.
GateTarget follow_call_gate(Cpu& cpu, uint16_t gate_selector, Descriptor gate) {
  check_gate_privilege(cpu, gate_selector, gate);
  if (!gate.present()) cpu.raise(kSegmentNotPresent, selector_error(gate_selector));
  const bool wide = cpu.long_mode_active();
  GateTarget target{};
  if (wide) {
    gate = require_descriptor(cpu, gate_selector, kGeneralProtection, 16);
    // The type field of the upper half must be 0 (SDM vol. 3, 5.8.3.1).
    if ((gate.upper >> 40 & 0x1F) != 0) cpu.raise(kGeneralProtection, selector_error(gate_selector));
  }
  target.selector = gate.gate_selector();
  target.size = wide ? 8 : gate.type() == system_type::kCallGate32 ? 4 : 2;
  target.offset = wide ? gate.gate_offset_64() : target.size == 4 ? gate.gate_offset() : gate.gate_offset() & 0xFFFF;
  if (is_null(target.selector)) cpu.raise(kGeneralProtection, 0);
  target.code = require_descriptor(cpu, target.selector, kGeneralProtection);
  if (!target.code.is_code() || target.code.privilege() > cpu.cpl ||
      (wide && (!target.code.long_mode() || target.code.big()))) {
    cpu.raise(kGeneralProtection, selector_error(target.selector));
  }
  return target;
}

void switch_to_task(Cpu& cpu, uint16_t selector, const Descriptor& descriptor, TaskSwitch kind, uint64_t next) {
  switch_task(cpu, selector, descriptor, kind, next, rflags_value(cpu));
  check_new_task_instruction_pointer(cpu);
}

// Jump or call to a TSS descriptor or task gate. Returns false where `target` is neither.
bool far_to_task(Cpu& cpu, uint16_t selector, const Descriptor& target, TaskSwitch kind, uint64_t next) {
  if (cpu.long_mode_active()) return false;
  const unsigned type = target.type();
  if (type == system_type::kTaskGate) {
    check_gate_privilege(cpu, selector, target);
    if (!target.present()) cpu.raise(kSegmentNotPresent, selector_error(selector));
    const uint16_t task = target.gate_selector();
    switch_to_task(cpu, task, check_task_segment(cpu, task, kind), kind, next);
    return true;
  }
  if ((type & ~8u) != system_type::kTss16) return false;
  check_gate_privilege(cpu, selector, target);
  switch_to_task(cpu, selector, check_task_segment(cpu, selector, kind), kind, next);
  return true;
}

// What a far jump or call names; a code segment is checked already.
Descriptor read_far_target(Cpu& cpu, uint16_t selector) {
  if (is_null(selector)) cpu.raise(kGeneralProtection, 0);
  const Descriptor target = require_descriptor(cpu, selector, kGeneralProtection);
  if (target.system()) return target;
  if (!target.is_code()) cpu.raise(kGeneralProtection, selector_error(selector));
  check_direct_code(cpu, selector, target);
  return target;
}

void jump_through_gate(Cpu& cpu, uint16_t selector, const Descriptor& gate) {
  GateTarget target = follow_call_gate(cpu, selector, gate);
  const uint32_t error = selector_error(target.selector);
  if (!target.code.is_conforming_code() && target.code.privilege() != cpu.cpl) cpu.raise(kGeneralProtection, error);
  if (!target.code.present()) cpu.raise(kSegmentNotPresent, error);
  check_code_offset(cpu, make_segment(target.selector, target.code), target.offset);
  mark_accessed(cpu, target.code);
  enter_code(cpu, target.selector, target.code, cpu.cpl, target.offset);
}

// --- Calls -----------------------------------------------------------------------------------------------------------

uint64_t read_parameter(Cpu& cpu, unsigned index, unsigned size) {
  const uint64_t mask = cpu.stack_address_size() == 2 ? 0xFFFF : 0xFFFFFFFF;
  const uint64_t linear = segment_linear(cpu, kSs, (cpu.registers[kRsp] + index * size) & mask, size, false);
  return cpu.mmu().load_slow(linear, size, cpu.mmu().current_protection(), true);
}

void call_inner(Cpu& cpu, GateTarget& target, unsigned parameters, uint64_t next) {
  const unsigned privilege = target.code.privilege();
  const unsigned size = target.size;
  FrameStack stack = size == 8 ? inner_stack_64(cpu, privilege, 0) : inner_stack(cpu, privilege);
  stack.require_room(cpu, (4 + parameters) * size);
  check_code_offset(cpu, make_segment(target.selector, target.code), target.offset);
  std::array<uint64_t, kMaximumGateParameters> values;
  for (unsigned i = 0; i < parameters; ++i) values[i] = read_parameter(cpu, i, size);
  stack.push(cpu, cpu.segments[kSs].selector, size);
  stack.push(cpu, cpu.registers[kRsp], size);
  for (unsigned i = parameters; i-- > 0;) stack.push(cpu, values[i], size);
  stack.push(cpu, cpu.segments[kCs].selector, size);
  stack.push(cpu, next, size);
  mark_accessed(cpu, target.code);
  cpu.segments[kSs] = stack.segment;
  commit_stack_pointer(cpu, stack);
  enter_code(cpu, target.selector, target.code, privilege, target.offset);
}

// Pushes CS:RIP on the current stack and enters code of the same privilege.
void call_same(Cpu& cpu, uint16_t selector, Descriptor& code, uint64_t offset, unsigned size, uint64_t next) {
  FrameStack stack = current_stack(cpu);
  stack.require_room(cpu, 2 * size);
  stack.push(cpu, cpu.segments[kCs].selector, size);
  stack.push(cpu, next, size);
  check_code_offset(cpu, make_segment(selector, code), offset);
  mark_accessed(cpu, code);
  commit_stack_pointer(cpu, stack);
  enter_code(cpu, selector, code, cpu.cpl, offset);
}

void call_through_gate(Cpu& cpu, uint16_t selector, const Descriptor& gate, uint64_t next) {
  GateTarget target = follow_call_gate(cpu, selector, gate);
  if (!target.code.present()) cpu.raise(kSegmentNotPresent, selector_error(target.selector));
  if (!target.code.is_conforming_code() && target.code.privilege() < cpu.cpl) {
    call_inner(cpu, target, target.size == 8 ? 0 : gate.high & 0x1F, next);
    return;
  }
  call_same(cpu, target.selector, target.code, target.offset, target.size, next);
}

// --- Returns ---------------------------------------------------------------------------------------------------------

// The code segment that RET or IRET goes to (SDM vol. 3, 5.8.6).
Descriptor return_code(Cpu& cpu, uint16_t selector) {
  if (is_null(selector)) cpu.raise(kGeneralProtection, 0);
  const Descriptor code = require_descriptor(cpu, selector, kGeneralProtection);
  const unsigned privilege = requested_privilege(selector);
  const uint32_t error = selector_error(selector);
  if (!code.is_code() || privilege < cpu.cpl || reserved_size(cpu, code)) cpu.raise(kGeneralProtection, error);
  const bool allowed = code.is_conforming_code() ? code.privilege() <= privilege : code.privilege() == privilege;
  if (!allowed) cpu.raise(kGeneralProtection, error);
  if (!code.present()) cpu.raise(kSegmentNotPresent, error);
  return code;
}

// The stack segment of a return; null is allowed only into 64-bit code below privilege level 3.
Segment return_stack(Cpu& cpu, uint16_t selector, const Descriptor& code, unsigned privilege) {
  if (is_null(selector)) {
    const bool to_64 = cpu.long_mode_active() && code.long_mode();
    if (!to_64 || privilege == 3) cpu.raise(kGeneralProtection, 0);
    return null_segment(selector);
  }
  return check_stack_segment(cpu, selector, privilege, kGeneralProtection);
}

unsigned stack_size_of(const Cpu& cpu, const Descriptor& code, const Segment& stack) {
  if (cpu.long_mode_active() && code.long_mode()) return 8;
  return stack.big() ? 4 : 2;
}

void return_real(Cpu& cpu, unsigned size, uint16_t release) {
  StackReader stack = stack_reader(cpu);
  stack.require(cpu, 2 * size);
  const uint64_t offset = stack.pop(cpu, size);
  const auto selector = static_cast<uint16_t>(stack.pop(cpu, size));
  check_code_offset(cpu, cpu.segments[kCs], offset);
  set_stack_pointer(cpu, stack.pointer + release, cpu.stack_address_size());
  load_real_code_segment(cpu, selector);
  cpu.registers[kRip] = offset;
  cpu.mode_changed();
}

// What IRET may change of RFLAGS at this privilege (SDM vol. 2, IRET).
uint64_t writable_flags(const Cpu& cpu, unsigned size) {
  uint64_t mask = rflags::kArithmetic | rflags::kTf | rflags::kDf | rflags::kNt;
  if (size != 2) mask |= rflags::kRf | rflags::kAc | rflags::kId;
  if (cpu.cpl <= cpu.iopl() || !cpu.protected_mode()) mask |= rflags::kIf;
  if (cpu.cpl == 0) {
    mask |= rflags::kIopl;
    if (size != 2) mask |= rflags::kVif | rflags::kVip;
  }
  return mask;
}

void set_return_flags(Cpu& cpu, uint64_t image, uint64_t mask, unsigned size) {
  const bool stepping = (cpu.system_flags & rflags::kTf) != 0;
  set_rflags_value(cpu, (rflags_value(cpu) & ~mask) | (image & mask));
  // RF only matters to a breakpoint at the instruction that follows, and shows in the frame of a single-step trap.
  constexpr uint64_t kBreakpointEnables = 0xFF;
  const bool observable = stepping || (cpu.dr[7] & kBreakpointEnables) != 0 || (cpu.system_flags & rflags::kTf) != 0;
  if (size == 2 || !observable) cpu.system_flags &= ~rflags::kRf;
  cpu.trace.resume_flag_loaded = true;
  cpu.recheck_interrupts();
}

void interrupt_return_real(Cpu& cpu, unsigned size) {
  if (cpu.virtual_8086() && cpu.iopl() < 3) cpu.raise(kGeneralProtection, 0);
  if (size == 8) size = 4;
  StackReader stack = stack_reader(cpu);
  stack.require(cpu, 3 * size);
  const uint64_t offset = stack.pop(cpu, size);
  const auto selector = static_cast<uint16_t>(stack.pop(cpu, size));
  const uint64_t image = stack.pop(cpu, size);
  check_code_offset(cpu, cpu.segments[kCs], offset);
  uint64_t mask = writable_flags(cpu, size);
  if (cpu.virtual_8086()) mask &= ~rflags::kIopl;
  set_stack_pointer(cpu, stack.pointer, cpu.stack_address_size());
  load_real_code_segment(cpu, selector);
  set_return_flags(cpu, image, mask, size);
  cpu.registers[kRip] = offset;
  cpu.mode_changed();
}

void return_to_virtual_8086(Cpu& cpu, StackReader stack, uint64_t offset, uint16_t selector, uint64_t image) {
  stack.require(cpu, 24);
  const uint64_t pointer = stack.pop(cpu, 4);
  std::array<uint16_t, 5> selectors;
  for (uint16_t& value : selectors) value = static_cast<uint16_t>(stack.pop(cpu, 4));
  const Segment code = virtual_8086_segment(selector);
  check_code_offset(cpu, code, offset);
  constexpr std::array<SegmentRegister, 5> kOrder = {kSs, kEs, kDs, kFs, kGs};
  cpu.segments[kCs] = code;
  for (unsigned i = 0; i < kOrder.size(); ++i) cpu.segments[kOrder[i]] = virtual_8086_segment(selectors[i]);
  set_return_flags(cpu, image, writable_flags(cpu, 4) | rflags::kVm, 4);
  cpu.registers[kRsp] = pointer;
  cpu.cpl = 3;
  cpu.registers[kRip] = offset;
  cpu.mode_changed();
}

void return_from_nested_task(Cpu& cpu, uint64_t next) {
  if (cpu.long_mode_active()) cpu.raise(kGeneralProtection, 0);
  const auto link = static_cast<uint16_t>(cpu.mmu().load_slow(cpu.tr.base & 0xFFFFFFFF, 2, Protection::Supervisor));
  switch_to_task(cpu, link, check_task_segment(cpu, link, TaskSwitch::Return), TaskSwitch::Return, next);
}

}  // namespace

void far_jump(Cpu& cpu, uint16_t selector, uint64_t offset, unsigned size, uint64_t next) {
  if (size == 2) offset &= 0xFFFF;
  if (real_addressing(cpu)) {
    check_code_offset(cpu, cpu.segments[kCs], offset);
    load_real_code_segment(cpu, selector);
    cpu.registers[kRip] = offset;
    cpu.mode_changed();
    return;
  }
  Descriptor target = read_far_target(cpu, selector);
  if (!target.system()) {
    check_code_offset(cpu, make_segment(selector, target), offset);
    mark_accessed(cpu, target);
    enter_code(cpu, selector, target, cpu.cpl, offset);
  } else if (is_call_gate(cpu, target)) {
    jump_through_gate(cpu, selector, target);
  } else if (!far_to_task(cpu, selector, target, TaskSwitch::Jump, next)) {
    cpu.raise(kGeneralProtection, selector_error(selector));
  }
}

void far_call(Cpu& cpu, uint16_t selector, uint64_t offset, unsigned size, uint64_t next) {
  if (size == 2) offset &= 0xFFFF;
  if (real_addressing(cpu)) {
    FrameStack stack = current_stack(cpu);
    stack.require_room(cpu, 2 * size);
    check_code_offset(cpu, cpu.segments[kCs], offset);
    stack.push(cpu, cpu.segments[kCs].selector, size);
    stack.push(cpu, next, size);
    commit_stack_pointer(cpu, stack);
    load_real_code_segment(cpu, selector);
    cpu.registers[kRip] = offset;
    cpu.mode_changed();
    return;
  }
  Descriptor target = read_far_target(cpu, selector);
  if (!target.system()) {
    call_same(cpu, selector, target, offset, size, next);
  } else if (is_call_gate(cpu, target)) {
    call_through_gate(cpu, selector, target, next);
  } else if (!far_to_task(cpu, selector, target, TaskSwitch::Call, next)) {
    cpu.raise(kGeneralProtection, selector_error(selector));
  }
}

void far_return(Cpu& cpu, unsigned size, uint16_t release) {
  if (real_addressing(cpu)) {
    return_real(cpu, size, release);
    return;
  }
  StackReader stack = stack_reader(cpu);
  stack.require(cpu, 2 * size);
  const uint64_t offset = stack.pop(cpu, size);
  const auto selector = static_cast<uint16_t>(stack.pop(cpu, size));
  Descriptor code = return_code(cpu, selector);
  const unsigned privilege = requested_privilege(selector);
  if (privilege == cpu.cpl) {
    check_code_offset(cpu, make_segment(selector, code), offset);
    mark_accessed(cpu, code);
    set_stack_pointer(cpu, stack.pointer + release, cpu.stack_address_size());
    enter_code(cpu, selector, code, privilege, offset);
    return;
  }
  stack.pointer += release;
  stack.require(cpu, 2 * size);
  const uint64_t pointer = stack.pop(cpu, size);
  const auto stack_selector = static_cast<uint16_t>(stack.pop(cpu, size));
  const Segment outer = return_stack(cpu, stack_selector, code, privilege);
  check_code_offset(cpu, make_segment(selector, code), offset);
  mark_accessed(cpu, code);
  cpu.segments[kSs] = outer;
  set_stack_pointer(cpu, pointer + release, stack_size_of(cpu, code, outer));
  enter_code(cpu, selector, code, privilege, offset);
  drop_inner_segments(cpu);
  cpu.mode_changed();
}

void interrupt_return(Cpu& cpu, unsigned size, uint64_t next) {
  // NMIs are unblocked even where IRET faults (SDM vol. 3, 6.7.1).
  cpu.nmi_blocked = false;
  cpu.recheck_interrupts();
  if (real_addressing(cpu)) {
    interrupt_return_real(cpu, size);
    return;
  }
  if ((cpu.system_flags & rflags::kNt) != 0) {
    return_from_nested_task(cpu, next);
    return;
  }
  const bool from_64 = cpu.code_64();
  StackReader stack = stack_reader(cpu);
  stack.require(cpu, (from_64 ? 5 : 3) * size);
  const uint64_t offset = stack.pop(cpu, size);
  const auto selector = static_cast<uint16_t>(stack.pop(cpu, size));
  const uint64_t image = stack.pop(cpu, size);
  if (size == 4 && (image & rflags::kVm) != 0 && cpu.cpl == 0 && !cpu.long_mode_active()) {
    return_to_virtual_8086(cpu, stack, offset, selector, image);
    return;
  }
  Descriptor code = return_code(cpu, selector);
  const unsigned privilege = requested_privilege(selector);
  const bool outer = privilege != cpu.cpl;
  const uint64_t mask = writable_flags(cpu, size);
  check_code_offset(cpu, make_segment(selector, code), offset);
  Segment new_stack = cpu.segments[kSs];
  uint64_t pointer = stack.pointer;
  if (outer || from_64) {
    stack.require(cpu, 2 * size);
    pointer = stack.pop(cpu, size);
    new_stack = return_stack(cpu, static_cast<uint16_t>(stack.pop(cpu, size)), code, privilege);
  }
  mark_accessed(cpu, code);
  set_return_flags(cpu, image, mask, size);
  set_stack_pointer(cpu, pointer, outer || from_64 ? stack_size_of(cpu, code, new_stack) : cpu.stack_address_size());
  cpu.segments[kSs] = new_stack;
  enter_code(cpu, selector, code, privilege, offset);
  if (outer) drop_inner_segments(cpu);
  cpu.mode_changed();
}

}  // namespace calco::cpu
