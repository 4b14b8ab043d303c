#include "devices/pci/i440fx.h"

#include <gtest/gtest.h>

#include "machine/core/archive.h"
#include "tests/devices/board.h"
#include "tests/devices/device_suite.h"

namespace calco::devices {
namespace {

constexpr unsigned kPam0 = 0x59;
constexpr unsigned kPam1 = 0x5A;
constexpr unsigned kSmram = 0x72;

// RAM holds 0x11 at F0000 and C0000, the BIOS ROM beneath holds 0x22; the VGA window answers 0x33.
class I440fxTest : public ::testing::Test {
 protected:
  struct Vga final : RegisterWindow {
    uint64_t read(uint64_t, unsigned) override { return 0x33; }
    void write(uint64_t, unsigned, uint64_t) override {}
  };

  I440fxTest() {
    board.memory.add_memory("rom", 0xC0000, 0x40000, rom, false);
    board.memory.add_window("vga", 0xA0000, 0x20000, vga);
    board.memory.commit();
    ram()[0xF0000] = ram()[0xC0000] = ram()[0xA0000] = 0x11;
    board.guest_memory.data()[rom] = board.guest_memory.data()[rom + 0x30000] = 0x22;
  }
  uint8_t* ram() { return board.guest_memory.data() + ram_offset; }
  uint8_t read(uint64_t address, bool smm = false) { return board.memory.read_value<uint8_t>(address, smm); }

  Board board;
  Vga vga;
  uint64_t ram_offset = board.guest_memory.allocate(1 << 20);
  uint64_t rom = board.guest_memory.allocate(0x40000);
  I440fx bridge{board.buses, ram_offset, 256 << 20, board.log};
};

struct I440fxRig {
  Board board;
  I440fx bridge{board.buses, board.guest_memory.allocate(1 << 20), 64 << 20, board.log};
  ConfigWindow configuration{bridge};
  Device& device() { return bridge; }
  std::vector<WindowUnderTest> windows() { return {{&configuration, PciDevice::kConfigurationSize}}; }
};

TEST(I440fxSuite, PassesTheDeviceSuite) { check_device<I440fxRig>(); }

TEST_F(I440fxTest, IdentifiesItselfAsQemusHostBridge) {
  EXPECT_EQ(bridge.read_config(0x00, 4), 0x12378086u);
  EXPECT_EQ(bridge.read_config(0x08, 4), 0x06000002u);
  EXPECT_EQ(bridge.read_config(0x2C, 4), 0x11001AF4u);
}

TEST_F(I440fxTest, RowBoundaryCountsEightMebibytes) { EXPECT_EQ(bridge.read_config(0x57, 1), 32u); }

TEST_F(I440fxTest, AfterResetPamSegmentsShowTheRom) {
  EXPECT_EQ(read(0xF0000), 0x22);
  board.memory.write_value<uint8_t>(0xF0000, 0x44);
  EXPECT_EQ(ram()[0xF0000], 0x11);
}

TEST_F(I440fxTest, PamReadOnlyShowsRamAndDropsStores) {
  bridge.write_config(kPam0, 1, 0x10);
  EXPECT_EQ(read(0xF0000), 0x11);
  board.memory.write_value<uint8_t>(0xF0000, 0x44);
  EXPECT_EQ(read(0xF0000), 0x11);
}

TEST_F(I440fxTest, PamWriteOnlyReadsRomAndStoresToRam) {
  bridge.write_config(kPam0, 1, 0x20);
  EXPECT_EQ(read(0xF0000), 0x22);
  board.memory.write_value<uint32_t>(0xF0000, 0x77665544);
  EXPECT_EQ(read(0xF0000), 0x22);
  EXPECT_EQ(ram()[0xF0000], 0x44);
  EXPECT_EQ(ram()[0xF0003], 0x77);
}

TEST_F(I440fxTest, PamReadWriteIsRam) {
  bridge.write_config(kPam0, 1, 0x30);
  board.memory.write_value<uint8_t>(0xF0000, 0x44);
  EXPECT_EQ(read(0xF0000), 0x44);
  EXPECT_TRUE(board.memory.view().find(0xF0000)->writable);
}

TEST_F(I440fxTest, LowPamNibbleIsTheLowerSegment) {
  bridge.write_config(kPam1, 1, 0x01);
  EXPECT_EQ(read(0xC0000), 0x11);
  EXPECT_EQ(board.memory.view().find(0xC4000)->host, board.guest_memory.data() + rom + 0x4000);
}

TEST_F(I440fxTest, OneDoublewordSetsFourPamRegisters) {
  bridge.write_config(0x5C, 4, 0x33333333);
  EXPECT_FALSE(board.memory.view().find(0xCC000)->writable);
  EXPECT_TRUE(board.memory.view().find(0xD0000)->writable);
  EXPECT_TRUE(board.memory.view().find(0xEC000)->writable);
}

TEST_F(I440fxTest, SmramIsHiddenAfterReset) {
  EXPECT_EQ(bridge.read_config(kSmram, 1), 0x02u);
  EXPECT_EQ(read(0xA0000), 0x33);
  EXPECT_EQ(read(0xA0000, true), 0x33);
}

TEST_F(I440fxTest, EnabledSmramIsSeenInSystemManagementModeOnly) {
  bridge.write_config(kSmram, 1, 0x0A);
  EXPECT_EQ(read(0xA0000), 0x33);
  EXPECT_EQ(read(0xA0000, true), 0x11);
}

TEST_F(I440fxTest, OpenSmramIsSeenByAll) {
  bridge.write_config(kSmram, 1, 0x4A);
  EXPECT_EQ(read(0xA0000), 0x11);
}

TEST_F(I440fxTest, SmramLockClosesAndFreezesTheRegister) {
  bridge.write_config(kSmram, 1, 0x5A);
  EXPECT_EQ(bridge.read_config(kSmram, 1), 0x1Au);
  bridge.write_config(kSmram, 1, 0x42);
  EXPECT_EQ(bridge.read_config(kSmram, 1), 0x1Au);
  EXPECT_EQ(read(0xA0000), 0x33);
  bridge.reset();
  EXPECT_EQ(bridge.read_config(kSmram, 1), 0x02u);
}

TEST_F(I440fxTest, LoadingASnapshotRestoresTheLayout) {
  bridge.write_config(kPam0, 1, 0x30);
  Archive saved;
  bridge.serialize(saved);
  bridge.reset();
  EXPECT_EQ(read(0xF0000), 0x22);
  Archive loaded(saved.bytes());
  bridge.serialize(loaded);
  EXPECT_EQ(read(0xF0000), 0x11);
}

}  // namespace
}  // namespace calco::devices
