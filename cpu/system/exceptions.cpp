#include "cpu/system/exceptions.h"

#include "cpu/mmu/access.h"
#include "cpu/system/debug.h"
#include "cpu/system/descriptors.h"
#include "cpu/system/task_switch.h"

namespace calco::cpu {

namespace {

struct Event {
  uint8_t vector = 0;
  InterruptSource source = InterruptSource::Exception;
  bool has_error = false;
  uint32_t error = 0;
  uint64_t return_address = 0;
  uint64_t flags = 0;  // RFLAGS image to be saved

  // INT n, INT3 and INTO are subject to the gate's privilege; INT1 is not (SDM vol. 2, INT n).
  bool is_software() const {
    return source == InterruptSource::SoftwareInt || source == InterruptSource::Int3 || source == InterruptSource::Into;
  }
};

// The error code that names an IDT entry (SDM vol. 3, figure 6-7); EXT is added by handle_fault().
uint32_t gate_error(const Event& event) { return event.vector * 8u + 2; }

bool is_contributory(uint8_t vector) {
  return vector == kDivideError || (vector >= kInvalidTss && vector <= kGeneralProtection);
}

bool makes_double_fault(uint8_t first, uint8_t second) {
  if (is_contributory(first)) return is_contributory(second);
  return first == kPageFault && (is_contributory(second) || second == kPageFault);
}

bool has_selector_error(uint8_t vector) { return vector >= kInvalidTss && vector <= kGeneralProtection; }

// Enters the handler: what all protected-mode deliveries through a gate have in common after their checks.
void enter_handler(Cpu& cpu, Segment code, unsigned privilege, uint64_t offset, bool interrupt_gate) {
  code.selector = static_cast<uint16_t>((code.selector & 0xFFFC) | privilege);
  cpu.segments[kCs] = code;
  cpu.cpl = static_cast<uint8_t>(privilege);
  cpu.system_flags &= ~(rflags::kTf | rflags::kNt | rflags::kRf | rflags::kVm);
  if (interrupt_gate) cpu.system_flags &= ~rflags::kIf;
  cpu.registers[kRip] = offset;
  cpu.mode_changed();
}

void deliver_real(Cpu& cpu, const Event& event) {
  if (event.vector * 4u + 3 > cpu.idtr.limit) cpu.raise(kGeneralProtection, gate_error(event));
  const auto entry = load_supervisor<uint32_t>(cpu, cpu.idtr.base + event.vector * 4u);
  FrameStack stack = current_stack(cpu);
  stack.require_room(cpu, 6);
  stack.push(cpu, event.flags, 2);
  stack.push(cpu, cpu.segments[kCs].selector, 2);
  stack.push(cpu, event.return_address, 2);
  commit_stack_pointer(cpu, stack);
  load_real_segment(cpu, kCs, static_cast<uint16_t>(entry >> 16));
  cpu.system_flags &= ~(rflags::kIf | rflags::kTf | rflags::kRf | rflags::kAc);
  cpu.registers[kRip] = entry & 0xFFFF;
  cpu.mode_changed();
}

void deliver_task_gate(Cpu& cpu, const Event& event, const Descriptor& gate) {
  const uint16_t selector = gate.gate_selector();
  const Descriptor task = check_task_segment(cpu, selector, TaskSwitch::Interrupt);
  switch_task(cpu, selector, task, TaskSwitch::Interrupt, event.return_address, event.flags);
  if (event.has_error) {
    const unsigned size = (cpu.tr.type() & 8) != 0 ? 4 : 2;
    FrameStack stack = current_stack(cpu);
    stack.require_room(cpu, size);
    stack.push(cpu, event.error, size);
    commit_stack_pointer(cpu, stack);
  }
  check_new_task_instruction_pointer(cpu);
}

// The code segment that a gate names, after the checks of SDM vol. 3, 6.12.1.1.
Descriptor handler_code(Cpu& cpu, uint16_t selector) {
  if (is_null(selector)) cpu.raise(kGeneralProtection, 0);
  const Descriptor code = require_descriptor(cpu, selector, kGeneralProtection);
  const uint32_t error = selector_error(selector);
  if (!code.is_code() || code.privilege() > cpu.cpl) cpu.raise(kGeneralProtection, error);
  if (cpu.long_mode_active() && (!code.long_mode() || code.big())) cpu.raise(kGeneralProtection, error);
  if (!code.present()) cpu.raise(kSegmentNotPresent, error);
  return code;
}

void deliver_long(Cpu& cpu, const Event& event) {
  const uint32_t entry = event.vector * 16u;
  if (entry + 15 > cpu.idtr.limit) cpu.raise(kGeneralProtection, gate_error(event));
  const Descriptor gate = read_descriptor_at(cpu, cpu.idtr.base + entry, 16);
  const unsigned type = gate.type();
  if (!gate.system() || (type != system_type::kInterruptGate32 && type != system_type::kTrapGate32)) {
    cpu.raise(kGeneralProtection, gate_error(event));
  }
  if (event.is_software() && gate.privilege() < cpu.cpl) cpu.raise(kGeneralProtection, gate_error(event));
  if (!gate.present()) cpu.raise(kSegmentNotPresent, gate_error(event));

  const uint16_t selector = gate.gate_selector();
  Descriptor code = handler_code(cpu, selector);
  const unsigned privilege = code.is_conforming_code() ? cpu.cpl : code.privilege();
  const unsigned ist = gate.high & 7;
  FrameStack stack = current_stack(cpu);
  stack.address_size = 8;
  if (privilege < cpu.cpl) {
    stack = inner_stack_64(cpu, privilege, ist);
  } else if (ist != 0) {
    stack.pointer = inner_stack_64(cpu, privilege, ist).pointer;
  }
  stack.pointer &= ~uint64_t{15};
  stack.require_room(cpu, event.has_error ? 48 : 40);
  const Segment segment = make_segment(selector, code);
  const uint64_t offset = gate.gate_offset_64();
  check_code_offset(cpu, segment, offset);

  stack.push(cpu, cpu.segments[kSs].selector, 8);
  stack.push(cpu, cpu.registers[kRsp], 8);
  stack.push(cpu, event.flags, 8);
  stack.push(cpu, cpu.segments[kCs].selector, 8);
  stack.push(cpu, event.return_address, 8);
  if (event.has_error) stack.push(cpu, event.error, 8);
  mark_accessed(cpu, code);
  if (privilege < cpu.cpl) cpu.segments[kSs] = stack.segment;
  commit_stack_pointer(cpu, stack);
  enter_handler(cpu, make_segment(selector, code), privilege, offset, type == system_type::kInterruptGate32);
}

void push_return_frame(Cpu& cpu, FrameStack& stack, const Event& event, unsigned size) {
  stack.push(cpu, event.flags, size);
  stack.push(cpu, cpu.segments[kCs].selector, size);
  stack.push(cpu, event.return_address, size);
  if (event.has_error) stack.push(cpu, event.error, size);
}

void deliver_protected(Cpu& cpu, const Event& event) {
  const uint32_t entry = event.vector * 8u;
  if (entry + 7 > cpu.idtr.limit) cpu.raise(kGeneralProtection, gate_error(event));
  const Descriptor gate = read_descriptor_at(cpu, (cpu.idtr.base + entry) & 0xFFFFFFFF, 8);
  const unsigned type = gate.type();
  const bool is_task_gate = type == system_type::kTaskGate;
  const bool is_gate = (type & ~8u) == system_type::kInterruptGate16 || (type & ~8u) == system_type::kTrapGate16;
  if (!gate.system() || (!is_task_gate && !is_gate)) cpu.raise(kGeneralProtection, gate_error(event));
  if (event.is_software() && gate.privilege() < cpu.cpl) cpu.raise(kGeneralProtection, gate_error(event));
  if (!gate.present()) cpu.raise(kSegmentNotPresent, gate_error(event));
  if (is_task_gate) {
    deliver_task_gate(cpu, event, gate);
    return;
  }

  const unsigned size = (type & 8) != 0 ? 4 : 2;
  const uint16_t selector = gate.gate_selector();
  Descriptor code = handler_code(cpu, selector);
  const uint64_t offset = size == 4 ? gate.gate_offset() : gate.gate_offset() & 0xFFFF;
  const Segment segment = make_segment(selector, code);
  const unsigned privilege = code.is_conforming_code() ? cpu.cpl : code.privilege();
  const bool from_virtual_8086 = cpu.virtual_8086();
  if (from_virtual_8086 && privilege != 0) cpu.raise(kGeneralProtection, selector_error(selector));

  const bool inner = privilege < cpu.cpl;
  FrameStack stack = inner ? inner_stack(cpu, privilege) : current_stack(cpu);
  const unsigned words = (inner ? 5 : 3) + (from_virtual_8086 ? 4 : 0) + (event.has_error ? 1 : 0);
  stack.require_room(cpu, words * size);
  check_code_offset(cpu, segment, offset);
  if (from_virtual_8086) {
    for (const SegmentRegister which : {kGs, kFs, kDs, kEs}) stack.push(cpu, cpu.segments[which].selector, size);
  }
  if (inner) {
    stack.push(cpu, cpu.segments[kSs].selector, size);
    stack.push(cpu, cpu.registers[kRsp], size);
  }
  push_return_frame(cpu, stack, event, size);
  mark_accessed(cpu, code);
  if (from_virtual_8086) {
    for (const SegmentRegister which : {kGs, kFs, kDs, kEs}) cpu.segments[which] = null_segment(0);
  }
  if (inner) cpu.segments[kSs] = stack.segment;
  commit_stack_pointer(cpu, stack);
  enter_handler(cpu, make_segment(selector, code), privilege, offset, (type & 1) == 0);
}

void log_event(Cpu& cpu, const Event& event) {
  if (!cpu.log().enabled(LogItem::Interrupts)) return;
  cpu.log().print(
      LogItem::Interrupts, "CPU {}: v={:02x} e={:04x} i={} cpl={} IP={:04x}:{:016x} SP={:04x}:{:016x} CR2={:016x}",
      cpu.environment().index, event.vector, event.error, event.is_software() ? 1 : 0, cpu.cpl,
      cpu.segments[kCs].selector, event.return_address, cpu.segments[kSs].selector, cpu.registers[kRsp], cpu.cr2);
}

void deliver(Cpu& cpu, const Event& event) {
  log_event(cpu, event);
  cpu.delivery = {true, !event.is_software(), event.source == InterruptSource::Exception, event.vector};
  // INT n in virtual-8086 mode is sensitive to IOPL (SDM vol. 3, 20.3; without CR4.VME).
  if (event.source == InterruptSource::SoftwareInt && cpu.virtual_8086() && cpu.iopl() < 3) {
    cpu.raise(kGeneralProtection, 0);
  }
  if (!cpu.protected_mode()) {
    deliver_real(cpu, event);
  } else if (cpu.long_mode_active()) {
    deliver_long(cpu, event);
  } else {
    deliver_protected(cpu, event);
  }
  cpu.delivery.active = false;
  cpu.interrupt_shadow = false;
  cpu.debug_shadow = false;
  cpu.trace.no_single_step = true;
  cpu.trace.general_detect = false;
  if (event.source == InterruptSource::Nmi) cpu.nmi_blocked = true;
  if (event.vector == kDebug && event.source == InterruptSource::Exception) cpu.dr[7] &= ~dr7::kGeneralDetect;
}

void shut_down(Cpu& cpu) {
  cpu.delivery.active = false;
  cpu.log().print(LogItem::Interrupts, "CPU {}: triple fault at {:04x}:{:016x}", cpu.environment().index,
                  cpu.segments[kCs].selector, cpu.instruction_pointer());
  cpu.activity = Activity::Shutdown;
  cpu.environment().triple_fault();
}

// RF in the saved image: set for faults, so that the instruction's breakpoint does not hit again on return; the
// breakpoint's own #DB leaves it (SDM vol. 3, 17.3.1.1).
bool sets_resume_flag(const Cpu& cpu, uint8_t vector) {
  if (vector == kDebug) return cpu.trace.general_detect;
  return vector != kDoubleFault && vector != kMachineCheck;
}

}  // namespace

void handle_fault(Cpu& cpu, Vector vector, bool has_error, uint32_t error) {
  const EventDelivery first = cpu.delivery;
  if (!first.active) {  // traps of an instruction that did not complete are not taken
    cpu.pending_debug_trap = false;
    cpu.pending_debug_status = 0;
  }
  if (first.active && first.external && has_selector_error(vector)) error |= 1;
  if (first.active && first.exception) {
    if (first.vector == kDoubleFault && (is_contributory(vector) || vector == kPageFault)) {
      shut_down(cpu);
      return;
    }
    if (makes_double_fault(first.vector, vector)) {
      vector = kDoubleFault;
      has_error = true;
      error = 0;
    }
  }
  Event event{vector, InterruptSource::Exception, has_error, error, cpu.instruction_pointer(), rflags_value(cpu)};
  if (sets_resume_flag(cpu, vector)) event.flags |= rflags::kRf;
  deliver(cpu, event);
}

void deliver_exception(Cpu& cpu, Vector vector, bool has_error, uint32_t error) {
  deliver(cpu, {vector, InterruptSource::Exception, has_error, error, cpu.instruction_pointer(), rflags_value(cpu)});
}

void deliver_interrupt(Cpu& cpu, uint8_t vector, InterruptSource source) {
  Event event{vector, source, false, 0, 0, rflags_value(cpu)};
  // INT1 is a trap as well: all four return behind the instruction.
  const bool by_instruction = event.is_software() || source == InterruptSource::Icebp;
  if (by_instruction) event.flags &= ~rflags::kRf;  // the instruction has ended what RF stood for
  event.return_address = by_instruction ? cpu.next_instruction_pointer(*cpu.current_op) : cpu.instruction_pointer();
  deliver(cpu, event);
}

}  // namespace calco::cpu
