// Memory images of registers that are longer than one access: x87 environments, FXSAVE and XSAVE areas.
#pragma once

#include <cstdint>
#include <cstring>

#include "cpu/mmu/access.h"

namespace calco::cpu {

// Copies `size` bytes (even, at most 4096) at a linear address that the segment checks have passed.
inline void load_block(Cpu& cpu, uint64_t linear, void* destination, unsigned size, bool stack) {
  auto* bytes = static_cast<uint8_t*>(destination);
  unsigned done = 0;
  for (; done + 8 <= size; done += 8) {
    const auto value = load_linear<uint64_t>(cpu, cpu.tlb, linear + done, stack);
    std::memcpy(bytes + done, &value, 8);
  }
  for (; done < size; done += 2) {
    const auto value = load_linear<uint16_t>(cpu, cpu.tlb, linear + done, stack);
    std::memcpy(bytes + done, &value, 2);
  }
}

// Makes sure that none of `size` bytes (1 to 4096) faults when written; a fault on the second page is at its start.
inline void probe_block(Cpu& cpu, uint64_t linear, unsigned size, bool stack) {
  constexpr uint64_t kPageOffset = 0xFFF;
  const Protection protection = cpu.mmu().current_protection();
  cpu.mmu().probe_write(linear, 1, protection, stack);
  cpu.mmu().probe_write((linear + size - 1) & ~kPageOffset, 1, protection, stack);
}

// A store that faults stores nothing.
inline void store_block(Cpu& cpu, uint64_t linear, const void* source, unsigned size, bool stack) {
  if ((linear & 0xFFF) + size > 0x1000) probe_block(cpu, linear, size, stack);
  const auto* bytes = static_cast<const uint8_t*>(source);
  unsigned done = 0;
  for (; done + 8 <= size; done += 8) {
    uint64_t value;
    std::memcpy(&value, bytes + done, 8);
    store_linear<uint64_t>(cpu, cpu.tlb, linear + done, value, stack);
  }
  for (; done < size; done += 2) {
    uint16_t value;
    std::memcpy(&value, bytes + done, 2);
    store_linear<uint16_t>(cpu, cpu.tlb, linear + done, value, stack);
  }
}

}  // namespace calco::cpu
