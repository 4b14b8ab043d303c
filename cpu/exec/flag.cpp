// CLC, STC, CMC, CLD, STD, CLI, STI, LAHF, SAHF, SALC.
#include "cpu/exec/handlers.h"
#include "cpu/exec/integer.h"
#include "cpu/exec/translation.h"
#include "cpu/mmu/access.h"

namespace calco::cpu {

namespace {

using decode::Mnemonic;

constexpr uint8_t kAhField = 1;
constexpr uint64_t kLowFlags = rflags::kSf | rflags::kZf | rflags::kAf | rflags::kPf | rflags::kCf;

void clear_carry(Cpu& cpu, const Op&) { change_arithmetic_flags(cpu.flags, rflags::kCf, 0); }
void set_carry(Cpu& cpu, const Op&) { change_arithmetic_flags(cpu.flags, rflags::kCf, rflags::kCf); }
void complement_carry(Cpu& cpu, const Op&) {
  set_arithmetic_flags(cpu.flags, arithmetic_flags(cpu.flags) ^ rflags::kCf);
}
void clear_direction(Cpu& cpu, const Op&) { cpu.system_flags &= ~rflags::kDf; }
void set_direction(Cpu& cpu, const Op&) { cpu.system_flags |= rflags::kDf; }

// CLI and STI need CPL <= IOPL (SDM vol. 2); in virtual-8086 mode CPL is 3, so IOPL must be 3.
void clear_interrupt(Cpu& cpu, const Op&) {
  if (cpu.protected_mode() && cpu.cpl > cpu.iopl()) cpu.raise(kGeneralProtection, 0);
  cpu.system_flags &= ~rflags::kIf;
}
void set_interrupt(Cpu& cpu, const Op&) {
  if (cpu.protected_mode() && cpu.cpl > cpu.iopl()) cpu.raise(kGeneralProtection, 0);
  if (!cpu.interrupts_enabled()) cpu.interrupt_shadow = true;
  cpu.system_flags |= rflags::kIf;
  cpu.look_for_interrupts();  // the dispatch loop executes what the shadow covers
}

void set_interrupt_behind_next(Cpu& cpu, const Op& op) {
  if (cpu.protected_mode() && cpu.cpl > cpu.iopl()) cpu.raise(kGeneralProtection, 0);
  if (!cpu.interrupts_enabled()) cpu.shadowed_rip = cpu.registers[kRip] + op.offset + op.length;
  cpu.system_flags |= rflags::kIf;
  cpu.recheck_interrupts();
}

void load_ah(Cpu& cpu, const Op&) {
  write_register<uint8_t>(cpu, kAhField,
                          static_cast<uint8_t>((arithmetic_flags(cpu.flags) & kLowFlags) | rflags::kFixed));
}
void store_ah(Cpu& cpu, const Op&) {
  change_arithmetic_flags(cpu.flags, kLowFlags, read_register<uint8_t>(cpu, kAhField));
}
void set_al_from_carry(Cpu& cpu, const Op&) { write_register<uint8_t>(cpu, 0, carry_flag(cpu.flags) ? 0xFF : 0); }

}  // namespace

CALCO_HANDLER_CONVENTION void enable_interrupts_behind_next(Cpu* cpu, const Op* op, TlbEntry* tlb) {
  [[clang::musttail]] return plain<&set_interrupt_behind_next>(cpu, op, tlb);
}

Selection select_flag(const decode::Instruction& instruction, Op& op) {
  switch (instruction.mnemonic) {
    case Mnemonic::Clc:
      return select_plain<&clear_carry>();
    case Mnemonic::Stc:
      return select_plain<&set_carry>();
    case Mnemonic::Cmc:
      return select_plain<&complement_carry>();
    case Mnemonic::Cld:
      return select_plain<&clear_direction>();
    case Mnemonic::Std:
      return select_plain<&set_direction>();
    case Mnemonic::Cli:
      return select_plain<&clear_interrupt>();
    case Mnemonic::Sti:
      return select_ending<&set_interrupt>();
    case Mnemonic::Lahf:
      return select_plain<&load_ah>();
    case Mnemonic::Sahf:
      return select_plain<&store_ah>();
    case Mnemonic::Salc:
      return select_plain<&set_al_from_carry>();
    default:
      return select_stack(instruction, op);  // PUSHF, POPF
  }
}

}  // namespace calco::cpu
