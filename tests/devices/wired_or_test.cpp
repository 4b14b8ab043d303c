#include "devices/irq/wired_or.h"

#include <gtest/gtest.h>

#include <stdexcept>

#include "tests/devices/board.h"

namespace calco::devices {
namespace {

TEST(WiredOr, IsAssertedUntilTheLastInputIsQuiet) {
  WireProbe probe;
  WiredOr wire(probe.line());
  IrqLine first = wire.input();
  IrqLine second = wire.input();
  first.raise();
  second.raise();
  first.lower();
  EXPECT_TRUE(probe.level);
  second.lower();
  EXPECT_FALSE(probe.level);
  EXPECT_EQ(probe.rises, 1u);
}

TEST(WiredOr, RepeatedLevelCountsOnce) {
  WireProbe probe;
  WiredOr wire(probe.line());
  IrqLine input = wire.input();
  input.raise();
  input.repeat();
  input.lower();
  EXPECT_FALSE(probe.level);
}

TEST(WiredOr, TakesSixtyFourInputs) {
  WiredOr wire{IrqLine()};
  for (unsigned i = 0; i < WiredOr::kMaximumInputs; ++i) wire.input();
  EXPECT_THROW(wire.input(), std::length_error);
}

}  // namespace
}  // namespace calco::devices
