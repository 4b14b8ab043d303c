#include "machine/pc/time_stamp_counter.h"

#include <gtest/gtest.h>

namespace calco::machine {
namespace {

using Source = TimeStampCounter::Source;

TEST(TimeStampCounter, CountsGuestTimeAtItsFrequency) {
  ManualClock clock;
  const TimeStampCounter counter(clock, {2'500'000'000, Source::Clock});
  clock.advance(Clock::kSecond);
  EXPECT_EQ(counter.now(), 2'500'000'000u);
  EXPECT_EQ(counter.time_of(5'000'000'000), 2 * Clock::kSecond);
}

TEST(TimeStampCounter, DeadlineIsNeverRoundedDown) {
  ManualClock clock;
  const TimeStampCounter counter(clock, {3'000'000'000, Source::Clock});
  EXPECT_EQ(counter.time_of(4), 2);
}

TEST(TimeStampCounter, DeadlineFarAheadIsNever) {
  ManualClock clock;
  const TimeStampCounter counter(clock, {1'500'000, Source::Clock});
  EXPECT_EQ(counter.time_of(~uint64_t{0}), INT64_MAX);
}

TEST(TimeStampCounter, HostCounterStandsStillWhileItIsStoppedAndGoesOnFromThere) {
  ManualClock clock;
  TimeStampCounter counter(clock, {2'000'000'000, Source::HostCounter});
  counter.stop();
  const uint64_t stopped = counter.now();
  EXPECT_EQ(counter.now(), stopped);
  counter.resume();
  const uint64_t later = counter.now();
  EXPECT_GE(later, stopped);
  EXPECT_LT(later - stopped, 2'000'000'000u);
}

}  // namespace
}  // namespace calco::machine
