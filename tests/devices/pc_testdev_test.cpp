#include "devices/isa/pc_testdev.h"

#include <gtest/gtest.h>

#include <array>

#include "tests/devices/board.h"
#include "tests/devices/device_suite.h"

namespace calco::devices {
namespace {

struct PcTestdevRig {
  std::array<WireProbe, PcTestdev::kIrqCount> irqs;
  PcTestdev testdev{lines()};
  Device& device() { return testdev; }
  std::vector<WindowUnderTest> windows() {
    return {{&testdev.loopback_window(), PcTestdev::kLoopbackPortCount},
            {&testdev.flush_window(), PcTestdev::kFlushPortCount},
            {&testdev.irq_window(), PcTestdev::kIrqCount},
            {&testdev.memory_window(), PcTestdev::kMemorySize}};
  }
  std::array<IrqLine, PcTestdev::kIrqCount> lines() {
    std::array<IrqLine, PcTestdev::kIrqCount> result;
    for (unsigned irq = 0; irq < result.size(); ++irq) result[irq] = irqs[irq].line();
    return result;
  }
};

TEST(PcTestdev, PassesTheDeviceSuite) { check_device<PcTestdevRig>(); }

TEST(PcTestdev, LoopbackPortReadsBackByByteAndDoubleword) {
  PcTestdevRig rig;
  RegisterWindow& window = rig.testdev.loopback_window();
  window.write(0, 4, 0x12345678);
  window.write(1, 1, 0xAB);
  EXPECT_EQ(window.read(0, 4), 0x1234AB78u);
  EXPECT_EQ(window.read(2, 2), 0x1234u);
}

TEST(PcTestdev, IrqPortsSetTheLevelOfTheirLine) {
  PcTestdevRig rig;
  rig.testdev.irq_window().write(17, 1, 1);
  EXPECT_TRUE(rig.irqs[17].level);
  rig.testdev.irq_window().write(17, 1, 0);
  EXPECT_FALSE(rig.irqs[17].level);
}

TEST(PcTestdev, MemoryReadsBack) {
  PcTestdevRig rig;
  RegisterWindow& window = rig.testdev.memory_window();
  window.write(0xFFF8, 8, 0x0123456789ABCDEF);
  EXPECT_EQ(window.read(0xFFFC, 4), 0x01234567u);
}

}  // namespace
}  // namespace calco::devices
