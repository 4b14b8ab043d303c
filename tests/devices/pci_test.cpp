#include <gtest/gtest.h>

#include <stdexcept>

#include "devices/pci/pci_device.h"
#include "devices/pci/pci_host.h"
#include "machine/core/archive.h"
#include "tests/devices/board.h"
#include "tests/devices/device_suite.h"

namespace calco::devices {
namespace {

struct Scratch final : RegisterWindow {
  uint64_t value = 0x5A;
  uint64_t read(uint64_t offset, unsigned) override { return value + offset; }
  void write(uint64_t, unsigned, uint64_t written) override { value = written; }
};

// One function with a BAR of each kind.
class Card final : public PciDevice {
 public:
  Card(const Board& board, uint64_t frame_buffer, IrqLine interrupt)
      : PciDevice("card", {.vendor = 0x1234, .device = 0x5678, .class_code = 0xFF0000, .interrupt_pin = 1}, board.buses,
                  std::move(interrupt)) {
    add_window_bar(0, BarKind::Memory32, 0x1000, registers);
    add_window_bar(1, BarKind::Io, 0x40, port_registers);
    add_memory_bar(2, BarKind::PrefetchableMemory64, 0x10000, frame_buffer);
    add_expansion_rom(0x800, frame_buffer);
    define(0xF0, 4, 0x11223344, 0x00FF00FF, 0xFF000000);
    first_capability = add_capability(0x09, 6);
    second_capability = add_capability(0x11, 12);
  }
  using PciDevice::set_interrupt;

  Scratch registers;
  Scratch port_registers;
  uint8_t first_capability;
  uint8_t second_capability;
  unsigned observed = 0;

 protected:
  void config_written(unsigned offset, unsigned) override { observed = offset; }
};

class Pci : public ::testing::Test {
 protected:
  Pci() {
    host.attach(3, 0, card);
    board.ports.attach(PciHost::kPort, PciHost::kPortCount, host);
  }
  void select(unsigned offset) { board.ports.write(0xCF8, 4, 0x80001800 | offset); }
  uint32_t read(unsigned offset, unsigned size = 4) {
    select(offset & ~3u);
    return board.ports.read(static_cast<uint16_t>(0xCFC + offset % 4), size);
  }
  void write(unsigned offset, uint32_t value, unsigned size = 4) {
    select(offset & ~3u);
    board.ports.write(static_cast<uint16_t>(0xCFC + offset % 4), size, value);
  }

