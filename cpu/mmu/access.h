// The one load/store path: every access of an instruction to memory goes through these functions.
#pragma once

#include <cstdint>
#include <cstring>
#include <type_traits>

#include "cpu/cpu.h"
#include "cpu/exec/host_memory.h"
#include "cpu/exec/op.h"
#include "cpu/mmu/tlb.h"

namespace calco::cpu {

struct Bytes16 {
  uint64_t low, high;
};

// --- Linear addresses ----------------------------------------------------------------------------------------------

// Reads T (1, 2, 4, 8 or 16 bytes) at a linear address with the current privilege.
template <typename T>
[[gnu::always_inline]] inline T load_linear(Cpu& cpu, TlbEntry* tlb, uint64_t linear, bool stack = false) {
  if constexpr (sizeof(T) <= 8) {
    const TlbEntry* entry = tlb_entry(tlb, linear);
    T value;
    if (((linear + (sizeof(T) - 1)) & ~uint64_t{0xFFF}) == entry->read) [[likely]] {
      order_before_load();
      std::memcpy(&value, reinterpret_cast<const void*>(linear + entry->addend), sizeof(T));
      return value;
    }
    const uint64_t raw = cpu.mmu().load_slow(linear, sizeof(T), cpu.mmu().current_protection(), stack);
    std::memcpy(&value, &raw, sizeof(T));
    return value;
  } else {
    static_assert(sizeof(T) == 16);
    const Bytes16 both{load_linear<uint64_t>(cpu, tlb, linear, stack),
                       load_linear<uint64_t>(cpu, tlb, linear + 8, stack)};
    T value;
    std::memcpy(&value, &both, sizeof(T));
    return value;
  }
}

// Writes T at a linear address with the current privilege. A 16-byte store that faults stores nothing.
template <typename T>
[[gnu::always_inline]] inline void store_linear(Cpu& cpu, TlbEntry* tlb, uint64_t linear, T value, bool stack = false) {
  if constexpr (sizeof(T) <= 8) {
    const TlbEntry* entry = tlb_entry(tlb, linear);
    if (((linear + (sizeof(T) - 1)) & ~uint64_t{0xFFF}) == entry->write) [[likely]] {
      order_before_store();
      std::memcpy(reinterpret_cast<void*>(linear + entry->addend), &value, sizeof(T));
      return;
    }
    uint64_t raw = 0;
    std::memcpy(&raw, &value, sizeof(T));
    cpu.mmu().store_slow(linear, sizeof(T), raw, cpu.mmu().current_protection(), stack);
  } else {
    static_assert(sizeof(T) == 16);
    Bytes16 both;
    std::memcpy(&both, &value, sizeof(T));
    if (((linear & 0xFFF) > 0xFF0)) cpu.mmu().probe_write(linear, 16, cpu.mmu().current_protection(), stack);
    store_linear<uint64_t>(cpu, tlb, linear, both.low, stack);
    store_linear<uint64_t>(cpu, tlb, linear + 8, both.high, stack);
  }
}

template <typename T>
T load_linear(Cpu& cpu, uint64_t linear) {
  return load_linear<T>(cpu, cpu.tlb, linear);
}
template <typename T>
void store_linear(Cpu& cpu, uint64_t linear, T value) {
  store_linear<T>(cpu, cpu.tlb, linear, value);
}

// Implicit supervisor accesses (descriptor tables, TSS, interrupt stacks), whatever the CPL.
template <typename T>
T load_supervisor(Cpu& cpu, uint64_t linear) {
  static_assert(sizeof(T) <= 8);
  const uint64_t raw = cpu.mmu().load_slow(linear, sizeof(T), Protection::Supervisor);
  T value;
  std::memcpy(&value, &raw, sizeof(T));
  return value;
}
template <typename T>
void store_supervisor(Cpu& cpu, uint64_t linear, T value) {
  static_assert(sizeof(T) <= 8);
  uint64_t raw = 0;
  std::memcpy(&raw, &value, sizeof(T));
  cpu.mmu().store_slow(linear, sizeof(T), raw, Protection::Supervisor);
}

// --- Memory operands -------------------------------------------------------------------------------------------------

// base + (index << scale) + displacement, cut to the address size; no segment.
inline uint64_t effective_address(const Cpu& cpu, const Op& op) {
  const uint64_t address = cpu.registers[op.base] + (cpu.registers[op.index] << op.scale) +
                           static_cast<uint64_t>(static_cast<int64_t>(op.displacement));
  return op.address_size == 8   ? address
         : op.address_size == 4 ? static_cast<uint32_t>(address)
                                : static_cast<uint16_t>(address);
}

// Adds the segment base to `offset` after the checks of SDM vol. 3, 5.3 and 5.5 for `size` bytes; raises #GP(0) or
// #SS(0). In 64-bit mode only checks that the address is canonical.
uint64_t segment_linear(Cpu& cpu, unsigned segment, uint64_t offset, unsigned size, bool write);

// Linear address of the operation's memory operand, checked for `size` bytes. Not inlined: hot handlers have fast
// forms.
uint64_t operand_linear(Cpu& cpu, const Op& op, unsigned size, bool write);

template <typename T>
T load_operand(Cpu& cpu, const Op& op) {
  return load_linear<T>(cpu, cpu.tlb, operand_linear(cpu, op, sizeof(T), false), op.segment == kSs);
}
template <typename T>
void store_operand(Cpu& cpu, const Op& op, T value) {
  store_linear<T>(cpu, cpu.tlb, operand_linear(cpu, op, sizeof(T), true), value, op.segment == kSs);
}

// --- Register operands -----------------------------------------------------------------------------------------------

// The register that Op::reg or Op::rm names, as T (for bytes the field is a byte offset).
template <typename T>
[[gnu::always_inline]] inline T read_register(const Cpu& cpu, uint8_t field) {
  T value;
  const auto* bytes = reinterpret_cast<const uint8_t*>(cpu.registers.data());
  std::memcpy(&value, bytes + (sizeof(T) == 1 ? field : field * 8), sizeof(T));
  return value;
}
// Writes it; a 32-bit write clears the upper half (SDM vol. 1, 3.4.1.1).
template <typename T>
[[gnu::always_inline]] inline void write_register(Cpu& cpu, uint8_t field, T value) {
  auto* bytes = reinterpret_cast<uint8_t*>(cpu.registers.data());
  if constexpr (sizeof(T) == 4) {
    cpu.registers[field] = static_cast<uint32_t>(value);
  } else {
    std::memcpy(bytes + (sizeof(T) == 1 ? field : field * 8), &value, sizeof(T));
  }
}

// The ModRM.rm operand, register or memory.
template <typename T>
T read_rm(Cpu& cpu, const Op& op) {
  return op.is_memory ? load_operand<T>(cpu, op) : read_register<T>(cpu, op.rm);
}
template <typename T>
void write_rm(Cpu& cpu, const Op& op, T value) {
  if (op.is_memory) {
    store_operand<T>(cpu, op, value);
  } else {
    write_register<T>(cpu, op.rm, value);
  }
}

// --- Stack
// -------------------------------------------------------------------------------------------------------------

// Push and pop of `size` bytes with the current stack's address size and checks. A push that faults leaves RSP alone.
void push(Cpu& cpu, uint64_t value, unsigned size);
uint64_t pop(Cpu& cpu, unsigned size);

}  // namespace calco::cpu
