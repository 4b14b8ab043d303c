// Packed integer comparisons, minima, maxima and averages; PTEST, VTESTPS (SDM vol. 1, 9.4.3, 11.4.2, 12.10).
#include "cpu/exec/vector/families.h"
#include "cpu/exec/vector/forms.h"

namespace calco::cpu::vector {
namespace {

using decode::Instruction;
using decode::Mnemonic;

// PTEST, VTESTPS, VTESTPD: which bits of the operands count.
int any_bit(Xmm value) { return _mm_testz_si128(value, value) == 0 ? 1 : 0; }
int any_single_sign(Xmm value) { return _mm_movemask_ps(_mm_castsi128_ps(value)); }
int any_double_sign(Xmm value) { return _mm_movemask_pd(_mm_castsi128_pd(value)); }

template <auto FAny, Encoding kEncoding, Source kSource>
void test_bits(Cpu& cpu, const Op& op, TlbEntry* tlb) {
  const auto second = source_lanes<kEncoding, kSource>(cpu, op, tlb);
  const auto first = lanes<kLanes<kEncoding>>(cpu, op.reg);
  int in_both = 0, only_in_second = 0;
  for (size_t i = 0; i < first.size(); ++i) {
    in_both |= FAny(_mm_and_si128(first[i], second[i]));
    only_in_second |= FAny(_mm_andnot_si128(first[i], second[i]));
  }
  set_arithmetic_flags(cpu.flags, (in_both == 0 ? rflags::kZf : 0) | (only_in_second == 0 ? rflags::kCf : 0));
}
template <auto FAny>
Selection select_test(const Instruction& instruction, const Op& op) {
  return by_operands(instruction, op, []<Encoding kEncoding, Source kSource>() {
    return select_sse<test_bits<FAny, kEncoding, kSource>, kEncoding>();
  });
}

Selection select_comparison(const Instruction& instruction, const Op& op) {
  switch (instruction.mnemonic) {
    case Mnemonic::Pcmpeqb:
      return both_hot<_mm_cmpeq_epi8>(instruction, op);
    case Mnemonic::Pcmpeqw:
      return both_hot<_mm_cmpeq_epi16>(instruction, op);
    case Mnemonic::Pcmpeqd:
      return both_hot<_mm_cmpeq_epi32>(instruction, op);
    case Mnemonic::Pcmpeqq:
      return sse_binary<_mm_cmpeq_epi64>(instruction, op);
    case Mnemonic::Pcmpgtb:
      return both_hot<_mm_cmpgt_epi8>(instruction, op);
    case Mnemonic::Pcmpgtw:
      return both<_mm_cmpgt_epi16>(instruction, op);
    case Mnemonic::Pcmpgtd:
      return both<_mm_cmpgt_epi32>(instruction, op);
    case Mnemonic::Pcmpgtq:
      return sse_binary<_mm_cmpgt_epi64>(instruction, op);
    case Mnemonic::Ptest:
      return select_test<any_bit>(instruction, op);
    case Mnemonic::Vtestps:
      return select_test<any_single_sign>(instruction, op);
    case Mnemonic::Vtestpd:
      return select_test<any_double_sign>(instruction, op);
    default:
      return {};
  }
}

Selection select_extremum(const Instruction& instruction, const Op& op) {
  switch (instruction.mnemonic) {
    case Mnemonic::Pminub:
      return both_hot<_mm_min_epu8>(instruction, op);
    case Mnemonic::Pmaxub:
      return both_hot<_mm_max_epu8>(instruction, op);
    case Mnemonic::Pminsw:
      return both<_mm_min_epi16>(instruction, op);
    case Mnemonic::Pmaxsw:
      return both<_mm_max_epi16>(instruction, op);
    case Mnemonic::Pminsb:
      return sse_binary<_mm_min_epi8>(instruction, op);
    case Mnemonic::Pmaxsb:
      return sse_binary<_mm_max_epi8>(instruction, op);
    case Mnemonic::Pminuw:
      return sse_binary<_mm_min_epu16>(instruction, op);
    case Mnemonic::Pmaxuw:
      return sse_binary<_mm_max_epu16>(instruction, op);
    case Mnemonic::Pminud:
      return sse_binary<_mm_min_epu32>(instruction, op);
    case Mnemonic::Pmaxud:
      return sse_binary<_mm_max_epu32>(instruction, op);
    case Mnemonic::Pminsd:
      return sse_binary<_mm_min_epi32>(instruction, op);
    case Mnemonic::Pmaxsd:
      return sse_binary<_mm_max_epi32>(instruction, op);
    case Mnemonic::Phminposuw:
      return sse_unary<_mm_minpos_epu16>(instruction, op);
    case Mnemonic::Pavgb:
      return both<_mm_avg_epu8>(instruction, op);
    case Mnemonic::Pavgw:
      return both<_mm_avg_epu16>(instruction, op);
    default:
      return {};
  }
}

}  // namespace

Selection select_integer_compare(const Instruction& instruction, Op& op) {
  const Selection selection = select_comparison(instruction, op);
  return selection.handler != nullptr ? selection : select_extremum(instruction, op);
}

}  // namespace calco::cpu::vector
