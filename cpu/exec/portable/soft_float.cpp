#include "cpu/exec/portable/soft_float.h"

#include <algorithm>
#include <bit>
#include <utility>

namespace calco::cpu::soft_float {

namespace {

constexpr int kBits = 128;

int leading_zeros(Significand value) {
  const auto high = static_cast<uint64_t>(value >> 64);
  return high != 0 ? std::countl_zero(high) : 64 + std::countl_zero(static_cast<uint64_t>(value));
}

// What falls out at the right stays in the lowest bit.
Significand shift_right_jamming(Significand value, int count) {
  if (count == 0) return value;
  if (count >= kBits) return value != 0 ? 1 : 0;
  const Significand lost = value << (kBits - count);
  return value >> count | (lost != 0 ? 1 : 0);
}

struct Rounded {
  Significand significand;  // the lowest `drop` bits are clear
  bool carry;               // it became 2^128, of which `significand` has nothing
  bool inexact, up;
};

// Drops the lowest bits; 0 < drop <= 128.
Rounded round_significand(Significand value, int drop, bool negative, Rounding rounding) {
  const Significand half = static_cast<Significand>(1) << (drop - 1);
  const Significand mask = half | (half - 1);
  const Significand rest = value & mask;
  const Significand kept = value & ~mask;
  bool up = false;
  switch (rounding) {
    case Rounding::Nearest: {
      const bool odd = drop < kBits && (value >> drop & 1) != 0;
      up = rest > half || (rest == half && odd);
      break;
    }
    case Rounding::Down:
      up = negative && rest != 0;
      break;
    case Rounding::Up:
      up = !negative && rest != 0;
      break;
    case Rounding::Truncate:
      break;
  }
  if (!up) return {kept, false, rest != 0, false};
  const Significand step = drop < kBits ? static_cast<Significand>(1) << drop : 0;
  const Significand sum = kept + step;
  return {sum, sum < kept || drop == kBits, rest != 0, true};
}

// Overflow: whether the answer is infinity or the largest number (SDM vol. 1, table 4-10).
bool overflows_to_infinity(bool negative, Rounding rounding) {
  switch (rounding) {
    case Rounding::Nearest:
      return true;
    case Rounding::Down:
      return negative;
    case Rounding::Up:
      return !negative;
    default:
      return false;
  }
}

}  // namespace

Number normalized(bool negative, int exponent, Significand significand) {
  if (significand == 0) return zero(negative);
  const int shift = leading_zeros(significand);
  return {
      .kind = Class::Finite, .negative = negative, .exponent = exponent - shift, .significand = significand << shift};
}

Number from_integer(bool negative, uint64_t magnitude) {
  return normalized(negative && magnitude != 0, 63, static_cast<Significand>(magnitude) << 64);
}

Number unpack(uint64_t bits, Format format) {
  const int fraction_bits = format.precision - 1;
  const bool negative = (bits >> (fraction_bits + format.exponent_bits) & 1) != 0;
  const auto exponent = static_cast<int>(bits >> fraction_bits & ((uint64_t{1} << format.exponent_bits) - 1));
  const Significand fraction = static_cast<Significand>(bits & ((uint64_t{1} << fraction_bits) - 1))
                               << (kBits - format.precision);
  if (exponent == (1 << format.exponent_bits) - 1) {
    if (fraction == 0) return infinity(negative);
    return {.kind = Class::Nan, .negative = negative, .significand = fraction | kLeadingBit};
  }
  if (exponent == 0) {
    Number number = normalized(negative, format.minimum_exponent(), fraction);
    number.denormal = fraction != 0;
    return number;
  }
  return {.kind = Class::Finite,
          .negative = negative,
          .exponent = exponent - format.bias(),
          .significand = fraction | kLeadingBit};
}

uint64_t pack(const Number& number, Format format) {
  const int fraction_bits = format.precision - 1;
  const uint64_t sign = static_cast<uint64_t>(number.negative) << (fraction_bits + format.exponent_bits);
  const uint64_t top_exponent = ((uint64_t{1} << format.exponent_bits) - 1) << fraction_bits;
  const auto fraction_of = [&](Significand significand) {
    return static_cast<uint64_t>(significand >> (kBits - format.precision)) & ((uint64_t{1} << fraction_bits) - 1);
  };
  switch (number.kind) {
    case Class::Zero:
      return sign;
    case Class::Infinity:
      return sign | top_exponent;
    case Class::Nan:
      return sign | top_exponent | fraction_of(number.significand);
    default:
      break;
  }
  if (number.exponent < format.minimum_exponent()) {
    return sign | fraction_of(number.significand >> (format.minimum_exponent() - number.exponent));
  }
  return sign | static_cast<uint64_t>(number.exponent + format.bias()) << fraction_bits |
         fraction_of(number.significand);
}

Number add(const Number& a, const Number& b, Rounding rounding, uint32_t& flags) {
  if (a.is_infinite() || b.is_infinite()) {
    if (a.is_infinite() && b.is_infinite() && a.negative != b.negative) {
      flags |= flag::kInvalid;
      return indefinite();
    }
    return infinity(a.is_infinite() ? a.negative : b.negative);
  }
  const bool zero_negative = rounding == Rounding::Down;
  if (a.is_zero() && b.is_zero()) return zero(a.negative == b.negative ? a.negative : zero_negative);
  if (a.is_zero()) return b;
  if (b.is_zero()) return a;
  const bool swap = a.exponent < b.exponent || (a.exponent == b.exponent && a.significand < b.significand);
  const Number& large = swap ? b : a;
  const Number& small = swap ? a : b;
  // One bit of room for the carry.
  const Significand first = shift_right_jamming(large.significand, 1);
  const Significand second =
      shift_right_jamming(small.significand, std::min(large.exponent - small.exponent, kBits) + 1);
  if (large.negative == small.negative) return normalized(large.negative, large.exponent + 1, first + second);
  if (first == second) return zero(zero_negative);
  return normalized(large.negative, large.exponent + 1, first - second);
}

Number multiply(const Number& a, const Number& b, uint32_t& flags) {
  const bool negative = a.negative != b.negative;
  if (a.is_infinite() || b.is_infinite()) {
    if (a.is_zero() || b.is_zero()) {
      flags |= flag::kInvalid;
      return indefinite();
    }
    return infinity(negative);
  }
  if (a.is_zero() || b.is_zero()) return zero(negative);
  // Operands have at most 64 bits.
  const Significand product =
      static_cast<Significand>(static_cast<uint64_t>(a.significand >> 64)) * static_cast<uint64_t>(b.significand >> 64);
  return normalized(negative, a.exponent + b.exponent + 1, product);
}

Number divide(const Number& a, const Number& b, uint32_t& flags) {
  const bool negative = a.negative != b.negative;
  if ((a.is_infinite() && b.is_infinite()) || (a.is_zero() && b.is_zero())) {
    flags |= flag::kInvalid;
    return indefinite();
  }
  if (a.is_infinite()) return infinity(negative);
  if (b.is_infinite() || a.is_zero()) return zero(negative);
  if (b.is_zero()) {
    flags |= flag::kZeroDivide;
    return infinity(negative);
  }
  const auto dividend = static_cast<uint64_t>(a.significand >> 64),
             divisor = static_cast<uint64_t>(b.significand >> 64);
  // Digits of 64 bits: one before the point, then two behind it.
  const uint64_t whole = dividend / divisor;
  const Significand first = static_cast<Significand>(dividend % divisor) << 64;
  const Significand second = first % divisor << 64;
  const Significand quotient = static_cast<Significand>(whole) << 126 | first / divisor << 62 | second / divisor >> 2;
  const bool lost = second % divisor != 0 || (second / divisor & 3) != 0;
  return normalized(negative, a.exponent - b.exponent + 1, quotient | (lost ? 1 : 0));
}

Number square_root(const Number& a, uint32_t& flags) {
  if (a.is_zero()) return a;
  if (a.negative) {
    flags |= flag::kInvalid;
    return indefinite();
  }
  if (a.is_infinite()) return a;
  // An even exponent; digit by digit: 66 bits of root are two more than any format has.
  constexpr int kRootBits = 66;
  const bool odd = (a.exponent & 1) != 0;
  Significand radicand = odd ? a.significand : a.significand >> 1;  // its two highest bits are the first pair
  Significand remainder = 0, root = 0;
  for (int i = 0; i < kRootBits; ++i) {
    remainder = remainder << 2 | radicand >> (kBits - 2);
    radicand <<= 2;
    const Significand trial = root << 2 | 1;
    root <<= 1;
    if (remainder >= trial) {
      remainder -= trial;
      root |= 1;
    }
  }
  const int exponent = (a.exponent - (odd ? 1 : 0)) / 2;
  return normalized(false, exponent, root << (kBits - kRootBits) | (remainder != 0 ? 1 : 0));
}

int compare(const Number& a, const Number& b) {
  if (a.is_zero() && b.is_zero()) return 0;
  const auto sign_of = [](const Number& number) { return number.is_zero() ? 0 : number.negative ? -1 : 1; };
  if (sign_of(a) != sign_of(b)) return sign_of(a) < sign_of(b) ? -1 : 1;
  const int sign = sign_of(a);
  if (a.is_infinite() || b.is_infinite()) return a.kind == b.kind ? 0 : a.is_infinite() ? sign : -sign;
  if (a.exponent != b.exponent) return a.exponent < b.exponent ? -sign : sign;
  if (a.significand == b.significand) return 0;
  return a.significand < b.significand ? -sign : sign;
}

Rounder::Result Rounder::round(const Number& number, uint32_t& flags) const {
  if (!number.is_finite()) return {number, false};
  Number result = number;
  result.denormal = false;
  const int drop = kBits - precision;
  Rounded rounded = round_significand(number.significand, drop, number.negative, rounding);
  const int exponent = number.exponent + (rounded.carry ? 1 : 0);
  int adjustment = 0;
  if (exponent < format.minimum_exponent()) {
    // Tiny after rounding as if the exponent were unbounded (SDM vol. 1, 4.9.1.5).
    if (underflow_unmasked) {
      flags |= flag::kUnderflow;
      adjustment = exponent_adjustment;
      // Far below what can be brought back.
      if (exponent + adjustment < format.minimum_exponent()) {
        flags |= flag::kPrecision;
        return {zero(number.negative), false};
      }
    } else if (flush_to_zero) {
      flags |= flag::kUnderflow | flag::kPrecision;
      return {zero(number.negative), false};
    }
  }
  if (number.exponent < format.minimum_exponent() && adjustment == 0) {
    const bool tiny = exponent < format.minimum_exponent();
    const int shift = format.minimum_exponent() - number.exponent;
    rounded = round_significand(shift_right_jamming(number.significand, shift), drop, number.negative, rounding);
    if (rounded.inexact) flags |= flag::kPrecision | (tiny ? flag::kUnderflow : 0);
    result = normalized(number.negative, format.minimum_exponent(), rounded.significand);
    return {result, rounded.up};
  }
  if (rounded.inexact) flags |= flag::kPrecision;
  result.significand = rounded.carry ? kLeadingBit : rounded.significand;
  result.exponent = exponent + adjustment;
  if (exponent > format.maximum_exponent()) {
    flags |= flag::kOverflow;
    if (overflow_unmasked) {
      result.exponent = exponent - exponent_adjustment;
      if (result.exponent <= format.maximum_exponent()) return {result, rounded.up};
      flags |= flag::kPrecision;
      return {infinity(number.negative), true};
    }
    flags |= flag::kPrecision;
    if (overflows_to_infinity(number.negative, rounding)) return {infinity(number.negative), true};
    result.exponent = format.maximum_exponent();
    result.significand = ~static_cast<Significand>(0) << drop;
    return {result, false};
  }
  return {result, rounded.up};
}

Number round_to_integer(const Number& number, Rounding rounding, bool& inexact, bool& up) {
  inexact = up = false;
  if (!number.is_finite() || number.exponent >= kBits - 1) return number;
  // Below 1/2 all of it is the rest, and stays below a half.
  const int drop = std::min(kBits - 1 - number.exponent, kBits);
  const Significand value = number.exponent < -1 ? 1 : number.significand;
  const Rounded rounded = round_significand(value, drop, number.negative, rounding);
  inexact = rounded.inexact;
  up = rounded.up;
  if (rounded.carry) {
    return {.kind = Class::Finite,
            .negative = number.negative,
            .exponent = std::max(number.exponent, -1) + 1,
            .significand = kLeadingBit};
  }
  if (rounded.significand == 0) return zero(number.negative);
  Number result = number;
  result.denormal = false;
  result.significand = rounded.significand;
  return result;
}

bool to_integer(const Number& integral, uint64_t& magnitude) {
  magnitude = 0;
  if (integral.is_zero()) return true;
  if (!integral.is_finite() || integral.exponent > 63) return false;
  magnitude = static_cast<uint64_t>(integral.significand >> (kBits - 1 - integral.exponent));
  return true;
}

}  // namespace calco::cpu::soft_float
