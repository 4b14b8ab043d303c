// The x87 unit in software (SDM vol. 1, chapter 8; vol. 2 by mnemonic).
#include <algorithm>
#include <array>
#include <cstring>

#include "cpu/exec/portable/soft_float.h"
#include "cpu/exec/portable/transcendental.h"
#include "cpu/exec/x87_host.h"

namespace calco::cpu::x87_host {

namespace {

using namespace soft_float;

constexpr uint16_t kC0 = 1u << 8, kC1 = 1u << 9, kC2 = 1u << 10, kC3 = 1u << 14;
constexpr uint32_t kOfOperands = flag::kInvalid | flag::kDenormal | flag::kZeroDivide;
constexpr unsigned kPrecisionControlShift = 8, kRoundingControlShift = 10;
constexpr uint16_t kTopExponent = 0x7FFF;
constexpr uint64_t kIntegerBit = uint64_t{1} << 63;

// --- Registers

struct Operand {
  Number number;
  bool supported = true;  // else unnormal, pseudo-NaN or pseudo-infinity (SDM vol. 1, 8.2.2)
};

Operand operand_of(const X87Register& value) {
  const bool negative = (value.sign_exponent & 0x8000) != 0;
  const uint16_t exponent = value.sign_exponent & kTopExponent;
  const Significand significand = static_cast<Significand>(value.significand) << 64;
  if (exponent == 0) {
    Number number = normalized(negative, kExtended.minimum_exponent(), significand);
    number.denormal = !number.is_zero();
    return {number};
  }
  if ((value.significand & kIntegerBit) == 0) return {indefinite(), false};
  if (exponent == kTopExponent) {
    if (value.significand == kIntegerBit) return {infinity(negative)};
    return {{.kind = Class::Nan, .negative = negative, .significand = significand}};
  }
  return {{.kind = Class::Finite,
           .negative = negative,
           .exponent = exponent - kExtended.bias(),
           .significand = significand}};
}

// `number` has 64 bits.
X87Register register_of(const Number& number) {
  X87Register value{};
  const uint16_t sign = number.negative ? 0x8000 : 0;
  switch (number.kind) {
    case Class::Zero:
      value.sign_exponent = sign;
      break;
    case Class::Infinity:
    case Class::Nan:
      value.sign_exponent = sign | kTopExponent;
      value.significand = number.is_nan() ? static_cast<uint64_t>(number.significand >> 64) : kIntegerBit;
      break;
    default:
      value.significand = static_cast<uint64_t>(number.significand >> 64);
      if (number.exponent < kExtended.minimum_exponent()) {
        value.significand >>= kExtended.minimum_exponent() - number.exponent;
        value.sign_exponent = sign;
      } else {
        value.sign_exponent = static_cast<uint16_t>(sign | (number.exponent + kExtended.bias()));
      }
  }
  return value;
}

// --- Rounding and flags

Rounding rounding_of(Mode mode) { return static_cast<Rounding>(mode.control >> kRoundingControlShift & 3); }
bool is_masked(Mode mode, uint32_t flags) { return (flags & ~uint32_t{mode.control} & 0x3F) == 0; }

// What keeps the operation from being done.
bool is_prevented(Mode mode, uint32_t flags) { return !is_masked(mode, flags & kOfOperands); }

uint16_t status_of(uint32_t flags, bool up) { return static_cast<uint16_t>(flags | (up ? kC1 : 0)); }

Rounder register_rounder(Mode mode, int precision = kExtended.precision) {
  constexpr int kExponentAdjustment = 24576;  // SDM vol. 1, 8.5.4, 8.5.5
  return {.rounding = rounding_of(mode),
          .format = kExtended,
          .precision = precision,
          .overflow_unmasked = !is_masked(mode, flag::kOverflow),
          .underflow_unmasked = !is_masked(mode, flag::kUnderflow),
          .exponent_adjustment = kExponentAdjustment};
}
int controlled_precision(Mode mode) {
  switch (mode.control >> kPrecisionControlShift & 3) {
    case 0:
      return kSingle.precision;
    case 2:
      return kDouble.precision;
    default:
      return kExtended.precision;
  }
}

// Puts the rounded result in place unless `flags` prevent it.
uint16_t finish(Mode mode, const Number& exact, uint32_t flags, X87Register& destination,
                int precision = kExtended.precision) {
  if (is_prevented(mode, flags)) return status_of(flags, false);
  const Rounder::Result result = register_rounder(mode, precision).round(exact, flags);
  destination = register_of(result.number);
  return status_of(flags, result.up);
}

// Whether a NaN or an operand that does not exist is the end of it: `answer` and `flags` say how.
bool ends_at_operands(const Operand& a, const Operand& b, Number& answer, uint32_t& flags) {
  if (!a.supported || !b.supported) {
    flags |= flag::kInvalid;
    answer = indefinite();
    return true;
  }
  const Number &x = a.number, &y = b.number;
  if (!x.is_nan() && !y.is_nan()) return false;
  if (x.is_signaling() || y.is_signaling()) flags |= flag::kInvalid;
  // SDM vol. 1, table 4-7: a quiet NaN before a signaling one, else the larger significand, else the positive one.
  const auto first_wins = [&] {
    if (!x.is_nan() || !y.is_nan()) return x.is_nan();
    if (x.is_signaling() != y.is_signaling()) return y.is_signaling();
    if (x.significand != y.significand) return x.significand > y.significand;
    return !x.negative;
  };
  answer = quieted(first_wins() ? x : y);
  return true;
}
bool ends_at_operand(const Operand& a, Number& answer, uint32_t& flags) {
  return ends_at_operands(a, {zero(false)}, answer, flags);
}

// Flags of the operation itself, or else of denormal operands.
uint32_t with_denormals(uint32_t flags, const Number& a, const Number& b = {}) {
  return flags == 0 && (a.denormal || b.denormal) ? flag::kDenormal : flags;
}

// --- Memory formats

template <typename T>
T value_at(const void* source) {
  T value;
  std::memcpy(&value, source, sizeof value);
  return value;
}
template <typename T>
Number integer_at(const void* source) {
  const auto value = value_at<T>(source);
  return from_integer(value < 0, value < 0 ? 0 - static_cast<uint64_t>(value) : static_cast<uint64_t>(value));
}
// 18 digits and a sign (SDM vol. 1, 4.7).
constexpr unsigned kBcdBytes = 9;
Number bcd_at(const void* source) {
  const auto bytes = value_at<std::array<uint8_t, 10>>(source);
  uint64_t value = 0;
  for (unsigned i = kBcdBytes; i-- > 0;) value = value * 100 + (bytes[i] >> 4) * 10 + (bytes[i] & 15);
  return with_sign(from_integer(false, value), (bytes[kBcdBytes] & 0x80) != 0);
}

template <Format kFormat>
Operand operand_at(const void* source) {
  using enum Format;
  if constexpr (kFormat == Extended) return operand_of(*static_cast<const X87Register*>(source));
  if constexpr (kFormat == Single) return {unpack(value_at<uint32_t>(source), kSingle)};
  if constexpr (kFormat == Double) return {unpack(value_at<uint64_t>(source), kDouble)};
  if constexpr (kFormat == Int16) return {integer_at<int16_t>(source)};
  if constexpr (kFormat == Int32) return {integer_at<int32_t>(source)};
  if constexpr (kFormat == Int64) return {integer_at<int64_t>(source)};
  if constexpr (kFormat == Bcd) return {bcd_at(source)};
}

}  // namespace

// --- Arithmetic

template <Arithmetic kOperation, Format kFormat>
uint16_t arithmetic(Mode mode, X87Register& destination, const void* source) {
  const Operand a = operand_of(destination), b = operand_at<kFormat>(source);
  uint32_t flags = 0;
  Number exact;
  if (!ends_at_operands(a, b, exact, flags)) {
    const Number &x = a.number, &y = b.number;
    switch (kOperation) {
      case Arithmetic::Add:
        exact = add(x, y, rounding_of(mode), flags);
        break;
      case Arithmetic::Subtract:
        exact = add(x, negated(y), rounding_of(mode), flags);
        break;
      case Arithmetic::SubtractReversed:
        exact = add(y, negated(x), rounding_of(mode), flags);
        break;
      case Arithmetic::Multiply:
        exact = multiply(x, y, flags);
        break;
      case Arithmetic::Divide:
        exact = divide(x, y, flags);
        break;
      case Arithmetic::DivideReversed:
        exact = divide(y, x, flags);
        break;
    }
    flags = with_denormals(flags, x, y);
  }
  return finish(mode, exact, flags, destination, controlled_precision(mode));
}

// --- Comparisons

namespace {

uint16_t compare_operands(const Operand& a, const Operand& b, bool quiet) {
  constexpr uint16_t kUnordered = kC3 | kC2 | kC0;
  if (!a.supported || !b.supported) return kUnordered | flag::kInvalid;
  const Number &x = a.number, &y = b.number;
  if (x.is_nan() || y.is_nan()) {
    const bool invalid = !quiet || x.is_signaling() || y.is_signaling();
    return static_cast<uint16_t>(kUnordered | (invalid ? flag::kInvalid : 0));
  }
  const int order = soft_float::compare(x, y);
  return static_cast<uint16_t>((order < 0 ? kC0 : order == 0 ? kC3 : 0) | with_denormals(0, x, y));
}

}  // namespace

template <Format kFormat>
uint16_t compare(Mode, const X87Register& first, const void* second) {
  return compare_operands(operand_of(first), operand_at<kFormat>(second), false);
}
uint16_t compare_unordered(Mode, const X87Register& first, const X87Register& second) {
  return compare_operands(operand_of(first), operand_of(second), true);
}
uint16_t test(Mode, const X87Register& value) { return compare_operands(operand_of(value), {zero(false)}, false); }

uint16_t examine(const X87Register& value) {
  const uint16_t sign = (value.sign_exponent & 0x8000) != 0 ? kC1 : 0;
  const auto [number, supported] = operand_of(value);
  if (!supported) return sign;
  if (number.denormal) return sign | kC3 | kC2;
  switch (number.kind) {
    case Class::Zero:
      return sign | kC3;
    case Class::Infinity:
      return sign | kC2 | kC0;
    case Class::Nan:
      return sign | kC0;
    default:
      return sign | kC2;
  }
}

// --- Loads and stores

template <Format kFormat>
Outcome load(Mode mode, const void* source, X87Register& value) {
  const Operand a = operand_at<kFormat>(source);
  Number number = a.number;
  uint32_t flags = 0;
  if (!ends_at_operand(a, number, flags)) flags = with_denormals(flags, number);
  // A denormal is loaded though the exception be unmasked.
  if (is_prevented(mode, flags & flag::kInvalid)) return {status_of(flags, false), false};
  value = register_of(number);
  return {status_of(flags, false), true};
}

namespace {

// The bits to store, of an integer; false: it does not fit.
bool integer_bits(const Number& integral, unsigned size, uint64_t& bits) {
  uint64_t magnitude;
  if (!to_integer(integral, magnitude)) return false;
  const uint64_t limit = (uint64_t{1} << (size * 8 - 1)) - (integral.negative ? 0 : 1);
  bits = integral.negative ? 0 - magnitude : magnitude;
  return magnitude <= limit;
}
using Packed = std::array<uint8_t, 10>;
constexpr Packed kBcdIndefinite = {0, 0, 0, 0, 0, 0, 0, 0xC0, 0xFF, 0xFF};
bool bcd_digits(const Number& integral, Packed& packed) {
  constexpr uint64_t kLimit = 1'000'000'000'000'000'000;
  uint64_t magnitude;
  if (!to_integer(integral, magnitude) || magnitude >= kLimit) return false;
  for (unsigned i = 0; i < kBcdBytes; ++i, magnitude /= 100) {
    packed[i] = static_cast<uint8_t>(magnitude / 10 % 10 << 4 | magnitude % 10);
  }
  packed[kBcdBytes] = integral.negative ? 0x80 : 0;
  return true;
}

Outcome store_integer(Mode mode, const Operand& a, Rounding rounding, unsigned size, void* destination) {
  bool inexact = false, up = false;
  uint64_t bits = 0;
  const bool fits =
      a.supported && !a.number.is_nan() && integer_bits(round_to_integer(a.number, rounding, inexact, up), size, bits);
  if (!fits) {
    if (!is_masked(mode, flag::kInvalid)) return {flag::kInvalid, false};
    bits = uint64_t{1} << (size * 8 - 1);
  }
  std::memcpy(destination, &bits, size);
  return {fits ? status_of(inexact ? flag::kPrecision : 0, up) : static_cast<uint16_t>(flag::kInvalid), true};
}
Outcome store_bcd(Mode mode, const Operand& a, void* destination) {
  bool inexact = false, up = false;
  Packed packed = kBcdIndefinite;
  const bool fits = a.supported && !a.number.is_nan() &&
                    bcd_digits(round_to_integer(a.number, rounding_of(mode), inexact, up), packed);
  if (!fits && !is_masked(mode, flag::kInvalid)) return {flag::kInvalid, false};
  std::memcpy(destination, packed.data(), packed.size());
  return {fits ? status_of(inexact ? flag::kPrecision : 0, up) : static_cast<uint16_t>(flag::kInvalid), true};
}

template <typename T>
Outcome store_float(Mode mode, const Operand& a, soft_float::Format format, void* destination) {
  Number exact = a.number;
  uint32_t flags = 0;
  bool up = false;
  if (!ends_at_operand(a, exact, flags)) {
    const Rounder rounder{.rounding = rounding_of(mode),
                          .format = format,
                          .precision = format.precision,
                          .overflow_unmasked = !is_masked(mode, flag::kOverflow),
                          .underflow_unmasked = !is_masked(mode, flag::kUnderflow)};
    const Rounder::Result result = rounder.round(exact, flags);
    exact = result.number;
    up = result.up;
  }
  if (is_prevented(mode, flags)) return {status_of(flags, false), false};
  // Nothing is stored, so nothing is inexact.
  constexpr uint32_t kOfResult = flag::kOverflow | flag::kUnderflow;
  if (!is_masked(mode, flags & kOfResult)) return {status_of(flags & kOfResult, false), false};
  const auto bits = static_cast<T>(pack(exact, format));
  std::memcpy(destination, &bits, sizeof bits);
  return {status_of(flags, up), true};
}

}  // namespace

template <Format kFormat, bool kTruncate>
Outcome store(Mode mode, const X87Register& value, void* destination) {
  using enum Format;
  const Operand a = operand_of(value);
  const Rounding rounding = kTruncate ? Rounding::Truncate : rounding_of(mode);
  if constexpr (kFormat == Single) return store_float<uint32_t>(mode, a, kSingle, destination);
  if constexpr (kFormat == Double) return store_float<uint64_t>(mode, a, kDouble, destination);
  if constexpr (kFormat == Int16) return store_integer(mode, a, rounding, 2, destination);
  if constexpr (kFormat == Int32) return store_integer(mode, a, rounding, 4, destination);
  if constexpr (kFormat == Int64) return store_integer(mode, a, rounding, 8, destination);
  if constexpr (kFormat == Bcd) return store_bcd(mode, a, destination);
}

X87Register constant(Mode mode, Constant which) {
  // Cut off; the digits behind them are more than a half where `up` says so.
  struct Digits {
    uint64_t significand;
    uint16_t exponent;
    bool exact, up;
  };
  constexpr std::array<Digits, 7> kDigits = {{
      {0x8000000000000000, 0x3FFF, true, false},   // 1
      {0xD49A784BCD1B8AFE, 0x4000, false, false},  // log2(10)
      {0xB8AA3B295C17F0BB, 0x3FFF, false, true},   // log2(e)
      {0xC90FDAA22168C234, 0x4000, false, true},   // pi
      {0x9A209A84FBCFF798, 0x3FFD, false, true},   // log10(2)
      {0xB17217F7D1CF79AB, 0x3FFE, false, true},   // ln(2)
      {0, 0, true, false},
  }};
  const Digits& digits = kDigits[static_cast<size_t>(which)];
  const Rounding rounding = rounding_of(mode);
  const bool up = !digits.exact && (rounding == Rounding::Up || (rounding == Rounding::Nearest && digits.up));
  return {digits.significand + (up ? 1 : 0), digits.exponent, {}};
}

// --- Functions of one operand

namespace {

Number two_to_x_minus_one_of(const Number& x) {
  if (x.is_zero()) return x;
  if (x.is_infinite()) return x.negative ? from_integer(true, 1) : x;
  return two_to_x_minus_one(x);
}

// |x| >= 2^63: the operand stays and C2 asks for a reduction.
bool is_out_of_range(const Number& x) { return x.is_finite() && x.exponent >= 63; }

Number periodic(const Number& x, Number (*function)(const Number&), const Number& at_zero, uint32_t& flags) {
  if (x.is_zero()) return at_zero;
  if (!x.is_infinite()) return function(x);
  flags |= flag::kInvalid;
  return indefinite();
}

}  // namespace

template <Unary kOperation>
uint16_t unary(Mode mode, X87Register& value) {
  const Operand a = operand_of(value);
  const Number& x = a.number;
  uint32_t flags = 0;
  Number exact;
  if (ends_at_operand(a, exact, flags)) return finish(mode, exact, flags, value);
  if constexpr (kOperation == Unary::Sine || kOperation == Unary::Cosine) {
    if (is_out_of_range(x)) return kC2;
  }
  int precision = kExtended.precision;
  bool up = false;
  switch (kOperation) {
    case Unary::SquareRoot:
      exact = square_root(x, flags);
      precision = controlled_precision(mode);
      break;
    case Unary::RoundToInteger: {
      bool inexact;
      exact = round_to_integer(x, rounding_of(mode), inexact, up);
      flags = with_denormals(flags, x);
      if (is_prevented(mode, flags)) return status_of(flags, false);
      flags |= inexact ? flag::kPrecision : 0;
      break;
    }
    case Unary::TwoToXMinusOne:
      exact = two_to_x_minus_one_of(x);
      break;
    case Unary::Sine:
      exact = periodic(x, sine, x, flags);
      break;
    case Unary::Cosine:
      exact = periodic(x, cosine, from_integer(false, 1), flags);
      break;
  }
  const uint16_t status = finish(mode, exact, with_denormals(flags, x), value, precision);
  return static_cast<uint16_t>(status | (up ? kC1 : 0));
}

// --- Functions of two operands

namespace {

uint16_t quotient_codes(uint64_t quotient) {
  return static_cast<uint16_t>(((quotient & 4) != 0 ? kC0 : 0) | ((quotient & 2) != 0 ? kC3 : 0) |
                               ((quotient & 1) != 0 ? kC1 : 0));
}

// x - y * quotient, where the quotient has at most 64 bits. What is left of the dividend's significand after
// `steps` + 1 steps of long division; exponents differ by `steps` or more.
struct Division {
  uint64_t quotient = 0;
  Significand remainder = 0;  // in units of the last step's divisor bit
};
Division divide_steps(uint64_t dividend, uint64_t divisor, int steps) {
  Division result{.remainder = dividend};
  for (int i = 0; i <= steps; ++i) {
    if (i != 0) result.remainder <<= 1;
    result.quotient <<= 1;
    if (result.remainder >= divisor) {
      result.remainder -= divisor;
      result.quotient |= 1;
    }
  }
  return result;
}

// FPREM and FPREM1 reduce the exponent by at most 63 at once.
uint16_t remainder(Mode mode, X87Register& st0, const Number& x, const Number& y, bool nearest) {
  uint32_t flags = 0;
  if (x.is_infinite() || y.is_zero()) {
    flags = flag::kInvalid;
    return finish(mode, indefinite(), flags, st0);
  }
  flags = with_denormals(flags, x, y);
  if (x.is_zero() || y.is_infinite()) return finish(mode, x, flags, st0);
  const int difference = x.exponent - y.exponent;
  const auto dividend = static_cast<uint64_t>(x.significand >> 64),
             divisor = static_cast<uint64_t>(y.significand >> 64);
  if (difference >= 64) {
    const int steps = (difference & 31) | 32;
    const Division division = divide_steps(dividend, divisor, steps);
    const Number exact = normalized(x.negative, x.exponent - steps, division.remainder << 64);
    return static_cast<uint16_t>(finish(mode, exact, flags, st0) | kC2);
  }
  if (difference < -1) return finish(mode, x, flags, st0);
  Division division;
  if (difference >= 0) {
    division = divide_steps(dividend, divisor, difference);
  } else {
    division.remainder = dividend;
  }
  // The remainder's bits count as the divisor's, or half as much where the dividend is the smaller.
  const Significand whole = difference >= 0 ? divisor : static_cast<Significand>(divisor) << 1;
  bool negative = x.negative;
  const Significand twice = division.remainder << 1;
  if (nearest && (twice > whole || (twice == whole && (division.quotient & 1) != 0))) {
    division.remainder = whole - division.remainder;
    ++division.quotient;
    negative = !negative;
  }
  const int exponent = difference >= 0 ? y.exponent : x.exponent;
  // One bit of room, as the remainder may have 65.
  Number exact = normalized(negative, exponent + 1, division.remainder << 63);
  if (exact.is_zero()) exact.negative = x.negative;
  const uint16_t status = finish(mode, exact, flags, st0);
  return is_prevented(mode, flags) ? status : static_cast<uint16_t>(status | quotient_codes(division.quotient));
}

// x * 2^(y truncated)
Number scaled(const Number& x, const Number& y, uint32_t& flags) {
  if (y.is_infinite()) {
    if (y.negative ? x.is_infinite() : x.is_zero()) {
      flags |= flag::kInvalid;
      return indefinite();
    }
    return y.negative ? zero(x.negative) : infinity(x.negative);
  }
  if (!x.is_finite() || y.is_zero()) return x;
  constexpr uint64_t kFar = 0x10000;  // beyond every exponent, brought back or not
  bool inexact, up;
  uint64_t magnitude = 0;
  if (!to_integer(round_to_integer(y, Rounding::Truncate, inexact, up), magnitude)) magnitude = kFar;
  const auto by = static_cast<int>(std::min(magnitude, kFar));
  Number result = x;
  result.exponent += y.negative ? -by : by;
  return result;
}

}  // namespace

template <Binary kOperation>
uint16_t binary(Mode mode, X87Register& st0, const X87Register& st1) {
  const Operand a = operand_of(st0), b = operand_of(st1);
  uint32_t flags = 0;
  Number exact;
  if (ends_at_operands(a, b, exact, flags)) return finish(mode, exact, flags, st0);
  if constexpr (kOperation == Binary::Scale) {
    exact = scaled(a.number, b.number, flags);
    return finish(mode, exact, with_denormals(flags, a.number, b.number), st0);
  } else {
    return remainder(mode, st0, a.number, b.number, kOperation == Binary::PartialRemainderNearest);
  }
}

namespace {

// The angle of the point (x, y) (SDM vol. 2, table 3-29).
Number arc_tangent_of(const Number& y, const Number& x) {
  if (y.is_infinite()) return with_sign(pi_quarters(!x.is_infinite() ? 2 : x.negative ? 3 : 1), y.negative);
  if (x.is_infinite() || y.is_zero()) {
    return x.negative ? with_sign(pi_quarters(4), y.negative) : zero(y.negative);
  }
  if (x.is_zero()) return with_sign(pi_quarters(2), y.negative);
  return arc_tangent(y, x);
}

Number invalid(uint32_t& flags) {
  flags |= flag::kInvalid;
  return indefinite();
}

// y times a logarithm that is 0, infinite or finite with the given sign.
Number times_special(const Number& y, const Number& logarithm, uint32_t& flags) {
  return multiply(y, logarithm, flags);
}

Number y_log2_x_of(const Number& y, const Number& x, uint32_t& flags) {
  const Number one = from_integer(false, 1);
  if (x.is_zero()) {
    if (y.is_zero()) return invalid(flags);
    if (!y.is_infinite()) flags |= flag::kZeroDivide;
    return infinity(!y.negative);
  }
  if (x.negative) return invalid(flags);
  if (x.is_infinite()) return times_special(y, x, flags);
  const int order = soft_float::compare(x, one);
  if (order == 0) return times_special(y, zero(false), flags);
  if (!y.is_finite()) return times_special(y, from_integer(order < 0, 1), flags);
  return y_log2_x(y, x);
}

Number y_log2_x_plus_one_of(const Number& y, const Number& x, uint32_t& flags) {
  if (x.is_infinite()) return x.negative ? invalid(flags) : times_special(y, x, flags);
  if (x.is_zero()) return times_special(y, x, flags);
  if (soft_float::compare(x, from_integer(true, 1)) <= 0) return invalid(flags);
  if (!y.is_finite()) return times_special(y, from_integer(x.negative, 1), flags);
  return y_log2_x_plus_one(y, x);
}

}  // namespace

template <Popping kOperation>
Outcome popping(Mode mode, const X87Register& st0, X87Register& st1) {
  const Operand a = operand_of(st0), b = operand_of(st1);
  const Number &x = a.number, &y = b.number;
  uint32_t flags = 0;
  Number exact;
  if (!ends_at_operands(a, b, exact, flags)) {
    if constexpr (kOperation == Popping::ArcTangent) exact = arc_tangent_of(y, x);
    if constexpr (kOperation == Popping::YLog2X) exact = y_log2_x_of(y, x, flags);
    if constexpr (kOperation == Popping::YLog2XPlusOne) exact = y_log2_x_plus_one_of(y, x, flags);
    flags = with_denormals(flags, x, y);
  }
  const bool done = !is_prevented(mode, flags);
  return {finish(mode, exact, flags, st1), done};
}

// --- Functions with two results

namespace {

// The exponent as a number replaces ST(0), the significand with exponent 0 is pushed.
Outcome extract(Mode mode, const Number& x, X87Register& st0, X87Register& pushed) {
  uint32_t flags = with_denormals(x.is_zero() ? flag::kZeroDivide : 0, x);
  if (is_prevented(mode, flags)) return {status_of(flags, false), false};
  if (x.is_zero()) {
    pushed = register_of(x);
    st0 = register_of(infinity(true));
  } else if (x.is_infinite()) {
    pushed = register_of(x);
    st0 = register_of(infinity(false));
  } else {
    Number significand = x;
    significand.exponent = 0;
    pushed = register_of(significand);
    st0 = register_of(from_integer(x.exponent < 0, static_cast<uint64_t>(std::abs(x.exponent))));
  }
  return {status_of(flags, false), true};
}

}  // namespace

template <Pushing kOperation>
Outcome pushing(Mode mode, X87Register& st0, X87Register& pushed) {
  const Operand a = operand_of(st0);
  const Number& x = a.number;
  uint32_t flags = 0;
  Number exact;
  if (ends_at_operand(a, exact, flags) || (x.is_infinite() && kOperation != Pushing::Extract)) {
    if (!exact.is_nan()) exact = invalid(flags);
    const uint16_t status = finish(mode, exact, flags, st0);
    const bool done = !is_prevented(mode, flags);
    if (done) pushed = st0;
    return {status, done};
  }
  if constexpr (kOperation == Pushing::Extract) return extract(mode, x, st0, pushed);
  if (is_out_of_range(x)) return {kC2, false};
  flags = with_denormals(flags, x);
  if (is_prevented(mode, flags)) return {status_of(flags, false), false};
  const Number one = from_integer(false, 1);
  if constexpr (kOperation == Pushing::Tangent) {
    const uint16_t status = finish(mode, x.is_zero() ? x : tangent(x), flags, st0);
    pushed = register_of(one);
    return {status, true};
  } else {
    const uint16_t status = finish(mode, x.is_zero() ? one : cosine(x), flags, pushed);
    return {static_cast<uint16_t>((status & ~kC1) | finish(mode, x.is_zero() ? x : sine(x), flags, st0)), true};
  }
}

#include "cpu/exec/x87_instantiations.inc"

}  // namespace calco::cpu::x87_host