  Board board;
  WireProbe interrupt;
  uint64_t frame_buffer = board.guest_memory.allocate(0x10000);
  Card card{board, frame_buffer, interrupt.line()};
  PciHost host;
};

struct CardRig {
  Board board;
  Card card{board, board.guest_memory.allocate(0x10000), IrqLine()};
  ConfigWindow configuration{card};
  Device& device() { return card; }
  std::vector<WindowUnderTest> windows() { return {{&configuration, PciDevice::kConfigurationSize}}; }
};

TEST(PciSuite, FunctionPassesTheDeviceSuite) { check_device<CardRig>(); }

struct HostRig {
  PciHost host;
  Device& device() { return host; }
  std::vector<WindowUnderTest> windows() { return {{&host, PciHost::kPortCount}}; }
};

TEST(PciSuite, HostPassesTheDeviceSuite) { check_device<HostRig>(); }

TEST_F(Pci, ConfigAddressReadsBackWithReservedBitsZero) {
  board.ports.write(0xCF8, 4, 0xFFFFFFFF);
  EXPECT_EQ(board.ports.read(0xCF8, 4), 0x80FFFFFCu);
}

TEST_F(Pci, ConfigAddressTakesOnlyDoublewords) {
  board.ports.write(0xCF8, 4, 0x80001804);
  board.ports.write(0xCFB, 1, 0x01);
  board.ports.write(0xCF8, 2, 0);
  EXPECT_EQ(board.ports.read(0xCF8, 4), 0x80001804u);
}

TEST_F(Pci, ConfigDataReadsBytesWordsAndDoublewords) {
  EXPECT_EQ(read(0x00), 0x56781234u);
  EXPECT_EQ(read(0x02, 2), 0x5678u);
  EXPECT_EQ(read(0x01, 1), 0x12u);
}

TEST_F(Pci, AbsentFunctionsReadAllOnes) {
  board.ports.write(0xCF8, 4, 0x80002000);
  EXPECT_EQ(board.ports.read(0xCFC, 4), 0xFFFFFFFFu);
  board.ports.write(0xCF8, 4, 0x80011800);
  EXPECT_EQ(board.ports.read(0xCFC, 4), 0xFFFFFFFFu);
}

TEST_F(Pci, ConfigDataIsClosedWithoutTheEnableBit) {
  board.ports.write(0xCF8, 4, 0x00001800);
  EXPECT_EQ(board.ports.read(0xCFC, 4), 0xFFFFFFFFu);
}

TEST_F(Pci, ASlotIsTakenOnce) { EXPECT_THROW(host.attach(3, 0, card), std::invalid_argument); }

TEST_F(Pci, WriteMasksProtectReadOnlyBits) {
  write(0xF0, 0x00AABBCC);
  EXPECT_EQ(read(0xF0), 0x11AA33CCu);
  EXPECT_EQ(card.observed, 0xF0u);
}

TEST_F(Pci, OnesClearWriteOneToClearBits) {
  write(0xF3, 0x01, 1);
  EXPECT_EQ(read(0xF3, 1), 0x10u);
}

TEST_F(Pci, BaseAddressRegistersTellTheirSize) {
  write(0x10, 0xFFFFFFFF);
  write(0x14, 0xFFFFFFFF);
  write(0x18, 0xFFFFFFFF);
  write(0x1C, 0xFFFFFFFF);
  write(0x30, 0xFFFFFFFE);
  EXPECT_EQ(read(0x10), 0xFFFFF000u);
  EXPECT_EQ(read(0x14), 0xFFFFFFC1u);
  EXPECT_EQ(read(0x18), 0xFFFF000Cu);
  EXPECT_EQ(read(0x1C), 0xFFFFFFFFu);
  EXPECT_EQ(read(0x30), 0xFFFFF800u);
}

TEST_F(Pci, MemoryBarIsDecodedWhileTheCommandRegisterEnablesIt) {
  write(0x10, 0xFEB00000);
  EXPECT_EQ(board.memory.view().find(0xFEB00000), nullptr);
  write(pci::kCommand, pci::kCommandMemory, 2);
  EXPECT_EQ(board.memory.read_value<uint32_t>(0xFEB00004), 0x5Eu);
  EXPECT_EQ(card.bar_address(0), 0xFEB00000u);
  write(pci::kCommand, 0, 2);
  EXPECT_EQ(board.memory.view().find(0xFEB00000), nullptr);
}

TEST_F(Pci, MovingABarMovesItsWindow) {
  write(pci::kCommand, pci::kCommandMemory, 2);
  write(0x10, 0xFEB00000);
  write(0x10, 0xFEC10000);
  EXPECT_EQ(board.memory.view().find(0xFEB00000), nullptr);
  EXPECT_EQ(board.memory.read_value<uint8_t>(0xFEC10000), 0x5A);
}

TEST_F(Pci, IoBarIsDecodedWhileTheCommandRegisterEnablesIt) {
  write(0x14, 0xC000);
  EXPECT_EQ(board.ports.read(0xC002, 1), 0xFFu);
  write(pci::kCommand, pci::kCommandIo, 2);
  EXPECT_EQ(board.ports.read(0xC002, 1), 0x5Cu);
  write(0x14, 0xD000);
  EXPECT_EQ(board.ports.read(0xC002, 1), 0xFFu);
  EXPECT_EQ(board.ports.read(0xD000, 1), 0x5Au);
}

TEST_F(Pci, SixtyFourBitBarMapsAboveFourGibibytes) {
  write(0x18, 0x00000000);
  write(0x1C, 0x00000080);
  write(pci::kCommand, pci::kCommandMemory, 2);
  board.memory.write_value<uint32_t>(0x8000000010, 0xCAFE);
  EXPECT_EQ(board.guest_memory.data()[frame_buffer + 0x10], 0xFE);
}

TEST_F(Pci, ExpansionRomIsReadOnlyAndHasItsOwnEnable) {
  write(pci::kCommand, pci::kCommandMemory, 2);
  write(0x30, 0xFEA00000);
  EXPECT_EQ(board.memory.view().find(0xFEA00000), nullptr);
  write(0x30, 0xFEA00001);
  ASSERT_NE(board.memory.view().find(0xFEA00000), nullptr);
  EXPECT_FALSE(board.memory.view().find(0xFEA00000)->writable);
}

TEST_F(Pci, AddressesWrittenForSizingAreNotDecoded) {
  write(pci::kCommand, pci::kCommandMemory | pci::kCommandIo, 2);
  write(0x10, 0xFFFFFFFF);
  write(0x14, 0xFFFFFFFF);
  EXPECT_EQ(card.bar_address(0), PciDevice::kUnmapped);
  EXPECT_EQ(card.bar_address(1), PciDevice::kUnmapped);
}

TEST_F(Pci, ABarOverRamDoesNotHideIt) {
  const uint64_t ram = board.guest_memory.allocate(0x2000);
  board.memory.add_memory("ram", 0x1000, 0x2000, ram, true);
  write(0x10, 0x1000);
  write(pci::kCommand, pci::kCommandMemory, 2);
  EXPECT_EQ(board.memory.view().find(0x1000)->host, board.guest_memory.data() + ram);
}

TEST_F(Pci, InterruptDisableMasksThePinButNotTheStatus) {
  card.set_interrupt(true);
  EXPECT_TRUE(interrupt.level);
  write(pci::kCommand, pci::kCommandInterruptDisable, 2);
  EXPECT_FALSE(interrupt.level);
  EXPECT_EQ(read(pci::kStatus, 2) & pci::kStatusInterrupt, pci::kStatusInterrupt);
  write(pci::kCommand, 0, 2);
  EXPECT_TRUE(interrupt.level);
  card.set_interrupt(false);
  EXPECT_FALSE(interrupt.level);
}

TEST_F(Pci, CapabilitiesFormAListThatEndsWithZero) {
  EXPECT_NE(read(pci::kStatus, 2) & pci::kStatusCapabilities, 0u);
  EXPECT_EQ(read(pci::kCapabilities, 1), card.second_capability);
  EXPECT_EQ(read(card.second_capability, 2), 0x11u | uint32_t{card.first_capability} << 8);
  EXPECT_EQ(read(card.first_capability, 2), 0x09u);
}

TEST_F(Pci, ResetClosesBarsAndDropsTheInterrupt) {
  write(0x10, 0xFEB00000);
  write(pci::kCommand, pci::kCommandMemory, 2);
  card.set_interrupt(true);
  card.reset();
  EXPECT_FALSE(interrupt.level);
  EXPECT_EQ(board.memory.view().find(0xFEB00000), nullptr);
  EXPECT_NE(read(pci::kStatus, 2) & pci::kStatusCapabilities, 0u);
}

TEST_F(Pci, LoadingASnapshotMapsBarsAgain) {
  write(0x10, 0xFEB00000);
  write(pci::kCommand, pci::kCommandMemory, 2);
  card.set_interrupt(true);
  Archive saved;
  card.serialize(saved);
  card.reset();
  Archive loaded(saved.bytes());
  card.serialize(loaded);
  EXPECT_TRUE(interrupt.level);
  EXPECT_NE(board.memory.view().find(0xFEB00000), nullptr);
}

}  // namespace
}  // namespace calco::devices
