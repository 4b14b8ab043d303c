#include "devices/isa/coprocessor_port.h"

#include <gtest/gtest.h>

#include "tests/devices/board.h"
#include "tests/devices/device_suite.h"

namespace calco::devices {
namespace {

struct CoprocessorPortRig {
  WireProbe irq13;
  CoprocessorPort port{irq13.line()};
  Device& device() { return port; }
  std::vector<WindowUnderTest> windows() { return {{&port, CoprocessorPort::kPortCount}}; }
};

TEST(CoprocessorPort, PassesTheDeviceSuite) { check_device<CoprocessorPortRig>(); }

TEST(CoprocessorPort, ErrorRaisesIrq13AndTheInstructionWaits) {
  CoprocessorPortRig rig;
  EXPECT_FALSE(rig.port.set_error(true));
  EXPECT_TRUE(rig.irq13.level);
}

TEST(CoprocessorPort, WriteToF0TakesTheInterruptBackAndAssertsIgnne) {
  CoprocessorPortRig rig;
  rig.port.set_error(true);
  rig.port.write(0, 1, 0);
  EXPECT_FALSE(rig.irq13.level);
  EXPECT_TRUE(rig.port.set_error(true));
  EXPECT_FALSE(rig.irq13.level);
}

TEST(CoprocessorPort, IgnneEndsWithTheError) {
  CoprocessorPortRig rig;
  rig.port.set_error(true);
  rig.port.write(0, 1, 0);
  rig.port.set_error(false);
  EXPECT_FALSE(rig.port.set_error(true));
  EXPECT_TRUE(rig.irq13.level);
}

TEST(CoprocessorPort, WriteWithoutAnErrorDoesNotAssertIgnne) {
  CoprocessorPortRig rig;
  rig.port.write(0, 1, 0);
  EXPECT_FALSE(rig.port.set_error(true));
}

}  // namespace
}  // namespace calco::devices
