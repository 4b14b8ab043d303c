// Guest locked operations as host atomics.
#pragma once

#include "cpu/mmu/access.h"
#include "cpu/system/processor_group.h"

namespace calco::cpu {

// Replaces the T at `linear` by change(old) as one atomic step and returns old. Where the bytes lie in plain memory and
// in one page, a host compare-and-exchange does it (split locks within a page included where the host's own LOCK allows
// them); else all other processors stand still meanwhile. `change` may run more than once and must not raise.
template <typename T, typename Change>
T atomic_modify(Cpu& cpu, uint64_t linear, bool stack, Change&& change) {
  const Protection protection = cpu.mmu().current_protection();
  cpu.mmu().probe_write(linear, sizeof(T), protection, stack);
  uint8_t* host = nullptr;
  if ((linear & 0xFFF) <= 0x1000 - sizeof(T) && host_locks(linear, sizeof(T)))
    host = cpu.mmu().host_address(linear, sizeof(T), Access::Write, protection);
  T old;
  if (host != nullptr) {
    auto* target = reinterpret_cast<T*>(host);
    old = __atomic_load_n(target, __ATOMIC_RELAXED);
    while (!__atomic_compare_exchange_n(target, &old, change(old), false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED)) {
    }
    cpu.mmu().note_written(linear, host, sizeof(T), protection);
    return old;
  }
  cpu.environment().group.exclusively(cpu, [&] {
    const uint64_t raw = cpu.mmu().load_slow(linear, sizeof(T), protection, stack);
    std::memcpy(&old, &raw, sizeof(T));
    const T changed = change(old);
    uint64_t out = 0;
    std::memcpy(&out, &changed, sizeof(T));
    cpu.mmu().store_slow(linear, sizeof(T), out, protection, stack);
  });
  return old;
}

template <typename T, typename Change>
T atomic_modify_operand(Cpu& cpu, const Op& op, Change&& change) {
  return atomic_modify<T>(cpu, operand_linear(cpu, op, sizeof(T), true), op.segment == kSs, change);
}

}  // namespace calco::cpu
