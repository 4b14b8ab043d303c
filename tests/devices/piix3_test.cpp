#include "devices/pci/piix3.h"

#include <gtest/gtest.h>

#include "devices/pci/pci_host.h"
#include "machine/core/archive.h"
#include "tests/devices/board.h"
#include "tests/devices/device_suite.h"

namespace calco::devices {
namespace {

class Piix3Test : public ::testing::Test {
 protected:
  std::array<IrqLine, Piix3::kIsaIrqCount> lines() {
    std::array<IrqLine, Piix3::kIsaIrqCount> result;
    for (unsigned irq = 0; irq < result.size(); ++irq) result[irq] = isa[irq].line();
    return result;
  }

  Board board;
  std::array<WireProbe, Piix3::kIsaIrqCount> isa;
  unsigned resets = 0;
  Piix3 bridge{board.buses, lines(), [this] { ++resets; }, board.log};
};

struct Piix3Rig {
  Board board;
  Piix3 bridge{board.buses, {}, [] {}, board.log};
  ConfigWindow configuration{bridge};
  Device& device() { return bridge; }
  std::vector<WindowUnderTest> windows() {
    return {{&configuration, PciDevice::kConfigurationSize}, {&bridge.reset_control_window(), 1}};
  }
};

TEST(Piix3Suite, PassesTheDeviceSuite) { check_device<Piix3Rig>(); }

TEST_F(Piix3Test, IsAMultifunctionIsaBridge) {
  EXPECT_EQ(bridge.read_config(0x00, 4), 0x70008086u);
  EXPECT_EQ(bridge.read_config(0x08, 4), 0x06010000u);
  EXPECT_EQ(bridge.read_config(0x0E, 1), 0x80u);
}

TEST_F(Piix3Test, PirqRoutingIsDisabledAfterReset) {
  EXPECT_EQ(bridge.read_config(0x60, 4), 0x80808080u);
  IrqLine wire = bridge.interrupt_line(1, 1);
  wire.raise();
  EXPECT_FALSE(isa[0].level);
}

TEST_F(Piix3Test, PinsRotateOverThePirqsBySlot) {
  EXPECT_EQ(Piix3::pirq_of(1, 1), 0u);
  EXPECT_EQ(Piix3::pirq_of(1, 4), 3u);
  EXPECT_EQ(Piix3::pirq_of(2, 1), 1u);
  EXPECT_EQ(Piix3::pirq_of(3, 1), 2u);
  EXPECT_EQ(Piix3::pirq_of(5, 1), 0u);
}

TEST_F(Piix3Test, RouteControlConnectsAPirqToAnIsaInterrupt) {
  bridge.write_config(0x62, 1, 11);
  IrqLine wire = bridge.interrupt_line(3, 1);
  wire.raise();
  EXPECT_TRUE(isa[11].level);
  bridge.write_config(0x62, 1, 10);
  EXPECT_FALSE(isa[11].level);
  EXPECT_TRUE(isa[10].level);
}

TEST_F(Piix3Test, SharedInterruptStaysUntilTheLastSourceIsQuiet) {
  bridge.write_config(0x60, 2, 0x0B0B);
  IrqLine first = bridge.interrupt_line(1, 1);
  IrqLine second = bridge.interrupt_line(2, 1);
  first.raise();
  second.raise();
  first.lower();
  EXPECT_TRUE(isa[11].level);
  second.lower();
  EXPECT_FALSE(isa[11].level);
  EXPECT_EQ(isa[11].rises, 1u);
}

TEST_F(Piix3Test, ReservedInterruptsAreNotRouted) {
  bridge.write_config(0x60, 1, 8);
  IrqLine wire = bridge.interrupt_line(1, 1);
  wire.raise();
  EXPECT_FALSE(isa[8].level);
}

TEST_F(Piix3Test, SnapshotKeepsRoutes) {
  bridge.write_config(0x60, 1, 5);
  Archive saved;
  bridge.serialize(saved);
  bridge.reset();
  Archive loaded(saved.bytes());
  bridge.serialize(loaded);
  bridge.interrupt_line(1, 1).raise();
  EXPECT_TRUE(isa[5].level);
}

TEST_F(Piix3Test, ResetControlAnswersBesideConfigAddress) {
  PciHost host;
  board.ports.attach(PciHost::kPort, PciHost::kPortCount, host);
  board.ports.attach(Piix3::kResetControlPort, 1, bridge.reset_control_window());
  board.ports.write(0xCF8, 4, 0x80000600);
  EXPECT_EQ(board.ports.read(0xCF8, 4), 0x80000600u);
  board.ports.write(0xCF9, 1, 0x02);
  EXPECT_EQ(board.ports.read(0xCF9, 1), 0x02u);
  EXPECT_EQ(resets, 0u);
  board.ports.write(0xCF9, 1, 0x06);
  EXPECT_EQ(resets, 1u);
}

}  // namespace
}  // namespace calco::devices
