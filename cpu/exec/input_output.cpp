// IN, OUT and their string forms.
#include "cpu/exec/handlers.h"
#include "cpu/mmu/access.h"
#include "cpu/system/debug.h"
#include "cpu/system/descriptors.h"

namespace calco::cpu {

namespace {

using decode::Mnemonic;

// The I/O permission bitmap of the 32- or 64-bit TSS (SDM vol. 1, 19.5.2): a set bit, or no bit at all, forbids.
bool bitmap_allows(Cpu& cpu, uint16_t port, unsigned size) {
  constexpr uint32_t kBitmapBaseOffset = 0x66;
  const bool tss_32 = cpu.tr.present() && (cpu.tr.type() & ~2u) == system_type::kTss32;
  if (!tss_32 || cpu.tr.limit < kBitmapBaseOffset + 1) return false;
  const uint32_t bitmap = load_supervisor<uint16_t>(cpu, cpu.tr.base + kBitmapBaseOffset);
  const uint32_t offset = bitmap + port / 8;
  // Two bytes are read, so that a bit string that crosses a byte is seen whole.
  if (offset + 1 > cpu.tr.limit) return false;
  const uint32_t bits = load_supervisor<uint16_t>(cpu, cpu.tr.base + offset);
  const uint32_t mask = (1u << size) - 1;
  return (bits >> (port & 7) & mask) == 0;
}

void require_port(Cpu& cpu, uint16_t port, unsigned size) {
  cpu.note_outside(StoreJournal::kDevice);
  if (!cpu.protected_mode()) return;
  if (cpu.cpl <= cpu.iopl() && !cpu.virtual_8086()) return;
  if (!bitmap_allows(cpu, port, size)) cpu.raise(kGeneralProtection, 0);
}

template <bool kImmediate>
uint16_t port_of(const Cpu& cpu, const Op& op) {
  return static_cast<uint16_t>(kImmediate ? op.immediate & 0xFF : cpu.registers[kRdx]);
}

template <typename T, bool kImmediate>
void in(Cpu& cpu, const Op& op) {
  const uint16_t port = port_of<kImmediate>(cpu, op);
  require_port(cpu, port, sizeof(T));
  const auto value = static_cast<T>(cpu.environment().ports.read(port, sizeof(T)));
  write_register<T>(cpu, kRax, value);
  check_io_breakpoint(cpu, port, sizeof(T));
}

template <typename T, bool kImmediate>
void out(Cpu& cpu, const Op& op) {
  const uint16_t port = port_of<kImmediate>(cpu, op);
  require_port(cpu, port, sizeof(T));
  cpu.environment().ports.write(port, sizeof(T), static_cast<T>(cpu.registers[kRax]));
  check_io_breakpoint(cpu, port, sizeof(T));
}

// --- String forms
// ------------------------------------------------------------------------------------------------------

uint64_t address_mask(const Op& op) {
  return op.address_size == 8 ? ~uint64_t{0} : op.address_size == 4 ? 0xFFFFFFFF : uint64_t{0xFFFF};
}

// Writes an address or count register in the address size; a 32-bit write clears the upper half.
void write_address_register(Cpu& cpu, const Op& op, Register which, uint64_t value) {
  const uint64_t mask = address_mask(op);
  const uint64_t kept = op.address_size == 2 ? cpu.registers[which] & ~mask : 0;
  cpu.registers[which] = kept | (value & mask);
}

void advance(Cpu& cpu, const Op& op, Register which, unsigned size) {
  const bool down = (cpu.system_flags & rflags::kDf) != 0;
  write_address_register(cpu, op, which, down ? cpu.registers[which] - size : cpu.registers[which] + size);
}

template <typename T>
void ins_once(Cpu& cpu, const Op& op) {
  const auto port = static_cast<uint16_t>(cpu.registers[kRdx]);
  require_port(cpu, port, sizeof(T));
  const uint64_t linear = segment_linear(cpu, kEs, cpu.registers[kRdi] & address_mask(op), sizeof(T), true);
  // The port must not be read where the store then faults.
  cpu.mmu().probe_write(linear, sizeof(T), cpu.mmu().current_protection());
  store_linear<T>(cpu, linear, static_cast<T>(cpu.environment().ports.read(port, sizeof(T))));
  advance(cpu, op, kRdi, sizeof(T));
  check_io_breakpoint(cpu, port, sizeof(T));
}

template <typename T>
void outs_once(Cpu& cpu, const Op& op) {
  const auto port = static_cast<uint16_t>(cpu.registers[kRdx]);
  require_port(cpu, port, sizeof(T));
  const uint64_t linear = segment_linear(cpu, op.segment, cpu.registers[kRsi] & address_mask(op), sizeof(T), false);
  cpu.environment().ports.write(port, sizeof(T), load_linear<T>(cpu, linear));
  advance(cpu, op, kRsi, sizeof(T));
  check_io_breakpoint(cpu, port, sizeof(T));
}

// Runs the REP forms until done, or until somebody wants the processor: then RIP stays at the instruction, whose
// registers tell how far it came.
template <typename T, Function Once>
void string_form(Cpu& cpu, const Op& op) {
  // Even where RCX is 0.
  require_port(cpu, static_cast<uint16_t>(cpu.registers[kRdx]), sizeof(T));
  if (!op.repeat && !op.repeat_not) {
    Once(cpu, op);
    cpu.registers[kRip] = cpu.next_instruction_pointer(op);
    return;
  }
  uint64_t count = cpu.registers[kRcx] & address_mask(op);
  while (count != 0) {
    Once(cpu, op);
    write_address_register(cpu, op, kRcx, --count);
    const bool interrupted = cpu.exit_request.load(std::memory_order_relaxed) != 0 || single_step_needed(cpu);
    if (count != 0 && interrupted) {
      cpu.registers[kRip] = cpu.instruction_pointer();
      return;
    }
  }
  cpu.registers[kRip] = cpu.next_instruction_pointer(op);
}

template <typename T>
Selection select_sized(const decode::Instruction& instruction) {
  const bool immediate = (instruction.opcode & 8) == 0;  // E4-E7 against EC-EF
  switch (instruction.mnemonic) {
    case Mnemonic::In:
      return immediate ? select_plain<in<T, true>>() : select_plain<in<T, false>>();
    case Mnemonic::Out:
      return immediate ? select_ending<out<T, true>>() : select_ending<out<T, false>>();
    case Mnemonic::Ins:
      return select_transfer<string_form<T, ins_once<T>>>();
    case Mnemonic::Outs:
      return select_transfer<string_form<T, outs_once<T>>>();
    default:
      return {};
  }
}

}  // namespace

Selection select_input_output(const decode::Instruction& instruction, Op& op) {
  op.address_size = instruction.address_size;
  if (instruction.mnemonic == Mnemonic::Outs) {
    const bool overridden = instruction.segment_override != kNoSegment;
    op.segment = overridden ? instruction.segment_override : instruction.code_64 ? kNoSegment : kDs;
  }
  if ((instruction.opcode & 1) == 0) return select_sized<uint8_t>(instruction);
  return instruction.operand_size == 2 ? select_sized<uint16_t>(instruction) : select_sized<uint32_t>(instruction);
}

}  // namespace calco::cpu
