// Lazy arithmetic flags: remembered operands instead of computed bits.
#pragma once

#include <bit>
#include <cstdint>

#include "cpu/state.h"

namespace calco::cpu {

// How LazyFlags::first and ::second give the six flags. All values are sign-extended from the operand size, which
// keeps sign, zero and unsigned order of an operand the same at every size.
enum class FlagKind : uint8_t {
  Explicit,        // first: the six flags in their RFLAGS places
  Logic,           // first: result; CF = OF = AF = 0
  Add,             // first: result, second: the addend
  AddCarry,        // the same with a carry in of 1
  Subtract,        // first: minuend, second: subtrahend
  SubtractBorrow,  // the same with a borrow in of 1
  Increment,       // first: result, second: CF as it was
  Decrement,
  // first: result, second: the operand shifted by one less than the count. AF is 0; OF is what a shift by one gives.
  ShiftLeft,
  ShiftRight,
  ShiftArithmetic,
};

constexpr uint32_t flag_kind(FlagKind kind, unsigned size_log2) { return static_cast<uint32_t>(kind) | size_log2 << 8; }

// The six arithmetic flags of a lazy triple, in their RFLAGS places.
uint64_t arithmetic_flags(const LazyFlags& lazy);

// CF alone; what INC, DEC, ADC and SBB ask for.
inline bool carry_flag(const LazyFlags& lazy) {
  switch (static_cast<FlagKind>(lazy.kind & 0xFF)) {
    case FlagKind::Logic:
      return false;
    case FlagKind::Add:
    case FlagKind::Subtract:
      return lazy.first < lazy.second;
    case FlagKind::Increment:
    case FlagKind::Decrement:
      return lazy.second != 0;
    default:
      return (arithmetic_flags(lazy) & rflags::kCf) != 0;
  }
}

inline void set_arithmetic_flags(LazyFlags& lazy, uint64_t value) {
  lazy.kind = flag_kind(FlagKind::Explicit, 3);
  lazy.first = value & rflags::kArithmetic;
}

// Replaces the flags of `mask` by those of `value`, keeps the others.
inline void change_arithmetic_flags(LazyFlags& lazy, uint64_t mask, uint64_t value) {
  set_arithmetic_flags(lazy, (arithmetic_flags(lazy) & ~mask) | (value & mask));
}

// PF of a result: even number of ones in the low byte.
inline uint64_t parity_flag(uint64_t result) {
  return (std::popcount(static_cast<uint8_t>(result)) & 1) == 0 ? rflags::kPf : 0;
}

inline uint64_t rflags_value(const CpuState& state) { return state.system_flags | arithmetic_flags(state.flags); }
inline void set_rflags_value(CpuState& state, uint64_t value) {
  state.system_flags = (value & ~rflags::kArithmetic) | rflags::kFixed;
  set_arithmetic_flags(state.flags, value);
}

}  // namespace calco::cpu
