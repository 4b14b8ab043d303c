// AAA, AAD, AAM, AAS, DAA, DAS (SDM vol. 2).
#include "cpu/exec/handlers.h"
#include "cpu/mmu/access.h"

namespace calco::cpu {

namespace {

using decode::Mnemonic;

uint8_t al(const Cpu& cpu) { return static_cast<uint8_t>(cpu.registers[kRax]); }
void set_al(Cpu& cpu, uint8_t value) { write_register<uint8_t>(cpu, 0, value); }
uint16_t ax(const Cpu& cpu) { return static_cast<uint16_t>(cpu.registers[kRax]); }
void set_ax(Cpu& cpu, uint16_t value) { write_register<uint16_t>(cpu, kRax, value); }

uint64_t result_flags(uint8_t value) {
  return (value == 0 ? rflags::kZf : 0) | ((value & 0x80) != 0 ? rflags::kSf : 0) | parity_flag(value);
}

// DAA and DAS: the correction of each digit, downwards for DAS.
template <bool kSubtract>
void decimal_adjust(Cpu& cpu, const Op&) {
  const uint64_t flags = arithmetic_flags(cpu.flags);
  const uint8_t old = al(cpu);
  const bool old_carry = (flags & rflags::kCf) != 0;
  uint8_t value = old;
  uint64_t result = 0;
  if ((old & 0xF) > 9 || (flags & rflags::kAf) != 0) {
    value = static_cast<uint8_t>(kSubtract ? value - 6 : value + 6);
    const bool wrapped = kSubtract ? old < 6 : old > 0xF9;
    result |= rflags::kAf | (old_carry || wrapped ? rflags::kCf : 0);
  }
  if (old > 0x99 || old_carry) {
    value = static_cast<uint8_t>(kSubtract ? value - 0x60 : value + 0x60);
    result |= rflags::kCf;
  } else if (!kSubtract) {
    result &= ~rflags::kCf;
  }
  set_al(cpu, value);
  set_arithmetic_flags(cpu.flags, result | result_flags(value));
}

template <bool kSubtract>
void ascii_adjust(Cpu& cpu, const Op&) {
  const uint64_t flags = arithmetic_flags(cpu.flags);
  uint64_t carries = 0;
  if ((al(cpu) & 0xF) > 9 || (flags & rflags::kAf) != 0) {
    set_ax(cpu, static_cast<uint16_t>(kSubtract ? ax(cpu) - 0x106 : ax(cpu) + 0x106));
    carries = rflags::kAf | rflags::kCf;
  }
  set_al(cpu, al(cpu) & 0xF);
  set_arithmetic_flags(cpu.flags, carries | result_flags(al(cpu)));
}

void ascii_adjust_multiply(Cpu& cpu, const Op& op) {
  const auto base = static_cast<uint8_t>(op.immediate);
  if (base == 0) cpu.raise(kDivideError);
  const uint8_t value = al(cpu);
  set_ax(cpu, static_cast<uint16_t>((value / base) << 8 | value % base));
  set_arithmetic_flags(cpu.flags, result_flags(al(cpu)));
}

void ascii_adjust_divide(Cpu& cpu, const Op& op) {
  const uint8_t high = static_cast<uint8_t>(ax(cpu) >> 8);
  set_ax(cpu, static_cast<uint8_t>(al(cpu) + high * static_cast<uint8_t>(op.immediate)));
  set_arithmetic_flags(cpu.flags, result_flags(al(cpu)));
}

}  // namespace

Selection select_decimal(const decode::Instruction& instruction, Op&) {
  switch (instruction.mnemonic) {
    case Mnemonic::Daa:
      return select_plain<&decimal_adjust<false>>();
    case Mnemonic::Das:
      return select_plain<&decimal_adjust<true>>();
    case Mnemonic::Aaa:
      return select_plain<&ascii_adjust<false>>();
    case Mnemonic::Aas:
      return select_plain<&ascii_adjust<true>>();
    case Mnemonic::Aam:
      return select_plain<&ascii_adjust_multiply>();
    case Mnemonic::Aad:
      return select_plain<&ascii_adjust_divide>();
    default:
      return {};
  }
}

}  // namespace calco::cpu
