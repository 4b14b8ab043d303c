// SDM vol. 3, chapter 17: debug exceptions.
#include "cpu/system/debug.h"

#include <gtest/gtest.h>

#include "tests/cpu/system_fixture.h"

namespace calco::cpu {
namespace {

class Debug : public ::testing::Test, protected SystemFixture {};

TEST_F(Debug, TrapFlagTrapsBehindTheInstruction) {
  enter_long();
  cpu->system_flags |= rflags::kTf;
  cpu->mode_changed();
  EXPECT_TRUE(execute_faults({0x90}, kDebug));
  EXPECT_EQ(frame(0), kCode + 1);
  EXPECT_EQ(cpu->dr[6], dr6::kFixed | dr6::kSingleStep);
  EXPECT_NE(frame(2) & rflags::kTf, 0u);
  EXPECT_EQ(cpu->system_flags & rflags::kTf, 0u);
}

TEST_F(Debug, PopfThatSetsTfTrapsBehindTheNextInstruction) {
  enter_long();
  cpu->registers[kRsp] = kStack - 8;
  map.write_value<uint64_t>(kStack - 8, rflags::kTf | rflags::kFixed);
  execute({0x9D, 0x90, 0x90}, 2);
  EXPECT_EQ(cpu->registers[kRip], handler(kDebug));
  EXPECT_EQ(frame(0), kCode + 2);
}

TEST_F(Debug, MovSsDelaysTheTrapByOneInstruction) {
  enter_long();
  cpu->registers[kRax] = selector::kData0;
  cpu->system_flags |= rflags::kTf;
  cpu->mode_changed();
  execute({0x8E, 0xD0, 0x90, 0x90}, 2);
  EXPECT_EQ(cpu->registers[kRip], handler(kDebug));
  EXPECT_EQ(frame(0), kCode + 3);
}

TEST_F(Debug, InstructionBreakpointFaultsBeforeAndRfSuppressesIt) {
  enter_long();
  cpu->dr[1] = kCode;
  set_debug_register(*cpu, 7, 4);
  EXPECT_TRUE(execute_faults({0x90}, kDebug));
  EXPECT_EQ(frame(0), kCode);
  EXPECT_EQ(cpu->dr[6] & 0xF, 2u);
  EXPECT_EQ(frame(2) & rflags::kRf, 0u);
  cpu->registers[kRip] = kCode;
  cpu->system_flags |= rflags::kRf;
  cpu->run_instructions(1);
  EXPECT_EQ(cpu->registers[kRip], kCode + 1);
  EXPECT_EQ(cpu->system_flags & rflags::kRf, 0u);
}

TEST_F(Debug, DataBreakpointTrapsBehindTheStore) {
  enter_long();
  cpu->dr[0] = kData;
  set_debug_register(*cpu, 7, 1 | 1u << 16 | 3u << 18);
  cpu->registers[kRbx] = kData + 2;
  EXPECT_TRUE(execute_faults({0x88, 0x03}, kDebug));
  EXPECT_EQ(frame(0), kCode + 2);
  EXPECT_EQ(cpu->dr[6] & 0xF, 1u);
}

// Linux' selftest mov_ss_trap: a second exception would start on the same interrupt stack, over the first one's frame.
TEST_F(Debug, Int1IsOneExceptionWithTheTrapThatMovSsHeldBack) {
  enter_long();
  map.write_value<uint16_t>(kData, selector::kData0);
  cpu->dr[0] = kData;
  set_debug_register(*cpu, 7, 1 | 3u << 16);
  cpu->registers[kRbx] = kData;
  map.write_value<uint8_t>(handler(kDebug), 0x90);
  execute({0x8E, 0x13, 0xF1}, 2);
  EXPECT_EQ(cpu->registers[kRip], handler(kDebug));
  EXPECT_EQ(frame(0), kCode + 3);
  EXPECT_EQ(cpu->dr[6] & 0xF, 1u);
  cpu->run_instructions(1);
  EXPECT_EQ(cpu->registers[kRip], handler(kDebug) + 1);
}

TEST_F(Debug, WriteBreakpointIgnoresReads) {
  enter_long();
  cpu->dr[0] = kData;
  set_debug_register(*cpu, 7, 1 | 1u << 16);
  cpu->registers[kRbx] = kData;
  execute({0x8A, 0x03});
  EXPECT_EQ(cpu->registers[kRip], kCode + 2);
}

TEST_F(Debug, GeneralDetectFaultsOnMovDrAndIsClearedByTheHandler) {
  enter_long();
  set_debug_register(*cpu, 7, dr7::kGeneralDetect);
  EXPECT_TRUE(execute_faults({0x0F, 0x21, 0xC0}, kDebug));
  EXPECT_EQ(frame(0), kCode);
  EXPECT_NE(cpu->dr[6] & dr6::kGeneralDetect, 0u);
  EXPECT_EQ(cpu->dr[7] & dr7::kGeneralDetect, 0u);
}

TEST_F(Debug, Dr4IsDr6UnlessDebugExtensionsAreOn) {
  enter_long();
  execute({0x0F, 0x21, 0xE0});
  EXPECT_EQ(cpu->registers[kRax], dr6::kFixed);
  cpu->cr4 |= cr4::kDe;
  EXPECT_TRUE(execute_faults({0x0F, 0x21, 0xE0}, kInvalidOpcode));
}

TEST_F(Debug, UpperHalfOfDr7IsGp) {
  enter_long();
  cpu->registers[kRax] = uint64_t{1} << 32;
  EXPECT_TRUE(execute_faults({0x0F, 0x23, 0xF8}, kGeneralProtection));
}

}  // namespace
}  // namespace calco::cpu
