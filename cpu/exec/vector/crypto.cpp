// AES, carry-less multiplication and SHA (SDM vol. 1, 12.13-12.14; vol. 2, SHA1RNDS4 and following).
#include "cpu/exec/vector/families.h"
#include "cpu/exec/vector/forms.h"

namespace calco::cpu::vector {
namespace {

using decode::Instruction;
using decode::Mnemonic;

// The round constant is only XORed into dwords 1 and 3.
Xmm aeskeygenassist(Xmm, Xmm source, uint8_t round_constant) {
  return _mm_xor_si128(_mm_aeskeygenassist_si128(source, 0), _mm_setr_epi32(0, round_constant, 0, round_constant));
}

// Bits 0 and 4 of the immediate choose the half of each operand.
Xmm pclmulqdq(Xmm destination, Xmm source, uint8_t immediate) {
  const Xmm first = (immediate & 0x01) != 0 ? _mm_unpackhi_epi64(destination, destination) : destination;
  const Xmm second = (immediate & 0x10) != 0 ? _mm_unpackhi_epi64(source, source) : source;
  return _mm_clmulepi64_si128(first, second, 0);
}

Xmm sha1rnds4(Xmm destination, Xmm source, uint8_t immediate) {
  switch (immediate & 3) {
    case 0:
      return _mm_sha1rnds4_epu32(destination, source, 0);
    case 1:
      return _mm_sha1rnds4_epu32(destination, source, 1);
    case 2:
      return _mm_sha1rnds4_epu32(destination, source, 2);
    default:
      return _mm_sha1rnds4_epu32(destination, source, 3);
  }
}

// XMM0 holds the two message dwords with their constants.
template <Source kSource>
void sha256rnds2(Cpu& cpu, const Op& op, TlbEntry* tlb) {
  const Xmm source = source_xmm<kSource>(cpu, op, tlb);
  set_xmm(cpu, op.reg, _mm_sha256rnds2_epu32(xmm(cpu, op.reg), source, xmm(cpu, 0)));
}

}  // namespace

Selection select_crypto(const Instruction& instruction, Op& op) {
  switch (instruction.mnemonic) {
    case Mnemonic::Aesenc:
      return sse_binary<_mm_aesenc_si128>(instruction, op);
    case Mnemonic::Aesenclast:
      return sse_binary<_mm_aesenclast_si128>(instruction, op);
    case Mnemonic::Aesdec:
      return sse_binary<_mm_aesdec_si128>(instruction, op);
    case Mnemonic::Aesdeclast:
      return sse_binary<_mm_aesdeclast_si128>(instruction, op);
    case Mnemonic::Aesimc:
      return sse_unary<_mm_aesimc_si128>(instruction, op);
    case Mnemonic::Aeskeygenassist:
      return sse_immediate<aeskeygenassist>(instruction, op);
    case Mnemonic::Pclmulqdq:
      return sse_immediate<pclmulqdq>(instruction, op);
    case Mnemonic::Sha1rnds4:
      return sse_immediate<sha1rnds4>(instruction, op);
    case Mnemonic::Sha1nexte:
      return sse_binary<_mm_sha1nexte_epu32>(instruction, op);
    case Mnemonic::Sha1msg1:
      return sse_binary<_mm_sha1msg1_epu32>(instruction, op);
    case Mnemonic::Sha1msg2:
      return sse_binary<_mm_sha1msg2_epu32>(instruction, op);
    case Mnemonic::Sha256rnds2:
      return by_source(op, []<Source kSource>() { return select_sse<sha256rnds2<kSource>>(); });
    case Mnemonic::Sha256msg1:
      return sse_binary<_mm_sha256msg1_epu32>(instruction, op);
    case Mnemonic::Sha256msg2:
      return sse_binary<_mm_sha256msg2_epu32>(instruction, op);
    default:
      return {};
  }
}

}  // namespace calco::cpu::vector
