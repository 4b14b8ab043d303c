// Packed shifts (SDM vol. 1, 9.4.6, 11.4.2).
#include <algorithm>
#include <type_traits>

#include "cpu/exec/vector/byte_shift.h"
#include "cpu/exec/vector/families.h"
#include "cpu/exec/vector/forms.h"

namespace calco::cpu::vector {
namespace {

using decode::Instruction;
using decode::Mnemonic;

// Shifts by an immediate: ModRM.rm is the source, and the destination but where VEX.vvvv names one. The host's shifts
// take any count from a register's low half.
template <Encoding kEncoding>
uint8_t immediate_destination(const Op& op) {
  return kEncoding == Encoding::Legacy ? op.rm : op.extra;
}
template <auto F, Encoding kEncoding>
void xmm_shift_by_immediate(Cpu& cpu, const Op& op, TlbEntry*) {
  auto value = lanes<kLanes<kEncoding>>(cpu, op.rm);
  for (Xmm& lane : value) lane = F(lane, from_qword(op.immediate & 0xFF));
  set_lanes<kEncoding>(cpu, immediate_destination<kEncoding>(op), value);
}
// One count for all elements, in the low half of a vector of 128 bits.
template <auto F, Encoding kEncoding, Source kSource>
void xmm_shift(Cpu& cpu, const Op& op, TlbEntry* tlb) {
  const Xmm count = source_xmm<kSource, 16, kSourceAlignment<kEncoding>>(cpu, op, tlb);
  auto value = lanes<kLanes<kEncoding>>(cpu, first_source<kEncoding>(op));
  for (Xmm& lane : value) lane = F(lane, count);
  set_lanes<kEncoding>(cpu, op.reg, value);
}
template <auto F>
void mmx_shift_by_immediate(Cpu& cpu, const Op& op, TlbEntry*) {
  set_mmx(cpu, op.rm, low_qword(F(from_qword(mmx(cpu, op.rm)), from_qword(op.immediate & 0xFF))));
}
template <auto F, Encoding kEncoding>
void xmm_byte_shift(Cpu& cpu, const Op& op, TlbEntry*) {
  auto value = lanes<kLanes<kEncoding>>(cpu, op.rm);
  for (Xmm& lane : value) lane = F(lane, static_cast<uint8_t>(op.immediate));
  set_lanes<kEncoding>(cpu, immediate_destination<kEncoding>(op), value);
}
template <auto F>
Selection byte_shift(const Instruction& instruction) {
  return by_encoding(instruction,
                     []<Encoding kEncoding>() { return select_sse<xmm_byte_shift<F, kEncoding>, kEncoding>(); });
}

template <auto F>
Selection shift(const Instruction& instruction, const Op& op) {
  const auto is_immediate = [&](size_t i) { return instruction.operands[i].kind == decode::OperandKind::Immediate; };
  if (is_immediate(1) || is_immediate(2)) {
    if (is_mmx(instruction)) return select_mmx<mmx_shift_by_immediate<F>>();
    return by_encoding(instruction, []<Encoding kEncoding>() {
      return select_sse<xmm_shift_by_immediate<F, kEncoding>, kEncoding>();
    });
  }
  if (is_mmx(instruction)) return mmx_binary<F>(op);
  return by_operands(instruction, op, []<Encoding kEncoding, Source kSource>() {
    return select_sse<xmm_shift<F, kEncoding, kSource>, kEncoding>();
  });
}

// Each element by its own count: T says whether zeros or signs come in; counts of the element's width and more leave
// nothing else.
template <typename T, auto F>
Xmm by_own_counts(Xmm values, Xmm counts) {
  std::array<T, 16 / sizeof(T)> result;
  std::array<std::make_unsigned_t<T>, 16 / sizeof(T)> count;
  std::memcpy(result.data(), &values, 16);
  std::memcpy(count.data(), &counts, 16);
  for (size_t i = 0; i < result.size(); ++i) result[i] = F(result[i], count[i]);
  std::memcpy(&values, result.data(), 16);
  return values;
}
template <typename T>
T shifted_left(T value, T count) {
  return count < sizeof(T) * 8 ? value << count : 0;
}
template <typename T>
T shifted_right(T value, T count) {
  return count < sizeof(T) * 8 ? value >> count : 0;
}
int32_t shifted_right_with_sign(int32_t value, uint32_t count) { return value >> std::min(count, 31u); }

Selection select_by_own_counts(const Instruction& instruction, const Op& op) {
  switch (instruction.mnemonic) {
    case Mnemonic::Vpsllvd:
      return sse_binary<by_own_counts<uint32_t, shifted_left<uint32_t>>>(instruction, op);
    case Mnemonic::Vpsllvq:
      return sse_binary<by_own_counts<uint64_t, shifted_left<uint64_t>>>(instruction, op);
    case Mnemonic::Vpsrlvd:
      return sse_binary<by_own_counts<uint32_t, shifted_right<uint32_t>>>(instruction, op);
    case Mnemonic::Vpsrlvq:
      return sse_binary<by_own_counts<uint64_t, shifted_right<uint64_t>>>(instruction, op);
    case Mnemonic::Vpsravd:
      return sse_binary<by_own_counts<int32_t, shifted_right_with_sign>>(instruction, op);
    default:
      return {};
  }
}

}  // namespace

Selection select_integer_shift(const Instruction& instruction, Op& op) {
  switch (instruction.mnemonic) {
    case Mnemonic::Psllw:
      return shift<_mm_sll_epi16>(instruction, op);
    case Mnemonic::Pslld:
      return shift<_mm_sll_epi32>(instruction, op);
    case Mnemonic::Psllq:
      return shift<_mm_sll_epi64>(instruction, op);
    case Mnemonic::Psrlw:
      return shift<_mm_srl_epi16>(instruction, op);
    case Mnemonic::Psrld:
      return shift<_mm_srl_epi32>(instruction, op);
    case Mnemonic::Psrlq:
      return shift<_mm_srl_epi64>(instruction, op);
    case Mnemonic::Psraw:
      return shift<_mm_sra_epi16>(instruction, op);
    case Mnemonic::Psrad:
      return shift<_mm_sra_epi32>(instruction, op);
    case Mnemonic::Pslldq:
      return byte_shift<shift_bytes_left>(instruction);
    case Mnemonic::Psrldq:
      return byte_shift<shift_bytes_right>(instruction);
    default:
      return select_by_own_counts(instruction, op);
  }
}

}  // namespace calco::cpu::vector
