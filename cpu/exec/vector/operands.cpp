#include "cpu/exec/vector/operands.h"

#include "cpu/mmu/paging.h"

namespace calco::cpu::vector {

namespace {
// With alignment checks on, unaligned operands count as one access of 16 bytes. They never take the fast path then.
void check_operand_alignment(Cpu& cpu, uint64_t linear) {
  if (cpu.mmu().current_protection() != Protection::UserAligned || (linear & 15) == 0) return;
  if (canonical(linear) && canonical(linear + 15)) cpu.raise(kAlignmentCheck, 0);
}
}  // namespace

Xmm load_xmm_slow(Cpu& cpu, TlbEntry* tlb, uint64_t linear, bool stack) {
  check_operand_alignment(cpu, linear);
  const auto value = load_linear<Bytes16>(cpu, tlb, linear, stack);
  return _mm_set_epi64x(static_cast<int64_t>(value.high), static_cast<int64_t>(value.low));
}

void store_xmm_slow(Cpu& cpu, TlbEntry* tlb, uint64_t linear, Xmm value, bool stack) {
  check_operand_alignment(cpu, linear);
  store_linear(cpu, tlb, linear, Bytes16{low_qword(value), high_qword(value)}, stack);
}

}  // namespace calco::cpu::vector
