#include "devices/timer/pit8254.h"

#include <gtest/gtest.h>

#include "tests/devices/device_suite.h"
#include "tests/devices/late_clock.h"

namespace calco::devices {
namespace {

// Guest time (ns) by which `ticks` clock pulses have passed.
int64_t time_of(int64_t ticks) {
  return static_cast<int64_t>(multiply_divide(static_cast<uint64_t>(ticks), 1'000'000'000, Pit8254::kFrequency)) + 1;
}

struct PitRig {
  ManualClock clock;
  int rising_edges = 0;
  bool level = false;
  Pit8254 pit{clock, IrqLine([this](bool high) {
                level = high;
                rising_edges += high;
              })};
  Device& device() { return pit; }
  std::vector<WindowUnderTest> windows() { return {{&pit, 4}, {&pit.port_61(), 1}}; }

  void run_to_tick(int64_t tick) { clock.advance(time_of(tick) - clock.now()); }
  void program(int counter, uint8_t mode, uint16_t count) {
    pit.write(3, 1, static_cast<uint64_t>(counter << 6 | 0x30 | mode << 1));
    pit.write(counter, 1, count & 0xff);
    pit.write(counter, 1, count >> 8);
  }
  uint16_t latched_count(int counter) {
    pit.write(3, 1, static_cast<uint64_t>(counter << 6));
    const uint64_t low = pit.read(counter, 1);
    return static_cast<uint16_t>(low | pit.read(counter, 1) << 8);
  }
  uint64_t status(int counter) {
    pit.write(3, 1, 0xe0 | 2u << counter);
    return pit.read(counter, 1);
  }
  // By read-back: the line leaves short pulses out (pit8254.cpp).
  bool output0() { return (status(0) & 0x80) != 0; }
  bool output2() { return (pit.port_61().read(0, 1) & 0x20) != 0; }
  void set_gate2(bool gate) { pit.port_61().write(0, 1, gate); }
};

TEST(Pit, PassesTheDeviceSuite) { check_device<PitRig>(); }

TEST(Pit, Mode0OutputGoesHighOnTerminalCountAndStays) {
  PitRig rig;
  rig.program(0, 0, 100);
  rig.run_to_tick(100);
  EXPECT_FALSE(rig.level);
  rig.run_to_tick(101);
  EXPECT_TRUE(rig.level);
  rig.run_to_tick(100000);
  EXPECT_EQ(rig.rising_edges, 1);
  EXPECT_TRUE(rig.level);
}

TEST(Pit, Mode0FirstByteStopsTheCountAndLowersTheOutput) {
  PitRig rig;
  rig.program(0, 0, 100);
  rig.run_to_tick(200);
  rig.pit.write(0, 1, 50);
  EXPECT_FALSE(rig.level);
  rig.run_to_tick(1000);
  EXPECT_FALSE(rig.level);
  rig.pit.write(0, 1, 0);
  rig.run_to_tick(1051);
  EXPECT_TRUE(rig.level);
}

TEST(Pit, Mode0CountsOnPastZero) {
  PitRig rig;
  rig.program(2, 0, 10);
  rig.set_gate2(true);
  rig.run_to_tick(13);
  EXPECT_EQ(rig.latched_count(2), 0xfffd);
}

TEST(Pit, Mode0GateLowSuspendsCounting) {
  PitRig rig;
  rig.set_gate2(true);
  rig.program(2, 0, 1000);
  rig.run_to_tick(101);
  EXPECT_EQ(rig.latched_count(2), 900);
  rig.set_gate2(false);
  rig.run_to_tick(5000);
  EXPECT_EQ(rig.latched_count(2), 900);
  rig.set_gate2(true);
  rig.run_to_tick(5899);
  EXPECT_FALSE(rig.output2());
  rig.run_to_tick(5900);
  EXPECT_TRUE(rig.output2());
}

TEST(Pit, Mode1IsARetriggerableOneShot) {
  PitRig rig;
  rig.program(2, 1, 100);
  EXPECT_TRUE(rig.output2());
  rig.set_gate2(true);
  rig.run_to_tick(1);
  EXPECT_FALSE(rig.output2());
  rig.run_to_tick(50);
  rig.set_gate2(false);
  rig.set_gate2(true);
  rig.run_to_tick(150);
  EXPECT_FALSE(rig.output2());
  rig.run_to_tick(151);
  EXPECT_TRUE(rig.output2());
}

TEST(Pit, Mode2IsLowForOneClockEachPeriod) {
  PitRig rig;
  rig.set_gate2(true);
  rig.program(2, 2, 100);
  EXPECT_TRUE(rig.output2());
  rig.run_to_tick(99);
  EXPECT_TRUE(rig.output2());
  rig.run_to_tick(100);
  EXPECT_FALSE(rig.output2());
  rig.run_to_tick(101);
  EXPECT_TRUE(rig.output2());
}

// A host timer that is late between a pulse's two edges would leave the line low for as long, and the 8259A would take
// a waiting request back: a spurious interrupt ended HLT in place of the tick (test ROM interrupts).
TEST(Pit, Mode2PulseIsSeenAtItsEnd) {
  PitRig rig;
  rig.program(0, 2, 100);
  const int before = rig.rising_edges;
  rig.run_to_tick(100);
  EXPECT_TRUE(rig.level);
  rig.run_to_tick(101);
  EXPECT_TRUE(rig.level);
  EXPECT_EQ(rig.rising_edges - before, 1);
}

TEST(Pit, Mode2DoesNotDrift) {
  PitRig rig;
  rig.program(0, 2, 1193);
  const int before = rig.rising_edges;
  rig.clock.advance(10 * Clock::kSecond);
  EXPECT_EQ(rig.rising_edges - before, 10 * 1193182 / 1193);
}

TEST(Pit, Mode2NewCountWaitsForTheEndOfThePeriod) {
  PitRig rig;
  rig.program(0, 2, 100);
  rig.run_to_tick(50);
  rig.pit.write(0, 1, 200);
  rig.pit.write(0, 1, 0);
  EXPECT_EQ(rig.latched_count(0), 51);
  rig.run_to_tick(101);
  EXPECT_EQ(rig.latched_count(0), 200);
  rig.run_to_tick(300);
  EXPECT_FALSE(rig.output0());
  rig.run_to_tick(301);
  EXPECT_TRUE(rig.output0());
}

TEST(Pit, Mode2GateLowRaisesTheOutputAndRisingGateReloads) {
  PitRig rig;
  rig.set_gate2(true);
  rig.program(2, 2, 100);
  rig.run_to_tick(100);
  EXPECT_FALSE(rig.output2());
  rig.set_gate2(false);
  EXPECT_TRUE(rig.output2());
  rig.set_gate2(true);
  rig.run_to_tick(101);
  EXPECT_EQ(rig.latched_count(2), 100);
}

TEST(Pit, Mode3OutputIsASquareWave) {
  PitRig rig;
  rig.program(0, 3, 100);
  rig.run_to_tick(50);
  EXPECT_TRUE(rig.level);
  rig.run_to_tick(51);
  EXPECT_FALSE(rig.level);
  rig.run_to_tick(100);
  EXPECT_FALSE(rig.level);
  rig.run_to_tick(101);
  EXPECT_TRUE(rig.level);
}

TEST(Pit, Mode3OddCountIsHighForOneClockMore) {
  PitRig rig;
  rig.program(0, 3, 5);
  rig.run_to_tick(3);
  EXPECT_TRUE(rig.level);
  rig.run_to_tick(4);
  EXPECT_FALSE(rig.level);
  rig.run_to_tick(5);
  EXPECT_FALSE(rig.level);
  rig.run_to_tick(6);
  EXPECT_TRUE(rig.level);
}

TEST(Pit, Mode3CountsDownByTwo) {
  PitRig rig;
  rig.program(0, 3, 100);
  rig.run_to_tick(11);
  EXPECT_EQ(rig.latched_count(0), 80);
  rig.run_to_tick(61);
  EXPECT_EQ(rig.latched_count(0), 80);
}

TEST(Pit, Mode3NewCountWaitsForTheEndOfTheHalfCycle) {
  PitRig rig;
  rig.program(0, 3, 100);
  rig.run_to_tick(20);
  rig.pit.write(0, 1, 20);
  rig.pit.write(0, 1, 0);
  rig.run_to_tick(51);
  EXPECT_FALSE(rig.level);
  rig.run_to_tick(60);
  EXPECT_FALSE(rig.level);
  rig.run_to_tick(61);
  EXPECT_TRUE(rig.level);
}

TEST(Pit, Mode4StrobesOnce) {
  PitRig rig;
  rig.program(0, 4, 100);
  rig.run_to_tick(100);
  EXPECT_TRUE(rig.output0());
  rig.run_to_tick(101);
  EXPECT_FALSE(rig.output0());
  rig.run_to_tick(102);
  EXPECT_TRUE(rig.output0());
  EXPECT_EQ(rig.clock.next_deadline(), Clock::kNever);
}

TEST(Pit, Mode5StrobesAfterATrigger) {
  PitRig rig;
  rig.program(2, 5, 100);
  rig.run_to_tick(500);
  rig.set_gate2(true);
  rig.run_to_tick(600);
  EXPECT_TRUE(rig.output2());
  rig.run_to_tick(601);
  EXPECT_FALSE(rig.output2());
  rig.run_to_tick(602);
  EXPECT_TRUE(rig.output2());
}

TEST(Pit, CountZeroIs65536) {
  PitRig rig;
  rig.program(0, 2, 0);
  rig.run_to_tick(65536);
  EXPECT_FALSE(rig.output0());
  rig.run_to_tick(65537);
  EXPECT_TRUE(rig.output0());
}

TEST(Pit, BcdCountsFourDecades) {
  PitRig rig;
  rig.pit.write(3, 1, 0xb1);
  rig.pit.write(2, 1, 0x00);
  rig.pit.write(2, 1, 0x10);
  rig.set_gate2(true);
  rig.run_to_tick(1);
  EXPECT_EQ(rig.latched_count(2), 0x0999);
}

TEST(Pit, LatchHoldsTheCountUntilItIsRead) {
  PitRig rig;
  rig.program(0, 2, 1000);
  rig.run_to_tick(101);
  rig.pit.write(3, 1, 0x00);
  rig.run_to_tick(500);
  rig.pit.write(3, 1, 0x00);
  EXPECT_EQ(rig.pit.read(0, 1), 900u & 0xff);
  EXPECT_EQ(rig.pit.read(0, 1), 900u >> 8);
  EXPECT_EQ(rig.latched_count(0), 501);
}

TEST(Pit, ReadBackStatusShowsOutputNullCountAndControlWord) {
  PitRig rig;
  rig.pit.write(3, 1, 0x36);
  EXPECT_EQ(rig.status(0), 0xf6u);
  rig.program(0, 3, 100);
  rig.run_to_tick(1);
  EXPECT_EQ(rig.status(0), 0xb6u);
  rig.run_to_tick(60);
  EXPECT_EQ(rig.status(0), 0x36u);
}

TEST(Pit, ReadBackGivesStatusBeforeCount) {
  PitRig rig;
  rig.program(0, 2, 1000);
  rig.run_to_tick(101);
  rig.pit.write(3, 1, 0xc2);
  EXPECT_EQ(rig.pit.read(0, 1), 0xb4u);
  EXPECT_EQ(rig.pit.read(0, 1), 900u & 0xff);
  EXPECT_EQ(rig.pit.read(0, 1), 900u >> 8);
}

TEST(Pit, SingleByteAccessReadsTheChosenByte) {
  PitRig rig;
  rig.pit.write(3, 1, 0x24);
  rig.pit.write(0, 1, 0x12);
  rig.run_to_tick(1);
  EXPECT_EQ(rig.pit.read(0, 1), 0x12u);
  EXPECT_EQ(rig.pit.read(0, 1), 0x12u);
}

TEST(Pit, Port61TogglesTheRefreshBit) {
  PitRig rig;
  const uint64_t first = rig.pit.port_61().read(0, 1) & 0x10;
  rig.clock.advance(15'085);
  EXPECT_NE(rig.pit.port_61().read(0, 1) & 0x10, first);
}

TEST(Pit, Port61KeepsItsFourLowBits) {
  PitRig rig;
  rig.pit.port_61().write(0, 1, 0xff);
  EXPECT_EQ(rig.pit.port_61().read(0, 1) & 0xcf, 0x0fu);
}

TEST(Pit, DisconnectedLineNeedsNoTimer) {
  PitRig rig;
  rig.program(0, 2, 1193);
  rig.pit.set_irq_connected(false);
  EXPECT_FALSE(rig.level);
  EXPECT_EQ(rig.clock.next_deadline(), Clock::kNever);
  rig.pit.set_irq_connected(true);
  EXPECT_NE(rig.clock.next_deadline(), Clock::kNever);
}

// Linux on a busy host: "IO-APIC + timer doesn't work!".
TEST(Pit, TicksThatALateHostMissedFollowOneByOne) {
  LateClock clock;
  int rising_edges = 0;
  Pit8254 pit(clock, IrqLine([&](bool high) { rising_edges += high; }));
  pit.write(3, 1, 0x34);
  pit.write(0, 1, 4772 & 0xFF);
  pit.write(0, 1, 4772 >> 8);
  const int before = rising_edges;
  clock.pass(time_of(4 * 4772 + 10));
  clock.run_expired();
  EXPECT_EQ(rising_edges - before, 1);
  for (int i = 1; i <= 5; ++i) {
    clock.pass(time_of(250));
    clock.run_expired();
  }
  EXPECT_EQ(rising_edges - before, 4);
}

TEST(Pit, EdgesThatALateHostMissedBecomeOne) {
  LateClock clock;
  int rising_edges = 0;
  Pit8254 pit(clock, IrqLine([&](bool high) { rising_edges += high; }));
  pit.write(3, 1, 0x34);
  pit.write(0, 1, 100);
  pit.write(0, 1, 0);
  const int before = rising_edges;
  clock.pass(time_of(1050));
  clock.run_expired();
  EXPECT_EQ(rising_edges - before, 1);
  clock.pass(time_of(1101) - clock.now());
  clock.run_expired();
  EXPECT_EQ(rising_edges - before, 2);
}

TEST(Pit, WriteDoesNotSwallowAnEdgeWhoseTimerIsLate) {
  LateClock clock;
  int rising_edges = 0;
  Pit8254 pit(clock, IrqLine([&](bool high) { rising_edges += high; }));
  pit.write(3, 1, 0x34);
  pit.write(0, 1, 100);
  pit.write(0, 1, 0);
  const int before = rising_edges;
  clock.pass(time_of(120));
  pit.write(3, 1, 0x00);
  EXPECT_EQ(rising_edges - before, 1);
  clock.run_expired();
  EXPECT_EQ(rising_edges - before, 1);
}

// --- While another does its work -------------------------------------------------------------------------------------

TEST(Pit, IsolatedItDrivesNoInterrupt) {
  PitRig rig;
  rig.pit.isolate(true);
  rig.program(0, 2, 100);
  rig.run_to_tick(1000);
  EXPECT_EQ(rig.rising_edges, 0);
}

TEST(Pit, EdgesThatItOwesComeWhileAnotherChipDoesItsWork) {
  PitRig rig;
  rig.program(0, 2, 2000);
  Pit8254::Registers registers = rig.pit.registers();
  registers.owed = 3;
  rig.pit.isolate(true);
  rig.pit.set_registers(registers);
  rig.rising_edges = 0;
  for (int64_t tick = 100; tick < 10'000; tick += 100) rig.run_to_tick(tick);
  EXPECT_EQ(rig.rising_edges, 3);
  EXPECT_FALSE(rig.level);
  EXPECT_EQ(rig.pit.registers().owed, 0);
}

TEST(Pit, CountersGoOnFromTheRegistersThatTheyWereGiven) {
  PitRig rig;
  rig.run_to_tick(5000);
  Pit8254::Registers registers;
  registers.counters[2] = {.control = 0x34,
                           .counting = true,
                           .count = 1000,
                           .elapsed = 300,
                           .gate = true,
                           .expects_high_write = false,
                           .written_low = 0,
                           .reads_high_next = false,
                           .latched_count = {},
                           .latched_status = {}};
  rig.pit.set_registers(registers);
  EXPECT_EQ(rig.latched_count(2), 700);
  rig.run_to_tick(5200);
  EXPECT_EQ(rig.latched_count(2), 500);
  EXPECT_EQ(rig.pit.registers().counters[2].elapsed, 500);
}

}  // namespace
}  // namespace calco::devices
