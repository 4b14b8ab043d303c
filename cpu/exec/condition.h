// The sixteen conditions of Jcc, SETcc and CMOVcc (SDM vol. 1, appendix B).
#pragma once

#include <cstdint>

#include "cpu/exec/handlers.h"
#include "cpu/flags.h"

namespace calco::cpu {

enum Condition : uint8_t {
  kOverflowSet,
  kOverflowClear,
  kBelow,
  kAboveOrEqual,
  kEqual,
  kNotEqual,
  kBelowOrEqual,
  kAbove,
  kSign,
  kNotSign,
  kParityEven,
  kParityOdd,
  kLess,
  kGreaterOrEqual,
  kLessOrEqual,
  kGreater
};

// The condition from the six flags in their RFLAGS places.
inline bool condition_of_flags(uint64_t flags, unsigned condition) {
  const bool carry = (flags & rflags::kCf) != 0, zero = (flags & rflags::kZf) != 0, sign = (flags & rflags::kSf) != 0;
  const bool overflow = (flags & rflags::kOf) != 0;
  bool holds = false;
  switch (condition & 0xE) {
    case kOverflowSet:
      holds = overflow;
      break;
    case kBelow:
      holds = carry;
      break;
    case kEqual:
      holds = zero;
      break;
    case kBelowOrEqual:
      holds = carry || zero;
      break;
    case kSign:
      holds = sign;
      break;
    case kParityEven:
      holds = (flags & rflags::kPf) != 0;
      break;
    case kLess:
      holds = sign != overflow;
      break;
    default:
      holds = zero || sign != overflow;
      break;
  }
  return holds != ((condition & 1) != 0);
}

// What is known, when a block is decoded, of the operation that set the flags last.
enum class FlagSource : uint8_t { Unknown, Subtract, Logic };

// The condition straight from the remembered operands. With a known source and most conditions this is one compare:
// sign-extended operands order the same at every size.
template <unsigned kCondition, FlagSource kSource>
[[gnu::always_inline]] inline bool condition_holds(const LazyFlags& lazy) {
  constexpr unsigned kPair = kCondition & 0xE;
  constexpr bool kNegated = (kCondition & 1) != 0;
  const uint64_t first = lazy.first;
  const uint64_t second = lazy.second;
  if constexpr (kSource == FlagSource::Subtract) {
    if constexpr (kPair == kBelow) return (first < second) != kNegated;
    if constexpr (kPair == kEqual) return (first == second) != kNegated;
    if constexpr (kPair == kBelowOrEqual) return (first <= second) != kNegated;
    if constexpr (kPair == kLess) return (static_cast<int64_t>(first) < static_cast<int64_t>(second)) != kNegated;
    if constexpr (kPair == kLessOrEqual) {
      return (static_cast<int64_t>(first) <= static_cast<int64_t>(second)) != kNegated;
    }
  }
  if constexpr (kSource == FlagSource::Logic) {
    if constexpr (kPair == kBelow || kPair == kOverflowSet) return kNegated;
    if constexpr (kPair == kEqual || kPair == kBelowOrEqual) return (first == 0) != kNegated;
    if constexpr (kPair == kSign || kPair == kLess) return (static_cast<int64_t>(first) < 0) != kNegated;
    if constexpr (kPair == kLessOrEqual) return (static_cast<int64_t>(first) <= 0) != kNegated;
  }
  // ZF and SF are the result's in every kind that keeps a result first.
  if constexpr (kPair == kEqual || kPair == kSign) {
    const auto kind = static_cast<FlagKind>(lazy.kind & 0xFF);
    if (kind != FlagKind::Explicit && kind != FlagKind::Subtract && kind != FlagKind::SubtractBorrow) {
      return (kPair == kEqual ? first == 0 : static_cast<int64_t>(first) < 0) != kNegated;
    }
    if (kPair == kEqual && kind == FlagKind::Subtract) return (first == second) != kNegated;
  }
  return condition_of_flags(arithmetic_flags(lazy), kCondition);
}

// Calls `pick.template operator()<kCondition>()`.
template <typename Pick>
constexpr auto with_condition(unsigned condition, Pick&& pick) {
  switch (condition & 15) {
    case 0:
      return pick.template operator()<0>();
    case 1:
      return pick.template operator()<1>();
    case 2:
      return pick.template operator()<2>();
    case 3:
      return pick.template operator()<3>();
    case 4:
      return pick.template operator()<4>();
    case 5:
      return pick.template operator()<5>();
    case 6:
      return pick.template operator()<6>();
    case 7:
      return pick.template operator()<7>();
    case 8:
      return pick.template operator()<8>();
    case 9:
      return pick.template operator()<9>();
    case 10:
      return pick.template operator()<10>();
    case 11:
      return pick.template operator()<11>();
    case 12:
      return pick.template operator()<12>();
    case 13:
      return pick.template operator()<13>();
    case 14:
      return pick.template operator()<14>();
    default:
      return pick.template operator()<15>();
  }
}

// Selectors of the conditional instructions for the case that the block tells what set the flags last.
Selection select_with_flag_source(const decode::Instruction& instruction, Op& op, FlagSource source);  // CMOVcc, SETcc
Selection select_branch_with_flag_source(const decode::Instruction& instruction, Op& op, FlagSource source);  // Jcc

}  // namespace calco::cpu
