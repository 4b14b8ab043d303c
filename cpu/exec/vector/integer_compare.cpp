// Packed integer comparisons, minima, maxima and averages; PTEST (SDM vol. 1, 9.4.3, 11.4.2, 12.10).
#include "cpu/exec/vector/families.h"
#include "cpu/exec/vector/forms.h"

namespace calco::cpu::vector {
namespace {

using decode::Instruction;
using decode::Mnemonic;

template <Source kSource>
void ptest(Cpu& cpu, const Op& op, TlbEntry* tlb) {
  const Xmm source = source_xmm<kSource>(cpu, op, tlb);
  const Xmm destination = xmm(cpu, op.reg);
  uint64_t flags = 0;
  if (_mm_testz_si128(destination, source) != 0) flags |= rflags::kZf;
  if (_mm_testc_si128(destination, source) != 0) flags |= rflags::kCf;
  set_arithmetic_flags(cpu.flags, flags);
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
      return sse_binary<_mm_cmpeq_epi64>(op);
    case Mnemonic::Pcmpgtb:
      return both_hot<_mm_cmpgt_epi8>(instruction, op);
    case Mnemonic::Pcmpgtw:
      return both<_mm_cmpgt_epi16>(instruction, op);
    case Mnemonic::Pcmpgtd:
      return both<_mm_cmpgt_epi32>(instruction, op);
    case Mnemonic::Pcmpgtq:
      return sse_binary<_mm_cmpgt_epi64>(op);
    case Mnemonic::Ptest:
      return by_source(op, []<Source kSource>() { return select_sse<ptest<kSource>>(); });
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
      return sse_binary<_mm_min_epi8>(op);
    case Mnemonic::Pmaxsb:
      return sse_binary<_mm_max_epi8>(op);
    case Mnemonic::Pminuw:
      return sse_binary<_mm_min_epu16>(op);
    case Mnemonic::Pmaxuw:
      return sse_binary<_mm_max_epu16>(op);
    case Mnemonic::Pminud:
      return sse_binary<_mm_min_epu32>(op);
    case Mnemonic::Pmaxud:
      return sse_binary<_mm_max_epu32>(op);
    case Mnemonic::Pminsd:
      return sse_binary<_mm_min_epi32>(op);
    case Mnemonic::Pmaxsd:
      return sse_binary<_mm_max_epi32>(op);
    case Mnemonic::Phminposuw:
      return sse_unary<_mm_minpos_epu16>(op);
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
