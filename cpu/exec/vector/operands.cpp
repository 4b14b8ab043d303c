#include "cpu/exec/vector/operands.h"

#include "cpu/mmu/paging.h"

namespace calco::cpu::vector {

namespace {

// What counts for the 16 bytes as a whole, before either half can fault: canonical addresses, and alignment while
// alignment is checked (no access takes the fast path then).
void check_operand(Cpu& cpu, uint64_t linear, bool stack) {
  if (cpu.long_mode_active() && (!canonical(linear) || !canonical(linear + 15))) {
    cpu.raise(stack ? kStackFault : kGeneralProtection, 0);
  }
  if (cpu.mmu().current_protection() == Protection::UserAligned && (linear & 15) != 0) cpu.raise(kAlignmentCheck, 0);
}

}  // namespace

Xmm load_xmm_slow(Cpu& cpu, TlbEntry* tlb, uint64_t linear, bool stack) {
  check_operand(cpu, linear, stack);
  const auto value = load_linear<Bytes16>(cpu, tlb, linear, stack);
  return _mm_set_epi64x(static_cast<int64_t>(value.high), static_cast<int64_t>(value.low));
}

void store_xmm_slow(Cpu& cpu, TlbEntry* tlb, uint64_t linear, Xmm value, bool stack) {
  check_operand(cpu, linear, stack);
  store_linear(cpu, tlb, linear, Bytes16{low_qword(value), high_qword(value)}, stack);
}

}  // namespace calco::cpu::vector
