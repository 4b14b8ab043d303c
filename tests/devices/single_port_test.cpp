// The devices that are one register at one port.
#include <gtest/gtest.h>

#include <string>

#include "devices/isa/debug_console.h"
#include "devices/isa/debug_exit.h"
#include "devices/isa/port92.h"
#include "devices/isa/post_port.h"
#include "tests/devices/device_suite.h"

namespace calco::devices {
namespace {

struct ConsoleRig {
  std::string text;
  DebugConsole console{[this](uint8_t byte) { text.push_back(static_cast<char>(byte)); }};
  Device& device() { return console; }
  std::vector<WindowUnderTest> windows() { return {{&console, 1}}; }
};

TEST(DebugConsole, PassesTheDeviceSuite) { check_device<ConsoleRig>(); }

TEST(DebugConsole, ReadsAsE9AndPrintsWhatIsWritten) {
  ConsoleRig rig;
  EXPECT_EQ(rig.console.read(0, 1), 0xE9u);
  rig.console.write(0, 1, 'H');
  rig.console.write(0, 1, 'i');
  EXPECT_EQ(rig.text, "Hi");
}

struct ExitRig {
  int status = 0;
  DebugExit exit{[this](int value) { status = value; }};
  Device& device() { return exit; }
  std::vector<WindowUnderTest> windows() { return {{&exit, DebugExit::kDefaultPortCount}}; }
};

TEST(DebugExit, PassesTheDeviceSuite) { check_device<ExitRig>(); }

TEST(DebugExit, StatusIsTwiceTheValuePlusOne) {
  ExitRig rig;
  rig.exit.write(0, 1, 0);
  EXPECT_EQ(rig.status, 1);
  rig.exit.write(0, 2, 0x10);
  EXPECT_EQ(rig.status, 0x21);
}

struct Port92Rig {
  bool a20 = false;
  unsigned resets = 0;
  Port92 port{[this](bool open) { a20 = open; }, [this] { ++resets; }};
  Device& device() { return port; }
  std::vector<WindowUnderTest> windows() { return {{&port, 1}}; }
};

TEST(Port92, PassesTheDeviceSuite) { check_device<Port92Rig>(); }

TEST(Port92, Bit1GatesA20) {
  Port92Rig rig;
  rig.port.write(0, 1, 0x00);
  EXPECT_FALSE(rig.a20);
  rig.port.write(0, 1, 0x02);
  EXPECT_TRUE(rig.a20);
  EXPECT_EQ(rig.port.read(0, 1), 0x02u);
}

TEST(Port92, RisingEdgeOfBit0Resets) {
  Port92Rig rig;
  rig.port.write(0, 1, 0x03);
  rig.port.write(0, 1, 0x03);
  EXPECT_EQ(rig.resets, 1u);
  rig.port.write(0, 1, 0x02);
  rig.port.write(0, 1, 0x03);
  EXPECT_EQ(rig.resets, 2u);
}

TEST(Port92, ResetOpensA20) {
  Port92Rig rig;
  rig.port.write(0, 1, 0x00);
  rig.port.reset();
  EXPECT_TRUE(rig.a20);
}

struct PostRig {
  uint8_t code = 0;
  PostPort port{[this](uint8_t value) { code = value; }};
  Device& device() { return port; }
  std::vector<WindowUnderTest> windows() { return {{&port, 1}}; }
};

TEST(PostPort, PassesTheDeviceSuite) { check_device<PostRig>(); }

TEST(PostPort, ShowsTheCodeAndReadsItBack) {
  PostRig rig;
  rig.port.write(0, 1, 0x42);
  EXPECT_EQ(rig.code, 0x42);
  EXPECT_EQ(rig.port.read(0, 1), 0x42u);
}

}  // namespace
}  // namespace calco::devices
