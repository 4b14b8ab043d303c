// Far transfers, software interrupts and fast system calls.
#include "cpu/exec/handlers.h"
#include "cpu/exec/system_operand.h"
#include "cpu/system/cpu_model.h"
#include "cpu/system/debug.h"
#include "cpu/system/descriptors.h"
#include "cpu/system/exceptions.h"
#include "cpu/system/far_transfer.h"

namespace calco::cpu {

namespace {

using decode::Mnemonic;

// --- JMP, CALL, RET, IRET --------------------------------------------------------------------------------------------

FarPointer far_pointer(Cpu& cpu, const Op& op) {
  if (op.is_memory) return load_far_pointer(cpu, op);
  return {static_cast<uint32_t>(op.immediate), static_cast<uint16_t>(op.immediate >> 32)};
}

void jmp_far(Cpu& cpu, const Op& op) {
  const FarPointer target = far_pointer(cpu, op);
  far_jump(cpu, target.selector, target.offset, op.operand_size, cpu.next_instruction_pointer(op));
}

void call_far(Cpu& cpu, const Op& op) {
  const FarPointer target = far_pointer(cpu, op);
  far_call(cpu, target.selector, target.offset, op.operand_size, cpu.next_instruction_pointer(op));
}

void ret_far(Cpu& cpu, const Op& op) { far_return(cpu, op.operand_size, static_cast<uint16_t>(op.immediate)); }

void iret(Cpu& cpu, const Op& op) { interrupt_return(cpu, op.operand_size, cpu.next_instruction_pointer(op)); }

// --- Software interrupts ---------------------------------------------------------------------------------------------

void int_n(Cpu& cpu, const Op& op) {
  deliver_interrupt(cpu, static_cast<uint8_t>(op.immediate), InterruptSource::SoftwareInt);
}

void int3(Cpu& cpu, const Op&) { deliver_interrupt(cpu, kBreakpoint, InterruptSource::Int3); }

// One debug exception for INT1 and for what MOV SS before it held back.
void int1(Cpu& cpu, const Op&) {
  report_pending_traps(cpu);
  deliver_interrupt(cpu, kDebug, InterruptSource::Icebp);
}

void into(Cpu& cpu, const Op& op) {
  if ((arithmetic_flags(cpu.flags) & rflags::kOf) != 0) {
    deliver_interrupt(cpu, kOverflow, InterruptSource::Into);
  } else {
    cpu.registers[kRip] = cpu.next_instruction_pointer(op);
  }
}

// --- Fast system calls
// -------------------------------------------------------------------------------------------------

// Flat segments as SYSCALL, SYSRET, SYSENTER and SYSEXIT load them without looking at a table.
constexpr uint16_t kFlatCommon = Segment::kP | Segment::kS | Segment::kG;
constexpr uint16_t kFlatCode32 = kFlatCommon | Segment::kDb | 0xB;
constexpr uint16_t kFlatCode64 = kFlatCommon | Segment::kL | 0xB;
constexpr uint16_t kFlatData = kFlatCommon | Segment::kDb | 3;
constexpr uint16_t kUserPrivilege = 3u << Segment::kDplShift;

void load_kernel_segments(Cpu& cpu, uint16_t code, uint16_t stack, bool code_64) {
  cpu.segments[kCs] = flat_segment(code & 0xFFFC, code_64 ? kFlatCode64 : kFlatCode32);
  cpu.segments[kSs] = flat_segment(stack & 0xFFFC, kFlatData);
  cpu.cpl = 0;
}

void load_user_segments(Cpu& cpu, uint16_t code, uint16_t stack, bool code_64) {
  const uint16_t attributes = code_64 ? kFlatCode64 : kFlatCode32;
  cpu.segments[kCs] = flat_segment(code | 3, attributes | kUserPrivilege);
  cpu.segments[kSs] = flat_segment(stack | 3, kFlatData | kUserPrivilege);
  cpu.cpl = 3;
}

void finish_transfer(Cpu& cpu, uint64_t rip) {
  cpu.registers[kRip] = rip;
  cpu.mode_changed();
  cpu.recheck_interrupts();
}

// SYSCALL of AMD processors outside of IA-32e mode (APM vol. 2, 6.1.1).
void legacy_syscall(Cpu& cpu, uint64_t next) {
  cpu.registers[kRcx] = next & 0xFFFFFFFF;
  const auto selector = static_cast<uint16_t>(cpu.star >> 32);
  load_kernel_segments(cpu, selector, static_cast<uint16_t>(selector + 8), false);
  cpu.system_flags &= ~(rflags::kVm | rflags::kIf | rflags::kRf);
  finish_transfer(cpu, cpu.star & 0xFFFFFFFF);
}

// Intel's SYSCALL exists in 64-bit code only; AMD's everywhere in protected mode, with CSTAR for compatibility code.
void syscall(Cpu& cpu, const Op& op) {
  if ((cpu.efer & efer::kSce) == 0 || !cpu.protected_mode()) cpu.raise(kInvalidOpcode);
  const bool from_64 = cpu.code_64();
  if (!from_64 && cpu.model().is_intel()) cpu.raise(kInvalidOpcode);
  const uint64_t next = cpu.next_instruction_pointer(op);
  if (!cpu.long_mode_active()) {
    legacy_syscall(cpu, next);
    return;
  }
  const uint64_t saved_flags = rflags_value(cpu) & ~rflags::kRf;
  cpu.registers[kRcx] = next;
  cpu.registers[kR11] = saved_flags;
  const auto selector = static_cast<uint16_t>(cpu.star >> 32);
  load_kernel_segments(cpu, selector, static_cast<uint16_t>(selector + 8), true);
  set_rflags_value(cpu, saved_flags & ~(cpu.syscall_mask & 0xFFFFFFFF));
  if ((cpu.system_flags & rflags::kTf) == 0) cpu.trace.no_single_step = true;
  finish_transfer(cpu, from_64 ? cpu.lstar : cpu.cstar);
}

void sysret(Cpu& cpu, const Op& op) {
  const bool allowed = cpu.code_64() || (!cpu.model().is_intel() && cpu.protected_mode());
  if ((cpu.efer & efer::kSce) == 0 || !allowed) cpu.raise(kInvalidOpcode);
  if (cpu.cpl != 0) cpu.raise(kGeneralProtection, 0);
  const bool to_64 = op.operand_size == 8;
  const uint64_t target = to_64 ? cpu.registers[kRcx] : cpu.registers[kRcx] & 0xFFFFFFFF;
  if (to_64 && !canonical(target)) cpu.raise(kGeneralProtection, 0);
  const auto base = static_cast<uint16_t>(cpu.star >> 48);
  if (cpu.long_mode_active()) {
    constexpr uint64_t kRestored = 0x3C7FD7;
    set_rflags_value(cpu, cpu.registers[kR11] & kRestored);
  } else {
    cpu.system_flags |= rflags::kIf;
  }
  load_user_segments(cpu, static_cast<uint16_t>(to_64 ? base + 16 : base), static_cast<uint16_t>(base + 8), to_64);
  finish_transfer(cpu, target);
}

// AMD processors have SYSENTER and SYSEXIT in legacy mode only (APM vol. 3).
void check_sysenter(Cpu& cpu) {
  if (cpu.long_mode_active() && !cpu.model().is_intel()) cpu.raise(kInvalidOpcode);
  if (!cpu.protected_mode() || (cpu.sysenter_cs & 0xFFFC) == 0) cpu.raise(kGeneralProtection, 0);
}

void sysenter(Cpu& cpu, const Op&) {
  check_sysenter(cpu);
  const bool wide = cpu.long_mode_active();
  const auto selector = static_cast<uint16_t>(cpu.sysenter_cs & 0xFFFC);
  cpu.system_flags &= ~(rflags::kVm | rflags::kIf | rflags::kRf);
  load_kernel_segments(cpu, selector, static_cast<uint16_t>(selector + 8), wide);
  cpu.registers[kRsp] = wide ? cpu.sysenter_esp : cpu.sysenter_esp & 0xFFFFFFFF;
  finish_transfer(cpu, wide ? cpu.sysenter_eip : cpu.sysenter_eip & 0xFFFFFFFF);
}

void sysexit(Cpu& cpu, const Op& op) {
  if (cpu.protected_mode() && cpu.cpl != 0) cpu.raise(kGeneralProtection, 0);
  check_sysenter(cpu);
  const bool to_64 = op.operand_size == 8;
  const uint64_t mask = to_64 ? ~uint64_t{0} : 0xFFFFFFFF;
  const uint64_t rip = cpu.registers[kRdx] & mask;
  const uint64_t rsp = cpu.registers[kRcx] & mask;
  if (to_64 && (!canonical(rip) || !canonical(rsp))) cpu.raise(kGeneralProtection, 0);
  const auto base = static_cast<uint16_t>(cpu.sysenter_cs + (to_64 ? 32 : 16));
  load_user_segments(cpu, base, static_cast<uint16_t>(base + 8), to_64);
  cpu.registers[kRsp] = rsp;
  finish_transfer(cpu, rip);
}

}  // namespace

Selection select_far(const decode::Instruction& instruction, Op& op) {
  op.operand_size = instruction.operand_size;
  switch (instruction.mnemonic) {
    case Mnemonic::JmpFar:
      return select_transfer<jmp_far>();
    case Mnemonic::CallFar:
      return select_transfer<call_far>();
    case Mnemonic::RetFar:
      return select_transfer<ret_far>();
    case Mnemonic::Iret:
      return select_transfer<iret>();
    case Mnemonic::Int:
      return select_transfer<int_n>();
    case Mnemonic::Int3:
      return select_transfer<int3>();
    case Mnemonic::Int1:
      return select_transfer<int1>();
    case Mnemonic::Into:
      return select_transfer<into>();
    case Mnemonic::Syscall:
      return select_transfer<syscall>();
    case Mnemonic::Sysret:
      return select_transfer<sysret>();
    case Mnemonic::Sysenter:
      return select_transfer<sysenter>();
    case Mnemonic::Sysexit:
      return select_transfer<sysexit>();
    default:
      return {};
  }
}

}  // namespace calco::cpu
