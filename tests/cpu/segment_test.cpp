// SDM vol. 3, 5.5-5.10 and vol. 2: loads of segment registers, LAR, LSL, VERR, ARPL, LLDT, LTR.
#include <gtest/gtest.h>

#include "tests/cpu/system_fixture.h"

namespace calco::cpu {
namespace {

class SegmentLoad : public ::testing::Test, protected SystemFixture {
 protected:
  static constexpr std::initializer_list<uint8_t> kMovDs = {0x8E, 0xD8};
  static constexpr std::initializer_list<uint8_t> kMovSs = {0x8E, 0xD0};
  bool zero_flag() const { return (flags() & rflags::kZf) != 0; }
};

TEST_F(SegmentLoad, RealModeChangesSelectorAndBaseOnly) {
  enter_real();
  cpu->segments[kDs].limit = 0xFFFFFFFF;
  cpu->registers[kRax] = 0x1234;
  load_code(kMovDs, 0x10100);
  cpu->run_instructions(1);
  EXPECT_EQ(cpu->segments[kDs].base, 0x12340u);
  EXPECT_EQ(cpu->segments[kDs].limit, 0xFFFFFFFFu);
}

TEST_F(SegmentLoad, LoadSetsTheAccessedBit) {
  enter_protected();
  cpu->registers[kRax] = selector::kData3;
  execute(kMovDs);
  EXPECT_EQ(cpu->segments[kDs].selector, selector::kData3);
  EXPECT_NE(map.read_value<uint8_t>(kGdt + 0x20 + 5) & 1, 0);
}

TEST_F(SegmentLoad, InnerDataIsGp) {
  enter_protected(3);
  cpu->registers[kRax] = selector::kData0;
  EXPECT_TRUE(execute_faults(kMovDs, kGeneralProtection));
  EXPECT_EQ(frame(0), selector::kData0);
}

TEST_F(SegmentLoad, AbsentDataIsNpAndAbsentStackIsSs) {
  enter_protected();
  cpu->registers[kRax] = selector::kAbsent;
  EXPECT_TRUE(execute_faults(kMovDs, kSegmentNotPresent));
  EXPECT_EQ(frame(0), selector::kAbsent);
  EXPECT_TRUE(execute_faults(kMovSs, kStackFault));
  EXPECT_EQ(frame(0), selector::kAbsent);
}

TEST_F(SegmentLoad, SelectorBeyondTheTableIsGp) {
  enter_protected();
  cpu->registers[kRax] = 0x80;
  EXPECT_TRUE(execute_faults(kMovDs, kGeneralProtection));
  EXPECT_EQ(frame(0), 0x80u);
  cpu->registers[kRax] = 0x0C;
  EXPECT_TRUE(execute_faults(kMovDs, kGeneralProtection));
  EXPECT_EQ(frame(0), 0x0Cu);
}

TEST_F(SegmentLoad, ReadOnlyStackIsGp) {
  enter_protected();
  cpu->registers[kRax] = selector::kReadOnly;
  EXPECT_TRUE(execute_faults(kMovSs, kGeneralProtection));
  EXPECT_EQ(frame(0), selector::kReadOnly);
}

TEST_F(SegmentLoad, NullStackIsGpExceptIn64BitCodeBelowLevel3) {
  enter_protected();
  cpu->registers[kRax] = 0;
  EXPECT_TRUE(execute_faults(kMovSs, kGeneralProtection));
  EXPECT_EQ(frame(0), 0u);
  enter_long();
  execute(kMovSs);
  EXPECT_EQ(cpu->segments[kSs].selector, 0);
  enter_long(3);
  cpu->registers[kRax] = 3;
  EXPECT_TRUE(execute_faults(kMovSs, kGeneralProtection));
}

TEST_F(SegmentLoad, UseOfANullSegmentIsGp) {
  enter_protected();
  cpu->registers[kRax] = 0;
  cpu->registers[kRbx] = kData;
  execute({0x8E, 0xD8, 0x8B, 0x03}, 2);
  EXPECT_EQ(cpu->registers[kRip], handler(kGeneralProtection));
  EXPECT_EQ(frame(1), kCode + 2);
}

TEST_F(SegmentLoad, MovToCsIsUd) {
  enter_protected();
  EXPECT_TRUE(execute_faults({0x8E, 0xC8}, kInvalidOpcode));
}

TEST_F(SegmentLoad, PopLeavesTheStackPointerWhereItFaults) {
  enter_protected();
  cpu->registers[kRsp] = kStack - 4;
  map.write_value<uint32_t>(kStack - 4, selector::kAbsent);
  EXPECT_TRUE(execute_faults({0x1F}, kSegmentNotPresent));
  EXPECT_EQ(cpu->registers[kRsp], kStack - 4 - 16);
}

TEST_F(SegmentLoad, LgsLoadsSelectorAndOffset) {
  enter_long();
  map.write_value<uint32_t>(kData, 0xCAFEBABE);
  map.write_value<uint16_t>(kData + 4, selector::kData0);
  cpu->registers[kRbx] = kData;
  execute({0x0F, 0xB5, 0x03});
  EXPECT_EQ(cpu->registers[kRax], 0xCAFEBABEu);
  EXPECT_EQ(cpu->segments[kGs].selector, selector::kData0);
}

TEST_F(SegmentLoad, LarGivesAccessRights) {
  enter_protected();
  cpu->registers[kRcx] = selector::kCode3;
  execute({0x0F, 0x02, 0xC1});
  EXPECT_TRUE(zero_flag());
  EXPECT_EQ(cpu->registers[kRax], 0x00CFFA00u);
}

TEST_F(SegmentLoad, LslGivesTheLimitInBytes) {
  enter_protected();
  cpu->registers[kRcx] = selector::kTss;
  execute({0x0F, 0x03, 0xC1});
  EXPECT_TRUE(zero_flag());
  EXPECT_EQ(cpu->registers[kRax], 0x1FFFu);
}

TEST_F(SegmentLoad, LarOfWhatMayNotBeSeenClearsZf) {
  enter_protected(3);
  cpu->registers[kRcx] = selector::kData0;
  cpu->registers[kRax] = 0x5555;
  execute({0x0F, 0x02, 0xC1});
  EXPECT_FALSE(zero_flag());
  EXPECT_EQ(cpu->registers[kRax], 0x5555u);
}

TEST_F(SegmentLoad, VerwRefusesReadOnlyData) {
  enter_protected();
  cpu->registers[kRcx] = selector::kReadOnly;
  execute({0x0F, 0x00, 0xE9});
  EXPECT_FALSE(zero_flag());
  execute({0x0F, 0x00, 0xE1});
  EXPECT_TRUE(zero_flag());
}

TEST_F(SegmentLoad, ArplRaisesTheRpl) {
  enter_protected();
  cpu->registers[kRax] = 0x10;
  cpu->registers[kRcx] = 0x03;
  execute({0x63, 0xC8});
  EXPECT_TRUE(zero_flag());
  EXPECT_EQ(cpu->registers[kRax], 0x13u);
}

TEST_F(SegmentLoad, LtrMarksTheTssBusyAndRefusesABusyOne) {
  enter_long();
  write_system_segment(selector::kLdt, system_type::kTss32, kSecondTss, 0x67);
  cpu->registers[kRax] = selector::kLdt;
  execute({0x0F, 0x00, 0xD8});
  EXPECT_EQ(cpu->tr.selector, selector::kLdt);
  EXPECT_EQ(map.read_value<uint8_t>(kGdt + selector::kLdt + 5) & 0xF, system_type::kTss32Busy);
  EXPECT_TRUE(execute_faults({0x0F, 0x00, 0xD8}, kGeneralProtection));
  EXPECT_EQ(frame(0), selector::kLdt);
}

TEST_F(SegmentLoad, LldtLoadsLocalDescriptors) {
  enter_protected();
  write_system_segment(selector::kLdt, system_type::kLdt, kGdt, 0x7F);
  cpu->registers[kRax] = selector::kLdt;
  execute({0x0F, 0x00, 0xD0});
  EXPECT_EQ(cpu->ldtr.selector, selector::kLdt);
  cpu->registers[kRax] = selector::kData0 | 4;
  execute(kMovDs);
  EXPECT_EQ(cpu->segments[kDs].selector, selector::kData0 | 4);
}

TEST_F(SegmentLoad, DescriptorInstructionsAreUdInRealMode) {
  enter_real();
  load_code({0x0F, 0x00, 0xC0}, 0x10100);
  cpu->run_instructions(1);
  EXPECT_EQ(cpu->segments[kCs].selector, 0x2000);
  EXPECT_EQ(cpu->registers[kRip], kInvalidOpcode * 16u);
}

TEST_F(SegmentLoad, SwapgsExchangesTheBases) {
  enter_long();
  cpu->kernel_gs_base = 0x1234;
  cpu->segments[kGs].base = 0x5678;
  execute({0x0F, 0x01, 0xF8});
  EXPECT_EQ(cpu->segments[kGs].base, 0x1234u);
  EXPECT_EQ(cpu->kernel_gs_base, 0x5678u);
}

TEST_F(SegmentLoad, WrfsbaseNeedsCr4AndACanonicalAddress) {
  enter_long();
  EXPECT_TRUE(execute_faults({0xF3, 0x48, 0x0F, 0xAE, 0xD0}, kInvalidOpcode));
  cpu->cr4 |= cr4::kFsgsbase;
  cpu->registers[kRax] = uint64_t{1} << 47;
  EXPECT_TRUE(execute_faults({0xF3, 0x48, 0x0F, 0xAE, 0xD0}, kGeneralProtection));
}

}  // namespace
}  // namespace calco::cpu
