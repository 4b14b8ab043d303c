// The state of a processor goes into the kernel and comes back.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>

#include "machine/accel/kvm/kvm_call.h"
#include "machine/accel/kvm/kvm_registers.h"
#include "tests/machine/kvm/kvm_fixture.h"

namespace calco::machine {
namespace {

using cpu::CpuState;
using cpu::Segment;
using ::testing::ElementsAreArray;

bool operator_equal(const Segment& a, const Segment& b) {
  return a.selector == b.selector && a.attributes == b.attributes && a.limit == b.limit && a.base == b.base;
}

// Into the kernel and back.
void round_trip(KvmRig& rig) {
  ASSERT_TRUE(rig.vcpu->load());
  rig.vcpu->leave(rig.cpu());
}

void expect_same_segments(const CpuState& before, const CpuState& after) {
  for (unsigned which = cpu::kEs; which <= cpu::kGs; ++which) {
    EXPECT_TRUE(operator_equal(before.segments[which], after.segments[which])) << "segment " << which;
  }
  EXPECT_TRUE(operator_equal(before.tr, after.tr));
  EXPECT_EQ(before.gdtr.base, after.gdtr.base);
  EXPECT_EQ(before.gdtr.limit, after.gdtr.limit);
  EXPECT_EQ(before.idtr.base, after.idtr.base);
  EXPECT_EQ(before.idtr.limit, after.idtr.limit);
}

TEST(KvmRegisters, GeneralRegistersAndFlagsAreExactBothWays) {
  CpuState before;
  for (unsigned i = 0; i <= cpu::kR15; ++i) before.registers[i] = 0x1111111111111111u * i + 7;
  before.registers[cpu::kRip] = 0xFFFFFFFF81000000;
  cpu::set_rflags_value(before, 0x40AD7);
  CpuState after;
  from_kvm_registers(to_kvm_registers(before), after);
  EXPECT_EQ(after.registers, before.registers);
  EXPECT_EQ(cpu::rflags_value(after), cpu::rflags_value(before));
}

TEST(KvmRegisters, HiddenPartsOfSegmentsAreExactBothWays) {
  CpuState before;
  before.efer = cpu::efer::kLma;
  before.cr0 = cpu::cr0::kPe;
  before.segments[cpu::kCs] = {0x33, 0xA0FB, 0xFFFFFFFF, 0};
  before.segments[cpu::kSs] = {0x2B, 0xC0F3, 0xFFFFFFFF, 0};
  before.segments[cpu::kFs] = {0, 0, 0, 0x7F1234567890};
  before.ldtr = {0x48, Segment::kP | 2, 0x27, 0xFFFF888000010000};
  before.tr = {0x40, Segment::kP | 0xB, 0x206F, 0xFFFFFE0000003000};
  CpuState after;
  from_kvm_special_registers(to_kvm_special_registers(before), after);
  expect_same_segments(before, after);
  EXPECT_TRUE(operator_equal(after.ldtr, before.ldtr));
  EXPECT_EQ(after.cpl, 3);
}

TEST(KvmRegisters, StackTopAndTagsFollowTheX87Format) {
  CpuState before;
  before.x87.top = 5;
  before.x87.empty = 0x1F;
  before.x87.status = 0x4100;
  before.x87.control = 0x027F;
  for (unsigned i = 0; i < 8; ++i)
    before.x87.physical[i] = {0x8000000000000000u + i, static_cast<uint16_t>(0x3FFF + i), {}};
  before.xcr0 = 7;
  before.mxcsr = 0x9FC0;
  for (unsigned i = 0; i < 16; ++i) before.vectors[i].qwords = {i, i + 1, i + 2, i + 3};
  std::vector<uint8_t> area(4096);
  to_xsave_area(before, area);
  CpuState after;
  from_xsave_area(area, after);
  EXPECT_EQ(std::memcmp(&after.x87, &before.x87, sizeof(before.x87)), 0);
  EXPECT_EQ(std::memcmp(&after.vectors, &before.vectors, sizeof(before.vectors)), 0);
  EXPECT_EQ(after.mxcsr, before.mxcsr);
}

TEST(KvmRegisters, WaitingDeliveriesBecomeEvents) {
  CpuState state;
  kvm_vcpu_events events{};
  events.exception.injected = 1;
  events.exception.nr = cpu::kPageFault;
  events.exception.has_error_code = 1;
  events.exception.error_code = 2;
  events.nmi.pending = 1;
  events.nmi.masked = 1;
  events.interrupt.shadow = KVM_X86_SHADOW_INT_MOV_SS;
  const KvmPendingEvents pending = from_kvm_events(events, state);
  ASSERT_TRUE(pending.undelivered);
  EXPECT_EQ(pending.undelivered->source, cpu::InterruptSource::Exception);
  EXPECT_EQ(pending.undelivered->vector, cpu::kPageFault);
  EXPECT_EQ(pending.undelivered->error_code, 2u);
  EXPECT_TRUE(pending.nmi_pending && state.nmi_blocked && state.interrupt_shadow && state.debug_shadow);
}

TEST(KvmState, ResetStateComesBack) {
  CALCO_NEEDS_KVM();
  KvmRig rig;
  rig.cpu().reset();
  const CpuState before = rig.cpu();
  round_trip(rig);
  expect_same_segments(before, rig.cpu());
  EXPECT_EQ(rig.cpu().registers, before.registers);
  EXPECT_EQ(rig.cpu().cr0, before.cr0);
  EXPECT_EQ(rig.cpu().x87.control, before.x87.control);
  EXPECT_EQ(rig.cpu().dr, before.dr);
}

TEST(KvmState, LongModeComesBack) {
  CALCO_NEEDS_KVM();
  KvmRig rig;
  rig.fixture.enter_long();
  for (unsigned i = 0; i <= cpu::kR15; ++i) rig.cpu().registers[i] = 0x0101010101010101u * i;
  cpu::set_rflags_value(rig.cpu(), 0x8D7);
  rig.cpu().cr2 = 0xFFFF800012345000;
  rig.cpu().segments[cpu::kGs].base = 0xFFFF888000000000;
  const CpuState before = rig.cpu();
  round_trip(rig);
  expect_same_segments(before, rig.cpu());
  EXPECT_EQ(rig.cpu().registers, before.registers);
  EXPECT_EQ(cpu::rflags_value(rig.cpu()), cpu::rflags_value(before));
  EXPECT_THAT((std::array{rig.cpu().cr0, rig.cpu().cr2, rig.cpu().cr3, rig.cpu().cr4, rig.cpu().efer}),
              ElementsAreArray({before.cr0, before.cr2, before.cr3, before.cr4, before.efer}));
}

TEST(KvmState, ProtectedModeAtPrivilegeLevel3ComesBack) {
  CALCO_NEEDS_KVM();
  KvmRig rig;
  rig.fixture.enter_protected(3);
  const CpuState before = rig.cpu();
  round_trip(rig);
  expect_same_segments(before, rig.cpu());
  EXPECT_EQ(rig.cpu().cpl, 3);
}

TEST(KvmState, ModelSpecificRegistersComeBack) {
  CALCO_NEEDS_KVM();
  KvmRig rig;
  rig.fixture.enter_long();
  CpuState& state = rig.cpu();
  state.star = 0x0023001000000000;
  state.lstar = 0xFFFFFFFF81800000;
  state.cstar = 0xFFFFFFFF81900000;
  state.syscall_mask = 0x47700;
  state.kernel_gs_base = 0x7FFF00001000;
  state.sysenter_cs = 0x10;
  state.sysenter_esp = 0xFFFFFE0000002000;
  state.sysenter_eip = 0xFFFFFFFF81A00000;
  state.pat = 0x0407050600070106;
  state.mtrr.base[0] = 0xC0000000;
  state.mtrr.mask[0] = 0xFFC0000800;
  state.mtrr.fixed[0] = 0x0606060606060606;
  state.mtrr.default_type = 0xC06;
  state.mcg_status = 4;
  const CpuState before = state;
  round_trip(rig);
  EXPECT_THAT((std::array{state.star, state.lstar, state.cstar, state.syscall_mask, state.kernel_gs_base}),
              ElementsAreArray({before.star, before.lstar, before.cstar, before.syscall_mask, before.kernel_gs_base}));
  EXPECT_THAT(
      (std::array{state.sysenter_cs, state.sysenter_esp, state.sysenter_eip, state.pat, state.mcg_status}),
      ElementsAreArray({before.sysenter_cs, before.sysenter_esp, before.sysenter_eip, before.pat, before.mcg_status}));
  EXPECT_EQ(state.mtrr.base, before.mtrr.base);
  EXPECT_EQ(state.mtrr.mask, before.mtrr.mask);
  EXPECT_EQ(state.mtrr.fixed, before.mtrr.fixed);
  EXPECT_EQ(state.mtrr.default_type, before.mtrr.default_type);
}

TEST(KvmState, FloatingPointAndVectorsComeBack) {
  CALCO_NEEDS_KVM();
  KvmRig rig;
  rig.fixture.enter_long();
  CpuState& state = rig.cpu();
  state.x87.top = 6;
  state.x87.empty = 0x3F;
  state.x87.control = 0x0F7F;
  state.x87.physical[6] = {0xC90FDAA22168C235, 0x4000, {}};
  state.x87.physical[7] = {0x8000000000000000, 0x3FFF, {}};
  for (unsigned i = 0; i < 16; ++i) state.vectors[i].qwords = {0x1000u + i, 0x2000u + i, 0, 0};
  state.mxcsr = 0x1FA0;
  const CpuState before = state;
  round_trip(rig);
  EXPECT_EQ(std::memcmp(&state.x87, &before.x87, sizeof(before.x87)), 0);
  EXPECT_EQ(std::memcmp(&state.vectors, &before.vectors, sizeof(before.vectors)), 0);
  EXPECT_EQ(state.mxcsr, before.mxcsr);
}

TEST(KvmState, DebugRegistersComeBack) {
  CALCO_NEEDS_KVM();
  KvmRig rig;
  rig.fixture.enter_long();
  rig.cpu().dr = {0x1000, 0x2000, 0xFFFFFFFF81000000, 0x4000, 0, 0, 0xFFFF4FF1, 0x000D0402};
  const CpuState before = rig.cpu();
  round_trip(rig);
  EXPECT_EQ(rig.cpu().dr, before.dr);
}

TEST(KvmState, InterruptShadowAndBlockedNmiComeBack) {
  CALCO_NEEDS_KVM();
  KvmRig rig;
  rig.fixture.enter_long();
  rig.cpu().nmi_blocked = true;
  rig.cpu().interrupt_shadow = true;
  round_trip(rig);
  EXPECT_TRUE(rig.cpu().nmi_blocked);
  EXPECT_TRUE(rig.cpu().interrupt_shadow);
}

TEST(KvmState, AnInterruptThatKvmHadChosenIsDeliveredWhenItIsLeft) {
  CALCO_NEEDS_KVM();
  KvmRig rig;
  rig.fixture.enter_long();
  ASSERT_TRUE(rig.vcpu->load());
  kvm_vcpu_events events{};
  events.interrupt.injected = 1;
  events.interrupt.nr = 30;
  kvm_call(rig.vcpu->descriptor(), KVM_SET_VCPU_EVENTS, static_cast<void*>(&events), "KVM_SET_VCPU_EVENTS");
  rig.vcpu->leave(rig.cpu());
  EXPECT_EQ(rig.cpu().registers[cpu::kRip], cpu::SystemFixture::handler(30));
  EXPECT_EQ(rig.fixture.frame(0), cpu::CpuFixture::kCode);
}

TEST(KvmState, AnExceptionThatKvmHadChosenIsDeliveredWithItsErrorCode) {
  CALCO_NEEDS_KVM();
  KvmRig rig;
  rig.fixture.enter_long();
  ASSERT_TRUE(rig.vcpu->load());
  kvm_vcpu_events events{};
  events.exception.injected = 1;
  events.exception.nr = cpu::kGeneralProtection;
  events.exception.has_error_code = 1;
  events.exception.error_code = 0x28;
  kvm_call(rig.vcpu->descriptor(), KVM_SET_VCPU_EVENTS, static_cast<void*>(&events), "KVM_SET_VCPU_EVENTS");
  rig.vcpu->leave(rig.cpu());
  EXPECT_EQ(rig.cpu().registers[cpu::kRip], cpu::SystemFixture::handler(cpu::kGeneralProtection));
  EXPECT_EQ(rig.fixture.frame(0), 0x28u);
}

TEST(KvmState, TimeStampCounterGoesOnAcrossEngines) {
  CALCO_NEEDS_KVM();
  KvmRig rig;
  rig.fixture.enter_long();
  rig.cpu().tsc_offset = 123'456'789;
  // rdtsc; shl rdx, 32; or rax, rdx; hlt
  rig.fixture.load_code({0x0F, 0x31, 0x48, 0xC1, 0xE2, 0x20, 0x48, 0x09, 0xD0, 0xF4});
  const uint64_t before = rig.tsc.now() + rig.cpu().tsc_offset;
  EXPECT_EQ(rig.run(), cpu::RunExit::Halted);
  const uint64_t after = rig.tsc.now() + rig.cpu().tsc_offset;
  EXPECT_LE(before, rig.cpu().registers[cpu::kRax]);
  EXPECT_LE(rig.cpu().registers[cpu::kRax], after);
}

}  // namespace
}  // namespace calco::machine
