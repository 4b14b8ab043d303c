// Packed shifts (SDM vol. 1, 9.4.6, 11.4.2).
#include "cpu/exec/vector/byte_shift.h"
#include "cpu/exec/vector/families.h"
#include "cpu/exec/vector/forms.h"

namespace calco::cpu::vector {
namespace {

using decode::Instruction;
using decode::Mnemonic;

// Shifts by an immediate: ModRM.rm is the destination. The host's shifts take any count from a register's low half.
template <auto F>
void xmm_shift_by_immediate(Cpu& cpu, const Op& op, TlbEntry*) {
  set_xmm(cpu, op.rm, F(xmm(cpu, op.rm), from_qword(op.immediate & 0xFF)));
}
template <auto F>
void mmx_shift_by_immediate(Cpu& cpu, const Op& op, TlbEntry*) {
  set_mmx(cpu, op.rm, low_qword(F(from_qword(mmx(cpu, op.rm)), from_qword(op.immediate & 0xFF))));
}
template <auto F>
void xmm_byte_shift(Cpu& cpu, const Op& op, TlbEntry*) {
  set_xmm(cpu, op.rm, F(xmm(cpu, op.rm), static_cast<uint8_t>(op.immediate)));
}

template <auto F>
Selection shift(const Instruction& instruction, const Op& op) {
  if (instruction.operands[1].kind != decode::OperandKind::Immediate) return both<F>(instruction, op);
  return is_mmx(instruction) ? select_mmx<mmx_shift_by_immediate<F>>() : select_sse<xmm_shift_by_immediate<F>>();
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
      return select_sse<xmm_byte_shift<shift_bytes_left>>();
    case Mnemonic::Psrldq:
      return select_sse<xmm_byte_shift<shift_bytes_right>>();
    default:
      return {};
  }
}

}  // namespace calco::cpu::vector
