// Elements and sign masks between vector registers, general registers and memory (SDM vol. 1, 10.4.6, 12.10).
#include <array>

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

// --- PINSR, PEXTR
// ------------------------------------------------------------------------------------------------------

template <typename T>
Xmm with_element(Xmm vector, uint64_t number, T value) {
  std::array<T, 16 / sizeof(T)> elements;
  std::memcpy(elements.data(), &vector, 16);
  elements[number % elements.size()] = value;
  std::memcpy(&vector, elements.data(), 16);
  return vector;
}

template <typename T, Encoding kEncoding>
void pinsr(Cpu& cpu, const Op& op, TlbEntry* tlb) {
  const auto source = source_general<T>(cpu, op, tlb);
  set_result<kEncoding>(cpu, op.reg, with_element(xmm(cpu, first_source<kEncoding>(op)), op.immediate, source));
}
template <typename T>
Selection select_pinsr(const Instruction& instruction) {
  return by_scalar_encoding(instruction,
                            []<Encoding kEncoding>() { return select_sse<pinsr<T, kEncoding>, kEncoding>(); });
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
template <Encoding kEncoding>
void insertps(Cpu& cpu, const Op& op, TlbEntry* tlb) {
  const uint32_t source =
      op.is_memory ? load_memory<uint32_t>(cpu, op, tlb) : element<uint32_t>(cpu, op.rm, op.immediate >> 6);
  Xmm value = with_element(xmm(cpu, first_source<kEncoding>(op)), op.immediate >> 4, source);
  for (unsigned number = 0; number < 4; ++number) {
    if ((op.immediate >> number & 1) != 0) value = with_element<uint32_t>(value, number, 0);
  }
  set_result<kEncoding>(cpu, op.reg, value);
}

Selection select_pextrw(const Instruction& instruction) {
  constexpr uint8_t kToReg = 0xC5;
  if (instruction.opcode != kToReg) return either_encoding<pextr<uint16_t>>(instruction);
  const bool from_mmx = instruction.operands[1].kind == decode::OperandKind::Mmx;
  return from_mmx ? select_mmx<pextrw_mmx>() : either_encoding<pextrw>(instruction);
}

// --- Sign masks
// ------------------------------------------------------------------------------------------------------------

int byte_signs(Xmm value) { return _mm_movemask_epi8(value); }
int single_signs(Xmm value) { return _mm_movemask_ps(_mm_castsi128_ps(value)); }
int double_signs(Xmm value) { return _mm_movemask_pd(_mm_castsi128_pd(value)); }

// F gives the signs of the `kElements` elements of a lane.
template <auto F, unsigned kElements, Encoding kEncoding>
void signs_to_general(Cpu& cpu, const Op& op, TlbEntry*) {
  const auto value = lanes<kLanes<kEncoding>>(cpu, op.rm);
  uint32_t signs = 0;
  for (size_t i = 0; i < value.size(); ++i) signs |= static_cast<uint32_t>(F(value[i])) << i * kElements;
  cpu.registers[op.reg] = signs;
}
template <auto F, unsigned kElements>
Selection select_signs(const Instruction& instruction) {
  return by_encoding(instruction, []<Encoding kEncoding>() {
    return select_sse<signs_to_general<F, kElements, kEncoding>, kEncoding>();
  });
}
void pmovmskb_mmx(Cpu& cpu, const Op& op, TlbEntry*) {
  cpu.registers[op.reg] = static_cast<uint32_t>(_mm_movemask_epi8(from_qword(mmx(cpu, op.rm))));
}

}  // namespace

Selection select_element(const Instruction& instruction, Op&) {
  switch (instruction.mnemonic) {
    case Mnemonic::Pinsrb:
      return select_pinsr<uint8_t>(instruction);
    case Mnemonic::Pinsrw:
      return is_mmx(instruction) ? select_mmx<pinsrw_mmx>() : select_pinsr<uint16_t>(instruction);
    case Mnemonic::Pinsrd:
      return select_pinsr<uint32_t>(instruction);
    case Mnemonic::Pinsrq:
      return select_pinsr<uint64_t>(instruction);
    case Mnemonic::Pextrb:
      return either_encoding<pextr<uint8_t>>(instruction);
    case Mnemonic::Pextrw:
      return select_pextrw(instruction);
    case Mnemonic::Pextrd:
    case Mnemonic::Extractps:
      return either_encoding<pextr<uint32_t>>(instruction);
    case Mnemonic::Pextrq:
      return either_encoding<pextr<uint64_t>>(instruction);
    case Mnemonic::Insertps:
      return by_scalar_encoding(instruction,
                                []<Encoding kEncoding>() { return select_sse<insertps<kEncoding>, kEncoding>(); });
    case Mnemonic::Pmovmskb:
      return instruction.operands[1].kind == decode::OperandKind::Mmx ? select_mmx<pmovmskb_mmx>()
                                                                      : select_signs<byte_signs, 16>(instruction);
    case Mnemonic::Movmskps:
      return select_signs<single_signs, 4>(instruction);
    case Mnemonic::Movmskpd:
      return select_signs<double_signs, 2>(instruction);
    default:
      return {};
  }
}

}  // namespace calco::cpu::vector
