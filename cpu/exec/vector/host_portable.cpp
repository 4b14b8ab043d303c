// Floating-point instructions in software (SDM vol. 1, 4.8, 4.9, 10.2.3, 11.5; vol. 2 by mnemonic).
#include "cpu/exec/vector/host_portable.h"

#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

#include "cpu/exec/portable/soft_float.h"

namespace calco::cpu::vector::host {

namespace {

using namespace soft_float;

constexpr uint32_t kDenormalsAreZeros = 1u << 6, kFlushToZero = 1u << 15;
constexpr unsigned kRoundingShift = 13;

Rounding guest_rounding() { return static_cast<Rounding>(mxcsr >> kRoundingShift & 3); }
void raise(uint32_t flags) { mxcsr |= flags; }

// --- Vectors as elements

template <typename T>
using ElementsOf = std::array<T, 16 / sizeof(T)>;

template <typename T>
ElementsOf<T> split(Xmm vector) {
  ElementsOf<T> elements;
  std::memcpy(elements.data(), &vector, sizeof vector);
  return elements;
}
template <typename T>
Xmm join(const ElementsOf<T>& elements) {
  Xmm vector;
  std::memcpy(&vector, elements.data(), sizeof vector);
  return vector;
}

// Elements as the bits of T: uint32_t for singles, uint64_t for doubles.
template <typename T>
constexpr Format kFormat = sizeof(T) == 4 ? kSingle : kDouble;

template <typename T>
Xmm each(Xmm first, Xmm second, auto function) {
  auto a = split<T>(first);
  const auto b = split<T>(second);
  for (size_t i = 0; i < a.size(); ++i) a[i] = function(a[i], b[i]);
  return join<T>(a);
}
template <typename T>
Xmm low(Xmm first, Xmm second, auto function) {
  auto a = split<T>(first);
  a[0] = function(a[0], split<T>(second)[0]);
  return join<T>(a);
}
Xmm on_elements(Elements elements, Xmm first, Xmm second, auto function) {
  const auto single = [&](uint32_t a, uint32_t b) { return function(a, b); };
  const auto wide = [&](uint64_t a, uint64_t b) { return function(a, b); };
  switch (elements) {
    case Elements::Singles:
      return each<uint32_t>(first, second, single);
    case Elements::Doubles:
      return each<uint64_t>(first, second, wide);
    case Elements::LowSingle:
      return low<uint32_t>(first, second, single);
    default:
      return low<uint64_t>(first, second, wide);
  }
}

// --- One element

// As an operand: with DAZ denormals are zeros.
Number operand(uint64_t bits, Format format) {
  const Number number = unpack(bits, format);
  return number.denormal && (mxcsr & kDenormalsAreZeros) != 0 ? zero(number.negative) : number;
}

Rounder rounder_to(Format format) {
  return {.rounding = guest_rounding(),
          .format = format,
          .precision = format.precision,
          .flush_to_zero = (mxcsr & kFlushToZero) != 0};
}

// The result in the format, and its flags with those of the operation. A denormal operand counts only where the
// operation is valid.
uint64_t finish(const Number& exact, bool denormal_operand, uint32_t flags, Format format) {
  if (flags == 0 && denormal_operand) flags = flag::kDenormal;
  const Number rounded = rounder_to(format).round(exact, flags).number;
  raise(flags);
  return pack(rounded, format);
}

// The first operand that is a NaN is the answer (SDM vol. 1, table 4-7).
uint64_t answer_nan(const Number& a, const Number& b, Format format) {
  if (a.is_signaling() || b.is_signaling()) raise(flag::kInvalid);
  return pack(quieted(a.is_nan() ? a : b), format);
}

template <typename T>
T arithmetic(T first, T second, auto compute) {
  constexpr Format format = kFormat<T>;
  const Number a = operand(first, format), b = operand(second, format);
  if (a.is_nan() || b.is_nan()) return static_cast<T>(answer_nan(a, b, format));
  uint32_t flags = 0;
  const Number exact = compute(a, b, flags);
  return static_cast<T>(finish(exact, a.denormal || b.denormal, flags, format));
}

// The host's own unit serves the usual case: rounding to nearest, inexactness known already, and a result and operands
// far from everything special. It gives the same bits then.
template <typename T>
using Value = std::conditional_t<sizeof(T) == 4, float, double>;

bool host_may_compute() { return (mxcsr & (3u << kRoundingShift | flag::kPrecision)) == flag::kPrecision; }
template <typename T>
bool is_ordinary_operand(Value<T> value) {
  return value == 0 || std::abs(value) >= std::numeric_limits<Value<T>>::min();
}
template <typename T>
bool is_ordinary_result(Value<T> value) {
  const Value<T> magnitude = std::abs(value);
  return magnitude > std::numeric_limits<Value<T>>::min() && magnitude <= std::numeric_limits<Value<T>>::max();
}
template <typename T>
T arithmetic(T first, T second, auto compute, auto on_host) {
  if (host_may_compute()) {
    const auto a = std::bit_cast<Value<T>>(first), b = std::bit_cast<Value<T>>(second);
    const Value<T> result = on_host(a, b);
    if (is_ordinary_result<T>(result) && is_ordinary_operand<T>(a) && is_ordinary_operand<T>(b)) {
      return std::bit_cast<T>(result);
    }
  }
  return arithmetic(first, second, compute);
}

template <typename T>
T add_elements(T first, T second) {
  return arithmetic(
      first, second,
      [](const Number& a, const Number& b, uint32_t& flags) { return soft_float::add(a, b, guest_rounding(), flags); },
      [](auto a, auto b) { return a + b; });
}
template <typename T>
T subtract_elements(T first, T second) {
  return arithmetic(
      first, second,
      [](const Number& a, const Number& b, uint32_t& flags) {
        return soft_float::add(a, negated(b), guest_rounding(), flags);
      },
      [](auto a, auto b) { return a - b; });
}
template <typename T>
T multiply_elements(T first, T second) {
  return arithmetic(
      first, second,
      [](const Number& a, const Number& b, uint32_t& flags) { return soft_float::multiply(a, b, flags); },
      [](auto a, auto b) { return a * b; });
}
template <typename T>
T divide_elements(T first, T second) {
  return arithmetic(
      first, second, [](const Number& a, const Number& b, uint32_t& flags) { return soft_float::divide(a, b, flags); },
      [](auto a, auto b) { return a / b; });
}
template <typename T>
T root_of_element(T, T source) {
  if (host_may_compute()) {
    const auto value = std::bit_cast<Value<T>>(source);
    const Value<T> result = std::sqrt(value);
    if (is_ordinary_result<T>(result) && is_ordinary_operand<T>(value)) return std::bit_cast<T>(result);
  }
  constexpr Format format = kFormat<T>;
  const Number a = operand(source, format);
  if (a.is_nan()) return static_cast<T>(answer_nan(a, a, format));
  uint32_t flags = 0;
  const Number exact = soft_float::square_root(a, flags);
  return static_cast<T>(finish(exact, a.denormal, flags, format));
}

// The second operand is the answer unless the first is strictly less (greater), with NaNs too.
template <typename T>
T extreme(T first, T second, int wanted) {
  constexpr Format format = kFormat<T>;
  const Number a = operand(first, format), b = operand(second, format);
  if (a.is_nan() || b.is_nan()) {
    raise(flag::kInvalid);
    return b.is_nan() ? second : static_cast<T>(pack(b, format));
  }
  if (a.denormal || b.denormal) raise(flag::kDenormal);
  return static_cast<T>(pack(soft_float::compare(a, b) == wanted ? a : b, format));
}

template <typename T>
T smaller(T first, T second) {
  return extreme(first, second, -1);
}
template <typename T>
T greater(T first, T second) {
  return extreme(first, second, 1);
}

}  // namespace

// --- Families of four

#define CALCO_FAMILY(name, function)                                              \
  Xmm name##ps(Xmm a, Xmm b) { return each<uint32_t>(a, b, function<uint32_t>); } \
  Xmm name##pd(Xmm a, Xmm b) { return each<uint64_t>(a, b, function<uint64_t>); } \
  Xmm name##ss(Xmm a, Xmm b) { return low<uint32_t>(a, b, function<uint32_t>); }  \
  Xmm name##sd(Xmm a, Xmm b) { return low<uint64_t>(a, b, function<uint64_t>); }
CALCO_FAMILY(add, add_elements)
CALCO_FAMILY(sub, subtract_elements)
CALCO_FAMILY(mul, multiply_elements)
CALCO_FAMILY(div, divide_elements)
CALCO_FAMILY(min, smaller)
CALCO_FAMILY(max, greater)
CALCO_FAMILY(sqrt, root_of_element)
#undef CALCO_FAMILY

// --- Between neighbours

namespace {

template <typename T>
Xmm add_and_subtract(Xmm first, Xmm second) {
  auto a = split<T>(first);
  const auto b = split<T>(second);
  for (size_t i = 0; i < a.size(); ++i) a[i] = i % 2 == 0 ? subtract_elements(a[i], b[i]) : add_elements(a[i], b[i]);
  return join<T>(a);
}

template <typename T>
Xmm horizontal(Xmm first, Xmm second, auto function) {
  const auto a = split<T>(first), b = split<T>(second);
  constexpr size_t kHalf = ElementsOf<T>{}.size() / 2;
  ElementsOf<T> result;
  for (size_t i = 0; i < kHalf; ++i) {
    result[i] = function(a[2 * i], a[2 * i + 1]);
    result[kHalf + i] = function(b[2 * i], b[2 * i + 1]);
  }
  return join<T>(result);
}

// Products of the elements that bits 4 and up of the immediate choose, summed pair by pair; the sum goes to the
// elements that bits 0 and up choose.
template <typename T>
Xmm dot_product_of(Xmm first, Xmm second, unsigned immediate) {
  const auto a = split<T>(first), b = split<T>(second);
  ElementsOf<T> terms{};
  for (size_t i = 0; i < terms.size(); ++i) {
    if ((immediate >> (4 + i) & 1) != 0) terms[i] = multiply_elements(a[i], b[i]);
  }
  for (size_t count = terms.size(); count > 1; count /= 2) {
    for (size_t i = 0; i < count / 2; ++i) terms[i] = add_elements(terms[2 * i], terms[2 * i + 1]);
  }
  ElementsOf<T> result{};
  for (size_t i = 0; i < result.size(); ++i) result[i] = (immediate >> i & 1) != 0 ? terms[0] : 0;
  return join<T>(result);
}

}  // namespace

Xmm addsubps(Xmm a, Xmm b) { return add_and_subtract<uint32_t>(a, b); }
Xmm addsubpd(Xmm a, Xmm b) { return add_and_subtract<uint64_t>(a, b); }
Xmm haddps(Xmm a, Xmm b) { return horizontal<uint32_t>(a, b, add_elements<uint32_t>); }
Xmm haddpd(Xmm a, Xmm b) { return horizontal<uint64_t>(a, b, add_elements<uint64_t>); }
Xmm hsubps(Xmm a, Xmm b) { return horizontal<uint32_t>(a, b, subtract_elements<uint32_t>); }
Xmm hsubpd(Xmm a, Xmm b) { return horizontal<uint64_t>(a, b, subtract_elements<uint64_t>); }
Xmm dot_product(Elements elements, Xmm a, Xmm b, unsigned immediate) {
  return elements == Elements::Singles ? dot_product_of<uint32_t>(a, b, immediate)
                                       : dot_product_of<uint64_t>(a, b, immediate);
}

// --- Estimates

namespace {

// Denormals are zeros, and so are results that would be denormal. No flags.
uint32_t estimate(uint32_t source, auto function) {
  Number a = unpack(source, kSingle);
  if (a.is_nan()) return static_cast<uint32_t>(pack(quieted(a), kSingle));
  if (a.denormal) a = zero(a.negative);
  const auto value = std::bit_cast<float>(static_cast<uint32_t>(pack(a, kSingle)));
  const float result = static_cast<float>(function(static_cast<double>(value)));
  if (std::isnan(result)) return static_cast<uint32_t>(pack(indefinite(), kSingle));
  return std::bit_cast<uint32_t>(std::fpclassify(result) == FP_SUBNORMAL ? std::copysign(0.0f, result) : result);
}
uint32_t reciprocal(uint32_t, uint32_t source) {
  return estimate(source, [](double value) { return 1.0 / value; });
}
uint32_t reciprocal_root(uint32_t, uint32_t source) {
  return estimate(source, [](double value) { return 1.0 / std::sqrt(value); });
}

}  // namespace

Xmm rcpps(Xmm a, Xmm b) { return each<uint32_t>(a, b, reciprocal); }
Xmm rcpss(Xmm a, Xmm b) { return low<uint32_t>(a, b, reciprocal); }
Xmm rsqrtps(Xmm a, Xmm b) { return each<uint32_t>(a, b, reciprocal_root); }
Xmm rsqrtss(Xmm a, Xmm b) { return low<uint32_t>(a, b, reciprocal_root); }

// --- Conversions

namespace {

// The integer indefinite is the smallest number.
template <typename Integer>
Integer to_signed(uint64_t source, Format format, Rounding rounding) {
  constexpr auto kIndefinite = static_cast<Integer>(Integer{1} << (sizeof(Integer) * 8 - 1));
  const Number a = operand(source, format);
  bool inexact = false, up = false;
  uint64_t magnitude = 0;
  const bool fits = !a.is_nan() && to_integer(round_to_integer(a, rounding, inexact, up), magnitude);
  const uint64_t limit = static_cast<uint64_t>(kIndefinite) - (a.negative ? 0 : 1);
  if (!fits || magnitude > limit) {
    raise(flag::kInvalid);
    return kIndefinite;
  }
  if (inexact) raise(flag::kPrecision);
  return static_cast<Integer>(a.negative ? 0 - magnitude : magnitude);
}

template <typename Integer>
uint64_t from_signed(Integer source, Format format) {
  const bool negative = (source >> (sizeof(Integer) * 8 - 1) & 1) != 0;
  const uint64_t magnitude = negative ? static_cast<Integer>(0 - source) : source;
  return finish(from_integer(negative, magnitude), false, 0, format);
}

uint64_t convert(uint64_t source, Format from, Format to) {
  const Number a = operand(source, from);
  if (a.is_nan()) return answer_nan(a, a, to);
  return finish(a, a.denormal, 0, to);
}

template <typename T>
Xmm to_dwords(Xmm source, Rounding rounding) {
  const auto a = split<T>(source);
  ElementsOf<uint32_t> result{};
  for (size_t i = 0; i < a.size(); ++i) result[i] = to_signed<uint32_t>(a[i], kFormat<T>, rounding);
  return join<uint32_t>(result);
}

}  // namespace

Xmm cvtdq2ps(Xmm a, Xmm b) {
  return each<uint32_t>(
      a, b, [](uint32_t, uint32_t source) { return static_cast<uint32_t>(from_signed<uint32_t>(source, kSingle)); });
}
Xmm cvtdq2pd(Xmm, Xmm source) {
  const auto a = split<uint32_t>(source);
  return join<uint64_t>({from_signed<uint32_t>(a[0], kDouble), from_signed<uint32_t>(a[1], kDouble)});
}
Xmm cvtps2dq(Xmm, Xmm source) { return to_dwords<uint32_t>(source, guest_rounding()); }
Xmm cvttps2dq(Xmm, Xmm source) { return to_dwords<uint32_t>(source, Rounding::Truncate); }
Xmm cvtpd2dq(Xmm, Xmm source) { return to_dwords<uint64_t>(source, guest_rounding()); }
Xmm cvttpd2dq(Xmm, Xmm source) { return to_dwords<uint64_t>(source, Rounding::Truncate); }
Xmm cvtps2pd(Xmm, Xmm source) {
  const auto a = split<uint32_t>(source);
  return join<uint64_t>({convert(a[0], kSingle, kDouble), convert(a[1], kSingle, kDouble)});
}
Xmm cvtpd2ps(Xmm, Xmm source) {
  const auto a = split<uint64_t>(source);
  return join<uint32_t>({static_cast<uint32_t>(convert(a[0], kDouble, kSingle)),
                         static_cast<uint32_t>(convert(a[1], kDouble, kSingle)), 0, 0});
}
Xmm cvtss2sd(Xmm destination, Xmm source) {
  auto result = split<uint64_t>(destination);
  result[0] = convert(split<uint32_t>(source)[0], kSingle, kDouble);
  return join<uint64_t>(result);
}
Xmm cvtsd2ss(Xmm destination, Xmm source) {
  auto result = split<uint32_t>(destination);
  result[0] = static_cast<uint32_t>(convert(split<uint64_t>(source)[0], kDouble, kSingle));
  return join<uint32_t>(result);
}

#define CALCO_TO_INTEGER(name, T, rounding)                                                                      \
  void name(Xmm source, uint32_t& out) { out = to_signed<uint32_t>(split<T>(source)[0], kFormat<T>, rounding); } \
  void name(Xmm source, uint64_t& out) { out = to_signed<uint64_t>(split<T>(source)[0], kFormat<T>, rounding); }
CALCO_TO_INTEGER(cvtss2si, uint32_t, guest_rounding())
CALCO_TO_INTEGER(cvtsd2si, uint64_t, guest_rounding())
CALCO_TO_INTEGER(cvttss2si, uint32_t, Rounding::Truncate)
CALCO_TO_INTEGER(cvttsd2si, uint64_t, Rounding::Truncate)
#undef CALCO_TO_INTEGER

#define CALCO_FROM_INTEGER(name, T, Integer)                              \
  Xmm name(Xmm destination, Integer source) {                             \
    auto result = split<T>(destination);                                  \
    result[0] = static_cast<T>(from_signed<Integer>(source, kFormat<T>)); \
    return join<T>(result);                                               \
  }
CALCO_FROM_INTEGER(cvtsi2ss, uint32_t, uint32_t)
CALCO_FROM_INTEGER(cvtsi2ss, uint32_t, uint64_t)
CALCO_FROM_INTEGER(cvtsi2sd, uint64_t, uint32_t)
CALCO_FROM_INTEGER(cvtsi2sd, uint64_t, uint64_t)
#undef CALCO_FROM_INTEGER

// Halves that are denormal are no denormal operands, and DAZ leaves them alone.
Xmm vcvtph2ps(Xmm source) {
  const auto halves = split<uint16_t>(source);
  ElementsOf<uint32_t> result;
  for (size_t i = 0; i < result.size(); ++i) {
    const Number a = unpack(halves[i], kHalf);
    result[i] = static_cast<uint32_t>(a.is_nan() ? answer_nan(a, a, kSingle) : pack(a, kSingle));
  }
  return join<uint32_t>(result);
}
// FTZ has no effect. Bit 2 of the immediate: round as MXCSR says.
Xmm to_halves(Xmm source, unsigned immediate) {
  const auto singles = split<uint32_t>(source);
  ElementsOf<uint16_t> result{};
  Rounder rounder = rounder_to(kHalf);
  rounder.flush_to_zero = false;
  if ((immediate & 4) == 0) rounder.rounding = static_cast<Rounding>(immediate & 3);
  for (size_t i = 0; i < singles.size(); ++i) {
    const Number a = operand(singles[i], kSingle);
    if (a.is_nan()) {
      result[i] = static_cast<uint16_t>(answer_nan(a, a, kHalf));
      continue;
    }
    uint32_t flags = a.denormal ? flag::kDenormal : 0;
    result[i] = static_cast<uint16_t>(pack(rounder.round(a, flags).number, kHalf));
    raise(flags);
  }
  return join<uint16_t>(result);
}

namespace {

// ROUNDPS: bit 2 of the immediate: round as MXCSR says; bit 3: no precision flag.
template <typename T>
T round_element(T source, unsigned immediate) {
  constexpr Format format = kFormat<T>;
  const Number a = operand(source, format);
  if (a.is_nan()) return static_cast<T>(answer_nan(a, a, format));
  bool inexact, up;
  const Rounding rounding = (immediate & 4) != 0 ? guest_rounding() : static_cast<Rounding>(immediate & 3);
  const Number rounded = round_to_integer(a, rounding, inexact, up);
  if (inexact && (immediate & 8) == 0) raise(flag::kPrecision);
  return static_cast<T>(pack(rounded, format));
}

}  // namespace

Xmm round(Elements elements, Xmm destination, Xmm source, unsigned immediate) {
  return on_elements(elements, destination, source,
                     [&](auto, auto element) { return round_element(element, immediate); });
}

// --- Comparisons

namespace {

enum Relation : unsigned { kLess = 1, kEqual = 2, kGreater = 4, kUnordered = 8 };

Relation relation(uint64_t first, uint64_t second, Format format, bool quiet) {
  const Number a = operand(first, format), b = operand(second, format);
  if (a.is_nan() || b.is_nan()) {
    if (!quiet || a.is_signaling() || b.is_signaling()) raise(flag::kInvalid);
    return kUnordered;
  }
  if (a.denormal || b.denormal) raise(flag::kDenormal);
  const int order = soft_float::compare(a, b);
  return order < 0 ? kLess : order == 0 ? kEqual : kGreater;
}

// The predicates' truth (SDM vol. 2, table 3-1); those from 16 on are the same with the other behaviour for quiet NaNs.
constexpr std::array<unsigned, 16> kTruth = {
    kEqual,                 // EQ
    kLess,                  // LT
    kLess | kEqual,         // LE
    kUnordered,             // UNORD
    15 & ~kEqual,           // NEQ
    15 & ~kLess,            // NLT
    kGreater | kUnordered,  // NLE
    15 & ~kUnordered,       // ORD
    kEqual | kUnordered,    // EQ, unordered too
    kLess | kUnordered,     // NGE
    15 & ~kGreater,         // NGT
    0,                      // FALSE
    kLess | kGreater,       // NEQ, ordered
    kEqual | kGreater,      // GE
    kGreater,               // GT
    15,                     // TRUE
};
// LT, LE, NLT, NLE and their like.
bool is_quiet(unsigned predicate) {
  const bool first_half = (predicate & 3) == 0 || (predicate & 3) == 3;
  return first_half == (predicate < 16);
}

Comparison comparison_flags(Relation order) {
  return {.zero = (order & (kEqual | kUnordered)) != 0,
          .parity = order == kUnordered,
          .carry = (order & (kLess | kUnordered)) != 0};
}
template <typename T>
Comparison compare_low(Xmm first, Xmm second, bool quiet) {
  return comparison_flags(relation(split<T>(first)[0], split<T>(second)[0], kFormat<T>, quiet));
}

}  // namespace

Xmm compare(Elements elements, Xmm first, Xmm second, unsigned predicate) {
  return on_elements(elements, first, second, [&]<typename T>(T a, T b) -> T {
    const Relation order = relation(a, b, kFormat<T>, is_quiet(predicate));
    return (kTruth[predicate & 15] & order) != 0 ? ~T{0} : T{0};
  });
}
Comparison comiss(Xmm first, Xmm second) { return compare_low<uint32_t>(first, second, false); }
Comparison comisd(Xmm first, Xmm second) { return compare_low<uint64_t>(first, second, false); }
Comparison ucomiss(Xmm first, Xmm second) { return compare_low<uint32_t>(first, second, true); }
Comparison ucomisd(Xmm first, Xmm second) { return compare_low<uint64_t>(first, second, true); }

// --- Fused multiplication and addition

namespace {

struct FusedSigns {
  bool negate_product, negate_addend;
};
FusedSigns signs_of(FusedKind kind, size_t element) {
  const bool even = element % 2 == 0;
  switch (kind) {
    case FusedKind::Add:
      return {false, false};
    case FusedKind::Subtract:
      return {false, true};
    case FusedKind::NegativeAdd:
      return {true, false};
    case FusedKind::NegativeSubtract:
      return {true, true};
    case FusedKind::AddSubtract:
      return {false, even};
    default:
      return {false, !even};
  }
}

// Of several NaNs the answer is the multiplicand's, then the multiplier's, then the addend's, in the order of the
// digits (SDM vol. 1, table 14-17).
template <typename T>
T multiply_add_element(FusedSigns signs, FusedOrder order, T first, T second, T third) {
  constexpr Format format = kFormat<T>;
  const T digits[] = {first, second, third};
  const auto number = [&](unsigned digit) { return operand(digits[digit - 1], format); };
  const Number a = number(order == FusedOrder::k132 ? 1 : 2);
  const Number b = number(order == FusedOrder::k213 ? 1 : 3);
  const Number c = number(order == FusedOrder::k132 ? 2 : order == FusedOrder::k213 ? 3 : 1);
  if (a.is_nan() || b.is_nan() || c.is_nan()) {
    if (a.is_signaling() || b.is_signaling() || c.is_signaling()) raise(flag::kInvalid);
    return static_cast<T>(pack(quieted(a.is_nan() ? a : b.is_nan() ? b : c), format));
  }
  uint32_t flags = 0;
  Number product = soft_float::multiply(a, b, flags);
  if (!product.is_nan()) {
    if (signs.negate_product) product = negated(product);
    product = soft_float::add(product, signs.negate_addend ? negated(c) : c, guest_rounding(), flags);
  }
  return static_cast<T>(finish(product, a.denormal || b.denormal || c.denormal, flags, format));
}

template <typename T>
Xmm multiply_add_elements(FusedKind kind, FusedOrder order, bool packed, Xmm first, Xmm second, Xmm third) {
  auto a = split<T>(first);
  const auto b = split<T>(second), c = split<T>(third);
  const size_t count = packed ? a.size() : 1;
  for (size_t i = 0; i < count; ++i) a[i] = multiply_add_element(signs_of(kind, i), order, a[i], b[i], c[i]);
  return join<T>(a);
}

}  // namespace

Xmm multiply_add(FusedKind kind, FusedOrder order, Elements elements, Xmm first, Xmm second, Xmm third) {
  const bool packed = elements == Elements::Singles || elements == Elements::Doubles;
  return elements == Elements::Singles || elements == Elements::LowSingle
             ? multiply_add_elements<uint32_t>(kind, order, packed, first, second, third)
             : multiply_add_elements<uint64_t>(kind, order, packed, first, second, third);
}

// --- Judges of rounding

namespace {

bool is_inexact(const Number& exact, Precision precision, unsigned rounding) {
  // The exponents of the 80-bit format are wide enough for every result.
  const Rounder rounder{.rounding = static_cast<Rounding>(rounding),
                        .format = kExtended,
                        .precision = precision == Precision::Single ? kSingle.precision : kDouble.precision};
  uint32_t flags = 0;
  rounder.round(exact, flags);
  return (flags & flag::kPrecision) != 0;
}
Number number_of(double value) { return unpack(std::bit_cast<uint64_t>(value), kDouble); }

}  // namespace

bool add_is_inexact(double first, double second, Precision precision, unsigned rounding) {
  uint32_t flags = 0;
  return is_inexact(soft_float::add(number_of(first), number_of(second), Rounding::Nearest, flags), precision,
                    rounding);
}
bool multiply_is_inexact(double first, double second, Precision precision, unsigned rounding) {
  uint32_t flags = 0;
  return is_inexact(soft_float::multiply(number_of(first), number_of(second), flags), precision, rounding);
}
bool divide_is_inexact(double first, double second, Precision precision, unsigned rounding) {
  uint32_t flags = 0;
  return is_inexact(soft_float::divide(number_of(first), number_of(second), flags), precision, rounding);
}
bool multiply_add_is_inexact(double first, double second, double third, Precision precision) {
  uint32_t flags = 0;
  const Number product = soft_float::multiply(number_of(first), number_of(second), flags);
  return is_inexact(soft_float::add(product, number_of(third), Rounding::Nearest, flags), precision, 0);
}

}  // namespace calco::cpu::vector::host
