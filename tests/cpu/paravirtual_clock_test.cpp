#include "cpu/system/paravirtual_clock.h"

#include <gtest/gtest.h>

#include <cmath>

#include "cpu/system/msr.h"
#include "tests/cpu/cpu_fixture.h"

namespace calco::cpu {
namespace {

constexpr uint32_t kWallClock = 0x4B564D00, kSystemTime = 0x4B564D01;
constexpr uint32_t kClockSource2 = 1u << 3;

TEST(ParavirtualClock, IsNotThereUnlessItIsOffered) {
  CpuFixture fixture;
  uint64_t value = 0;
  EXPECT_FALSE(read_msr(*fixture.cpu, kSystemTime, value));
  EXPECT_FALSE(write_msr(*fixture.cpu, kSystemTime, CpuFixture::kData | 1));
}

// Documentation/virt/kvm/x86/msr.rst: time = (((tsc - tsc_timestamp) << shift) * multiplier >> 32) + system_time.
TEST(ParavirtualClock, GuestComputesTheTimeFromItsMemory) {
  CpuFixture fixture;
  fixture.model.offer_paravirtual(kClockSource2);
  fixture.ticks = 5'000'000'000;
  ASSERT_TRUE(write_msr(*fixture.cpu, kSystemTime, CpuFixture::kData | 1));
  EXPECT_EQ(fixture.map.read_value<uint32_t>(CpuFixture::kData) & 1, 0u);
  const auto timestamp = fixture.map.read_value<uint64_t>(CpuFixture::kData + 8);
  const auto system_time = fixture.map.read_value<uint64_t>(CpuFixture::kData + 16);
  const auto multiplier = fixture.map.read_value<uint32_t>(CpuFixture::kData + 24);
  const auto shift = static_cast<int8_t>(fixture.map.read_value<uint8_t>(CpuFixture::kData + 28));
  EXPECT_NEAR(static_cast<double>(system_time), 5e9, 1e3);
  // The fixture's TSC counts nanoseconds: two seconds later the clock shows two seconds more.
  const double ticks = static_cast<double>(timestamp + 2'000'000'000 - timestamp);
  const double passed = std::ldexp(ticks, shift) * multiplier / 4294967296.0;
  EXPECT_NEAR(passed, 2e9, 2);
  uint64_t value = 0;
  EXPECT_TRUE(read_msr(*fixture.cpu, kSystemTime, value));
  EXPECT_EQ(value, CpuFixture::kData | 1);
}

TEST(ParavirtualClock, WallClockIsCompleteWhenItIsWritten) {
  CpuFixture fixture;
  fixture.model.offer_paravirtual(kClockSource2);
  ASSERT_TRUE(write_msr(*fixture.cpu, kWallClock, CpuFixture::kData));
  EXPECT_EQ(fixture.map.read_value<uint32_t>(CpuFixture::kData) & 1, 0u);
  EXPECT_GT(fixture.map.read_value<uint32_t>(CpuFixture::kData + 4), 1'600'000'000u);
  EXPECT_LT(fixture.map.read_value<uint32_t>(CpuFixture::kData + 8), 1'000'000'000u);
}

}  // namespace
}  // namespace calco::cpu
