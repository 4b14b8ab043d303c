// SDM vol. 3, 5.8: privilege checks of control transfers; vol. 2, JMP, CALL, RET, SYSCALL, SYSENTER.
#include <gtest/gtest.h>

#include "tests/cpu/system_fixture.h"

namespace calco::cpu {
namespace {

class FarTransfer : public ::testing::Test, protected SystemFixture {
 protected:
  // Code for "jmp far sel:offset" (EA) and "call far sel:offset" (9A) of 32-bit code.
  void execute_far(uint8_t opcode, uint16_t selector, uint32_t offset) {
    execute({opcode, static_cast<uint8_t>(offset), static_cast<uint8_t>(offset >> 8),
             static_cast<uint8_t>(offset >> 16), static_cast<uint8_t>(offset >> 24), static_cast<uint8_t>(selector),
             static_cast<uint8_t>(selector >> 8)});
  }
};

TEST_F(FarTransfer, JumpToCodeOfTheSamePrivilegeLoadsCs) {
  enter_protected();
  execute_far(0xEA, selector::kCode0, 0x345678);
  EXPECT_EQ(cpu->registers[kRip], 0x345678u);
  EXPECT_EQ(cpu->segments[kCs].selector, selector::kCode0);
  EXPECT_NE(map.read_value<uint8_t>(kGdt + selector::kCode0 + 5) & 1, 0);
}

TEST_F(FarTransfer, JumpToNullIsGpZero) {
  enter_protected();
  execute_far(0xEA, 0, 0);
  EXPECT_EQ(cpu->registers[kRip], handler(kGeneralProtection));
  EXPECT_EQ(frame(0), 0u);
}

TEST_F(FarTransfer, JumpToDataIsGpWithTheSelector) {
  enter_protected();
  execute_far(0xEA, selector::kData0, 0);
  EXPECT_EQ(cpu->registers[kRip], handler(kGeneralProtection));
  EXPECT_EQ(frame(0), selector::kData0);
}

TEST_F(FarTransfer, JumpBeyondTheCodeLimitIsGpZero) {
  enter_protected();
  write_segment(selector::kCode0, Segment::kG | Segment::kP | Segment::kS | Segment::kDb | 0xA, 0, 0xFFFFF);
  write_interrupt_gate(kGeneralProtection, system_type::kInterruptGate32, selector::kConforming);
  execute_far(0xEA, selector::kCode0, 0x100000);
  EXPECT_EQ(cpu->registers[kRip], handler(kGeneralProtection));
  EXPECT_EQ(frame(0), 0u);
}

TEST_F(FarTransfer, CallPushesCsAndEip) {
  enter_protected();
  execute_far(0x9A, selector::kCode0, 0x345678);
  EXPECT_EQ(cpu->registers[kRsp], kStack - 8);
  EXPECT_EQ(frame(0), kCode + 7);
  EXPECT_EQ(frame(1), selector::kCode0);
}

TEST_F(FarTransfer, CallGateToMorePrivilegeCopiesParametersAndRetfReturns) {
  enter_protected(3);
  write_gate(kGdt + selector::kGate, system_type::kCallGate32, selector::kCode0, 0x340000, 3, 2);
  map.write_value<uint32_t>(kStack, 0x11111111);
  map.write_value<uint32_t>(kStack + 4, 0x22222222);
  load_code({0xCA, 0x08, 0x00}, 0x340000);
  execute_far(0x9A, selector::kGate | 3, 0xDEADBEEF);
  EXPECT_EQ(cpu->registers[kRip], 0x340000u);
  EXPECT_EQ(cpu->cpl, 0);
  EXPECT_EQ(cpu->registers[kRsp], kInnerStack - 24);
  EXPECT_EQ(frame(0), kCode + 7);
  EXPECT_EQ(frame(1), selector::kCode3);
  EXPECT_EQ(frame(2), 0x11111111u);
  EXPECT_EQ(frame(3), 0x22222222u);
  EXPECT_EQ(frame(4), kStack);
  EXPECT_EQ(frame(5), selector::kData3);
  cpu->run_instructions(1);
  EXPECT_EQ(cpu->cpl, 3);
  EXPECT_EQ(cpu->registers[kRip], kCode + 7);
  EXPECT_EQ(cpu->registers[kRsp], kStack + 8);
}

TEST_F(FarTransfer, CallGateNeedsItsPrivilege) {
  enter_protected(3);
  write_gate(kGdt + selector::kGate, system_type::kCallGate32, selector::kCode0, 0x340000, 0);
  execute_far(0x9A, selector::kGate | 3, 0);
  EXPECT_EQ(cpu->registers[kRip], handler(kGeneralProtection));
  EXPECT_EQ(frame(0), selector::kGate);
}

TEST_F(FarTransfer, LongModeCallGatePushesFourQwords) {
  enter_long(3);
  write_gate(kGdt + selector::kGate, system_type::kCallGate32, selector::kCode0, 0x340000, 3);
  map.write_value<uint32_t>(kData, 0);
  map.write_value<uint16_t>(kData + 4, selector::kGate | 3);
  execute({0xFF, 0x1C, 0x25, 0x00, 0x00, 0x30, 0x00});
  EXPECT_EQ(cpu->registers[kRip], 0x340000u);
  EXPECT_EQ(cpu->registers[kRsp], kInnerStack - 32);
  EXPECT_EQ(cpu->segments[kSs].selector, 0);
  EXPECT_EQ(frame(0), kCode + 7);
  EXPECT_EQ(frame(3), selector::kData3);
}

TEST_F(FarTransfer, JumpFromLongModeToCompatibilityCode) {
  enter_long();
  map.write_value<uint32_t>(kData, 0x345678);
  map.write_value<uint16_t>(kData + 4, selector::kCode32);
  execute({0xFF, 0x2C, 0x25, 0x00, 0x00, 0x30, 0x00});
  EXPECT_EQ(cpu->registers[kRip], 0x345678u);
  EXPECT_FALSE(cpu->code_64());
}

TEST_F(FarTransfer, SyscallAndSysretFollowStar) {
  enter_long(3);
  cpu->star = uint64_t{selector::kCode0} << 32 | uint64_t{(selector::kCode3 & ~3u) - 16} << 48;
  cpu->lstar = 0x340000;
  cpu->syscall_mask = rflags::kIf;
  cpu->system_flags |= rflags::kIf;
  load_code({0x48, 0x0F, 0x07}, 0x340000);
  execute({0x0F, 0x05});
  EXPECT_EQ(cpu->registers[kRip], 0x340000u);
  EXPECT_EQ(cpu->registers[kRcx], kCode + 2);
  EXPECT_NE(cpu->registers[kR11] & rflags::kIf, 0u);
  EXPECT_FALSE(cpu->interrupts_enabled());
  EXPECT_EQ(cpu->cpl, 0);
  EXPECT_EQ(cpu->segments[kSs].selector, selector::kData0);
  cpu->run_instructions(1);
  EXPECT_EQ(cpu->registers[kRip], kCode + 2);
  EXPECT_EQ(cpu->cpl, 3);
  EXPECT_EQ(cpu->segments[kCs].selector, selector::kCode3);
  EXPECT_TRUE(cpu->interrupts_enabled());
}

TEST_F(FarTransfer, SyscallWithoutSceIsUd) {
  enter_long();
  cpu->efer &= ~efer::kSce;
  EXPECT_TRUE(execute_faults({0x0F, 0x05}, kInvalidOpcode));
}

TEST_F(FarTransfer, SysretToANonCanonicalAddressIsGp) {
  enter_long();
  cpu->registers[kRcx] = uint64_t{1} << 47;
  EXPECT_TRUE(execute_faults({0x48, 0x0F, 0x07}, kGeneralProtection));
}

TEST_F(FarTransfer, SysenterLoadsFlatSegments) {
  enter_protected(3);
  cpu->sysenter_cs = selector::kCode0;
  cpu->sysenter_esp = kInnerStack;
  cpu->sysenter_eip = 0x340000;
  execute({0x0F, 0x34});
  EXPECT_EQ(cpu->registers[kRip], 0x340000u);
  EXPECT_EQ(cpu->registers[kRsp], kInnerStack);
  EXPECT_EQ(cpu->cpl, 0);
  EXPECT_EQ(cpu->segments[kSs].selector, selector::kCode0 + 8);
}

TEST_F(FarTransfer, SysenterWithNullCsIsGp) {
  enter_protected(3);
  EXPECT_TRUE(execute_faults({0x0F, 0x34}, kGeneralProtection));
}

TEST_F(FarTransfer, IretWithNestedTaskFlagInLongModeIsGp) {
  enter_long();
  cpu->system_flags |= rflags::kNt;
  EXPECT_TRUE(execute_faults({0x48, 0xCF}, kGeneralProtection));
}

TEST_F(FarTransfer, IretqMayLoadNullSsBelowLevel3) {
  enter_long();
  cpu->registers[kRsp] = kStack - 40;
  map.write_value<uint64_t>(kStack - 40, 0x340000);
  map.write_value<uint64_t>(kStack - 32, selector::kCode0);
  map.write_value<uint64_t>(kStack - 24, 2);
  map.write_value<uint64_t>(kStack - 16, kInnerStack);
  map.write_value<uint64_t>(kStack - 8, 0);
  execute({0x48, 0xCF});
  EXPECT_EQ(cpu->registers[kRip], 0x340000u);
  EXPECT_EQ(cpu->registers[kRsp], kInnerStack);
  EXPECT_EQ(cpu->segments[kSs].selector, 0);
}

TEST_F(FarTransfer, RetfToInnerPrivilegeIsGp) {
  enter_protected(3);
  cpu->registers[kRsp] = kStack - 8;
  map.write_value<uint32_t>(kStack - 8, 0x340000);
  map.write_value<uint32_t>(kStack - 4, selector::kCode0);
  EXPECT_TRUE(execute_faults({0xCB}, kGeneralProtection));
  EXPECT_EQ(frame(0), selector::kCode0);
}

}  // namespace
}  // namespace calco::cpu
