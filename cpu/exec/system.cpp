// System instructions: control and debug registers, descriptor table registers, MSRs, time, caches, HLT.
#include <sys/random.h>

#include <atomic>

#include "cpu/exec/handlers.h"
#include "cpu/exec/system_operand.h"
#include "cpu/system/control_registers.h"
#include "cpu/system/cpu_model.h"
#include "cpu/system/debug.h"
#include "cpu/system/descriptors.h"
#include "cpu/system/msr.h"
#include "cpu/system/smm.h"

namespace calco::cpu {

namespace {

using decode::Mnemonic;
using decode::OperandKind;

void undefined(Cpu& cpu, const Op&) { cpu.raise(kInvalidOpcode); }

void nothing(Cpu&, const Op&) {}

// A result of two halves, as RDTSC, RDMSR and the like give it in EDX:EAX.
void write_edx_eax(Cpu& cpu, uint64_t value) {
  cpu.registers[kRax] = value & 0xFFFFFFFF;
  cpu.registers[kRdx] = value >> 32;
}

uint64_t read_edx_eax(const Cpu& cpu) { return (cpu.registers[kRax] & 0xFFFFFFFF) | cpu.registers[kRdx] << 32; }

// --- Control registers
// -------------------------------------------------------------------------------------------------

template <unsigned kNumber>
void mov_from_control(Cpu& cpu, const Op& op) {
  require_ring_0(cpu);
  uint64_t value;
  if constexpr (kNumber == 0) {
    value = cpu.cr0;
  } else if constexpr (kNumber == 2) {
    value = cpu.cr2;
  } else if constexpr (kNumber == 3) {
    value = cpu.cr3;
  } else if constexpr (kNumber == 4) {
    value = cpu.cr4;
  } else {
    cpu.note_outside(StoreJournal::kSystem);
    value = cpu.environment().apic.task_priority_class();
  }
  write_sized(cpu, op.rm, op.operand_size, value);
}

template <unsigned kNumber>
void mov_to_control(Cpu& cpu, const Op& op) {
  require_ring_0(cpu);
  const auto source = read_register<uint64_t>(cpu, op.rm);
  const uint64_t value = op.operand_size == 8 ? source : source & 0xFFFFFFFF;
  if constexpr (kNumber == 0) {
    write_cr0(cpu, value);
  } else if constexpr (kNumber == 2) {
    cpu.cr2 = value;
  } else if constexpr (kNumber == 3) {
    write_cr3(cpu, value);
  } else if constexpr (kNumber == 4) {
    write_cr4(cpu, value);
  } else {
    write_cr8(cpu, value);
  }
}

Selection select_control_register(bool to_control, unsigned number) {
  switch (number) {
    case 0:
      return to_control ? select_ending<mov_to_control<0>>() : select_plain<mov_from_control<0>>();
    case 2:
      return to_control ? select_ending<mov_to_control<2>>() : select_plain<mov_from_control<2>>();
    case 3:
      return to_control ? select_ending<mov_to_control<3>>() : select_plain<mov_from_control<3>>();
    case 4:
      return to_control ? select_ending<mov_to_control<4>>() : select_plain<mov_from_control<4>>();
    case 8:
      return to_control ? select_ending<mov_to_control<8>>() : select_plain<mov_from_control<8>>();
    default:
      return select_plain<undefined>();
  }
}

void smsw(Cpu& cpu, const Op& op) {
  require_ring_0_under_umip(cpu);
  if (op.is_memory) {
    store_operand<uint16_t>(cpu, op, static_cast<uint16_t>(cpu.cr0));
  } else {
    write_sized(cpu, op.rm, op.operand_size, cpu.cr0);
  }
}

// PE, MP, EM and TS; PE can only be set.
void lmsw(Cpu& cpu, const Op& op) {
  constexpr uint64_t kLoaded = cr0::kPe | cr0::kMp | cr0::kEm | cr0::kTs;
  require_ring_0(cpu);
  const uint64_t value = (read_rm<uint16_t>(cpu, op) & kLoaded) | (cpu.cr0 & cr0::kPe);
  write_cr0(cpu, (cpu.cr0 & ~kLoaded) | value);
}

void clts(Cpu& cpu, const Op&) {
  require_ring_0(cpu);
  cpu.cr0 &= ~cr0::kTs;
  cpu.mode_changed();
}

// --- Debug registers (SDM vol. 3, 17.2)
// ------------------------------------------------------------------------------------

// DR4 and DR5 are DR6 and DR7 unless CR4.DE makes them #UD.
unsigned checked_debug_register(Cpu& cpu, unsigned number) {
  require_ring_0(cpu);
  if (number == 4 || number == 5) {
    if ((cpu.cr4 & cr4::kDe) != 0) cpu.raise(kInvalidOpcode);
    number += 2;
  }
  if ((cpu.dr[7] & dr7::kGeneralDetect) != 0) {
    report_debug_status(cpu, dr6::kGeneralDetect);
    cpu.trace.general_detect = true;
    cpu.raise(kDebug);
  }
  return number;
}

void mov_from_debug(Cpu& cpu, const Op& op) {
  const unsigned number = checked_debug_register(cpu, op.reg);
  write_sized(cpu, op.rm, op.operand_size, debug_register_value(cpu, number));
}

void mov_to_debug(Cpu& cpu, const Op& op) {
  const unsigned number = checked_debug_register(cpu, op.reg);
  const auto source = read_register<uint64_t>(cpu, op.rm);
  const uint64_t value = op.operand_size == 8 ? source : source & 0xFFFFFFFF;
  if (number >= 6 && value >> 32 != 0) cpu.raise(kGeneralProtection, 0);
  set_debug_register(cpu, number, value);
}

Selection select_mov(const decode::Instruction& instruction, Op& op) {
  const decode::Operand& first = instruction.operands[0];
  const bool to_system = first.kind != OperandKind::General;
  const decode::Operand& system = to_system ? first : instruction.operands[1];
  op.operand_size = instruction.code_64 ? 8 : 4;
  if (system.kind == OperandKind::Control) return select_control_register(to_system, system.number);
  if (system.number > 7) return select_plain<undefined>();
  return to_system ? select_ending<mov_to_debug>() : select_plain<mov_from_debug>();
}

// --- Descriptor table registers
// ----------------------------------------------------------------------------------------

void store_table(Cpu& cpu, const Op& op, const DescriptorTable& table) {
  require_ring_0_under_umip(cpu);
  const unsigned base_size = cpu.code_64() ? 8 : 4;
  const uint64_t linear = operand_linear(cpu, op, 2 + base_size, true);
  const Protection protection = cpu.mmu().current_protection();
  const bool stack = op.segment == kSs;
  const uint64_t base = cpu.wrap_linear(linear + 2);
  cpu.mmu().probe_write(base, base_size, protection, stack);
  cpu.mmu().store_slow(linear, 2, table.limit, protection, stack);
  cpu.mmu().store_slow(base, base_size, table.base, protection, stack);
}

void load_table(Cpu& cpu, const Op& op, DescriptorTable& table) {
  require_ring_0(cpu);
  const unsigned base_size = cpu.code_64() ? 8 : 4;
  const uint64_t linear = operand_linear(cpu, op, 2 + base_size, false);
  const Protection protection = cpu.mmu().current_protection();
  const bool stack = op.segment == kSs;
  const uint64_t limit = cpu.mmu().load_slow(linear, 2, protection, stack);
  uint64_t base = cpu.mmu().load_slow(cpu.wrap_linear(linear + 2), base_size, protection, stack);
  if (!canonical(base)) cpu.raise(kGeneralProtection, 0);
  if (op.operand_size == 2) base &= 0xFFFFFF;
  table.base = base;
  table.limit = static_cast<uint16_t>(limit);
}

void sgdt(Cpu& cpu, const Op& op) { store_table(cpu, op, cpu.gdtr); }
void sidt(Cpu& cpu, const Op& op) { store_table(cpu, op, cpu.idtr); }
void lgdt(Cpu& cpu, const Op& op) { load_table(cpu, op, cpu.gdtr); }
void lidt(Cpu& cpu, const Op& op) { load_table(cpu, op, cpu.idtr); }

// In 64-bit code the operand size attribute does not count.
template <Function F>
Selection select_table(const decode::Instruction& instruction, Op& op) {
  op.operand_size = instruction.code_64 ? 8 : instruction.operand_size;
  return select_ending<F>();
}

// --- TLB
// -----------------------------------------------------------------------------------------------------------------

// The operand's address without limit and type checks: INVLPG does not access it.
void invlpg(Cpu& cpu, const Op& op) {
  require_ring_0(cpu);
  const uint64_t linear = cpu.wrap_linear(cpu.segments[op.segment].base + effective_address(cpu, op));
  const bool unsegmented = cpu.code_64() && op.segment == kSs;
  cpu.mmu().invalidate_page(unsegmented ? effective_address(cpu, op) : linear);
}

void invpcid(Cpu& cpu, const Op& op) {
  require_ring_0(cpu);
  const auto register_value = read_register<uint64_t>(cpu, op.reg);
  const uint64_t type = cpu.code_64() ? register_value : register_value & 0xFFFFFFFF;
  const auto descriptor = load_operand<Bytes16>(cpu, op);
  const bool identifies = type <= 1;
  const bool needs_pcids = identifies && (cpu.cr4 & cr4::kPcide) == 0 && (descriptor.low & 0xFFF) != 0;
  if (type > 3 || descriptor.low >> 12 != 0 || needs_pcids || (type == 0 && !canonical(descriptor.high))) {
    cpu.raise(kGeneralProtection, 0);
  }
  const auto pcid = static_cast<uint16_t>(descriptor.low);
  switch (type) {
    case 0:
      cpu.mmu().invalidate_pcid_address(pcid, descriptor.high);
      break;
    case 1:
      cpu.mmu().invalidate_pcid(pcid);
      break;
    case 2:
      cpu.mmu().flush_all();
      break;
    default:
      cpu.mmu().invalidate_all_non_global();
      break;
  }
  cpu.mode_changed();
}

// --- MSRs, CPUID, time, chance
// -------------------------------------------------------------------------------------------

void rdmsr(Cpu& cpu, const Op&) {
  require_ring_0(cpu);
  cpu.note_outside(StoreJournal::kSystem);
  uint64_t value = 0;
  if (!read_msr(cpu, static_cast<uint32_t>(cpu.registers[kRcx]), value)) cpu.raise(kGeneralProtection, 0);
  write_edx_eax(cpu, value);
}

void wrmsr(Cpu& cpu, const Op&) {
  require_ring_0(cpu);
  cpu.note_outside(StoreJournal::kSystem);
  if (!write_msr(cpu, static_cast<uint32_t>(cpu.registers[kRcx]), read_edx_eax(cpu))) {
    cpu.raise(kGeneralProtection, 0);
  }
}

void cpuid(Cpu& cpu, const Op&) {
  const auto leaf = static_cast<uint32_t>(cpu.registers[kRax]);
  const auto subleaf = static_cast<uint32_t>(cpu.registers[kRcx]);
  const CpuidResult result = cpu.model().cpuid(leaf, subleaf, cpu);
  cpu.registers[kRax] = result.eax;
  cpu.registers[kRbx] = result.ebx;
  cpu.registers[kRcx] = result.ecx;
  cpu.registers[kRdx] = result.edx;
}

void require_time_stamp(Cpu& cpu) {
  if ((cpu.cr4 & cr4::kTsd) != 0) require_ring_0(cpu);
}

void rdtsc(Cpu& cpu, const Op&) {
  require_time_stamp(cpu);
  write_edx_eax(cpu, cpu.tsc());
}

void rdtscp(Cpu& cpu, const Op&) {
  require_time_stamp(cpu);
  write_edx_eax(cpu, cpu.tsc());
  cpu.registers[kRcx] = cpu.tsc_aux;
}

void rdpid(Cpu& cpu, const Op& op) { write_register<uint64_t>(cpu, op.rm, cpu.tsc_aux); }

// No model has performance counters: whatever ECX says is out of range.
void rdpmc(Cpu& cpu, const Op&) { cpu.raise(kGeneralProtection, 0); }

// RDRAND and RDSEED: the host's entropy; CF tells success.
void random(Cpu& cpu, const Op& op) {
  cpu.note_outside(StoreJournal::kClock);
  uint64_t value = 0;
  const bool success = getrandom(&value, sizeof(value), GRND_NONBLOCK) == sizeof(value);
  write_sized(cpu, op.rm, op.operand_size, success ? value : 0);
  set_arithmetic_flags(cpu.flags, success ? rflags::kCf : 0);
}

// --- Caches and order
// ------------------------------------------------------------------------------------------------------

void flush_caches(Cpu& cpu, const Op&) { require_ring_0(cpu); }

// CLFLUSH faults as a load of a byte does.
void flush_line(Cpu& cpu, const Op& op) {
  const uint64_t linear = operand_linear(cpu, op, 1, false);
  cpu.mmu().probe_read(linear, 1, cpu.mmu().current_protection(), op.segment == kSs);
}

void fence(Cpu&, const Op&) { std::atomic_thread_fence(std::memory_order_seq_cst); }

// --- Others
// ------------------------------------------------------------------------------------------------------------------

void hlt(Cpu& cpu, const Op&) {
  require_ring_0(cpu);
  cpu.activity = Activity::Halted;
}

void monitor(Cpu& cpu, const Op& op) {
  if (cpu.cpl != 0) cpu.raise(kInvalidOpcode);
  if ((cpu.registers[kRcx] & 0xFFFFFFFF) != 0) cpu.raise(kGeneralProtection, 0);
  const uint64_t linear = operand_linear(cpu, op, 1, false);
  cpu.mmu().probe_read(linear, 1, cpu.mmu().current_protection(), false);
}

// Wakes at once: a processor may leave MWAIT for reasons of its own (SDM vol. 2, MWAIT).
void mwait(Cpu& cpu, const Op&) {
  constexpr uint64_t kInterruptsBreak = 1;
  if (cpu.cpl != 0) cpu.raise(kInvalidOpcode);
  if ((cpu.registers[kRcx] & 0xFFFFFFFF & ~kInterruptsBreak) != 0) cpu.raise(kGeneralProtection, 0);
}

void swapgs(Cpu& cpu, const Op&) {
  require_ring_0(cpu);
  const uint64_t base = cpu.segments[kGs].base;
  cpu.segments[kGs].base = cpu.kernel_gs_base;
  cpu.kernel_gs_base = base;
}

void set_alignment_check(Cpu& cpu, bool on) {
  if (cpu.cpl != 0) cpu.raise(kInvalidOpcode);
  cpu.system_flags = on ? cpu.system_flags | rflags::kAc : cpu.system_flags & ~rflags::kAc;
  cpu.mode_changed();
}
void clac(Cpu& cpu, const Op&) { set_alignment_check(cpu, false); }
void stac(Cpu& cpu, const Op&) { set_alignment_check(cpu, true); }

void rsm(Cpu& cpu, const Op&) {
  if (!cpu.in_smm) cpu.raise(kInvalidOpcode);
  leave_smm(cpu);
}

}  // namespace

Selection select_system(const decode::Instruction& instruction, Op& op) {
  switch (instruction.mnemonic) {
    case Mnemonic::Mov:
      return select_mov(instruction, op);
    case Mnemonic::Smsw:
      return select_plain<smsw>();
    case Mnemonic::Lmsw:
      return select_ending<lmsw>();
    case Mnemonic::Clts:
      return select_ending<clts>();
    case Mnemonic::Sgdt:
      return select_plain<sgdt>();
    case Mnemonic::Sidt:
      return select_plain<sidt>();
    case Mnemonic::Lgdt:
      return select_table<lgdt>(instruction, op);
    case Mnemonic::Lidt:
      return select_table<lidt>(instruction, op);
    case Mnemonic::Invlpg:
      return select_ending<invlpg>();
    case Mnemonic::Invpcid:
      return select_ending<invpcid>();
    case Mnemonic::Rdmsr:
      return select_plain<rdmsr>();
    case Mnemonic::Wrmsr:
      return select_ending<wrmsr>();
    case Mnemonic::Cpuid:
      return select_plain<cpuid>();
    case Mnemonic::Rdtsc:
      return select_plain<rdtsc>();
    case Mnemonic::Rdtscp:
      return select_plain<rdtscp>();
    case Mnemonic::Rdpid:
      return select_plain<rdpid>();
    case Mnemonic::Rdpmc:
      return select_plain<rdpmc>();
    case Mnemonic::Rdrand:
    case Mnemonic::Rdseed:
      return select_plain<random>();
    case Mnemonic::Invd:
    case Mnemonic::Wbinvd:
    case Mnemonic::Wbnoinvd:
      return select_plain<flush_caches>();
    case Mnemonic::Clflush:
    case Mnemonic::Clflushopt:
    case Mnemonic::Clwb:
      return select_plain<flush_line>();
    case Mnemonic::Lfence:
    case Mnemonic::Mfence:
    case Mnemonic::Sfence:
      return select_plain<fence>();
    case Mnemonic::Prefetch:
    case Mnemonic::Prefetchw:
      return select_plain<nothing>();
    case Mnemonic::Hlt:
      return select_ending<hlt>();
    case Mnemonic::Monitor:
      return select_plain<monitor>();
    case Mnemonic::Mwait:
      return select_ending<mwait>();
    case Mnemonic::Swapgs:
      return select_plain<swapgs>();
    case Mnemonic::Clac:
      return select_ending<clac>();
    case Mnemonic::Stac:
      return select_ending<stac>();
    case Mnemonic::Rsm:
      return select_transfer<rsm>();
    case Mnemonic::Ud0:
    case Mnemonic::Ud1:
    case Mnemonic::Ud2:
      return select_plain<undefined>();
    default:  // VMCALL, SVM and the rest of what no model has
      return {};
  }
}

}  // namespace calco::cpu
