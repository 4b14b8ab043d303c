#include "devices/pci/piix4_pm.h"

#include <gtest/gtest.h>

#include "machine/core/clock.h"
#include "tests/devices/board.h"
#include "tests/devices/device_suite.h"

namespace calco::devices {
namespace {

constexpr uint16_t kBase = 0x600;
constexpr uint16_t kStatus = kBase + 0;
constexpr uint16_t kEnable = kBase + 2;
constexpr uint16_t kControl = kBase + 4;
constexpr uint16_t kTimer = kBase + 8;

// The function with its I/O range at 0x600, where SeaBIOS puts it.
class Piix4PmTest : public ::testing::Test {
 protected:
  Piix4PmTest() {
    board.ports.attach(Piix4Pm::kApmPort, 2, pm.apm_window());
    board.ports.attach(Piix4Pm::kGpePort, Piix4Pm::kGpePortCount, pm.gpe_window());
    pm.write_config(0x40, 4, kBase | 1);
    pm.write_config(0x80, 1, 1);
  }
  uint32_t read(uint16_t port, unsigned size = 2) { return board.ports.read(port, size); }
  void write(uint16_t port, uint32_t value, unsigned size = 2) { board.ports.write(port, size, value); }
  // Guest time after which the PM timer has counted `ticks`.
  static constexpr int64_t nanoseconds(uint64_t ticks) {
    return static_cast<int64_t>(multiply_divide(ticks, Clock::kSecond, Piix4Pm::kTimerHz)) + 1;
  }

