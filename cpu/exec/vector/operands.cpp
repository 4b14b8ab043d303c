#include "cpu/exec/vector/operands.h"

namespace calco::cpu::vector {

Xmm load_xmm_slow(Cpu& cpu, TlbEntry* tlb, uint64_t linear, bool stack) {
  const auto value = load_linear<Bytes16>(cpu, tlb, linear, stack);
  return _mm_set_epi64x(static_cast<int64_t>(value.high), static_cast<int64_t>(value.low));
}

void store_xmm_slow(Cpu& cpu, TlbEntry* tlb, uint64_t linear, Xmm value, bool stack) {
  store_linear(cpu, tlb, linear, Bytes16{low_qword(value), high_qword(value)}, stack);
}

}  // namespace calco::cpu::vector
