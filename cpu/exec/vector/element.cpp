// Elements and sign masks between vector registers, general registers and memory (SDM vol. 1, 10.4.6, 12.10).
#include "cpu/exec/vector/families.h"
#include "cpu/exec/vector/forms.h"

namespace calco::cpu::vector {
namespace {

using decode::Instruction;
using decode::Mnemonic;

// Element `number` of a vector register; numbers wrap at the register's size.
template <typename T>
T element(const Cpu& cpu, uint8_t vector_register, uint64_t number) {
  T value;
  const size_t index = number % (16 / sizeof(T));
  std::memcpy(&value, cpu.vectors[vector_register].bytes.data() + index * sizeof(T), sizeof(T));
  return value;
}
template <typename T>
void set_element(Cpu& cpu, uint8_t vector_register, uint64_t number, T value) {
  const size_t index = number % (16 / sizeof(T));
  std::memcpy(cpu.vectors[vector_register].bytes.data() + index * sizeof(T), &value, sizeof(T));
}

// --- PINSR, PEXTR
// ------------------------------------------------------------------------------------------------------

template <typename T>
void pinsr(Cpu& cpu, const Op& op, TlbEntry* tlb) {
  set_element(cpu, op.reg, op.immediate, source_general<T>(cpu, op, tlb));
}
void pinsrw_mmx(Cpu& cpu, const Op& op, TlbEntry* tlb) {
  const uint64_t source = source_general<uint16_t>(cpu, op, tlb);
  const unsigned shift = (op.immediate & 3) * 16;
  set_mmx(cpu, op.reg, (mmx(cpu, op.reg) & ~(uint64_t{0xFFFF} << shift)) | source << shift);
}

// The forms of SSE4.1: ModRM.rm is the destination. Registers take the element zero-extended.
template <typename T>
void pextr(Cpu& cpu, const Op& op, TlbEntry* tlb) {
  const T value = element<T>(cpu, op.reg, op.immediate);
  if (op.is_memory) {
    store_memory(cpu, op, tlb, value);
  } else {
    cpu.registers[op.rm] = value;
  }
}
// The forms of SSE and SSE2 (0F C5): ModRM.reg is the destination.
void pextrw(Cpu& cpu, const Op& op, TlbEntry*) { cpu.registers[op.reg] = element<uint16_t>(cpu, op.rm, op.immediate); }
void pextrw_mmx(Cpu& cpu, const Op& op, TlbEntry*) {
  cpu.registers[op.reg] = static_cast<uint16_t>(mmx(cpu, op.rm) >> (op.immediate & 3) * 16);
}

// Source element in bits 6-7 of the immediate (registers only), destination in 4-5, elements to clear in 0-3.
void insertps(Cpu& cpu, const Op& op, TlbEntry* tlb) {
  const uint32_t source =
      op.is_memory ? load_memory<uint32_t>(cpu, op, tlb) : element<uint32_t>(cpu, op.rm, op.immediate >> 6);
  set_element(cpu, op.reg, op.immediate >> 4, source);
  for (unsigned number = 0; number < 4; ++number) {
    if ((op.immediate >> number & 1) != 0) set_element<uint32_t>(cpu, op.reg, number, 0);
  }
}

Selection select_pextrw(const Instruction& instruction) {
  constexpr uint8_t kToReg = 0xC5;
  if (instruction.opcode != kToReg) return select_sse<pextr<uint16_t>>();
  const bool from_mmx = instruction.operands[1].kind == decode::OperandKind::Mmx;
  return from_mmx ? select_mmx<pextrw_mmx>() : select_sse<pextrw>();
}

// --- Sign masks
// ------------------------------------------------------------------------------------------------------------

void pmovmskb(Cpu& cpu, const Op& op, TlbEntry*) {
  cpu.registers[op.reg] = static_cast<uint32_t>(_mm_movemask_epi8(xmm(cpu, op.rm)));
}
void pmovmskb_mmx(Cpu& cpu, const Op& op, TlbEntry*) {
  cpu.registers[op.reg] = static_cast<uint32_t>(_mm_movemask_epi8(from_qword(mmx(cpu, op.rm))));
}
void movmskps(Cpu& cpu, const Op& op, TlbEntry*) {
  cpu.registers[op.reg] = static_cast<uint32_t>(_mm_movemask_ps(_mm_castsi128_ps(xmm(cpu, op.rm))));
}
void movmskpd(Cpu& cpu, const Op& op, TlbEntry*) {
  cpu.registers[op.reg] = static_cast<uint32_t>(_mm_movemask_pd(_mm_castsi128_pd(xmm(cpu, op.rm))));
}

}  // namespace

Selection select_element(const Instruction& instruction, Op&) {
  switch (instruction.mnemonic) {
    case Mnemonic::Pinsrb:
      return select_sse<pinsr<uint8_t>>();
    case Mnemonic::Pinsrw:
      return is_mmx(instruction) ? select_mmx<pinsrw_mmx>() : select_sse<pinsr<uint16_t>>();
    case Mnemonic::Pinsrd:
      return select_sse<pinsr<uint32_t>>();
    case Mnemonic::Pinsrq:
      return select_sse<pinsr<uint64_t>>();
    case Mnemonic::Pextrb:
      return select_sse<pextr<uint8_t>>();
    case Mnemonic::Pextrw:
      return select_pextrw(instruction);
    case Mnemonic::Pextrd:
    case Mnemonic::Extractps:
      return select_sse<pextr<uint32_t>>();
    case Mnemonic::Pextrq:
      return select_sse<pextr<uint64_t>>();
    case Mnemonic::Insertps:
      return select_sse<insertps>();
    case Mnemonic::Pmovmskb:
      return instruction.operands[1].kind == decode::OperandKind::Mmx ? select_mmx<pmovmskb_mmx>()
                                                                      : select_sse<pmovmskb>();
    case Mnemonic::Movmskps:
      return select_sse<movmskps>();
    case Mnemonic::Movmskpd:
      return select_sse<movmskpd>();
    default:
      return {};
  }
}

}  // namespace calco::cpu::vector
