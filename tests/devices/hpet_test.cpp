#include "devices/timer/hpet.h"

#include <gtest/gtest.h>

#include <map>

#include "machine/core/log.h"
#include "tests/devices/device_suite.h"
#include "tests/devices/late_clock.h"

namespace calco::devices {
namespace {

struct HpetRig {
  ManualClock clock;
  Log log;
  int timer_edges = 0;
  int clock_edges = 0;
  bool timer_level = false;
  bool replaced = false;
  std::map<int, int> edges;
  std::map<int, bool> levels;
  Hpet hpet{clock,
            {.legacy_timer = IrqLine([this](bool level) {
               timer_level = level;
               timer_edges += level;
             }),
             .legacy_clock = IrqLine([this](bool level) { clock_edges += level; }),
             .legacy_replacement = IrqLine([this](bool level) { replaced = level; }),
             .io_apic =
                 [this](int pin, bool level) {
                   edges[pin] += level;
                   levels[pin] = level;
                 },
             .routes = 0x00f00004},
            log};
  Device& device() { return hpet; }
  std::vector<WindowUnderTest> windows() { return {{&hpet, 1024}}; }

  void write(uint64_t offset, uint64_t value) { hpet.write(offset, 8, value); }
  uint64_t read(uint64_t offset) { return hpet.read(offset, 8); }
  void advance_ticks(int64_t ticks) { clock.advance(ticks * Hpet::kTick); }
};

constexpr uint64_t kConfiguration0 = 0x100, kComparator0 = 0x108;
constexpr uint64_t kConfiguration1 = 0x120, kComparator1 = 0x128;
constexpr uint64_t kRoute20 = 20 << 9;
constexpr uint64_t kLevel = 0x2, kEnable = 0x4, kPeriodic = 0x8, kSetValue = 0x40, k32Bit = 0x100;

TEST(Hpet, PassesTheDeviceSuite) { check_device<HpetRig>(); }

TEST(Hpet, CapabilitiesNameThreeComparatorsOf64BitsAt10Nanoseconds) {
  HpetRig rig;
  EXPECT_EQ(rig.read(0), 0x00989680'8086a201u);
  EXPECT_EQ(rig.hpet.read(4, 4), 10'000'000u);
}

TEST(Hpet, ComparatorCapabilitiesAreReadOnly) {
  HpetRig rig;
  rig.write(kConfiguration0, ~uint64_t{0});
  EXPECT_EQ(rig.read(kConfiguration0) & 0xffffffff'0000c030, 0x00f00004'00000030u);
}

TEST(Hpet, CounterStandsUntilItIsEnabled) {
  HpetRig rig;
  rig.advance_ticks(100);
  EXPECT_EQ(rig.read(0xf0), 0u);
  rig.write(0x10, 1);
  rig.advance_ticks(100);
  EXPECT_EQ(rig.read(0xf0), 100u);
  rig.write(0x10, 0);
  rig.advance_ticks(100);
  EXPECT_EQ(rig.read(0xf0), 100u);
  rig.write(0xf0, 0x1'00000000);
  rig.write(0x10, 1);
  rig.advance_ticks(5);
  EXPECT_EQ(rig.read(0xf0), 0x1'00000005u);
  EXPECT_EQ(rig.hpet.read(0xf4, 4), 1u);
}

TEST(Hpet, OneShotFiresWhenTheCounterReachesTheComparator) {
  HpetRig rig;
  rig.write(kConfiguration0, kEnable | kRoute20);
  rig.write(kComparator0, 1000);
  rig.write(0x10, 1);
  rig.advance_ticks(999);
  EXPECT_EQ(rig.edges[20], 0);
  rig.advance_ticks(1);
  EXPECT_EQ(rig.edges[20], 1);
  rig.advance_ticks(100000);
  EXPECT_EQ(rig.edges[20], 1);
}

TEST(Hpet, ComparatorBehindA64BitCounterDoesNotFire) {
  HpetRig rig;
  rig.write(kConfiguration0, kEnable | kRoute20);
  rig.write(0x10, 1);
  rig.advance_ticks(1000);
  rig.write(kComparator0, 999);
  EXPECT_EQ(rig.clock.next_deadline(), Clock::kNever);
}

TEST(Hpet, Mode32BitComparesTheLowHalfAndWraps) {
  HpetRig rig;
  rig.write(0xf0, 0x5'fffffff0);
  rig.write(kConfiguration0, kEnable | k32Bit | kRoute20);
  rig.write(kComparator0, 0x10);
  rig.write(0x10, 1);
  rig.advance_ticks(0x1f);
  EXPECT_EQ(rig.edges[20], 0);
  rig.advance_ticks(1);
  EXPECT_EQ(rig.edges[20], 1);
}

TEST(Hpet, OneShotOf32BitsFiresAgainWhenTheCounterHasGoneRound) {
  HpetRig rig;
  rig.write(kConfiguration0, kEnable | k32Bit | kRoute20);
  rig.write(kComparator0, 0x10);
  rig.write(0x10, 1);
  rig.advance_ticks(0x1'0000000f);
  EXPECT_EQ(rig.edges[20], 1);
  rig.advance_ticks(1);
  EXPECT_EQ(rig.edges[20], 2);
}

TEST(Hpet, PeriodicModeAccumulatesThePeriod) {
  HpetRig rig;
  rig.write(kConfiguration0, kEnable | kPeriodic | kSetValue | kRoute20);
  rig.write(kComparator0, 500);
  EXPECT_EQ(rig.read(kConfiguration0) & kSetValue, 0u);
  rig.write(kComparator0, 100);
  EXPECT_EQ(rig.read(kComparator0), 500u);
  rig.write(0x10, 1);
  rig.advance_ticks(500);
  EXPECT_EQ(rig.edges[20], 1);
  EXPECT_EQ(rig.read(kComparator0), 600u);
  rig.advance_ticks(1000);
  EXPECT_EQ(rig.edges[20], 11);
}

TEST(Hpet, OneWriteWithValSetSetsComparatorAndPeriod) {
  HpetRig rig;
  rig.write(kConfiguration0, kEnable | kPeriodic | kSetValue | kRoute20);
  rig.write(kComparator0, 100);
  rig.write(0x10, 1);
  rig.advance_ticks(1000);
  EXPECT_EQ(rig.edges[20], 10);
}

TEST(Hpet, LevelInterruptStaysUntilItsStatusBitIsWritten) {
  HpetRig rig;
  rig.write(kConfiguration0, kEnable | kLevel | kRoute20);
  rig.write(kComparator0, 100);
  rig.write(0x10, 1);
  rig.advance_ticks(200);
  EXPECT_TRUE(rig.levels[20]);
  EXPECT_EQ(rig.read(0x20), 1u);
  rig.write(0x20, 1);
  EXPECT_FALSE(rig.levels[20]);
  EXPECT_EQ(rig.read(0x20), 0u);
}

TEST(Hpet, LevelStatusIsSetWhileTheInterruptIsDisabled) {
  HpetRig rig;
  rig.write(kConfiguration0, kLevel | kRoute20);
  rig.write(kComparator0, 100);
  rig.write(0x10, 1);
  rig.advance_ticks(200);
  EXPECT_EQ(rig.read(0x20), 1u);
  EXPECT_FALSE(rig.levels[20]);
  rig.write(kConfiguration0, kEnable | kLevel | kRoute20);
  EXPECT_TRUE(rig.levels[20]);
}

TEST(Hpet, LegacyReplacementTakesTheLinesOfTimerAndClock) {
  HpetRig rig;
  rig.write(kConfiguration0, kEnable);
  rig.write(kComparator0, 100);
  rig.write(kConfiguration1, kEnable);
  rig.write(kComparator1, 200);
  rig.write(0x10, 3);
  EXPECT_TRUE(rig.replaced);
  rig.advance_ticks(300);
  EXPECT_EQ(rig.timer_edges, 1);
  EXPECT_EQ(rig.clock_edges, 1);
  rig.write(0x10, 0);
  EXPECT_FALSE(rig.replaced);
}

TEST(Hpet, UnsupportedRouteDoesNotReadBack) {
  HpetRig rig;
  rig.write(kConfiguration0, kRoute20);
  rig.write(kConfiguration0, 5 << 9);
  EXPECT_EQ(rig.read(kConfiguration0) & 0x3e00, kRoute20);
}

TEST(Hpet, HalfWritesLeaveTheOtherHalf) {
  HpetRig rig;
  rig.write(kComparator0, 0x11111111'22222222);
  rig.hpet.write(kComparator0 + 4, 4, 0x33333333);
  EXPECT_EQ(rig.read(kComparator0), 0x33333333'22222222u);
}

TEST(Hpet, ResetReturnsTheLegacyLines) {
  HpetRig rig;
  rig.write(0x10, 3);
  rig.hpet.reset();
  EXPECT_FALSE(rig.replaced);
  EXPECT_EQ(rig.read(0xf0), 0u);
}

TEST(Hpet, PeriodsTooShortToBeMadeUpForBecomeOne) {
  LateClock clock;
  Log log;
  int edges = 0;
  Hpet hpet(clock, {.io_apic = [&](int, bool level) { edges += level; }}, log);
  hpet.write(kConfiguration0, 8, kEnable | kPeriodic | kSetValue | 2 << 9);
  hpet.write(kComparator0, 8, 100);
  hpet.write(0x10, 8, 1);
  clock.pass(1050 * Hpet::kTick);
  clock.run_expired();
  EXPECT_EQ(edges, 1);
  EXPECT_EQ(hpet.read(kComparator0, 8), 1100u);
}

TEST(Hpet, PeriodsThatALateHostMissedAreMadeUpFor) {
  constexpr int64_t kMillisecond = 1'000'000;
  LateClock clock;
  Log log;
  int edges = 0;
  Hpet hpet(clock, {.io_apic = [&](int, bool level) { edges += level; }}, log);
  hpet.write(kConfiguration0, 8, kEnable | kPeriodic | kSetValue | 2 << 9);
  hpet.write(kComparator0, 8, 4 * kMillisecond / Hpet::kTick);
  hpet.write(0x10, 8, 1);
  clock.pass(21 * kMillisecond);
  clock.run_expired();
  EXPECT_EQ(edges, 1);
  for (int i = 0; i < 10; ++i) {
    clock.pass(kMillisecond / 5);
    clock.run_expired();
  }
  EXPECT_EQ(edges, 5);
}

TEST(Hpet, ComparatorThatIsSetAnewOwesNothing) {
  LateClock clock;
  Log log;
  int edges = 0;
  Hpet hpet(clock, {.io_apic = [&](int, bool level) { edges += level; }}, log);
  hpet.write(kConfiguration0, 8, kEnable | kPeriodic | kSetValue | 2 << 9);
  hpet.write(kComparator0, 8, 400'000);
  hpet.write(0x10, 8, 1);
  clock.pass(3'000'000 * Hpet::kTick);
  clock.run_expired();
  hpet.write(kConfiguration0, 8, kEnable | 2 << 9);
  hpet.write(kComparator0, 8, 100'000'000);
  clock.pass(100'000 * Hpet::kTick);
  clock.run_expired();
  EXPECT_EQ(edges, 1);
}

TEST(Hpet, LoadedComparatorFiresAtItsTime) {
  HpetRig rig;
  rig.write(kConfiguration0, kEnable | kRoute20);
  rig.write(kComparator0, 100);
  rig.write(0x10, 1);
  HpetRig copy;
  load_state(copy.hpet, saved_state(rig.hpet));
  copy.advance_ticks(100);
  EXPECT_EQ(copy.edges[20], 1);
}

}  // namespace
}  // namespace calco::devices
