#include "cpu/exec/vector/operands.h"

#include <bit>

#include "cpu/mmu/paging.h"

namespace calco::cpu::vector {

namespace {

// What counts for the operand as a whole, before any part of it can fault: canonical addresses, and alignment to 16
// bytes while alignment is checked (no access takes the fast path then).
void check_operand(Cpu& cpu, uint64_t linear, unsigned size, bool stack) {
  if (cpu.long_mode_active() && (!canonical(linear) || !canonical(linear + size - 1))) {
    cpu.raise(stack ? kStackFault : kGeneralProtection, 0);
  }
  if (cpu.mmu().current_protection() == Protection::UserAligned && (linear & 15) != 0) cpu.raise(kAlignmentCheck, 0);
}

}  // namespace

void probe_store(Cpu& cpu, uint64_t linear, unsigned size, bool stack) {
  if (size > 8) check_operand(cpu, linear, size, stack);
  cpu.mmu().probe_write(linear, size, cpu.mmu().current_protection(), stack);
}

Xmm load_xmm_slow(Cpu& cpu, TlbEntry* tlb, uint64_t linear, bool stack) {
  check_operand(cpu, linear, 16, stack);
  const auto value = load_linear<Bytes16>(cpu, tlb, linear, stack);
  return _mm_set_epi64x(static_cast<int64_t>(value.high), static_cast<int64_t>(value.low));
}

void store_xmm_slow(Cpu& cpu, TlbEntry* tlb, uint64_t linear, Xmm value, bool stack) {
  check_operand(cpu, linear, 16, stack);
  store_linear(cpu, tlb, linear, Bytes16{low_qword(value), high_qword(value)}, stack);
}

Lanes<2> load_ymm_slow(Cpu& cpu, TlbEntry* tlb, uint64_t linear, bool stack) {
  check_operand(cpu, linear, 32, stack);
  std::array<uint64_t, 4> value;
  for (size_t i = 0; i < value.size(); ++i)
    value[i] = load_linear<uint64_t>(cpu, tlb, cpu.wrap_linear(linear + i * 8), stack);
  return std::bit_cast<Lanes<2>>(value);
}

void store_ymm_slow(Cpu& cpu, TlbEntry* tlb, uint64_t linear, const Lanes<2>& value, bool stack) {
  probe_store(cpu, linear, 32, stack);
  const auto qwords = std::bit_cast<std::array<uint64_t, 4>>(value);
  for (size_t i = 0; i < qwords.size(); ++i) store_linear(cpu, tlb, cpu.wrap_linear(linear + i * 8), qwords[i], stack);
}

}  // namespace calco::cpu::vector
