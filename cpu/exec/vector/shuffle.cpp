// Packs, unpacks, shuffles, blends and widening moves (SDM vol. 1, 9.4.4-9.4.5, 10.4.4, 11.4.1, 12.6, 12.10).
#include <array>

#include "cpu/exec/vector/byte_shift.h"
#include "cpu/exec/vector/families.h"
#include "cpu/exec/vector/forms.h"

namespace calco::cpu::vector {
namespace {

using decode::Instruction;
using decode::Mnemonic;

// --- Packs and unpacks
// -------------------------------------------------------------------------------------------------

// MMX: destination and source as the halves of one register give the low half of the result.
template <auto F>
Xmm pack_mmx(Xmm destination, Xmm source) {
  const Xmm both_operands = _mm_unpacklo_epi64(destination, source);
  return F(both_operands, both_operands);
}
template <auto F>
Selection pack(const Instruction& instruction, const Op& op) {
  return is_mmx(instruction) ? mmx_binary<pack_mmx<F>>(op) : sse_binary<F>(instruction, op);
}

// MMX: the low unpack of XMM registers holds the MMX high unpack in its high half.
template <auto F>
Xmm unpack_high_mmx(Xmm destination, Xmm source) {
  const Xmm unpacked = F(destination, source);
  return _mm_unpackhi_epi64(unpacked, unpacked);
}
// The MMX form reads 32 bits of memory, the XMM form all 128.
template <auto F>
Selection unpack_low(const Instruction& instruction, const Op& op) {
  return is_mmx(instruction) ? mmx_binary<F, 4>(op) : sse_binary_hot<F>(instruction, op);
}
template <auto FLow, auto FHigh>
Selection unpack_high(const Instruction& instruction, const Op& op) {
  return is_mmx(instruction) ? mmx_binary<unpack_high_mmx<FLow>>(op) : sse_binary_hot<FHigh>(instruction, op);
}

Selection select_pack(const Instruction& instruction, const Op& op) {
  switch (instruction.mnemonic) {
    case Mnemonic::Packsswb:
      return pack<_mm_packs_epi16>(instruction, op);
    case Mnemonic::Packuswb:
      return pack<_mm_packus_epi16>(instruction, op);
    case Mnemonic::Packssdw:
      return pack<_mm_packs_epi32>(instruction, op);
    case Mnemonic::Packusdw:
      return sse_binary<_mm_packus_epi32>(instruction, op);
    case Mnemonic::Punpcklbw:
      return unpack_low<_mm_unpacklo_epi8>(instruction, op);
    case Mnemonic::Punpcklwd:
      return unpack_low<_mm_unpacklo_epi16>(instruction, op);
    case Mnemonic::Punpckldq:
      return unpack_low<_mm_unpacklo_epi32>(instruction, op);
    case Mnemonic::Punpckhbw:
      return unpack_high<_mm_unpacklo_epi8, _mm_unpackhi_epi8>(instruction, op);
    case Mnemonic::Punpckhwd:
      return unpack_high<_mm_unpacklo_epi16, _mm_unpackhi_epi16>(instruction, op);
    case Mnemonic::Punpckhdq:
      return unpack_high<_mm_unpacklo_epi32, _mm_unpackhi_epi32>(instruction, op);
    case Mnemonic::Punpcklqdq:
    case Mnemonic::Unpcklpd:
      return sse_binary_hot<_mm_unpacklo_epi64>(instruction, op);
    case Mnemonic::Punpckhqdq:
    case Mnemonic::Unpckhpd:
      return sse_binary_hot<_mm_unpackhi_epi64>(instruction, op);
    case Mnemonic::Unpcklps:
      return sse_binary<_mm_unpacklo_epi32>(instruction, op);
    case Mnemonic::Unpckhps:
      return sse_binary<_mm_unpackhi_epi32>(instruction, op);
    default:
      return {};
  }
}

// --- Shuffles
// --------------------------------------------------------------------------------------------------------------

// PSHUFB controls that do what an immediate of four two-bit fields says.
struct alignas(16) Control {
  std::array<uint8_t, 16> bytes;
};
using ControlTable = std::array<Control, 256>;

// `element`: bytes; the four elements from element `first` on are shuffled, the rest stays.
constexpr ControlTable make_controls(unsigned element, unsigned first) {
  ControlTable table{};
  for (unsigned immediate = 0; immediate < 256; ++immediate) {
    for (unsigned byte = 0; byte < 16; ++byte) table[immediate].bytes[byte] = static_cast<uint8_t>(byte);
    for (unsigned byte = 0; byte < 4 * element; ++byte) {
      const unsigned selected = immediate >> 2 * (byte / element) & 3;
      table[immediate].bytes[first * element + byte] =
          static_cast<uint8_t>((first + selected) * element + byte % element);
    }
  }
  return table;
}
constexpr ControlTable kDwords = make_controls(4, 0), kLowWords = make_controls(2, 0), kHighWords = make_controls(2, 4);

template <const ControlTable& kTable>
Xmm shuffle(Xmm value, uint8_t immediate) {
  return _mm_shuffle_epi8(value, _mm_load_si128(reinterpret_cast<const Xmm*>(&kTable[immediate])));
}
template <const ControlTable& kTable>
Xmm shuffle_source(Xmm, Xmm source, uint8_t immediate) {
  return shuffle<kTable>(source, immediate);
}

// The low two results come from the destination, the high two from the source.
Xmm shufps(Xmm destination, Xmm source, uint8_t immediate) {
  return _mm_blend_epi16(shuffle<kDwords>(destination, immediate), shuffle<kDwords>(source, immediate), 0xF0);
}
Xmm shufpd(Xmm destination, Xmm source, uint8_t immediate) {
  const Xmm low = (immediate & 1) != 0 ? _mm_unpackhi_epi64(destination, destination) : destination;
  const Xmm high = (immediate & 2) != 0 ? _mm_unpackhi_epi64(source, source) : source;
  return _mm_unpacklo_epi64(low, high);
}

// MMX: control bits 3-6 are ignored, as are only bits 4-6 for XMM.
Xmm pshufb_mmx(Xmm destination, Xmm source) {
  return _mm_shuffle_epi8(destination, _mm_and_si128(source, _mm_set1_epi8(static_cast<char>(0x87))));
}

// `count` bytes off the low end of destination:source.
Xmm palignr(Xmm destination, Xmm source, uint8_t count) {
  if (count >= 16) return shift_bytes_right(destination, count - 16u);
  return _mm_or_si128(shift_bytes_right(source, count), shift_bytes_left(destination, 16u - count));
}
Xmm palignr_mmx(Xmm destination, Xmm source, uint8_t count) {
  return shift_bytes_right(_mm_unpacklo_epi64(source, destination), count);
}

// VPERMILPS and VPERMILPD by a vector: bits 0-1 of each dword, or bit 1 of each quadword of the control choose.
Xmm permilps(Xmm value, Xmm control) {
  const Xmm numbers = _mm_and_si128(control, _mm_set1_epi32(3));
  const Xmm bytes = _mm_add_epi32(_mm_mullo_epi32(numbers, _mm_set1_epi32(0x04040404)), _mm_set1_epi32(0x03020100));
  return _mm_shuffle_epi8(value, bytes);
}
Xmm permilpd(Xmm value, Xmm control) {
  const unsigned low = low_dword(control) >> 1 & 1, high = static_cast<unsigned>(high_qword(control)) & 2;
  return shufpd(value, value, static_cast<uint8_t>(low | high));
}
Xmm permilpd_immediate(Xmm, Xmm source, uint8_t immediate) { return shufpd(source, source, immediate); }

Selection select_shuffle_only(const Instruction& instruction, const Op& op) {
  switch (instruction.mnemonic) {
    case Mnemonic::Pshufb:
      return is_mmx(instruction) ? mmx_binary<pshufb_mmx>(op) : sse_binary_hot<_mm_shuffle_epi8>(instruction, op);
    case Mnemonic::Pshufd:
      return sse_immediate<shuffle_source<kDwords>>(instruction, op);
    case Mnemonic::Pshuflw:
      return sse_immediate<shuffle_source<kLowWords>>(instruction, op);
    case Mnemonic::Pshufhw:
      return sse_immediate<shuffle_source<kHighWords>>(instruction, op);
    case Mnemonic::Pshufw:
      return mmx_immediate<shuffle_source<kLowWords>>(op);
    case Mnemonic::Shufps:
      return sse_immediate<shufps>(instruction, op);
    case Mnemonic::Shufpd:
      return sse_immediate<shufpd, 2>(instruction, op);
    case Mnemonic::Vpermilps:
      return instruction.operands[2].kind == decode::OperandKind::Immediate
                 ? sse_immediate<shuffle_source<kDwords>>(instruction, op)
                 : sse_binary<permilps>(instruction, op);
    case Mnemonic::Vpermilpd:
      return instruction.operands[2].kind == decode::OperandKind::Immediate
                 ? sse_immediate<permilpd_immediate, 2>(instruction, op)
                 : sse_binary<permilpd>(instruction, op);
    case Mnemonic::Palignr:
      return is_mmx(instruction) ? mmx_immediate<palignr_mmx>(op) : sse_immediate<palignr>(instruction, op);
    default:
      return {};
  }
}

// --- Blends
// --------------------------------------------------------------------------------------------------------------

// Bit i of the immediate chooses element i.
Xmm blend_by_bits(Xmm destination, Xmm source, uint8_t immediate, Xmm bit_of_element) {
  const Xmm chosen = _mm_and_si128(_mm_set1_epi8(static_cast<char>(immediate)), bit_of_element);
  return _mm_blendv_epi8(source, destination, _mm_cmpeq_epi8(chosen, _mm_setzero_si128()));
}
Xmm pblendw(Xmm destination, Xmm source, uint8_t immediate) {
  return blend_by_bits(destination, source, immediate,
                       _mm_setr_epi8(1, 1, 2, 2, 4, 4, 8, 8, 16, 16, 32, 32, 64, 64, -128, -128));
}
Xmm blendps(Xmm destination, Xmm source, uint8_t immediate) {
  return blend_by_bits(destination, source, immediate, _mm_setr_epi8(1, 1, 1, 1, 2, 2, 2, 2, 4, 4, 4, 4, 8, 8, 8, 8));
}
Xmm blendpd(Xmm destination, Xmm source, uint8_t immediate) {
  return blend_by_bits(destination, source, immediate, _mm_setr_epi8(1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2));
}

// The sign bit of each element of a third vector chooses: of XMM0 in legacy encodings.
Xmm blend_bytes(Xmm destination, Xmm source, Xmm choice) { return _mm_blendv_epi8(destination, source, choice); }
Xmm blend_singles(Xmm destination, Xmm source, Xmm choice) {
  return _mm_castps_si128(
      _mm_blendv_ps(_mm_castsi128_ps(destination), _mm_castsi128_ps(source), _mm_castsi128_ps(choice)));
}
Xmm blend_doubles(Xmm destination, Xmm source, Xmm choice) {
  return _mm_castpd_si128(
      _mm_blendv_pd(_mm_castsi128_pd(destination), _mm_castsi128_pd(source), _mm_castsi128_pd(choice)));
}
// The number of the register with the choice is in Op::immediate.
template <auto F, Encoding kEncoding, Source kSource>
void blend_by_register(Cpu& cpu, const Op& op, TlbEntry* tlb) {
  const auto source = source_lanes<kEncoding, kSource>(cpu, op, tlb);
  const auto choice = lanes<kLanes<kEncoding>>(cpu, static_cast<uint8_t>(op.immediate));
  auto value = lanes<kLanes<kEncoding>>(cpu, first_source<kEncoding>(op));
  for (size_t i = 0; i < value.size(); ++i) value[i] = F(value[i], source[i], choice[i]);
  set_lanes<kEncoding>(cpu, op.reg, value);
}
template <auto F>
Selection variable_blend(const Instruction& instruction, Op& op) {
  op.immediate = instruction.vector_length == 0 ? 0 : instruction.operands[3].number;
  return by_operands(instruction, op, []<Encoding kEncoding, Source kSource>() {
    return select_sse<blend_by_register<F, kEncoding, kSource>, kEncoding>();
  });
}

Selection select_blend(const Instruction& instruction, Op& op) {
  switch (instruction.mnemonic) {
    case Mnemonic::Pblendw:
      return sse_immediate<pblendw>(instruction, op);
    case Mnemonic::Blendps:
    case Mnemonic::Vpblendd:
      return sse_immediate<blendps, 4>(instruction, op);
    case Mnemonic::Blendpd:
      return sse_immediate<blendpd, 2>(instruction, op);
    case Mnemonic::Pblendvb:
      return variable_blend<blend_bytes>(instruction, op);
    case Mnemonic::Blendvps:
      return variable_blend<blend_singles>(instruction, op);
    case Mnemonic::Blendvpd:
      return variable_blend<blend_doubles>(instruction, op);
    default:
      return {};
  }
}

// --- Widening
// --------------------------------------------------------------------------------------------------------------

Selection select_widen(const Instruction& instruction, const Op& op) {
  switch (instruction.mnemonic) {
    case Mnemonic::Pmovsxbw:
      return sse_unary<_mm_cvtepi8_epi16, 8>(instruction, op);
    case Mnemonic::Pmovsxbd:
      return sse_unary<_mm_cvtepi8_epi32, 4>(instruction, op);
    case Mnemonic::Pmovsxbq:
      return sse_unary<_mm_cvtepi8_epi64, 2>(instruction, op);
    case Mnemonic::Pmovsxwd:
      return sse_unary<_mm_cvtepi16_epi32, 8>(instruction, op);
    case Mnemonic::Pmovsxwq:
      return sse_unary<_mm_cvtepi16_epi64, 4>(instruction, op);
    case Mnemonic::Pmovsxdq:
      return sse_unary<_mm_cvtepi32_epi64, 8>(instruction, op);
    case Mnemonic::Pmovzxbw:
      return sse_unary<_mm_cvtepu8_epi16, 8>(instruction, op);
    case Mnemonic::Pmovzxbd:
      return sse_unary<_mm_cvtepu8_epi32, 4>(instruction, op);
    case Mnemonic::Pmovzxbq:
      return sse_unary<_mm_cvtepu8_epi64, 2>(instruction, op);
    case Mnemonic::Pmovzxwd:
      return sse_unary<_mm_cvtepu16_epi32, 8>(instruction, op);
    case Mnemonic::Pmovzxwq:
      return sse_unary<_mm_cvtepu16_epi64, 4>(instruction, op);
    case Mnemonic::Pmovzxdq:
      return sse_unary<_mm_cvtepu32_epi64, 8>(instruction, op);
    default:
      return {};
  }
}

}  // namespace

Selection select_shuffle(const Instruction& instruction, Op& op) {
  for (const auto select : {select_pack, select_shuffle_only, select_widen}) {
    const Selection selection = select(instruction, op);
    if (selection.handler != nullptr) return selection;
  }
  return select_blend(instruction, op);
}

}  // namespace calco::cpu::vector
