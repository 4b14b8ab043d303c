// How arithmetic_flags() computes, for whoever must not call a function.
#pragma once

#include "cpu/flags.h"

namespace calco::cpu {

namespace flags_detail {

constexpr uint64_t bit_if(bool condition, uint64_t bit) { return condition ? bit : 0; }

// SF, ZF and PF of a result that is sign-extended to 64 bits.
[[gnu::always_inline]] inline uint64_t result_flags(uint64_t result) {
  return bit_if(static_cast<int64_t>(result) < 0, rflags::kSf) | bit_if(result == 0, rflags::kZf) | parity_flag(result);
}

[[gnu::always_inline]] inline uint64_t sign_extend(uint64_t value, unsigned size_log2) {
  const unsigned unused = 64 - (8u << size_log2);
  return static_cast<uint64_t>(static_cast<int64_t>(value << unused) >> unused);
}

// a + b + carry == result at the operand size; all sign-extended.
[[gnu::always_inline]] inline uint64_t add_flags(uint64_t a, uint64_t b, uint64_t result, bool carry_in) {
  const bool carry = carry_in ? result <= a : result < a;
  return result_flags(result) | bit_if(carry, rflags::kCf) | ((a ^ b ^ result) & rflags::kAf) |
         bit_if(static_cast<int64_t>((a ^ result) & (b ^ result)) < 0, rflags::kOf);
}

// a - b - borrow == result at the operand size; all sign-extended.
[[gnu::always_inline]] inline uint64_t subtract_flags(uint64_t a, uint64_t b, uint64_t result, bool borrow_in) {
  const bool borrow = borrow_in ? a <= b : a < b;
  return result_flags(result) | bit_if(borrow, rflags::kCf) | ((a ^ b ^ result) & rflags::kAf) |
         bit_if(static_cast<int64_t>((a ^ b) & (a ^ result)) < 0, rflags::kOf);
}

}  // namespace flags_detail

[[gnu::always_inline]] inline uint64_t compute_arithmetic_flags(const LazyFlags& lazy) {
  using namespace flags_detail;
  const unsigned size = lazy.kind >> 8;
  const uint64_t first = lazy.first;
  const uint64_t second = lazy.second;
  switch (static_cast<FlagKind>(lazy.kind & 0xFF)) {
    case FlagKind::Explicit:
      return first;
    case FlagKind::Logic:
      return result_flags(first);
    case FlagKind::Add:
      return add_flags(sign_extend(first - second, size), second, first, false);
    case FlagKind::AddCarry:
      return add_flags(sign_extend(first - second - 1, size), second, first, true);
    case FlagKind::Subtract:
      return subtract_flags(first, second, sign_extend(first - second, size), false);
    case FlagKind::SubtractBorrow:
      return subtract_flags(first, second, sign_extend(first - second - 1, size), true);
    case FlagKind::Increment:
      return (add_flags(sign_extend(first - 1, size), 1, first, false) & ~rflags::kCf) | second;
    case FlagKind::Decrement:
      return (subtract_flags(sign_extend(first + 1, size), 1, first, false) & ~rflags::kCf) | second;
    case FlagKind::ShiftLeft: {
      const bool carry = static_cast<int64_t>(second) < 0;
      return result_flags(first) | bit_if(carry, rflags::kCf) |
             bit_if(carry != (static_cast<int64_t>(first) < 0), rflags::kOf);
    }
    case FlagKind::ShiftRight:
      return result_flags(first) | bit_if((second & 1) != 0, rflags::kCf) |
             bit_if(static_cast<int64_t>(second) < 0, rflags::kOf);
    case FlagKind::ShiftArithmetic:
      return result_flags(first) | bit_if((second & 1) != 0, rflags::kCf);
  }
  return 0;
}

}  // namespace calco::cpu
