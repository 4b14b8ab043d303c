#include "cpu/exec/portable/transcendental.h"

#include <mpfr.h>

#include <array>
#include <cstdlib>

namespace calco::cpu::soft_float {

namespace {

constexpr mpfr_prec_t kPrecision = 192;
constexpr mpfr_rnd_t kTruncate = MPFR_RNDZ;

// A number of the library's.
class Real {
 public:
  Real() { mpfr_init2(value_, kPrecision); }
  // Operands of the x87 unit have 64 bits.
  explicit Real(const Number& number) : Real() {
    mpfr_set_ui_2exp(value_, static_cast<unsigned long>(number.significand >> 64), number.exponent - 63, kTruncate);
    if (number.negative) mpfr_neg(value_, value_, kTruncate);
  }
  Real(const Real&) = delete;
  Real& operator=(const Real&) = delete;
  ~Real() { mpfr_clear(value_); }

  mpfr_ptr operator*() { return value_; }

  // `inexact`: it lacks digits.
  Number number(bool inexact) const {
    const bool negative = mpfr_signbit(value_) != 0;
    if (mpfr_zero_p(value_)) return zero(negative);
    mpz_t digits;
    mpz_init(digits);
    const mpfr_exp_t exponent = mpfr_get_z_2exp(digits, value_);
    const auto size = static_cast<int>(mpz_sizeinbase(digits, 2));
    mpz_abs(digits, digits);
    // To 128 bits, of which the lowest tells whether there is more.
    const int excess = size - 128;
    bool lost = inexact;
    if (excess > 0) {
      lost = lost || mpz_scan1(digits, 0) < static_cast<mp_bitcnt_t>(excess);
      mpz_fdiv_q_2exp(digits, digits, static_cast<mp_bitcnt_t>(excess));
    }
    std::array<uint64_t, 2> words{};
    mpz_export(words.data(), nullptr, -1, sizeof(uint64_t), 0, 0, digits);
    mpz_clear(digits);
    const Significand significand = static_cast<Significand>(words[1]) << 64 | words[0];
    const int lowest = static_cast<int>(exponent) + (excess > 0 ? excess : 0);
    Number result = normalized(negative, lowest + 127, significand);
    if (lost) result.significand |= 1;
    return result;
  }

 private:
  mpfr_t value_;
};

// x less so many quarter turns. x86 processors reduce arguments with a pi of 66 bits (SDM vol. 1, 8.3.8).
class Angle {
 public:
  explicit Angle(const Number& x) : rest_(x) {
    constexpr unsigned long kPiHigh = 0xC90FDAA22168C234, kPiLow = 3;  // 66 bits, two of them before the point
    Real quarter, quotient;
    mpfr_set_ui_2exp(*quarter, kPiHigh, 2, kTruncate);
    mpfr_add_ui(*quarter, *quarter, kPiLow, kTruncate);
    mpfr_div_2ui(*quarter, *quarter, 65, kTruncate);
    mpfr_div(*quotient, *rest_, *quarter, kTruncate);
    mpfr_rint(*quotient, *quotient, MPFR_RNDN);
    turns_ = mpfr_get_si(*quotient, MPFR_RNDN) & 3;
    mpfr_mul(*quotient, *quotient, *quarter, kTruncate);
    mpfr_sub(*rest_, *rest_, *quotient, kTruncate);
  }

  Number sine() { return turned(turns_); }
  Number cosine() { return turned(turns_ + 1); }
  Number tangent() {
    Real result;
    const int ternary = turns_ % 2 == 0 ? mpfr_tan(*result, *rest_, kTruncate) : mpfr_cot(*result, *rest_, kTruncate);
    const Number number = result.number(ternary != 0);
    return turns_ % 2 == 0 ? number : negated(number);
  }

 private:
  // The sine of the rest, so many quarter turns on.
  Number turned(long turns) {
    Real result;
    const int ternary = turns % 2 == 0 ? mpfr_sin(*result, *rest_, kTruncate) : mpfr_cos(*result, *rest_, kTruncate);
    const Number number = result.number(ternary != 0);
    return (turns & 2) != 0 ? negated(number) : number;
  }

  Real rest_;
  long turns_;
};

using Function = int (*)(mpfr_ptr, mpfr_srcptr, mpfr_rnd_t);

Number apply(Function function, const Number& x) {
  Real value(x), result;
  const int ternary = function(*result, *value, kTruncate);
  return result.number(ternary != 0);
}

Number multiplied_logarithm(Function logarithm, const Number& y, const Number& x) {
  Real value(x), factor(y), result;
  const int first = logarithm(*result, *value, kTruncate);
  const int second = mpfr_mul(*result, *result, *factor, kTruncate);
  return result.number(first != 0 || second != 0);
}

}  // namespace

Number two_to_x_minus_one(const Number& x) { return apply(mpfr_exp2m1, x); }
Number sine(const Number& x) { return Angle(x).sine(); }
Number cosine(const Number& x) { return Angle(x).cosine(); }
Number tangent(const Number& x) { return Angle(x).tangent(); }
Number arc_tangent(const Number& y, const Number& x) {
  Real ordinate(y), abscissa(x), result;
  const int ternary = mpfr_atan2(*result, *ordinate, *abscissa, kTruncate);
  return result.number(ternary != 0);
}
Number y_log2_x(const Number& y, const Number& x) { return multiplied_logarithm(mpfr_log2, y, x); }
Number y_log2_x_plus_one(const Number& y, const Number& x) { return multiplied_logarithm(mpfr_log2p1, y, x); }
Number pi_quarters(unsigned numerator) {
  Real result;
  mpfr_const_pi(*result, kTruncate);
  mpfr_mul_ui(*result, *result, numerator, kTruncate);
  mpfr_div_2ui(*result, *result, 2, kTruncate);
  return result.number(true);
}

}  // namespace calco::cpu::soft_float
