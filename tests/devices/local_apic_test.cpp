#include "devices/irq/local_apic.h"

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <thread>

#include "tests/devices/apic_rig.h"
#include "tests/devices/device_suite.h"

namespace calco::devices {
namespace {

TEST(LocalApic, PassesTheDeviceSuite) { check_device<ApicRig>(); }

TEST(LocalApic, VersionIs14HWithSixLocalVectors) {
  ApicRig rig;
  EXPECT_EQ(rig.read(0, 0x30), 0x00050014u);
}

TEST(LocalApic, ResetStateIsSoftwareDisabledWithMaskedVectors) {
  ApicRig rig;
  EXPECT_EQ(rig.read(0, 0xf0), 0xffu);
  EXPECT_EQ(rig.read(0, 0x320), 0x10000u);
  EXPECT_EQ(rig.read(0, 0xe0), 0xffffffffu);
  EXPECT_EQ(rig.read(2, 0x20), 0x02000000u);
}

TEST(LocalApic, MaskBitsStaySetWhileSoftwareDisabled) {
  ApicRig rig;
  rig.write(0, 0x370, 0x00fe);
  EXPECT_EQ(rig.read(0, 0x370), 0x100feu);
}

TEST(LocalApic, SoftwareDisableMasksTheLocalVectors) {
  ApicRig rig;
  rig.enable_all();
  rig.write(0, 0x350, 0x700);
  rig.write(0, 0xf0, 0x0ff);
  EXPECT_EQ(rig.read(0, 0x350), 0x10700u);
}

TEST(LocalApic, FixedIpiMovesFromRequestedToInService) {
  ApicRig rig;
  rig.enable_all();
  rig.send_command(0, 1, 0x4041);
  EXPECT_EQ(rig.read(1, 0x220), 0x2u);
  EXPECT_TRUE(rig.pins[1].interrupt);
  EXPECT_EQ(rig.apics[1]->acknowledge(), 0x41);
  EXPECT_EQ(rig.read(1, 0x220), 0x0u);
  EXPECT_EQ(rig.read(1, 0x120), 0x2u);
  EXPECT_FALSE(rig.pins[1].interrupt);
  rig.write(1, 0xb0, 0);
  EXPECT_EQ(rig.read(1, 0x120), 0x0u);
}

TEST(LocalApic, SoftwareDisabledApicRefusesFixedInterrupts) {
  ApicRig rig;
  rig.write(0, 0xf0, 0x1ff);
  rig.send_command(0, 1, 0x4041);
  EXPECT_EQ(rig.read(1, 0x220), 0x0u);
}

TEST(LocalApic, TaskPriorityHoldsBackItsClassAndBelow) {
  ApicRig rig;
  rig.enable_all();
  rig.write(1, 0x80, 0x40);
  rig.send_command(0, 1, 0x404f);
  EXPECT_FALSE(rig.pins[1].interrupt);
  EXPECT_EQ(rig.apics[1]->acknowledge(), -1);
  rig.send_command(0, 1, 0x4050);
  EXPECT_TRUE(rig.pins[1].interrupt);
  EXPECT_EQ(rig.apics[1]->acknowledge(), 0x50);
  EXPECT_EQ(rig.read(1, 0xa0), 0x50u);
}

TEST(LocalApic, Cr8IsTheTaskPriorityClass) {
  ApicRig rig;
  rig.enable_all();
  rig.apics[0]->set_task_priority_class(9);
  EXPECT_EQ(rig.read(0, 0x80), 0x90u);
  rig.write(0, 0x80, 0x37);
  EXPECT_EQ(rig.apics[0]->task_priority_class(), 3);
}

TEST(LocalApic, HigherClassInterruptsLowerInService) {
  ApicRig rig;
  rig.enable_all();
  rig.send_command(0, 1, 0x4041);
  EXPECT_EQ(rig.apics[1]->acknowledge(), 0x41);
  rig.send_command(0, 1, 0x404f);
  EXPECT_FALSE(rig.pins[1].interrupt);
  rig.send_command(0, 1, 0x4061);
  EXPECT_EQ(rig.apics[1]->acknowledge(), 0x61);
  rig.write(1, 0xb0, 0);
  EXPECT_FALSE(rig.pins[1].interrupt);
  rig.write(1, 0xb0, 0);
  EXPECT_EQ(rig.apics[1]->acknowledge(), 0x4f);
}

TEST(LocalApic, ShorthandsChooseTheirDestinations) {
  ApicRig rig;
  rig.enable_all();
  rig.write(0, 0x300, 0x44041);
  EXPECT_TRUE(rig.pins[0].interrupt);
  EXPECT_FALSE(rig.pins[1].interrupt);
  rig.write(1, 0x300, 0xc4042);
  EXPECT_FALSE(rig.pins[1].interrupt);
  EXPECT_TRUE(rig.pins[2].interrupt);
  rig.write(1, 0x300, 0x84043);
  EXPECT_TRUE(rig.pins[1].interrupt);
}

TEST(LocalApic, PhysicalDestinationFfhIsEverybody) {
  ApicRig rig;
  rig.enable_all();
  rig.send_command(0, 0xff, 0x4051);
  EXPECT_TRUE(rig.pins[0].interrupt);
  EXPECT_TRUE(rig.pins[1].interrupt);
  EXPECT_TRUE(rig.pins[2].interrupt);
}

TEST(LocalApic, ClusterModelComparesClusterAndMember) {
  ApicRig rig;
  rig.enable_all();
  rig.write(0, 0xe0, 0x0fffffff);
  rig.write(0, 0xd0, 0x11000000);
  rig.write(1, 0xe0, 0x0fffffff);
  rig.write(1, 0xd0, 0x12000000);
  rig.write(2, 0xe0, 0x0fffffff);
  rig.write(2, 0xd0, 0x22000000);
  rig.send_command(0, 0x12, 0x4851);
  EXPECT_FALSE(rig.pins[0].interrupt);
  EXPECT_TRUE(rig.pins[1].interrupt);
  EXPECT_FALSE(rig.pins[2].interrupt);
}

TEST(LocalApic, InitAndStartUpReachADisabledApplicationProcessor) {
  ApicRig rig;
  rig.send_command(0, 1, 0x0000c500);
  rig.send_command(0, 1, 0x00008500);
  rig.send_command(0, 1, 0x0000069a);
  EXPECT_EQ(rig.pins[1].init, 1);
  EXPECT_EQ(rig.pins[1].start_vectors, std::vector<uint8_t>{0x9a});
}

TEST(LocalApic, NmiAndSmiCommandsIgnoreTheVector) {
  ApicRig rig;
  rig.send_command(0, 2, 0x4402);
  rig.send_command(0, 2, 0x4200);
  EXPECT_EQ(rig.pins[2].nmi, 1);
  EXPECT_EQ(rig.pins[2].smi, 1);
}

TEST(LocalApic, InitKeepsIdAndBase) {
  ApicRig rig;
  rig.apics[1]->set_base_register(0xfed00800);
  rig.enable_all();
  rig.apics[1]->init_reset();
  EXPECT_EQ(rig.apics[1]->base_register(), 0xfed00800u);
  EXPECT_EQ(rig.read(1, 0x20), 0x01000000u);
  EXPECT_EQ(rig.read(1, 0xf0), 0xffu);
}

TEST(LocalApic, IllegalVectorIsLoggedAndRaisesTheErrorInterrupt) {
  ApicRig rig;
  rig.enable_all();
  rig.write(0, 0x370, 0xfe);
  rig.send_command(0, 1, 0x4005);
  EXPECT_EQ(rig.read(0, 0x280), 0x00u);
  rig.write(0, 0x280, 0);
  EXPECT_EQ(rig.read(0, 0x280), 0x20u);
  EXPECT_EQ(rig.apics[0]->acknowledge(), 0xfe);
  rig.write(0, 0x280, 0);
  EXPECT_EQ(rig.read(0, 0x280), 0x00u);
}

TEST(LocalApic, AccessToAReservedRegisterIsLogged) {
  ApicRig rig;
  rig.enable_all();
  rig.read(0, 0x3f0);
  rig.write(0, 0x280, 0);
  EXPECT_EQ(rig.read(0, 0x280), 0x80u);
}

// --- 8259 and local pins
// ----------------------------------------------------------------------------------------------

TEST(LocalApic, Intr8259ReachesTheBootstrapProcessorBeforeTheApicIsEnabled) {
  ApicRig rig;
  rig.external_vector = 0x08;
  rig.bus.set_lint0(true);
  EXPECT_TRUE(rig.pins[0].interrupt);
  EXPECT_FALSE(rig.pins[1].interrupt);
  EXPECT_EQ(rig.apics[0]->acknowledge(), 0x08);
  rig.bus.set_lint0(false);
  EXPECT_FALSE(rig.pins[0].interrupt);
}

TEST(LocalApic, Intr8259ReachesTheProcessorWhileGloballyDisabled) {
  ApicRig rig;
  rig.apics[0]->set_base_register(0xfee00000);
  rig.bus.set_lint0(true);
  EXPECT_TRUE(rig.pins[0].interrupt);
}

TEST(LocalApic, VirtualWireModePassesIntrThroughLint0) {
  ApicRig rig;
  rig.enable_all();
  rig.external_vector = 0x30;
  rig.bus.set_lint0(true);
  EXPECT_FALSE(rig.pins[0].interrupt);
  rig.write(0, 0x350, 0x8700);
  EXPECT_TRUE(rig.pins[0].interrupt);
  EXPECT_EQ(rig.apics[0]->acknowledge(), 0x30);
  EXPECT_EQ(rig.read(0, 0x110), 0u);
  rig.write(0, 0x350, 0x10700);
  EXPECT_FALSE(rig.pins[0].interrupt);
}

TEST(LocalApic, Lint0WithAFixedVectorTakesEdges) {
  ApicRig rig;
  rig.enable_all();
  rig.write(0, 0x350, 0x39);
  rig.bus.set_lint0(true);
  EXPECT_EQ(rig.apics[0]->acknowledge(), 0x39);
  rig.write(0, 0xb0, 0);
  EXPECT_FALSE(rig.pins[0].interrupt);
}

TEST(LocalApic, Lint0LevelRepeatsAfterEndOfInterrupt) {
  ApicRig rig;
  rig.enable_all();
  rig.write(0, 0x350, 0x8039);
  rig.bus.set_lint0(true);
  EXPECT_EQ(rig.apics[0]->acknowledge(), 0x39);
  EXPECT_EQ(rig.read(0, 0x350), 0xc039u);
  rig.write(0, 0xb0, 0);
  EXPECT_EQ(rig.apics[0]->acknowledge(), 0x39);
  rig.bus.set_lint0(false);
  rig.write(0, 0xb0, 0);
  EXPECT_FALSE(rig.pins[0].interrupt);
  EXPECT_EQ(rig.read(0, 0x350), 0x8039u);
}

TEST(LocalApic, Lint1DeliversNmi) {
  ApicRig rig;
  rig.enable_all();
  rig.write(1, 0x360, 0x400);
  rig.bus.set_lint1(true);
  EXPECT_EQ(rig.pins[1].nmi, 1);
  EXPECT_EQ(rig.pins[0].nmi, 0);
}

// --- Timer
// ------------------------------------------------------------------------------------------------------------

TEST(LocalApicTimer, OneShotCountsDownOnceAtTheDividedRate) {
  ApicRig rig;
  rig.enable_all();
  rig.write(0, 0x3e0, 0x3);  // divide by 16
  rig.write(0, 0x320, 0xec);
  rig.write(0, 0x380, 1000);
  rig.clock.advance(1600);
  EXPECT_EQ(rig.read(0, 0x390), 900u);
  rig.clock.advance(14399);
  EXPECT_FALSE(rig.pins[0].interrupt);
  rig.clock.advance(1);
  EXPECT_EQ(rig.apics[0]->acknowledge(), 0xec);
  EXPECT_EQ(rig.read(0, 0x390), 0u);
  rig.write(0, 0xb0, 0);
  rig.clock.advance(100000);
  EXPECT_FALSE(rig.pins[0].interrupt);
}

TEST(LocalApicTimer, PeriodicModeReloads) {
  ApicRig rig;
  rig.enable_all();
  rig.write(0, 0x3e0, 0xb);  // divide by 1
  rig.write(0, 0x320, 0x200ec);
  rig.write(0, 0x380, 1000);
  rig.clock.advance(1000);
  EXPECT_EQ(rig.apics[0]->acknowledge(), 0xec);
  rig.write(0, 0xb0, 0);
  rig.clock.advance(250);
  EXPECT_EQ(rig.read(0, 0x390), 750u);
  rig.clock.advance(750);
  EXPECT_EQ(rig.apics[0]->acknowledge(), 0xec);
}

TEST(LocalApicTimer, InitialCountZeroStopsTheTimer) {
  ApicRig rig;
  rig.enable_all();
  rig.write(0, 0x320, 0x200ec);
  rig.write(0, 0x380, 1000);
  rig.write(0, 0x380, 0);
  EXPECT_EQ(rig.clock.next_deadline(), Clock::kNever);
  EXPECT_EQ(rig.read(0, 0x390), 0u);
}

TEST(LocalApicTimer, MaskedTimerCountsButDoesNotInterrupt) {
  ApicRig rig;
  rig.enable_all();
  rig.write(0, 0x3e0, 0xb);
  rig.write(0, 0x380, 1000);
  rig.clock.advance(400);
  EXPECT_EQ(rig.read(0, 0x390), 600u);
  rig.clock.advance(1000);
  EXPECT_FALSE(rig.pins[0].interrupt);
}

TEST(LocalApicTimer, TscDeadlineFiresOnceAndReadsZero) {
  ApicRig rig;
  rig.enable_all();
  rig.write(0, 0x320, 0x400ec);
  rig.apics[0]->set_tsc_deadline(2001);
  EXPECT_EQ(rig.apics[0]->tsc_deadline(), 2001u);
  rig.clock.advance(1000);
  EXPECT_FALSE(rig.pins[0].interrupt);
  rig.clock.advance(1);
  EXPECT_EQ(rig.apics[0]->acknowledge(), 0xec);
  EXPECT_EQ(rig.apics[0]->tsc_deadline(), 0u);
}

TEST(LocalApicTimer, TscDeadlineInThePastFiresAtOnce) {
  ApicRig rig;
  rig.enable_all();
  rig.clock.advance(1000);
  rig.write(0, 0x320, 0x400ec);
  rig.apics[0]->set_tsc_deadline(1);
  EXPECT_EQ(rig.apics[0]->acknowledge(), 0xec);
}

TEST(LocalApicTimer, WritingZeroDisarmsTheDeadline) {
  ApicRig rig;
  rig.enable_all();
  rig.write(0, 0x320, 0x400ec);
  rig.apics[0]->set_tsc_deadline(2000);
  rig.apics[0]->set_tsc_deadline(0);
  EXPECT_EQ(rig.clock.next_deadline(), Clock::kNever);
}

TEST(LocalApicTimer, DeadlineIsIgnoredInTheOtherModes) {
  ApicRig rig;
  rig.enable_all();
  rig.write(0, 0x320, 0x000ec);
  rig.apics[0]->set_tsc_deadline(2000);
  EXPECT_EQ(rig.apics[0]->tsc_deadline(), 0u);
}

TEST(LocalApicTimer, LeavingDeadlineModeDisarms) {
  ApicRig rig;
  rig.enable_all();
  rig.write(0, 0x320, 0x400ec);
  rig.apics[0]->set_tsc_deadline(2000);
  rig.write(0, 0x320, 0x000ec);
  EXPECT_EQ(rig.clock.next_deadline(), Clock::kNever);
}

TEST(LocalApicTimer, LoadedTimerFiresAtItsTime) {
  ApicRig rig;
  rig.enable_all();
  rig.write(0, 0x3e0, 0xb);
  rig.write(0, 0x320, 0xec);
  rig.write(0, 0x380, 1000);
  ApicRig copy;
  load_state(copy.device(), saved_state(rig.device()));
  copy.clock.advance(1000);
  EXPECT_EQ(copy.apics[0]->acknowledge(), 0xec);
}

// --- x2APIC and IA32_APIC_BASE
// ----------------------------------------------------------------------------------------

TEST(X2apic, ModeTransitionsFollowTheStateDiagram) {
  ApicRig rig;
  LocalApic& apic = *rig.apics[0];
  EXPECT_EQ(apic.base_register(), 0xfee00900u);
  EXPECT_FALSE(apic.set_base_register(0xfee00500));  // x2APIC without enable
  EXPECT_TRUE(apic.set_base_register(0xfee00d00));
  EXPECT_FALSE(apic.set_base_register(0xfee00900));  // x2APIC to xAPIC
  EXPECT_TRUE(apic.set_base_register(0xfee00100));
  EXPECT_FALSE(apic.set_base_register(0xfee00d00));  // disabled to x2APIC
  EXPECT_TRUE(apic.set_base_register(0xfee00900));
}

TEST(X2apic, BaseRefusesReservedBits) {
  ApicRig rig;
  EXPECT_FALSE(rig.apics[0]->set_base_register(0xfee00901));
  EXPECT_FALSE(rig.apics[0]->set_base_register(0xfee00b00));
  EXPECT_FALSE(rig.apics[0]->set_base_register(uint64_t{1} << 40 | 0x900));
}

TEST(X2apic, NewBaseIsReported) {
  ApicRig rig;
  rig.apics[0]->set_base_register(0xfed00900);
  EXPECT_EQ(rig.reported_base, 0xfed00900u);
}

TEST(X2apic, RegistersAreMsrsAndThePageFallsSilent) {
  ApicRig rig;
  uint64_t value = 0;
  EXPECT_FALSE(rig.apics[2]->read_x2apic(0x02, value));
  rig.enable_x2apic();
  EXPECT_TRUE(rig.apics[2]->read_x2apic(0x02, value));
  EXPECT_EQ(value, 2u);
  EXPECT_EQ(rig.read(2, 0x20), 0xffffffffu);
}

TEST(X2apic, LogicalIdIsDerivedFromTheId) {
  ApicRig rig;
  rig.enable_x2apic();
  uint64_t value = 0;
  EXPECT_TRUE(rig.apics[2]->read_x2apic(0x0d, value));
  EXPECT_EQ(value, 0x4u);
  EXPECT_FALSE(rig.apics[2]->write_x2apic(0x0d, 0));
}

TEST(X2apic, CommandRegisterIsOne64BitMsr) {
  ApicRig rig;
  rig.enable_x2apic();
  EXPECT_TRUE(rig.apics[0]->write_x2apic(0x30, 0x00000006'00004851));
  EXPECT_FALSE(rig.pins[0].interrupt);
  EXPECT_TRUE(rig.pins[1].interrupt);
  EXPECT_TRUE(rig.pins[2].interrupt);
  uint64_t value = 0;
  EXPECT_TRUE(rig.apics[0]->read_x2apic(0x30, value));
  EXPECT_EQ(value, 0x00000006'00004851u);
  EXPECT_FALSE(rig.apics[0]->read_x2apic(0x31, value));
}

TEST(X2apic, SelfIpiRegisterInterruptsTheWriter) {
  ApicRig rig;
  rig.enable_x2apic();
  EXPECT_TRUE(rig.apics[1]->write_x2apic(0x3f, 0x77));
  EXPECT_EQ(rig.apics[1]->acknowledge(), 0x77);
  uint64_t value = 0;
  EXPECT_FALSE(rig.apics[1]->read_x2apic(0x3f, value));
}

TEST(X2apic, ReservedBitsAndNonZeroEndOfInterruptFault) {
  ApicRig rig;
  rig.enable_x2apic();
  EXPECT_FALSE(rig.apics[0]->write_x2apic(0x0b, 1));
  EXPECT_TRUE(rig.apics[0]->write_x2apic(0x0b, 0));
  EXPECT_FALSE(rig.apics[0]->write_x2apic(0x08, 0x100));
  EXPECT_FALSE(rig.apics[0]->write_x2apic(0x0e, 0));
  EXPECT_FALSE(rig.apics[0]->write_x2apic(0x37, 0x200fe));
}

TEST(X2apic, IoApicReachesX2apicProcessorsByPhysicalId) {
  ApicRig rig;
  rig.enable_x2apic();
  rig.write_entry(2, uint64_t{2} << 56 | 0x30);
  rig.ioapic.set_input(2, true);
  EXPECT_EQ(rig.apics[2]->acknowledge(), 0x30);
}

// --- Threads
// ----------------------------------------------------------------------------------------------------------

// Two processors that send each other IPIs and end interrupts from two threads: no deadlock, none lost.
TEST(LocalApic, CrossingIpisNeitherDeadlockNorGetLost) {
  ApicRig rig;
  rig.enable_all();
  constexpr int kRounds = 20000;
  std::array<std::atomic<int>, 2> received{};
  auto run = [&](int self, int other) {
    for (int round = 1; round <= kRounds; ++round) {
      rig.send_command(self, static_cast<uint8_t>(other), 0x4041);
      while (rig.apics[self]->acknowledge() < 0) std::this_thread::yield();
      rig.write(self, 0xb0, 0);
      received[self] = round;
      // The same vector sent twice before its acknowledge would rightly be one interrupt.
      while (received[other] < round) std::this_thread::yield();
    }
  };
  std::thread thread([&] { run(1, 0); });
  run(0, 1);
  thread.join();
  EXPECT_EQ(received[0], kRounds);
  EXPECT_EQ(received[1], kRounds);
}

// --- While another does its work -------------------------------------------------------------------------------------

TEST(LocalApic, IsolatedItLeadsTheExternalInterruptToTheBootstrapProcessorOnly) {
  ApicRig rig;
  rig.enable_all();
  for (auto& apic : rig.apics) apic->isolate(LocalApic::Isolation::ExternalInterrupts);
  rig.external_vector = 0x08;
  rig.bus.set_lint0(true);
  EXPECT_TRUE(rig.pins[0].interrupt);
  EXPECT_FALSE(rig.pins[1].interrupt);
  EXPECT_EQ(rig.apics[0]->acknowledge(), 0x08);
  rig.apics[0]->isolate(LocalApic::Isolation::Full);
  EXPECT_FALSE(rig.pins[0].interrupt);
}

TEST(LocalApic, TimerStandsStillWhileIsolatedAndGoesOnWithWhatItWasGiven) {
  ApicRig rig;
  rig.enable_all();
  LocalApic& apic = *rig.apics[0];
  apic.isolate(LocalApic::Isolation::Full);
  LocalApic::Registers registers = apic.registers();
  registers.local_vectors[0] = 0x31;
  registers.timer = {.initial_count = 2000, .current_count = 1000, .divide_configuration = 0xb, .tsc_deadline = 0};
  apic.set_registers(registers);
  rig.clock.advance(5000);
  EXPECT_FALSE(rig.pins[0].interrupt);
  EXPECT_EQ(apic.registers(), registers);
  apic.isolate(LocalApic::Isolation::None);
  rig.clock.advance(999);
  EXPECT_FALSE(rig.pins[0].interrupt);
  rig.clock.advance(1);
  EXPECT_EQ(apic.acknowledge(), 0x31);
}

TEST(LocalApic, DeadlineThatPassedWhileIsolatedFiresAtOnce) {
  ApicRig rig;
  rig.enable_all();
  LocalApic& apic = *rig.apics[0];
  apic.isolate(LocalApic::Isolation::Full);
  LocalApic::Registers registers = apic.registers();
  registers.local_vectors[0] = 0x40031;
  registers.timer.tsc_deadline = 1000;
  apic.set_registers(registers);
  rig.clock.advance(5000);
  apic.isolate(LocalApic::Isolation::None);
  EXPECT_EQ(apic.acknowledge(), 0x31);
}

}  // namespace
}  // namespace calco::devices
