#include "devices/pci/pci_testdev.h"

#include <gtest/gtest.h>

#include <array>

#include "tests/devices/board.h"
#include "tests/devices/device_suite.h"

namespace calco::devices {
namespace {

struct PciTestdevRig {
  Board board;
  PciTestdev testdev{board.buses};
  ConfigWindow configuration{testdev};
  Device& device() { return testdev; }
  std::vector<WindowUnderTest> windows() { return {{&configuration, PciDevice::kConfigurationSize}}; }
  // BAR 0 at FEB00000, BAR 1 at C000.
  void enable() {
    testdev.write_config(0x10, 4, 0xFEB00000);
    testdev.write_config(0x14, 4, 0xC000);
    testdev.write_config(pci::kCommand, 2, pci::kCommandIo | pci::kCommandMemory);
  }
};

TEST(PciTestdev, PassesTheDeviceSuite) { check_device<PciTestdevRig>(); }

TEST(PciTestdev, HeaderDescribesTheChosenTest) {
  PciTestdevRig rig;
  rig.enable();
  MemoryMap& memory = rig.board.memory;
  memory.write_value<uint8_t>(0xFEB00000, 0);
  EXPECT_EQ(memory.read_value<uint8_t>(0xFEB00001), 1);
  EXPECT_GE(memory.read_value<uint32_t>(0xFEB00004), 16u);
  std::array<char, 16> name{};
  memory.read(0xFEB00010, name.data(), name.size());
  EXPECT_STREQ(name.data(), "mmio-no-eventfd");
}

TEST(PciTestdev, CountsWritesOfTheRightWidthAtTheOffset) {
  PciTestdevRig rig;
  rig.enable();
  PortBus& ports = rig.board.ports;
  ports.write(0xC000, 1, 2);
  const auto target = static_cast<uint16_t>(0xC000 + ports.read(0xC004, 4));
  const uint32_t data = ports.read(0xC008, 4);
  ports.write(target, 1, data);
  ports.write(target, 1, data ^ 1);
  ports.write(target, 2, data);
  EXPECT_EQ(ports.read(0xC00C, 4), 1u);
  ports.write(0xC000, 1, 2);
  EXPECT_EQ(ports.read(0xC00C, 4), 0u);
}

TEST(PciTestdev, UnknownTestHasNoWidth) {
  PciTestdevRig rig;
  rig.enable();
  rig.board.ports.write(0xC000, 1, 3);
  EXPECT_EQ(rig.board.ports.read(0xC001, 1), 0u);
}

}  // namespace
}  // namespace calco::devices
