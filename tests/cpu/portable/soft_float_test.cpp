#include "cpu/exec/portable/soft_float.h"

#include <gtest/gtest.h>

#include <bit>

#include "cpu/exec/portable/transcendental.h"

namespace calco::cpu::soft_float {
namespace {

Number of(double value) { return unpack(std::bit_cast<uint64_t>(value), kDouble); }
double to_double(const Number& exact, uint32_t& flags, Rounder rounder = {}) {
  return std::bit_cast<double>(pack(rounder.round(exact, flags).number, kDouble));
}

TEST(SoftFloat, InexactSumsRoundToTheEvenNeighbour) {
  uint32_t flags = 0;
  const Number sum = add(of(1.0), of(0x1p-53), Rounding::Nearest, flags);
  EXPECT_EQ(to_double(sum, flags), 1.0);
  EXPECT_EQ(flags, flag::kPrecision);
}

TEST(SoftFloat, InexactSumsRoundUpWhereRoundingControlSaysSo) {
  uint32_t flags = 0;
  const Number sum = add(of(1.0), of(0x1p-200), Rounding::Up, flags);
  EXPECT_EQ(to_double(sum, flags, {.rounding = Rounding::Up}), 1.0 + 0x1p-52);
  EXPECT_EQ(flags, flag::kPrecision);
}

TEST(SoftFloat, ExactDifferencesOfEqualNumbersAreMinusZeroWhenRoundingDown) {
  uint32_t flags = 0;
  const Number difference = add(of(1.5), of(-1.5), Rounding::Down, flags);
  EXPECT_TRUE(difference.is_zero());
  EXPECT_TRUE(difference.negative);
  EXPECT_EQ(flags, 0u);
}

TEST(SoftFloat, QuotientsOfZerosAndInfinitiesAreInvalid) {
  uint32_t flags = 0;
  EXPECT_TRUE(divide(of(0), of(0), flags).is_nan());
  EXPECT_EQ(flags, flag::kInvalid);
  flags = 0;
  EXPECT_TRUE(divide(of(1), of(0), flags).is_infinite());
  EXPECT_EQ(flags, flag::kZeroDivide);
}

TEST(SoftFloat, RootsOfPerfectSquaresAreExact) {
  uint32_t flags = 0;
  EXPECT_EQ(to_double(square_root(of(0x1.2p+301), flags), flags), 0x1.8p+150);
  EXPECT_EQ(flags, 0u);
}

// SDM vol. 1, 4.9.1.5
TEST(SoftFloat, TininessIsDetectedAfterRounding) {
  uint32_t flags = 0;
  const Number product = multiply(of(0x1.fffffffffffffp-1022), of(0x1.0000000000001p-1), flags);
  EXPECT_EQ(to_double(product, flags), 0x1p-1022);
  EXPECT_EQ(flags, flag::kPrecision);
}

TEST(SoftFloat, ExactDenormalResultsRaiseNothing) {
  uint32_t flags = 0;
  EXPECT_EQ(to_double(multiply(of(0x1p-1022), of(0.25), flags), flags), 0x1p-1024);
  EXPECT_EQ(flags, 0u);
}

TEST(SoftFloat, FlushToZeroMakesTinyResultsZero) {
  uint32_t flags = 0;
  EXPECT_EQ(to_double(multiply(of(0x1p-1022), of(0.25), flags), flags, {.flush_to_zero = true}), 0.0);
  EXPECT_EQ(flags, flag::kUnderflow | flag::kPrecision);
}

// SDM vol. 1, table 4-10
TEST(SoftFloat, OverflowIsTheLargestNumberWhereRoundingLeadsAwayFromInfinity) {
  uint32_t flags = 0;
  const Number product = multiply(of(0x1p+1000), of(0x1p+1000), flags);
  EXPECT_EQ(to_double(product, flags, {.rounding = Rounding::Truncate}), 0x1.fffffffffffffp+1023);
  EXPECT_EQ(flags, flag::kOverflow | flag::kPrecision);
}

// SDM vol. 1, 8.5.4
TEST(SoftFloat, UnmaskedOverflowBringsTheExponentBack) {
  const Rounder rounder{
      .format = kExtended, .precision = kExtended.precision, .overflow_unmasked = true, .exponent_adjustment = 24576};
  uint32_t flags = 0;
  const Number huge{.kind = Class::Finite, .exponent = 20000, .significand = kLeadingBit};
  EXPECT_EQ(rounder.round(huge, flags).number.exponent, 20000 - 24576);
  EXPECT_EQ(flags, flag::kOverflow);
}

TEST(SoftFloat, HalvesBelowTheSmallestAreRoundedToIt) {
  uint32_t flags = 0;
  const Rounder rounder{.rounding = Rounding::Up, .format = kHalf, .precision = kHalf.precision};
  EXPECT_EQ(pack(rounder.round(of(0x1p-30), flags).number, kHalf), 1u);
  EXPECT_EQ(flags, flag::kUnderflow | flag::kPrecision);
}

TEST(SoftFloat, IntegersRoundAsTheModeSays) {
  bool inexact, up;
  uint64_t magnitude;
  ASSERT_TRUE(to_integer(round_to_integer(of(2.5), Rounding::Nearest, inexact, up), magnitude));
  EXPECT_EQ(magnitude, 2u);
  ASSERT_TRUE(to_integer(round_to_integer(of(-0.25), Rounding::Down, inexact, up), magnitude));
  EXPECT_EQ(magnitude, 1u);
  EXPECT_TRUE(inexact);
  EXPECT_TRUE(up);
}

// SDM vol. 1, 8.3.8: an argument near pi shows the difference between pi and that of 66 bits.
TEST(SoftFloat, SinesHaveTheirArgumentsReducedWithAPiOf66Bits) {
  uint32_t flags = 0;
  const double sine_of_pi = to_double(sine(of(0x1.921fb54442d18p+1)), flags);
  EXPECT_EQ(sine_of_pi, 0x1.1a6p-53);
}

}  // namespace
}  // namespace calco::cpu::soft_float