  Board board;
  ManualClock clock;
  WireProbe sci;
  unsigned power_offs = 0;
  unsigned suspends = 0;
  unsigned smis = 0;
  Piix4Pm pm{
      board.buses,
      clock,
      sci.line(),
      {.power_off = [this] { ++power_offs; }, .suspend = [this] { ++suspends; }, .raise_smi = [this] { ++smis; }},
      true,
      board.log};
};

struct PmRig {
  Board board;
  ManualClock clock;
  Piix4Pm pm{board.buses, clock, IrqLine(), {[] {}, [] {}, [] {}}, true, board.log};
  ConfigWindow configuration{pm};
  // Whatever the configuration pokes leave mapped in these ports.
  struct PortsAsWindow final : RegisterWindow {
    explicit PortsAsWindow(PortBus& tested) : ports(tested) {}
    uint64_t read(uint64_t offset, unsigned size) override {
      return ports.read(static_cast<uint16_t>(0xB100 + offset), size);
    }
    void write(uint64_t offset, unsigned size, uint64_t value) override {
      ports.write(static_cast<uint16_t>(0xB100 + offset), size, static_cast<uint32_t>(value));
    }
    unsigned maximum_access_size() const override { return 4; }
    PortBus& ports;
  } smbus{board.ports};
  Device& device() { return pm; }
  std::vector<WindowUnderTest> windows() {
    return {{&configuration, PciDevice::kConfigurationSize},
            {&smbus, Piix4Smbus::kPortCount},
            {&pm.apm_window(), 2},
            {&pm.gpe_window(), Piix4Pm::kGpePortCount}};
  }
};

TEST(Piix4PmSuite, PassesTheDeviceSuite) { check_device<PmRig>(); }

TEST_F(Piix4PmTest, IdentifiesItself) {
  EXPECT_EQ(pm.read_config(0x00, 4), 0x71138086u);
  EXPECT_EQ(pm.read_config(0x08, 4), 0x06800003u);
}

TEST_F(Piix4PmTest, PmRegMiscEnablesTheIoRange) {
  EXPECT_EQ(read(kControl), 0u);
  pm.write_config(0x80, 1, 0);
  EXPECT_EQ(read(kControl), 0xFFFFu);
}

TEST_F(Piix4PmTest, PmBaseMovesTheIoRange) {
  pm.write_config(0x40, 4, 0xB001);
  EXPECT_EQ(read(kControl), 0xFFFFu);
  EXPECT_EQ(read(0xB004), 0u);
  EXPECT_EQ(pm.read_config(0x40, 4), 0xB001u);
}

TEST_F(Piix4PmTest, TimerCountsAt3579545Hertz) {
  clock.advance(Clock::kSecond);
  EXPECT_EQ(read(kTimer, 4), 3579545u);
}

TEST_F(Piix4PmTest, TimerIs24BitsWide) {
  clock.advance(nanoseconds(0x1000005));
  EXPECT_EQ(read(kTimer, 4), 5u);
}

TEST_F(Piix4PmTest, TimerStatusIsSetWhenTheTopBitChanges) {
  clock.advance(nanoseconds(0x7FFFFE));
  EXPECT_EQ(read(kStatus) & 1, 0u);
  clock.advance(1000);
  EXPECT_EQ(read(kStatus) & 1, 1u);
  write(kStatus, 1);
  EXPECT_EQ(read(kStatus) & 1, 0u);
  clock.advance(nanoseconds(0x800000));
  EXPECT_EQ(read(kStatus) & 1, 1u);
}

TEST_F(Piix4PmTest, EnabledTimerOverflowRaisesSci) {
  write(kControl, 1);
  write(kEnable, 1);
  clock.advance(nanoseconds(0x7FFFFE));
  EXPECT_FALSE(sci.level);
  clock.advance(1000);
  EXPECT_TRUE(sci.level);
  write(kStatus, 1);
  EXPECT_FALSE(sci.level);
}

TEST_F(Piix4PmTest, PowerButtonSetsItsStatusAndRaisesSciIfEnabled) {
  write(kControl, 1);
  pm.press_power_button();
  EXPECT_EQ(read(kStatus), 0x100u);
  EXPECT_FALSE(sci.level);
  write(kEnable, 0x100);
  EXPECT_TRUE(sci.level);
  write(kStatus, 0x100);
  EXPECT_FALSE(sci.level);
}

TEST_F(Piix4PmTest, NoSciWithoutSciEnable) {
  write(kEnable, 0x100);
  pm.press_power_button();
  EXPECT_FALSE(sci.level);
  write(kControl, 1);
  EXPECT_TRUE(sci.level);
}

TEST_F(Piix4PmTest, StatusAndEnableShareADoubleword) {
  pm.press_power_button();
  write(kStatus, 0x01000100, 4);
  EXPECT_EQ(read(kStatus, 4), 0x01000000u);
}

TEST_F(Piix4PmTest, ControlTakesBytes) {
  write(kControl + 1, 0x04, 1);
  EXPECT_EQ(read(kControl), 0x0400u);
}

TEST_F(Piix4PmTest, SleepType0PowersOff) {
  write(kControl, 0x2001);
  EXPECT_EQ(power_offs, 1u);
  EXPECT_EQ(suspends, 0u);
}

TEST_F(Piix4PmTest, SleepType1Suspends) {
  write(kControl, 0x0400);
  EXPECT_EQ(suspends, 0u);
  write(kControl, 0x2400);
  EXPECT_EQ(suspends, 1u);
  EXPECT_EQ(read(kControl), 0x0400u);
}

TEST_F(Piix4PmTest, WakeStatusTellsThatTheMachineWasWoken) {
  pm.wake_up();
  EXPECT_EQ(read(kStatus), 0x8000u);
  write(kStatus, 0x8000);
  EXPECT_EQ(read(kStatus), 0u);
}

TEST_F(Piix4PmTest, ApmCommandsSwitchAcpiMode) {
  write(0xB2, 0xF1, 1);
  EXPECT_EQ(read(kControl), 1u);
  write(0xB2, 0xF0, 1);
  EXPECT_EQ(read(kControl), 0u);
}

TEST_F(Piix4PmTest, ApmControlRaisesSmiOnceEnabled) {
  write(0xB2, 0x00, 1);
  EXPECT_EQ(smis, 0u);
  pm.write_config(0x58, 4, 1u << 25);
  write(0xB3, 0x01, 1);
  write(0xB2, 0x42, 1);
  EXPECT_EQ(smis, 1u);
  EXPECT_EQ(read(0xB2, 1), 0x42u);
  EXPECT_EQ(read(0xB3, 1), 0x01u);
}

TEST_F(Piix4PmTest, WithoutSmmTheApmEnableIsAlreadySet) {
  Piix4Pm without(board.buses, clock, IrqLine(), {}, false, board.log);
  EXPECT_EQ(without.read_config(0x58, 4), 1u << 25);
}

TEST_F(Piix4PmTest, GeneralEventRaisesSciIfEnabled) {
  write(kControl, 1);
  write(0xAFE2, 0x02, 1);
  pm.raise_general_event(1);
  EXPECT_TRUE(sci.level);
  EXPECT_EQ(read(0xAFE0), 0x0002u);
  write(0xAFE0, 0x02, 1);
  EXPECT_FALSE(sci.level);
}

TEST_F(Piix4PmTest, SmbusTransactionEndsWithDeviceError) {
  EXPECT_EQ(pm.read_config(0x90, 4), 0xB101u);
  write(0xB104, 0xA0, 1);
  write(0xB102, 0x48, 1);
  EXPECT_EQ(read(0xB100, 1), 0x04u);
  EXPECT_EQ(read(0xB102, 1), 0x08u);
  write(0xB100, 0xFF, 1);
  EXPECT_EQ(read(0xB100, 1), 0x00u);
}

TEST_F(Piix4PmTest, ResetClosesTheIoRange) {
  pm.reset();
  EXPECT_EQ(read(kControl), 0xFFFFu);
  EXPECT_EQ(pm.read_config(0x40, 4), 1u);
}

TEST_F(Piix4PmTest, SnapshotRestoresRegistersAndSci) {
  write(kControl, 1);
  write(kEnable, 0x100);
  pm.press_power_button();
  const std::vector<uint8_t> saved = saved_state(pm);
  pm.reset();
  EXPECT_FALSE(sci.level);
  load_state(pm, saved);
  EXPECT_TRUE(sci.level);
  EXPECT_EQ(read(kStatus), 0x100u);
}

}  // namespace
}  // namespace calco::devices
