#include "devices/isa/dma8237.h"

#include <gtest/gtest.h>

#include "tests/devices/device_suite.h"

namespace calco::devices {
namespace {

struct MasterRig {
  Dma8237 dma{"dma1", 1};
  Device& device() { return dma; }
  std::vector<WindowUnderTest> windows() { return {{&dma, dma.port_count()}}; }
};

struct SlaveRig {
  Dma8237 dma{"dma2", 2};
  Device& device() { return dma; }
  std::vector<WindowUnderTest> windows() { return {{&dma, dma.port_count()}}; }
};

struct PagesRig {
  DmaPages pages;
  Device& device() { return pages; }
  std::vector<WindowUnderTest> windows() { return {{&pages, DmaPages::kPortCount}}; }
};

TEST(Dma8237, PassesTheDeviceSuite) {
  check_device<MasterRig>();
  check_device<SlaveRig>();
  check_device<PagesRig>();
}

TEST(Dma8237, FlipFlopSelectsLowThenHighByte) {
  MasterRig rig;
  rig.dma.write(4, 1, 0x34);
  rig.dma.write(4, 1, 0x12);
  EXPECT_EQ(rig.dma.read(4, 1), 0x34u);
  EXPECT_EQ(rig.dma.read(4, 1), 0x12u);
}

TEST(Dma8237, ClearFlipFlopStartsWithTheLowByteAgain) {
  MasterRig rig;
  rig.dma.write(5, 1, 0x34);
  rig.dma.write(12, 1, 0);
  rig.dma.write(5, 1, 0x78);
  rig.dma.write(5, 1, 0x56);
  EXPECT_EQ(rig.dma.read(5, 1), 0x78u);
  EXPECT_EQ(rig.dma.read(5, 1), 0x56u);
}

TEST(Dma8237, MasterClearMasksAllChannels) {
  MasterRig rig;
  rig.dma.write(14, 1, 0);
  EXPECT_EQ(rig.dma.read(15, 1), 0x00u);
  rig.dma.write(13, 1, 0);
  EXPECT_EQ(rig.dma.read(15, 1), 0x0Fu);
}

TEST(Dma8237, SingleMaskSetsAndClearsOneChannel) {
  MasterRig rig;
  rig.dma.write(10, 1, 0x02);
  EXPECT_EQ(rig.dma.read(15, 1), 0x0Bu);
  rig.dma.write(10, 1, 0x06);
  EXPECT_EQ(rig.dma.read(15, 1), 0x0Fu);
}

TEST(Dma8237, StatusShowsSoftwareRequests) {
  MasterRig rig;
  rig.dma.write(9, 1, 0x05);
  EXPECT_EQ(rig.dma.read(8, 1), 0x20u);
  rig.dma.write(9, 1, 0x01);
  EXPECT_EQ(rig.dma.read(8, 1), 0x00u);
}

TEST(Dma8237, SecondControllersRegistersAreTwoPortsApart) {
  SlaveRig rig;
  rig.dma.write(2 * 2, 1, 0x34);
  rig.dma.write(2 * 2, 1, 0x12);
  EXPECT_EQ(rig.dma.read(2 * 2, 1), 0x34u);
  EXPECT_EQ(rig.dma.read(2 * 2 + 1, 1), 0xFFu);
}

TEST(DmaPages, ReadBack) {
  PagesRig rig;
  rig.pages.write(0x7, 1, 0xAB);
  EXPECT_EQ(rig.pages.read(0x7, 1), 0xABu);
  rig.pages.reset();
  EXPECT_EQ(rig.pages.read(0x7, 1), 0x00u);
}

}  // namespace
}  // namespace calco::devices
