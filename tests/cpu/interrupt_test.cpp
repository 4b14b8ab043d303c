// SDM vol. 3, chapter 6: interrupt and exception handling.
#include <gtest/gtest.h>

#include "cpu/system/exceptions.h"
#include "tests/cpu/system_fixture.h"

namespace calco::cpu {
namespace {

class Interrupt : public ::testing::Test, protected SystemFixture {};

TEST_F(Interrupt, RealModePushesFlagsCsIpAndClearsIf) {
  enter_real();
  cpu->system_flags |= rflags::kIf;
  load_code({0xCD, 0x05}, 0x10100);
  cpu->run_instructions(1);
  EXPECT_EQ(cpu->segments[kCs].selector, 0x2000);
  EXPECT_EQ(cpu->segments[kCs].base, 0x20000u);
  EXPECT_EQ(cpu->registers[kRip], 0x50u);
  EXPECT_EQ(cpu->registers[kRsp], 0x7FFAu);
  EXPECT_EQ(map.read_value<uint16_t>(0x10000 + 0x7FFA), 0x102);
  EXPECT_EQ(map.read_value<uint16_t>(0x10000 + 0x7FFC), 0x1000);
  EXPECT_NE(map.read_value<uint16_t>(0x10000 + 0x7FFE) & rflags::kIf, 0u);
  EXPECT_FALSE(cpu->interrupts_enabled());
}

TEST_F(Interrupt, RealModeIretRestoresWhatIntPushed) {
  enter_real();
  cpu->system_flags |= rflags::kIf;
  load_code({0xCD, 0x05}, 0x10100);
  load_code({0xCF}, 0x20050);
  cpu->run_instructions(2);
  EXPECT_EQ(cpu->segments[kCs].base, 0x10000u);
  EXPECT_EQ(cpu->registers[kRip], 0x102u);
  EXPECT_EQ(cpu->registers[kRsp], 0x8000u);
  EXPECT_TRUE(cpu->interrupts_enabled());
}

TEST_F(Interrupt, LongModeAlignsTheStackAndPushesFiveQwords) {
  enter_long();
  cpu->registers[kRsp] = kStack - 8;
  EXPECT_TRUE(execute_faults({0x0F, 0x0B}, kInvalidOpcode));
  EXPECT_EQ(cpu->registers[kRsp], kStack - 16 - 40);
  EXPECT_EQ(frame(0), kCode);
  EXPECT_EQ(frame(1), selector::kCode0);
  EXPECT_EQ(frame(3), kStack - 8);
  EXPECT_EQ(frame(4), selector::kData0);
}

TEST_F(Interrupt, FaultsPushRfAndTrapsDoNot) {
  enter_long();
  execute_faults({0x0F, 0x0B}, kInvalidOpcode);
  EXPECT_NE(frame(2) & rflags::kRf, 0u);
  execute_faults({0xCC}, kBreakpoint);
  EXPECT_EQ(frame(2) & rflags::kRf, 0u);
  EXPECT_EQ(frame(0), kCode + 1);
}

TEST_F(Interrupt, LongModeSwitchesToRsp0AndNullSs) {
  enter_long(3);
  EXPECT_TRUE(execute_faults({0x0F, 0x0B}, kInvalidOpcode));
  EXPECT_EQ(cpu->cpl, 0);
  EXPECT_EQ(cpu->segments[kSs].selector, 0);
  EXPECT_EQ(cpu->registers[kRsp], kInnerStack - 40);
  EXPECT_EQ(frame(1), selector::kCode3);
  EXPECT_EQ(frame(3), kStack);
  EXPECT_EQ(frame(4), selector::kData3);
}

TEST_F(Interrupt, IstStackIsUsedWithoutPrivilegeChange) {
  enter_long();
  write_interrupt_gate(kInvalidOpcode, system_type::kInterruptGate32, selector::kCode0, 0, 1);
  EXPECT_TRUE(execute_faults({0x0F, 0x0B}, kInvalidOpcode));
  EXPECT_EQ(cpu->registers[kRsp], kInterruptStack - 40);
  EXPECT_EQ(cpu->segments[kSs].selector, selector::kData0);
}

TEST_F(Interrupt, IretqReturnsToTheOuterLevel) {
  enter_long(3);
  load_code({0x48, 0xCF}, handler(kInvalidOpcode));
  execute({0x0F, 0x0B}, 2);
  EXPECT_EQ(cpu->registers[kRip], kCode);
  EXPECT_EQ(cpu->cpl, 3);
  EXPECT_EQ(cpu->registers[kRsp], kStack);
  EXPECT_EQ(cpu->segments[kSs].selector, selector::kData3);
}

TEST_F(Interrupt, InterruptGatesClearIfTrapGatesDoNot) {
  enter_long();
  write_interrupt_gate(kBreakpoint, system_type::kTrapGate32, selector::kCode0);
  cpu->system_flags |= rflags::kIf;
  execute_faults({0xCC}, kBreakpoint);
  EXPECT_TRUE(cpu->interrupts_enabled());
  execute_faults({0x0F, 0x0B}, kInvalidOpcode);
  EXPECT_FALSE(cpu->interrupts_enabled());
}

TEST_F(Interrupt, SoftwareInterruptThroughAPrivilegedGateIsGpWithTheIdtBit) {
  enter_long(3);
  EXPECT_TRUE(execute_faults({0xCD, 0x06}, kGeneralProtection));
  EXPECT_EQ(frame(0), 6u * 8 + 2);
  EXPECT_EQ(frame(1), kCode);
}

TEST_F(Interrupt, Int1IgnoresTheGatesPrivilege) {
  enter_long(3);
  EXPECT_TRUE(execute_faults({0xF1}, kDebug));
  EXPECT_EQ(frame(0), kCode + 1);
}

TEST_F(Interrupt, VectorBeyondTheIdtLimitIsGp) {
  enter_long();
  EXPECT_TRUE(execute_faults({0xCD, 0x40}, kGeneralProtection));
  EXPECT_EQ(frame(0), 0x40u * 8 + 2);
}

TEST_F(Interrupt, GateThatIsNotPresentIsNp) {
  enter_long();
  map.write_value<uint8_t>(kIdt + 6 * 16 + 5, 0x0E);
  EXPECT_TRUE(execute_faults({0xCD, 0x06}, kSegmentNotPresent));
  EXPECT_EQ(frame(0), 6u * 8 + 2);
}

TEST_F(Interrupt, ExceptionsSetTheExtBitOfWhatTheirDeliveryFinds) {
  enter_long();
  map.write_value<uint8_t>(kIdt + 6 * 16 + 5, 0x0E);
  EXPECT_TRUE(execute_faults({0x0F, 0x0B}, kSegmentNotPresent));
  EXPECT_EQ(frame(0), 6u * 8 + 3);
}

TEST_F(Interrupt, ContributoryExceptionsMakeADoubleFault) {
  enter_long();
  remove_gate(kGeneralProtection);
  EXPECT_TRUE(execute_faults({0xCD, 0x40}, kDoubleFault));
  EXPECT_EQ(frame(0), 0u);
  EXPECT_EQ(frame(1), kCode);
}

TEST_F(Interrupt, PageFaultWhileAPageFaultIsDeliveredIsADoubleFault) {
  enter_long();
  write_interrupt_gate(kPageFault, system_type::kInterruptGate32, selector::kCode0, 0, 1);
  map.write_value<uint64_t>(kTssBase + 36, uint64_t{64} << 20);
  EXPECT_TRUE(execute_faults({0x48, 0xA1, 0, 0, 0, 8, 0, 0, 0, 0}, kDoubleFault));
  EXPECT_EQ(cpu->cr2, (uint64_t{64} << 20) - 8);
}

TEST_F(Interrupt, BenignThenContributoryIsHandledInSeries) {
  enter_long();
  remove_gate(kInvalidOpcode);
  EXPECT_TRUE(execute_faults({0x0F, 0x0B}, kGeneralProtection));
  EXPECT_EQ(frame(0), 6u * 8 + 3);
}

TEST_F(Interrupt, FaultOfTheDoubleFaultHandlerShutsDown) {
  enter_long();
  remove_gate(kGeneralProtection);
  remove_gate(kDoubleFault);
  execute({0xCD, 0x40});
  EXPECT_TRUE(triple_faulted);
  EXPECT_EQ(cpu->activity, Activity::Shutdown);
}

TEST_F(Interrupt, CompatibilityCodeSegmentInAGateIsGp) {
  enter_long();
  write_interrupt_gate(kBreakpoint, system_type::kInterruptGate32, selector::kCode32);
  EXPECT_TRUE(execute_faults({0xCC}, kGeneralProtection));
  EXPECT_EQ(frame(0), selector::kCode32);
}

TEST_F(Interrupt, ConformingHandlerKeepsThePrivilege) {
  enter_long(3);
  write_interrupt_gate(kInvalidOpcode, system_type::kInterruptGate32, selector::kConforming);
  EXPECT_TRUE(execute_faults({0x0F, 0x0B}, kInvalidOpcode));
  EXPECT_EQ(cpu->cpl, 3);
  EXPECT_EQ(cpu->segments[kCs].selector, selector::kConforming | 3);
}

TEST_F(Interrupt, ProtectedModeLoadsTheInnerStackFromTheTss) {
  enter_protected(3);
  EXPECT_TRUE(execute_faults({0x0F, 0x0B}, kInvalidOpcode));
  EXPECT_EQ(cpu->registers[kRsp], kInnerStack - 20);
  EXPECT_EQ(cpu->segments[kSs].selector, selector::kData0);
  EXPECT_EQ(frame(0), kCode);
  EXPECT_EQ(frame(3), kStack);
  EXPECT_EQ(frame(4), selector::kData3);
}

TEST_F(Interrupt, ProtectedModeReturnToOuterLevelDropsInnerSegments) {
  enter_protected(3);
  load_code({0xCF}, handler(kInvalidOpcode));
  execute({0x0F, 0x0B}, 1);
  cpu->segments[kDs] = make_segment(selector::kData0, read_descriptor_at(*cpu, kGdt + selector::kData0, 8));
  cpu->run_instructions(1);
  EXPECT_EQ(cpu->cpl, 3);
  EXPECT_EQ(cpu->segments[kDs].selector, 0);
  EXPECT_FALSE(cpu->segments[kDs].present());
  EXPECT_EQ(cpu->segments[kEs].selector, selector::kData3);
}

// Linux' selftest sigreturn: the kernel loads 3 for a null selector and counts on IRET to make it 0.
TEST_F(Interrupt, ReturnToOuterLevelClearsTheRplOfNullSelectors) {
  enter_long(3);
  load_code({0x48, 0xCF}, handler(kInvalidOpcode));
  cpu->segments[kEs] = null_segment(3);
  cpu->segments[kGs] = null_segment(1);
  cpu->segments[kGs].base = 0x123456789;
  execute({0x0F, 0x0B}, 2);
  EXPECT_EQ(cpu->cpl, 3);
  EXPECT_EQ(cpu->segments[kEs].selector, 0);
  EXPECT_EQ(cpu->segments[kGs].selector, 0);
  EXPECT_EQ(cpu->segments[kGs].base, 0x123456789u);
}

TEST_F(Interrupt, InnerStackWithTheWrongPrivilegeIsTs) {
  enter_protected(3);
  write_interrupt_gate(kInvalidTss, system_type::kInterruptGate32, selector::kConforming);
  map.write_value<uint32_t>(kTssBase + 8, selector::kData3);
  EXPECT_TRUE(execute_faults({0x0F, 0x0B}, kInvalidTss));
  EXPECT_EQ(frame(0), (selector::kData3 & ~3u) | 1);
}

TEST_F(Interrupt, SixteenBitGatePushesWords) {
  enter_protected();
  write_gate(kIdt + 3 * 8, system_type::kInterruptGate16, selector::kCode0, 0x4000);
  execute({0xCC});
  EXPECT_EQ(cpu->registers[kRip], 0x4000u);
  EXPECT_EQ(cpu->registers[kRsp], kStack - 6);
}

TEST_F(Interrupt, FromVirtual8086ModeSavesAndClearsTheDataSegments) {
  enter_protected();
  for (const SegmentRegister which : {kEs, kCs, kSs, kDs, kFs, kGs}) {
    cpu->segments[which] = virtual_8086_segment(static_cast<uint16_t>(0x1000 + which));
  }
  cpu->segments[kCs] = virtual_8086_segment(0x3000);
  cpu->system_flags |= rflags::kVm;
  cpu->cpl = 3;
  cpu->registers[kRip] = 0x10;
  cpu->registers[kRsp] = 0x1000;
  cpu->mode_changed();
  load_code({0x0F, 0x0B}, 0x30010);
  cpu->run_instructions(1);
  EXPECT_EQ(cpu->registers[kRip], handler(kInvalidOpcode));
  EXPECT_EQ(cpu->registers[kRsp], kInnerStack - 36);
  EXPECT_EQ(frame(1), 0x3000u);
  EXPECT_NE(frame(2) & rflags::kVm, 0u);
  EXPECT_EQ(frame(3), 0x1000u);
  EXPECT_EQ(frame(6), 0x1000u + kDs);
  EXPECT_EQ(frame(8), 0x1000u + kGs);
  EXPECT_FALSE(cpu->segments[kGs].present());
  EXPECT_FALSE(cpu->virtual_8086());
  load_code({0xCF}, handler(kInvalidOpcode));
  cpu->run_instructions(1);
  EXPECT_TRUE(cpu->virtual_8086());
  EXPECT_EQ(cpu->cpl, 3);
  EXPECT_EQ(cpu->segments[kCs].base, 0x30000u);
  EXPECT_EQ(cpu->segments[kGs].base, uint64_t{0x1000 + kGs} << 4);
  EXPECT_EQ(cpu->registers[kRsp], 0x1000u);
}

TEST_F(Interrupt, IntInVirtual8086ModeNeedsIopl3) {
  enter_protected();
  cpu->segments[kCs] = virtual_8086_segment(0x3000);
  cpu->segments[kSs] = virtual_8086_segment(0x1000);
  cpu->system_flags |= rflags::kVm;
  cpu->cpl = 3;
  cpu->registers[kRip] = 0x10;
  cpu->registers[kRsp] = 0x1000;
  cpu->mode_changed();
  load_code({0xCD, 0x03}, 0x30010);
  cpu->run_instructions(1);
  EXPECT_EQ(cpu->registers[kRip], handler(kGeneralProtection));
  EXPECT_EQ(frame(0), 0u);
}

TEST_F(Interrupt, HardwareInterruptWakesFromHltAndReturnsBehindIt) {
  enter_long();
  cpu->system_flags |= rflags::kIf;
  execute({0xF4});
  EXPECT_EQ(cpu->activity, Activity::Halted);
  apic.vector = 17;
  cpu->set_interrupt_pending(true);
  load_code({0x90}, handler(17));
  cpu->run_instructions(1);
  EXPECT_EQ(cpu->registers[kRip], handler(17) + 1);
  EXPECT_EQ(frame(0), kCode + 1);
}

TEST_F(Interrupt, NmiIsBlockedUntilIret) {
  enter_long();
  load_code({0x90, 0x48, 0xCF}, handler(kNmi));
  load_code({0x90, 0x90});
  cpu->registers[kRip] = kCode;
  cpu->raise_nmi();
  cpu->run_instructions(1);
  EXPECT_EQ(cpu->registers[kRip], handler(kNmi) + 1);
  EXPECT_TRUE(cpu->nmi_blocked);
  cpu->run_instructions(1);
  EXPECT_FALSE(cpu->nmi_blocked);
  EXPECT_EQ(cpu->registers[kRip], kCode);
}

TEST_F(Interrupt, MovSsHoldsInterruptsOffForOneInstruction) {
  enter_long();
  cpu->system_flags |= rflags::kIf;
  apic.vector = 17;
  cpu->registers[kRax] = selector::kData0;
  load_code({0x8E, 0xD0, 0x90, 0x90});
  cpu->registers[kRip] = kCode;
  cpu->run_instructions(1);
  cpu->set_interrupt_pending(true);
  cpu->run_instructions(1);
  EXPECT_EQ(cpu->registers[kRip], handler(17));
  EXPECT_EQ(frame(0), kCode + 3);
}

}  // namespace
}  // namespace calco::cpu
