#include "devices/irq/pic8259.h"

#include <gtest/gtest.h>

#include "tests/devices/device_suite.h"

namespace calco::devices {
namespace {

struct PicRig {
  bool interrupt = false;
  PicPair pair{IrqLine([this](bool level) { interrupt = level; })};
  Device& device() { return pair; }
  std::vector<WindowUnderTest> windows() {
    return {{&pair.master(), 2}, {&pair.slave(), 2}, {&pair.edge_level_control(), 2}};
  }

  // As the PC's firmware does it: vectors 08H and 70H unless told otherwise, all inputs unmasked.
  void initialize(uint8_t icw4 = 0x01, uint8_t master_base = 0x08, uint8_t slave_base = 0x70) {
    for (Pic8259* chip : {&pair.master(), &pair.slave()}) {
      const bool is_master = chip == &pair.master();
      chip->write(0, 1, 0x11);
      chip->write(1, 1, is_master ? master_base : slave_base);
      chip->write(1, 1, is_master ? 0x04 : 0x02);
      chip->write(1, 1, icw4);
      chip->write(1, 1, 0x00);
    }
  }
  void pulse(int irq) {
    pair.set_input(irq, true);
    pair.set_input(irq, false);
  }
  uint64_t request_register(Pic8259& chip) {
    chip.write(0, 1, 0x0a);
    return chip.read(0, 1);
  }
  uint64_t in_service_register(Pic8259& chip) {
    chip.write(0, 1, 0x0b);
    return chip.read(0, 1);
  }
};

TEST(Pic8259, PassesTheDeviceSuite) { check_device<PicRig>(); }

TEST(Pic8259, Icw2SetsTheUpperFiveVectorBits) {
  PicRig rig;
  rig.initialize(0x01, 0x33, 0x28);
  rig.pair.set_input(3, true);
  EXPECT_TRUE(rig.interrupt);
  EXPECT_EQ(rig.pair.acknowledge(), 0x33);
  EXPECT_FALSE(rig.interrupt);
}

TEST(Pic8259, SlaveRequestIsAcknowledgedThroughInput2) {
  PicRig rig;
  rig.initialize();
  rig.pair.set_input(12, true);
  EXPECT_EQ(rig.pair.acknowledge(), 0x74);
  EXPECT_EQ(rig.in_service_register(rig.pair.master()), 0x04u);
  EXPECT_EQ(rig.in_service_register(rig.pair.slave()), 0x10u);
}

TEST(Pic8259, Ocw1MasksInputs) {
  PicRig rig;
  rig.initialize();
  rig.pair.master().write(1, 1, 0x02);
  rig.pair.set_input(1, true);
  EXPECT_FALSE(rig.interrupt);
  EXPECT_EQ(rig.request_register(rig.pair.master()), 0x02u);
  EXPECT_EQ(rig.pair.master().read(1, 1), 0x02u);
  rig.pair.master().write(1, 1, 0x00);
  EXPECT_TRUE(rig.interrupt);
}

TEST(Pic8259, FullyNestedModeLetsOnlyHigherPriorityInterrupt) {
  PicRig rig;
  rig.initialize();
  rig.pair.set_input(4, true);
  EXPECT_EQ(rig.pair.acknowledge(), 0x0c);
  rig.pair.set_input(5, true);
  EXPECT_FALSE(rig.interrupt);
  rig.pair.set_input(1, true);
  EXPECT_TRUE(rig.interrupt);
  EXPECT_EQ(rig.pair.acknowledge(), 0x09);
  rig.pair.master().write(0, 1, 0x20);
  rig.pair.master().write(0, 1, 0x20);
  EXPECT_EQ(rig.pair.acknowledge(), 0x0d);
}

TEST(Pic8259, EdgeTriggeredInputNeedsANewEdge) {
  PicRig rig;
  rig.initialize();
  rig.pair.set_input(3, true);
  rig.pair.acknowledge();
  rig.pair.master().write(0, 1, 0x20);
  EXPECT_FALSE(rig.interrupt);
  rig.pair.set_input(3, false);
  rig.pair.set_input(3, true);
  EXPECT_TRUE(rig.interrupt);
}

TEST(Pic8259, LevelTriggeredInputRequestsAgainAfterEndOfInterrupt) {
  PicRig rig;
  rig.initialize();
  rig.pair.edge_level_control().write(1, 1, 0x08);
  rig.pair.set_input(11, true);
  EXPECT_EQ(rig.pair.acknowledge(), 0x73);
  rig.pair.slave().write(0, 1, 0x20);
  rig.pair.master().write(0, 1, 0x20);
  EXPECT_TRUE(rig.interrupt);
  rig.pair.set_input(11, false);
  EXPECT_FALSE(rig.interrupt);
}

TEST(Pic8259, TimerKeyboardCascadeClockAndCoprocessorStayEdgeTriggered) {
  PicRig rig;
  rig.pair.edge_level_control().write(0, 1, 0xff);
  rig.pair.edge_level_control().write(1, 1, 0xff);
  EXPECT_EQ(rig.pair.edge_level_control().read(0, 1), 0xf8u);
  EXPECT_EQ(rig.pair.edge_level_control().read(1, 1), 0xdeu);
}

TEST(Pic8259, RequestThatWentAwayIsTheSpuriousInput7) {
  PicRig rig;
  rig.initialize();
  rig.pulse(3);
  EXPECT_EQ(rig.pair.acknowledge(), 0x0f);
  EXPECT_EQ(rig.in_service_register(rig.pair.master()), 0x00u);
}

TEST(Pic8259, SpuriousInterruptOfTheSlaveLeavesInput2InService) {
  PicRig rig;
  rig.initialize();
  rig.pair.set_input(9, true);
  EXPECT_EQ(rig.pair.master().acknowledge_input(), 2);
  rig.pair.set_input(9, false);
  EXPECT_EQ(rig.pair.slave().acknowledge_input(), 7);
  EXPECT_EQ(rig.in_service_register(rig.pair.slave()), 0x00u);
  EXPECT_EQ(rig.in_service_register(rig.pair.master()), 0x04u);
}

TEST(Pic8259, SpecificEndOfInterruptClearsTheNamedLevel) {
  PicRig rig;
  rig.initialize();
  rig.pair.set_input(5, true);
  rig.pair.acknowledge();
  rig.pair.set_input(1, true);
  rig.pair.acknowledge();
  rig.pair.master().write(0, 1, 0x65);
  EXPECT_EQ(rig.in_service_register(rig.pair.master()), 0x02u);
}

TEST(Pic8259, RotateOnNonSpecificEndMakesTheServedLevelLowest) {
  PicRig rig;
  rig.initialize();
  rig.pair.set_input(4, true);
  rig.pair.acknowledge();
  rig.pair.master().write(0, 1, 0xa0);
  rig.pair.set_input(3, true);
  rig.pair.set_input(5, true);
  EXPECT_EQ(rig.pair.acknowledge(), 0x0d);
}

TEST(Pic8259, RotateOnSpecificEndMakesTheNamedLevelLowest) {
  PicRig rig;
  rig.initialize();
  rig.pair.set_input(6, true);
  rig.pair.acknowledge();
  rig.pair.master().write(0, 1, 0xe6);
  rig.pair.set_input(0, true);
  rig.pair.set_input(7, true);
  EXPECT_EQ(rig.pair.acknowledge(), 0x0f);
  EXPECT_EQ(rig.in_service_register(rig.pair.master()), 0x80u);
}

TEST(Pic8259, SetPriorityCommandChoosesTheLowestLevel) {
  PicRig rig;
  rig.initialize();
  rig.pair.master().write(0, 1, 0xc3);
  rig.pair.set_input(0, true);
  rig.pair.set_input(4, true);
  EXPECT_EQ(rig.pair.acknowledge(), 0x0c);
}

TEST(Pic8259, AutomaticEndOfInterruptLeavesNothingInService) {
  PicRig rig;
  rig.initialize(0x03);
  rig.pair.set_input(3, true);
  EXPECT_EQ(rig.pair.acknowledge(), 0x0b);
  EXPECT_EQ(rig.in_service_register(rig.pair.master()), 0x00u);
}

TEST(Pic8259, RotateInAutomaticEndModeMakesTheServedLevelLowest) {
  PicRig rig;
  rig.initialize(0x03);
  rig.pair.master().write(0, 1, 0x80);
  rig.pair.set_input(3, true);
  rig.pair.acknowledge();
  rig.pair.set_input(1, true);
  rig.pair.set_input(6, true);
  EXPECT_EQ(rig.pair.acknowledge(), 0x0e);
}

TEST(Pic8259, SpecialMaskModeEnablesLowerLevels) {
  PicRig rig;
  rig.initialize();
  rig.pair.set_input(1, true);
  rig.pair.acknowledge();
  rig.pair.set_input(6, true);
  EXPECT_FALSE(rig.interrupt);
  rig.pair.master().write(0, 1, 0x68);
  rig.pair.master().write(1, 1, 0x02);
  EXPECT_TRUE(rig.interrupt);
  EXPECT_EQ(rig.pair.acknowledge(), 0x0e);
}

TEST(Pic8259, SpecialFullyNestedModeLetsTheSlaveInterruptItself) {
  PicRig rig;
  rig.initialize(0x11);
  rig.pair.set_input(12, true);
  EXPECT_EQ(rig.pair.acknowledge(), 0x74);
  rig.pair.set_input(3, true);
  EXPECT_FALSE(rig.interrupt);
  rig.pair.set_input(8, true);
  EXPECT_TRUE(rig.interrupt);
  EXPECT_EQ(rig.pair.acknowledge(), 0x70);
}

TEST(Pic8259, PollReadAcknowledgesTheRequest) {
  PicRig rig;
  rig.initialize();
  rig.pair.set_input(5, true);
  rig.pair.master().write(0, 1, 0x0c);
  EXPECT_EQ(rig.pair.master().read(0, 1), 0x85u);
  EXPECT_EQ(rig.in_service_register(rig.pair.master()), 0x20u);
  rig.pair.master().write(0, 1, 0x0c);
  EXPECT_EQ(rig.pair.master().read(0, 1), 0x00u);
}

TEST(Pic8259, Icw1ForgetsRequestsAndMasks) {
  PicRig rig;
  rig.initialize();
  rig.pair.master().write(1, 1, 0xff);
  rig.pair.set_input(4, true);
  rig.pair.master().write(0, 1, 0x11);
  EXPECT_EQ(rig.request_register(rig.pair.master()), 0x00u);
  rig.initialize();
  EXPECT_FALSE(rig.interrupt);
}

TEST(Pic8259, LoadedStateDrivesTheInterruptPin) {
  PicRig original;
  original.initialize();
  original.pair.set_input(14, true);
  PicRig copy;
  load_state(copy.pair, saved_state(original.pair));
  EXPECT_TRUE(copy.interrupt);
  EXPECT_EQ(copy.pair.acknowledge(), 0x76);
}

// --- While another does its work -------------------------------------------------------------------------------------

TEST(Pic, IsolatedPairHearsItsInputsAndDrivesNothing) {
  PicRig rig;
  rig.initialize();
  rig.pair.isolate(true);
  rig.pair.set_input(10, true);
  EXPECT_FALSE(rig.interrupt);
  EXPECT_EQ(rig.pair.slave().pins(), 0x04);
}

TEST(Pic, PairGoesOnWithTheRegistersThatItWasGiven) {
  PicRig rig;
  rig.pair.isolate(true);
  Pic8259::Registers master, slave;
  master.vector_base = 0x50;
  slave.vector_base = 0x58;
  slave.requests = 0x04;
  rig.pair.set_registers(master, slave);
  EXPECT_FALSE(rig.interrupt);
  rig.pair.isolate(false);
  EXPECT_TRUE(rig.interrupt);
  EXPECT_EQ(rig.pair.acknowledge(), 0x5A);
}

}  // namespace
}  // namespace calco::devices
