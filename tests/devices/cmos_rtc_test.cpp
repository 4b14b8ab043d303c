#include "devices/timer/cmos_rtc.h"

#include <gtest/gtest.h>

#include "tests/devices/device_suite.h"

namespace calco::devices {
namespace {

constexpr int64_t kMillisecond = 1'000'000;

struct RtcRig {
  ManualClock clock;
  int interrupts = 0;
  bool level = false;
  // Sunday, 2021-02-28 23:59:50 UTC
  CmosRtc rtc{clock, [] { return int64_t{1614556790}; }, IrqLine([this](bool high) {
                level = high;
                interrupts += high;
              })};
  Device& device() { return rtc; }
  std::vector<WindowUnderTest> windows() { return {{&rtc, 2}}; }

  uint8_t get(uint8_t index) {
    rtc.write(0, 1, index);
    return static_cast<uint8_t>(rtc.read(1, 1));
  }
  void set(uint8_t index, uint8_t value) {
    rtc.write(0, 1, index);
    rtc.write(1, 1, value);
  }
};

// Battery-backed state survives a reset, so the suite's reset part does not apply.
TEST(CmosRtc, PassesTheDeviceSuite) {
  check_saved_state_survives_a_round_trip<RtcRig>();
  check_truncated_archive_is_refused<RtcRig>();
  check_hostile_accesses_are_survived<RtcRig>();
}

TEST(CmosRtc, ShowsTheStartTimeInBcd) {
  RtcRig rig;
  EXPECT_EQ(rig.get(0x00), 0x50);
  EXPECT_EQ(rig.get(0x02), 0x59);
  EXPECT_EQ(rig.get(0x04), 0x23);
  EXPECT_EQ(rig.get(0x06), 0x01);
  EXPECT_EQ(rig.get(0x07), 0x28);
  EXPECT_EQ(rig.get(0x08), 0x02);
  EXPECT_EQ(rig.get(0x09), 0x21);
  EXPECT_EQ(rig.get(0x32), 0x20);
}

TEST(CmosRtc, TimeCarriesIntoTheNextMonth) {
  RtcRig rig;
  rig.clock.advance(10 * Clock::kSecond);
  EXPECT_EQ(rig.get(0x00), 0x00);
  EXPECT_EQ(rig.get(0x04), 0x00);
  EXPECT_EQ(rig.get(0x06), 0x02);
  EXPECT_EQ(rig.get(0x07), 0x01);
  EXPECT_EQ(rig.get(0x08), 0x03);
}

TEST(CmosRtc, BinaryModeShowsBinaryValues) {
  RtcRig rig;
  rig.set(0x0b, 0x06);
  EXPECT_EQ(rig.get(0x02), 59);
  EXPECT_EQ(rig.get(0x32), 20);
}

TEST(CmosRtc, TwelveHourModeMarksTheAfternoon) {
  RtcRig rig;
  rig.set(0x0b, 0x00);
  EXPECT_EQ(rig.get(0x04), 0x91);
  rig.clock.advance(10 * Clock::kSecond);
  EXPECT_EQ(rig.get(0x04), 0x12);
}

TEST(CmosRtc, SetBitHoldsTheTimeWhileItIsWritten) {
  RtcRig rig;
  rig.set(0x0b, 0x82);
  rig.clock.advance(5 * Clock::kSecond);
  EXPECT_EQ(rig.get(0x00), 0x50);
  rig.set(0x00, 0x00);
  rig.set(0x02, 0x30);
  rig.set(0x04, 0x12);
  rig.set(0x07, 0x29);
  rig.set(0x09, 0x24);
  rig.set(0x0b, 0x02);
  rig.clock.advance(1 * Clock::kSecond);
  EXPECT_EQ(rig.get(0x00), 0x01);
  EXPECT_EQ(rig.get(0x02), 0x30);
  EXPECT_EQ(rig.get(0x04), 0x12);
  EXPECT_EQ(rig.get(0x07), 0x29);
  EXPECT_EQ(rig.get(0x09), 0x24);
}

TEST(CmosRtc, SetBitClearsTheUpdateInterruptEnable) {
  RtcRig rig;
  rig.set(0x0b, 0x92);
  EXPECT_EQ(rig.get(0x0b), 0x82);
}

TEST(CmosRtc, FirstUpdateComesHalfASecondAfterTheDividerIsReleased) {
  RtcRig rig;
  rig.clock.advance(300 * kMillisecond);
  rig.set(0x0a, 0x76);
  rig.clock.advance(5 * Clock::kSecond);
  EXPECT_EQ(rig.get(0x00), 0x50);
  rig.set(0x0a, 0x26);
  rig.clock.advance(499 * kMillisecond);
  EXPECT_EQ(rig.get(0x00), 0x50);
  rig.clock.advance(1 * kMillisecond);
  EXPECT_EQ(rig.get(0x00), 0x51);
}

TEST(CmosRtc, UpdateInProgressIsHighBeforeTheUpdate) {
  RtcRig rig;
  rig.clock.advance(Clock::kSecond - 2'300'000);
  EXPECT_EQ(rig.get(0x0a), 0x26);
  rig.clock.advance(200'000);
  EXPECT_EQ(rig.get(0x0a), 0xa6);
  rig.clock.advance(2'100'000);
  EXPECT_EQ(rig.get(0x0a), 0x26);
}

TEST(CmosRtc, UpdateEndedInterruptComesEverySecond) {
  RtcRig rig;
  rig.set(0x0b, 0x12);
  rig.clock.advance(Clock::kSecond);
  EXPECT_TRUE(rig.level);
  EXPECT_EQ(rig.get(0x0c) & 0x90, 0x90);
  EXPECT_FALSE(rig.level);
  rig.clock.advance(Clock::kSecond);
  EXPECT_EQ(rig.interrupts, 2);
}

TEST(CmosRtc, ReadingRegisterCClearsTheFlags) {
  RtcRig rig;
  rig.clock.advance(Clock::kSecond);
  EXPECT_EQ(rig.get(0x0c), 0x50);
  EXPECT_EQ(rig.get(0x0c), 0x00);
}

TEST(CmosRtc, PeriodicInterruptComesAtTheSelectedRate) {
  RtcRig rig;
  rig.set(0x0b, 0x42);
  rig.clock.advance(976'562);
  EXPECT_FALSE(rig.level);
  rig.clock.advance(2);
  EXPECT_TRUE(rig.level);
  EXPECT_EQ(rig.get(0x0c), 0xc0);
  rig.set(0x0a, 0x2f);
  rig.clock.advance(500 * kMillisecond);
  EXPECT_EQ(rig.interrupts, 2);
}

TEST(CmosRtc, RateOneIs256Hz) {
  RtcRig rig;
  rig.set(0x0a, 0x21);
  rig.set(0x0b, 0x42);
  rig.clock.advance(3'906'249);
  EXPECT_FALSE(rig.level);
  rig.clock.advance(2);
  EXPECT_TRUE(rig.level);
}

TEST(CmosRtc, AlarmGoesOffAtTheExactTime) {
  RtcRig rig;
  rig.set(0x01, 0x05);
  rig.set(0x03, 0x01);
  rig.set(0x05, 0x00);
  rig.set(0x0b, 0x22);
  rig.clock.advance(74 * Clock::kSecond);
  EXPECT_FALSE(rig.level);
  rig.clock.advance(1 * Clock::kSecond);
  EXPECT_TRUE(rig.level);
  EXPECT_EQ(rig.get(0x0c) & 0xa0, 0xa0);
  rig.clock.advance(86400 * Clock::kSecond);
  EXPECT_EQ(rig.interrupts, 2);
}

TEST(CmosRtc, AlarmWildcardsMatchEverything) {
  RtcRig rig;
  rig.set(0x01, 0x30);
  rig.set(0x03, 0xff);
  rig.set(0x05, 0xc0);
  rig.set(0x0b, 0x22);
  rig.clock.advance(40 * Clock::kSecond);
  EXPECT_EQ(rig.interrupts, 1);
  rig.get(0x0c);
  rig.clock.advance(60 * Clock::kSecond);
  EXPECT_EQ(rig.interrupts, 2);
}

TEST(CmosRtc, ImpossibleAlarmNeverGoesOff) {
  RtcRig rig;
  rig.set(0x01, 0x99);
  rig.set(0x03, 0xff);
  rig.set(0x05, 0xff);
  rig.set(0x0b, 0x22);
  EXPECT_EQ(rig.clock.next_deadline(), Clock::kNever);
}

TEST(CmosRtc, ResetClearsEnablesAndFlagsButKeepsTimeAndMemory) {
  RtcRig rig;
  rig.set(0x40, 0xaa);
  rig.set(0x0b, 0x72);
  rig.clock.advance(2 * Clock::kSecond);
  rig.rtc.reset();
  EXPECT_FALSE(rig.level);
  EXPECT_EQ(rig.get(0x0b), 0x02);
  EXPECT_EQ(rig.get(0x0c), 0x00);
  EXPECT_EQ(rig.get(0x40), 0xaa);
  EXPECT_EQ(rig.get(0x00), 0x52);
}

TEST(CmosRtc, RegisterDSaysThatTheBatteryIsGood) {
  RtcRig rig;
  rig.set(0x0d, 0x00);
  EXPECT_EQ(rig.get(0x0d), 0x80);
}

TEST(CmosRtc, FirmwareBytesAreReadable) {
  RtcRig rig;
  rig.rtc.set_byte(0x34, 0x12);
  EXPECT_EQ(rig.get(0x34), 0x12);
}

TEST(CmosRtc, IndexBit7MasksNmi) {
  RtcRig rig;
  rig.get(0x8f);
  EXPECT_TRUE(rig.rtc.nmi_masked());
  rig.get(0x0f);
  EXPECT_FALSE(rig.rtc.nmi_masked());
}

TEST(CmosRtc, DisconnectedLineStaysLowWhileFlagsGoOn) {
  RtcRig rig;
  rig.set(0x0b, 0x12);
  rig.rtc.set_irq_connected(false);
  rig.clock.advance(Clock::kSecond);
  EXPECT_FALSE(rig.level);
  EXPECT_EQ(rig.get(0x0c) & 0x90, 0x90);
}

}  // namespace
}  // namespace calco::devices
