// SDM vol. 1, chapter 19: input/output.
#include <gtest/gtest.h>

#include <vector>

#include "machine/core/register_window.h"
#include "tests/cpu/system_fixture.h"

namespace calco::cpu {
namespace {

// Sixteen ports that count up on reads and remember writes.
class CountingPorts final : public RegisterWindow {
 public:
  uint64_t read(uint64_t, unsigned) override { return ++reads; }
  void write(uint64_t, unsigned, uint64_t value) override { written.push_back(value); }
  unsigned reads = 0;
  std::vector<uint64_t> written;
};

class InputOutput : public ::testing::Test, protected SystemFixture {
 protected:
  InputOutput() { ports.attach(kPort, 16, window); }
  static constexpr uint16_t kPort = 0x140;
  CountingPorts window;
};

TEST_F(InputOutput, InWritesTheAccumulator) {
  enter_long();
  cpu->registers[kRax] = ~uint64_t{0};
  cpu->registers[kRdx] = kPort;
  execute({0xED});
  EXPECT_EQ(cpu->registers[kRax], 1u);
  execute({0xEC});
  EXPECT_EQ(cpu->registers[kRax], 2u);
}

TEST_F(InputOutput, OutWritesTheOperandSize) {
  enter_long();
  cpu->registers[kRax] = 0x11223344;
  cpu->registers[kRdx] = kPort;
  execute({0x66, 0xEF, 0xEE}, 2);
  EXPECT_EQ(window.written, (std::vector<uint64_t>{0x3344, 0x44}));
}

TEST_F(InputOutput, RepInsStoresUntilTheCountIsZero) {
  enter_long();
  cpu->registers[kRdx] = kPort;
  cpu->registers[kRdi] = kData;
  cpu->registers[kRcx] = 3;
  load_code({0xF3, 0x66, 0x6D, 0xF4});
  cpu->run();
  EXPECT_EQ(cpu->registers[kRcx], 0u);
  EXPECT_EQ(cpu->registers[kRdi], kData + 6);
  EXPECT_EQ(map.read_value<uint16_t>(kData + 4), 3);
}

TEST_F(InputOutput, RepOutsGoesDownWithTheDirectionFlag) {
  enter_long();
  map.write_value<uint16_t>(kData, 0xBBAA);
  cpu->registers[kRdx] = kPort;
  cpu->registers[kRsi] = kData + 1;
  cpu->registers[kRcx] = 2;
  cpu->system_flags |= rflags::kDf;
  load_code({0xF3, 0x6E, 0xF4});
  cpu->run();
  EXPECT_EQ(window.written, (std::vector<uint64_t>{0xBB, 0xAA}));
  EXPECT_EQ(cpu->registers[kRsi], kData - 1);
}

TEST_F(InputOutput, InsDoesNotReadThePortWhereTheStoreFaults) {
  enter_long();
  cpu->registers[kRdx] = kPort;
  cpu->registers[kRdi] = uint64_t{64} << 20;
  EXPECT_TRUE(execute_faults({0x6D}, kPageFault));
  EXPECT_EQ(window.reads, 0u);
}

TEST_F(InputOutput, UserCodeNeedsIoplOrTheBitmap) {
  enter_long(3);
  map.write_value<uint16_t>(kTssBase + 0x66, 0x80);
  map.write_value<uint8_t>(kTssBase + 0x80 + kPort / 8, 0x01);
  cpu->registers[kRdx] = kPort;
  EXPECT_TRUE(execute_faults({0xEC}, kGeneralProtection));
  EXPECT_EQ(frame(0), 0u);
  EXPECT_EQ(window.reads, 0u);
}

TEST_F(InputOutput, ClearBitsOfTheBitmapAllow) {
  enter_long(3);
  map.write_value<uint16_t>(kTssBase + 0x66, 0x80);
  cpu->registers[kRdx] = kPort;
  execute({0xED});
  EXPECT_EQ(window.reads, 1u);
}

TEST_F(InputOutput, BitmapBeyondTheTssLimitForbids) {
  enter_long(3);
  map.write_value<uint16_t>(kTssBase + 0x66, 0x2000);
  cpu->registers[kRdx] = kPort;
  EXPECT_TRUE(execute_faults({0xEC}, kGeneralProtection));
}

TEST_F(InputOutput, IoplAllowsWithoutTheBitmap) {
  enter_long(3);
  map.write_value<uint16_t>(kTssBase + 0x66, 0x2000);
  cpu->system_flags |= rflags::kIopl;
  cpu->registers[kRdx] = kPort;
  execute({0xEC});
  EXPECT_EQ(window.reads, 1u);
}

}  // namespace
}  // namespace calco::cpu
