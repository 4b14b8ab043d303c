#include "machine/core/clock.h"

#include <gtest/gtest.h>

#include <vector>

namespace calco {
namespace {

TEST(Clock, TimersFireInOrderOfTheirDeadlines) {
  ManualClock clock;
  std::vector<int> fired;
  Timer late(clock, [&] { fired.push_back(2); });
  Timer early(clock, [&] { fired.push_back(1); });
  late.arm(200);
  early.arm(100);
  clock.advance(99);
  EXPECT_TRUE(fired.empty());
  clock.advance(101);
  EXPECT_EQ(fired, (std::vector<int>{1, 2}));
}

TEST(Clock, CancelledTimerDoesNotFire) {
  ManualClock clock;
  int fired = 0;
  Timer timer(clock, [&] { ++fired; });
  timer.arm(10);
  timer.cancel();
  clock.advance(100);
  EXPECT_EQ(fired, 0);
  EXPECT_EQ(clock.next_deadline(), Clock::kNever);
}

TEST(Clock, PeriodicTimerRearmedFromItsCallbackLosesNoTick) {
  ManualClock clock;
  int ticks = 0;
  Timer timer(clock, [&] {
    ++ticks;
    timer.arm(timer.deadline() + 10);
  });
  timer.arm(10);
  clock.advance(1000);
  EXPECT_EQ(ticks, 100);
}

}  // namespace
}  // namespace calco
