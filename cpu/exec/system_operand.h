// What the system instructions' functions share: privilege checks and operands of odd shapes.
#pragma once

#include <algorithm>

#include "cpu/mmu/access.h"
#include "cpu/system/cpu_model.h"

namespace calco::cpu {

inline void require_ring_0(Cpu& cpu) {
  if (cpu.cpl != 0) cpu.raise(kGeneralProtection, 0);
}

// CR4.UMIP keeps the contents of system registers from user code (SDM vol. 3, 2.5).
inline void require_ring_0_under_umip(Cpu& cpu) {
  if ((cpu.cr4 & cr4::kUmip) != 0) require_ring_0(cpu);
}

// Writes a general register as `size` bytes (2, 4 or 8); 4 clear the upper half.
inline void write_sized(Cpu& cpu, uint8_t field, unsigned size, uint64_t value) {
  if (size == 2) {
    write_register<uint16_t>(cpu, field, static_cast<uint16_t>(value));
  } else {
    write_register<uint64_t>(cpu, field, size == 4 ? value & 0xFFFFFFFF : value);
  }
}

struct FarPointer {
  uint64_t offset;
  uint16_t selector;
};

// Bytes of a far pointer's offset. AMD processors have no m16:64: REX.W does not count (AMD APM vol. 3, JMP (Far)).
inline unsigned far_offset_size(const Cpu& cpu, const Op& op) {
  return cpu.model().is_intel() ? op.operand_size : std::min<unsigned>(op.operand_size, 4);
}

// The memory operand as an offset and the selector behind it: two accesses.
inline FarPointer load_far_pointer(Cpu& cpu, const Op& op) {
  const unsigned size = far_offset_size(cpu, op);
  const Protection protection = cpu.mmu().current_protection();
  const bool stack = op.segment == kSs;
  const uint64_t linear = operand_linear(cpu, op, size, false);
  const uint64_t offset = cpu.mmu().load_slow(linear, size, protection, stack);
  const uint64_t behind = segment_linear(cpu, op.segment, effective_address(cpu, op) + size, 2, false);
  const uint64_t selector = cpu.mmu().load_slow(behind, 2, protection, stack);
  return {offset, static_cast<uint16_t>(selector)};
}

}  // namespace calco::cpu
