// Packed integer arithmetic and bitwise logic (SDM vol. 1, 9.4, 11.4.2, 12.6, 12.10).
#include "cpu/exec/vector/families.h"
#include "cpu/exec/vector/forms.h"

namespace calco::cpu::vector {
namespace {

using decode::Instruction;
using decode::Mnemonic;

// Horizontal operations on MMX registers: with destination and source as the halves of one XMM register, the low half
// of the SSSE3 result is the MMX result.
template <auto F>
Xmm horizontal_mmx(Xmm destination, Xmm source) {
  const Xmm both_operands = _mm_unpacklo_epi64(destination, source);
  return F(both_operands, both_operands);
}
template <auto F>
Selection horizontal(const Instruction& instruction, const Op& op) {
  return is_mmx(instruction) ? mmx_binary<horizontal_mmx<F>>(op) : sse_binary<F>(instruction, op);
}

Xmm mpsadbw(Xmm destination, Xmm source, uint8_t immediate) {
  switch (immediate & 7) {
    case 0:
      return _mm_mpsadbw_epu8(destination, source, 0);
    case 1:
      return _mm_mpsadbw_epu8(destination, source, 1);
    case 2:
      return _mm_mpsadbw_epu8(destination, source, 2);
    case 3:
      return _mm_mpsadbw_epu8(destination, source, 3);
    case 4:
      return _mm_mpsadbw_epu8(destination, source, 4);
    case 5:
      return _mm_mpsadbw_epu8(destination, source, 5);
    case 6:
      return _mm_mpsadbw_epu8(destination, source, 6);
    default:
      return _mm_mpsadbw_epu8(destination, source, 7);
  }
}

Selection select_add_subtract(const Instruction& instruction, const Op& op) {
  switch (instruction.mnemonic) {
    case Mnemonic::Paddb:
      return both<_mm_add_epi8>(instruction, op);
    case Mnemonic::Paddw:
      return both<_mm_add_epi16>(instruction, op);
    case Mnemonic::Paddd:
      return both<_mm_add_epi32>(instruction, op);
    case Mnemonic::Paddq:
      return both<_mm_add_epi64>(instruction, op);
    case Mnemonic::Paddsb:
      return both<_mm_adds_epi8>(instruction, op);
    case Mnemonic::Paddsw:
      return both<_mm_adds_epi16>(instruction, op);
    case Mnemonic::Paddusb:
      return both<_mm_adds_epu8>(instruction, op);
    case Mnemonic::Paddusw:
      return both<_mm_adds_epu16>(instruction, op);
    case Mnemonic::Psubb:
      return both_hot<_mm_sub_epi8>(instruction, op);
    case Mnemonic::Psubw:
      return both<_mm_sub_epi16>(instruction, op);
    case Mnemonic::Psubd:
      return both<_mm_sub_epi32>(instruction, op);
    case Mnemonic::Psubq:
      return both<_mm_sub_epi64>(instruction, op);
    case Mnemonic::Psubsb:
      return both<_mm_subs_epi8>(instruction, op);
    case Mnemonic::Psubsw:
      return both<_mm_subs_epi16>(instruction, op);
    case Mnemonic::Psubusb:
      return both<_mm_subs_epu8>(instruction, op);
    case Mnemonic::Psubusw:
      return both<_mm_subs_epu16>(instruction, op);
    case Mnemonic::Phaddw:
      return horizontal<_mm_hadd_epi16>(instruction, op);
    case Mnemonic::Phaddd:
      return horizontal<_mm_hadd_epi32>(instruction, op);
    case Mnemonic::Phaddsw:
      return horizontal<_mm_hadds_epi16>(instruction, op);
    case Mnemonic::Phsubw:
      return horizontal<_mm_hsub_epi16>(instruction, op);
    case Mnemonic::Phsubd:
      return horizontal<_mm_hsub_epi32>(instruction, op);
    case Mnemonic::Phsubsw:
      return horizontal<_mm_hsubs_epi16>(instruction, op);
    default:
      return {};
  }
}

Selection select_multiply(const Instruction& instruction, const Op& op) {
  switch (instruction.mnemonic) {
    case Mnemonic::Pmullw:
      return both<_mm_mullo_epi16>(instruction, op);
    case Mnemonic::Pmulhw:
      return both<_mm_mulhi_epi16>(instruction, op);
    case Mnemonic::Pmulhuw:
      return both<_mm_mulhi_epu16>(instruction, op);
    case Mnemonic::Pmulhrsw:
      return both<_mm_mulhrs_epi16>(instruction, op);
    case Mnemonic::Pmuludq:
      return both<_mm_mul_epu32>(instruction, op);
    case Mnemonic::Pmuldq:
      return sse_binary<_mm_mul_epi32>(instruction, op);
    case Mnemonic::Pmulld:
      return sse_binary<_mm_mullo_epi32>(instruction, op);
    case Mnemonic::Pmaddwd:
      return both<_mm_madd_epi16>(instruction, op);
    case Mnemonic::Pmaddubsw:
      return both<_mm_maddubs_epi16>(instruction, op);
    case Mnemonic::Psadbw:
      return both<_mm_sad_epu8>(instruction, op);
    case Mnemonic::Mpsadbw:
      return sse_immediate<mpsadbw, 3>(instruction, op);
    default:
      return {};
  }
}

Selection select_logic(const Instruction& instruction, const Op& op) {
  switch (instruction.mnemonic) {
    case Mnemonic::Pand:
      return both_hot<_mm_and_si128>(instruction, op);
    case Mnemonic::Pandn:
      return both_hot<_mm_andnot_si128>(instruction, op);
    case Mnemonic::Por:
      return both_hot<_mm_or_si128>(instruction, op);
    case Mnemonic::Pxor:
      return both_hot<_mm_xor_si128>(instruction, op);
    case Mnemonic::Andps:
    case Mnemonic::Andpd:
      return sse_binary_hot<_mm_and_si128>(instruction, op);
    case Mnemonic::Andnps:
    case Mnemonic::Andnpd:
      return sse_binary_hot<_mm_andnot_si128>(instruction, op);
    case Mnemonic::Orps:
    case Mnemonic::Orpd:
      return sse_binary_hot<_mm_or_si128>(instruction, op);
    case Mnemonic::Xorps:
    case Mnemonic::Xorpd:
      return sse_binary_hot<_mm_xor_si128>(instruction, op);
    default:
      return {};
  }
}

Selection select_sign(const Instruction& instruction, const Op& op) {
  switch (instruction.mnemonic) {
    case Mnemonic::Pabsb:
      return both_unary<_mm_abs_epi8>(instruction, op);
    case Mnemonic::Pabsw:
      return both_unary<_mm_abs_epi16>(instruction, op);
    case Mnemonic::Pabsd:
      return both_unary<_mm_abs_epi32>(instruction, op);
    case Mnemonic::Psignb:
      return both<_mm_sign_epi8>(instruction, op);
    case Mnemonic::Psignw:
      return both<_mm_sign_epi16>(instruction, op);
    case Mnemonic::Psignd:
      return both<_mm_sign_epi32>(instruction, op);
    default:
      return {};
  }
}

}  // namespace

Selection select_integer_arithmetic(const Instruction& instruction, Op& op) {
  for (const auto select : {select_logic, select_add_subtract, select_multiply, select_sign}) {
    const Selection selection = select(instruction, op);
    if (selection.handler != nullptr) return selection;
  }
  return {};
}

}  // namespace calco::cpu::vector
