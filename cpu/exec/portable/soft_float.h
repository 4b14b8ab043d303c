// IEEE 754 arithmetic in integers, as x86 processors do it: for hosts whose own floating-point unit has other NaNs,
// other flags or no 80-bit format.
//
// A value is taken apart, computed with as exactly as it takes to round it once, and put together again. What x86 adds
// to the standard (which NaN is the answer, denormals-are-zeros, flush-to-zero, precision control) is the caller's or
// in Rounder. Pure functions; any thread.
#pragma once

#include <cstdint>

namespace calco::cpu::soft_float {

// In the places that MXCSR and the x87 status word both have.
namespace flag {
constexpr uint32_t kInvalid = 1u << 0, kDenormal = 1u << 1, kZeroDivide = 1u << 2, kOverflow = 1u << 3,
                   kUnderflow = 1u << 4, kPrecision = 1u << 5;
}  // namespace flag

// RC of MXCSR and of the x87 control word.
enum class Rounding : uint8_t { Nearest, Down, Up, Truncate };

struct Format {
  int exponent_bits;
  int precision;  // bits of the significand, the integer bit included

  constexpr int bias() const { return (1 << (exponent_bits - 1)) - 1; }
  constexpr int maximum_exponent() const { return bias(); }
  constexpr int minimum_exponent() const { return 1 - bias(); }
};
constexpr Format kHalf{5, 11}, kSingle{8, 24}, kDouble{11, 53}, kExtended{15, 64};

enum class Class : uint8_t { Zero, Finite, Infinity, Nan };

// Always with the leading bit in place: bit 127.
using Significand = unsigned __int128;
constexpr Significand kLeadingBit = static_cast<Significand>(1) << 127;
constexpr Significand kQuietBit = static_cast<Significand>(1) << 126;

struct Number {
  Class kind = Class::Zero;
  bool negative = false;
  bool denormal = false;        // it was one in the format that it comes from
  int exponent = 0;             // Finite: the value is significand / 2^127 * 2^exponent
  Significand significand = 0;  // Finite, Nan. Of a result the lowest bit may stand for all that were lost.

  bool is_nan() const { return kind == Class::Nan; }
  bool is_signaling() const { return is_nan() && (significand & kQuietBit) == 0; }
  bool is_finite() const { return kind == Class::Finite; }
  bool is_zero() const { return kind == Class::Zero; }
  bool is_infinite() const { return kind == Class::Infinity; }
};

inline Number zero(bool negative) { return {.kind = Class::Zero, .negative = negative}; }
inline Number infinity(bool negative) { return {.kind = Class::Infinity, .negative = negative}; }
// The masked response to invalid operations.
inline Number indefinite() { return {.kind = Class::Nan, .negative = true, .significand = kLeadingBit | kQuietBit}; }
inline Number quieted(Number nan) {
  nan.significand |= kQuietBit;
  return nan;
}
inline Number with_sign(Number number, bool negative) {
  number.negative = negative;
  return number;
}
inline Number negated(Number number) { return with_sign(number, !number.negative); }

// `bits` in a format with an implied integer bit; and the other way round: a number that was rounded to it.
Number unpack(uint64_t bits, Format format);
uint64_t pack(const Number& number, Format format);

// significand * 2^(exponent - 127), the leading bit wherever it is.
Number normalized(bool negative, int exponent, Significand significand);
Number from_integer(bool negative, uint64_t magnitude);

// --- Exact results, or such that round right. No NaNs; flags are for invalid operations and division by zero.

Number add(const Number& a, const Number& b, Rounding rounding, uint32_t& flags);
Number multiply(const Number& a, const Number& b, uint32_t& flags);
Number divide(const Number& a, const Number& b, uint32_t& flags);
Number square_root(const Number& a, uint32_t& flags);
// a < b: -1, a == b: 0, a > b: 1
int compare(const Number& a, const Number& b);

// --- Rounding

struct Rounder {
  Rounding rounding = Rounding::Nearest;
  Format format = kDouble;
  int precision = kDouble.precision;  // x87 precision control rounds to less than the format has
  bool flush_to_zero = false;
  // Unmasked overflow and underflow of x87 registers give the result with its exponent brought back by so much.
  bool overflow_unmasked = false, underflow_unmasked = false;
  int exponent_adjustment = 0;

  struct Result {
    Number number;
    bool up;  // the magnitude grew
  };
  Result round(const Number& number, uint32_t& flags) const;
};

// To an integral value of the same magnitude. `inexact` gets whether it changed, `up` whether its magnitude grew.
Number round_to_integer(const Number& number, Rounding rounding, bool& inexact, bool& up);
// Finite or zero; false where the magnitude has more than 64 bits. Rounded before.
bool to_integer(const Number& integral, uint64_t& magnitude);

}  // namespace calco::cpu::soft_float
