#include "devices/irq/ioapic.h"

#include <gtest/gtest.h>

#include "tests/devices/apic_rig.h"
#include "tests/devices/device_suite.h"

namespace calco::devices {
namespace {

struct IoApicRig : ApicRig {
  Device& device() { return ioapic; }
  std::vector<WindowUnderTest> windows() { return {{&ioapic, 4096}}; }
};

constexpr uint64_t kLevel = 1u << 15;
constexpr uint64_t kMasked = 1u << 16;
constexpr uint64_t kRemoteIrr = 1u << 14;

TEST(IoApic, PassesTheDeviceSuite) { check_device<IoApicRig>(); }

TEST(IoApic, VersionRegisterNames24Entries) {
  IoApicRig rig;
  EXPECT_EQ(rig.read_ioapic(1), 0x00170020u);
}

TEST(IoApic, EntriesAreMaskedAfterReset) {
  IoApicRig rig;
  EXPECT_EQ(rig.read_ioapic(0x10), 0x00010000u);
  EXPECT_EQ(rig.read_ioapic(0x3e), 0x00010000u);
}

TEST(IoApic, IdRegisterKeepsFourBits) {
  IoApicRig rig;
  rig.write_ioapic(0, 0xffffffff);
  EXPECT_EQ(rig.read_ioapic(0), 0x0f000000u);
}

TEST(IoApic, EdgeSendsOneMessageToThePhysicalDestination) {
  IoApicRig rig;
  rig.enable_all();
  rig.write_entry(2, uint64_t{1} << 56 | 0x30);
  rig.ioapic.set_input(2, true);
  EXPECT_EQ(rig.apics[1]->acknowledge(), 0x30);
  EXPECT_EQ(rig.apics[1]->acknowledge(), -1);
  EXPECT_FALSE(rig.pins[0].interrupt);
}

TEST(IoApic, EdgeOnAMaskedPinIsLost) {
  IoApicRig rig;
  rig.enable_all();
  rig.write_entry(4, kMasked | 0x34);
  rig.ioapic.set_input(4, true);
  rig.write_entry(4, 0x34);
  EXPECT_FALSE(rig.pins[0].interrupt);
}

TEST(IoApic, LevelOnAMaskedPinWaitsForTheUnmask) {
  IoApicRig rig;
  rig.enable_all();
  rig.write_entry(4, kMasked | kLevel | 0x34);
  rig.ioapic.set_input(4, true);
  rig.write_entry(4, kLevel | 0x34);
  EXPECT_EQ(rig.apics[0]->acknowledge(), 0x34);
}

TEST(IoApic, RemoteIrrHoldsBackALevelUntilTheLocalApicEndsIt) {
  IoApicRig rig;
  rig.enable_all();
  rig.write_entry(10, kLevel | 0x5a);
  rig.ioapic.set_input(10, true);
  EXPECT_EQ(rig.read_ioapic(0x24) & kRemoteIrr, kRemoteIrr);
  EXPECT_EQ(rig.apics[0]->acknowledge(), 0x5a);
  rig.write(0, 0xb0, 0);
  EXPECT_EQ(rig.apics[0]->acknowledge(), 0x5a);
  rig.ioapic.set_input(10, false);
  rig.write(0, 0xb0, 0);
  EXPECT_EQ(rig.read_ioapic(0x24) & kRemoteIrr, 0u);
  EXPECT_FALSE(rig.pins[0].interrupt);
}

TEST(IoApic, EoiRegisterClearsRemoteIrrOfTheVector) {
  IoApicRig rig;
  rig.enable_all();
  rig.write_entry(10, kLevel | 0x5a);
  rig.ioapic.set_input(10, true);
  rig.ioapic.set_input(10, false);
  rig.ioapic.write(0x40, 4, 0x5a);
  EXPECT_EQ(rig.read_ioapic(0x24) & kRemoteIrr, 0u);
}

TEST(IoApic, SwitchToEdgeTriggeringClearsRemoteIrr) {
  IoApicRig rig;
  rig.enable_all();
  rig.write_entry(10, kLevel | 0x5a);
  rig.ioapic.set_input(10, true);
  rig.write_entry(10, kMasked | 0x5a);
  EXPECT_EQ(rig.read_ioapic(0x24), kMasked | 0x5a);
}

TEST(IoApic, RemoteIrrAndDeliveryStatusAreReadOnly) {
  IoApicRig rig;
  rig.write_entry(3, kLevel | kMasked | kRemoteIrr | 0x1000);
  EXPECT_EQ(rig.read_ioapic(0x16), kLevel | kMasked);
}

TEST(IoApic, LogicalDestinationReachesEveryMember) {
  IoApicRig rig;
  rig.enable_all();
  rig.write_entry(5, uint64_t{0x05} << 56 | 0x800 | 0x41);
  rig.ioapic.set_input(5, true);
  EXPECT_TRUE(rig.pins[0].interrupt);
  EXPECT_FALSE(rig.pins[1].interrupt);
  EXPECT_TRUE(rig.pins[2].interrupt);
}

TEST(IoApic, LowestPriorityGoesToTheLeastBusyDestination) {
  IoApicRig rig;
  rig.enable_all();
  rig.write(0, 0x80, 0x40);
  rig.write(2, 0x80, 0x20);
  rig.write_entry(5, uint64_t{0x05} << 56 | 0x900 | 0x61);
  rig.ioapic.set_input(5, true);
  EXPECT_FALSE(rig.pins[0].interrupt);
  EXPECT_TRUE(rig.pins[2].interrupt);
}

TEST(IoApic, NmiSmiAndInitReachTheirPins) {
  IoApicRig rig;
  rig.write_entry(1, 0x200);
  rig.write_entry(2, 0x400);
  rig.write_entry(3, 0x500 | kLevel);
  rig.ioapic.set_input(1, true);
  rig.ioapic.set_input(2, true);
  rig.ioapic.set_input(3, true);
  EXPECT_EQ(rig.pins[0].smi, 1);
  EXPECT_EQ(rig.pins[0].nmi, 1);
  EXPECT_EQ(rig.pins[0].init, 1);
  EXPECT_EQ(rig.read_ioapic(0x16) & kRemoteIrr, 0u);
}

TEST(IoApic, ExtIntAsksThe8259ForTheVector) {
  IoApicRig rig;
  rig.enable_all();
  rig.external_vector = 0x08;
  rig.write_entry(0, 0x700);
  rig.ioapic.set_input(0, true);
  EXPECT_TRUE(rig.pins[0].interrupt);
  EXPECT_EQ(rig.apics[0]->acknowledge(), 0x08);
  EXPECT_FALSE(rig.pins[0].interrupt);
}

TEST(InterruptMessage, MsiAddressAndDataAreDecoded) {
  const InterruptMessage message = message_from_msi(0xfee0200c, 0x4151);
  EXPECT_EQ(message.destination, 2u);
  EXPECT_TRUE(message.logical);
  EXPECT_EQ(message.mode, DeliveryMode::LowestPriority);
  EXPECT_EQ(message.vector, 0x51);
  EXPECT_FALSE(message.level_triggered);
}

// --- While another does its work -------------------------------------------------------------------------------------

TEST(IoApic, IsolatedItSendsNothing) {
  IoApicRig rig;
  rig.enable_all();
  rig.write_entry(2, 0x30);
  rig.ioapic.isolate(true);
  rig.ioapic.set_input(2, true);
  EXPECT_FALSE(rig.pins[0].interrupt);
  EXPECT_EQ(rig.ioapic.pins(), 4u);
}

TEST(IoApic, LevelThatCameMeanwhileIsToldAfterwards) {
  IoApicRig rig;
  rig.enable_all();
  rig.ioapic.isolate(true);
  IoApic::Registers registers = rig.ioapic.registers();
  registers.entries[9] = kLevel | 0x39;
  rig.ioapic.set_registers(registers);
  rig.ioapic.set_input(9, true);
  rig.ioapic.isolate(false);
  EXPECT_EQ(rig.apics[0]->acknowledge(), 0x39);
}

TEST(IoApic, LevelInServiceIsNotToldAgain) {
  IoApicRig rig;
  rig.enable_all();
  rig.ioapic.isolate(true);
  rig.ioapic.set_input(9, true);
  IoApic::Registers registers = rig.ioapic.registers();
  registers.entries[9] = kLevel | kRemoteIrr | 0x39;
  rig.ioapic.set_registers(registers);
  rig.ioapic.isolate(false);
  EXPECT_FALSE(rig.pins[0].interrupt);
}

}  // namespace
}  // namespace calco::devices
