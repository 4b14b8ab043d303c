#include "devices/isa/fw_cfg.h"

#include <gtest/gtest.h>

#include <stdexcept>
#include <string>

#include "machine/core/archive.h"
#include "tests/devices/board.h"
#include "tests/devices/device_suite.h"

namespace calco::devices {
namespace {

constexpr uint32_t kRead = 0x02;
constexpr uint32_t kSkip = 0x04;
constexpr uint32_t kSelect = 0x08;
constexpr uint32_t kWrite = 0x10;
constexpr uint64_t kDescriptor = 0x100;
constexpr uint64_t kBuffer = 0x1000;

class FwCfgTest : public ::testing::Test {
 protected:
  FwCfgTest() {
    board.ports.attach(FwCfg::kPort, FwCfg::kPortCount, device);
    board.memory.add_memory("ram", 0, 0x4000, board.guest_memory.allocate(0x4000), true);
    board.memory.commit();
  }
  std::string read(uint16_t key, unsigned length) {
    board.ports.write(0x510, 2, key);
    std::string text;
    for (unsigned i = 0; i < length; ++i) text.push_back(static_cast<char>(board.ports.read(0x511, 1)));
    return text;
  }
  // Runs a DMA descriptor and returns its control field afterwards.
  uint32_t transfer(uint32_t control, uint32_t length, uint64_t address) {
    board.memory.write_value(kDescriptor, __builtin_bswap32(control));
    board.memory.write_value(kDescriptor + 4, __builtin_bswap32(length));
    board.memory.write_value(kDescriptor + 8, __builtin_bswap64(address));
    board.ports.write(0x514, 4, 0);
    board.ports.write(0x518, 4, __builtin_bswap32(kDescriptor));
    return __builtin_bswap32(board.memory.read_value<uint32_t>(kDescriptor));
  }

  Board board;
  FwCfg device{board.memory, board.log};
};

struct FwCfgRig {
  Board board;
  FwCfg fw_cfg{board.memory, board.log};
  Device& device() { return fw_cfg; }
  std::vector<WindowUnderTest> windows() { return {{&fw_cfg, FwCfg::kPortCount}}; }
};

TEST(FwCfgSuite, PassesTheDeviceSuite) { check_device<FwCfgRig>(); }

TEST_F(FwCfgTest, SignatureIsItemZero) { EXPECT_EQ(read(0x00, 4), "QEMU"); }

TEST_F(FwCfgTest, VersionTellsTraditionalAndDmaInterface) { EXPECT_EQ(read(0x01, 4), std::string("\x03\0\0\0", 4)); }

TEST_F(FwCfgTest, BytesBeyondTheEndReadAsZero) { EXPECT_EQ(read(0x00, 6), std::string("QEMU\0\0", 6)); }

TEST_F(FwCfgTest, UnknownKeysReadAsZero) { EXPECT_EQ(read(0x1234, 2), std::string("\0\0", 2)); }

TEST_F(FwCfgTest, NumbersAreLittleEndian) {
  device.add_u16(FwCfg::kProcessorCount, 0x0102);
  device.add_u64(FwCfg::kRamSize, 0x0807060504030201);
  EXPECT_EQ(read(FwCfg::kProcessorCount, 2), "\x02\x01");
  EXPECT_EQ(read(FwCfg::kRamSize, 8), "\x01\x02\x03\x04\x05\x06\x07\x08");
}

TEST_F(FwCfgTest, DirectoryListsFilesSortedByName) {
  device.add_file("etc/b", {1, 2, 3});
  device.add_file("etc/a", {4});
  const std::string directory = read(FwCfg::kFileDirectory, 4 + 2 * 64);
  EXPECT_EQ(directory.substr(0, 4), std::string("\0\0\0\2", 4));
  EXPECT_EQ(directory.substr(4, 8), std::string("\0\0\0\1\0\x20\0\0", 8));
  EXPECT_EQ(directory.substr(12, 6), std::string("etc/a\0", 6));
  EXPECT_EQ(directory.substr(68, 8), std::string("\0\0\0\3\0\x21\0\0", 8));
  EXPECT_EQ(read(0x20, 1), "\x04");
  EXPECT_EQ(read(0x21, 3), "\x01\x02\x03");
}

TEST_F(FwCfgTest, BadFileNamesAreRefused) {
  device.add_file("etc/a", {});
  EXPECT_THROW(device.add_file("etc/a", {}), std::invalid_argument);
  EXPECT_THROW(device.add_file("", {}), std::invalid_argument);
  EXPECT_THROW(device.add_file(std::string(56, 'x'), {}), std::invalid_argument);
}

TEST_F(FwCfgTest, SelectingAFileCallsItsBuilder) {
  device.add_file("etc/late", {}, {.selected = [this] { device.replace_file("etc/late", {7}); }});
  EXPECT_EQ(read(0x20, 1), "\x07");
}

TEST_F(FwCfgTest, DmaAddressRegisterReadsAsSignature) {
  EXPECT_EQ(__builtin_bswap32(board.ports.read(0x514, 4)), 0x51454D55u);
  EXPECT_EQ(__builtin_bswap32(board.ports.read(0x518, 4)), 0x20434647u);
}

TEST_F(FwCfgTest, DmaSelectsAndReads) {
  EXPECT_EQ(transfer(kSelect | kRead, 6, kBuffer), 0u);
  EXPECT_EQ(board.memory.read_value<uint64_t>(kBuffer), 0x0000000000000000554D4551ull);
}

TEST_F(FwCfgTest, DmaSkipMovesTheReadPosition) {
  EXPECT_EQ(transfer(kSelect | kSkip, 2, 0), 0u);
  EXPECT_EQ(transfer(kRead, 2, kBuffer), 0u);
  EXPECT_EQ(board.memory.read_value<uint16_t>(kBuffer), 0x554D);
}

TEST_F(FwCfgTest, DmaWritesOnlyWritableFilesAndNotPastTheirEnd) {
  size_t written = 0;
  device.add_file("etc/fixed", {1, 2});
  device.add_file("etc/open", {1, 2},
                  {.writable = true, .written = [&](std::span<const uint8_t> bytes) { written = bytes.size(); }});
  board.memory.write_value<uint16_t>(kBuffer, 0x0908);
  EXPECT_EQ(transfer(0x20u << 16 | kSelect | kWrite, 2, kBuffer), 1u);
  EXPECT_EQ(transfer(0x21u << 16 | kSelect | kWrite, 3, kBuffer), 1u);
  EXPECT_EQ(written, 0u);
  EXPECT_EQ(transfer(0x21u << 16 | kSelect | kWrite, 2, kBuffer), 0u);
  EXPECT_EQ(written, 2u);
  EXPECT_EQ(device.file("etc/open"), (std::vector<uint8_t>{8, 9}));
  EXPECT_EQ(device.file("etc/fixed"), (std::vector<uint8_t>{1, 2}));
}

TEST_F(FwCfgTest, HugeDmaLengthStopsAtTheEndOfMemory) { EXPECT_EQ(transfer(kSelect | kRead, 0xFFFFFFFF, kBuffer), 1u); }

TEST_F(FwCfgTest, DescriptorOutsideMemoryIsIgnored) {
  board.ports.write(0x514, 4, 0xFFFFFFFF);
  board.ports.write(0x518, 4, 0xFFFFFFFF);
  EXPECT_EQ(read(0x00, 4), "QEMU");
}

TEST_F(FwCfgTest, SnapshotKeepsPositionAndWrittenFiles) {
  device.add_file("etc/open", {1, 2}, {.writable = true});
  read(0x00, 2);
  Archive saved;
  device.serialize(saved);
  device.replace_file("etc/open", {5, 6});
  device.reset();
  Archive loaded(saved.bytes());
  device.serialize(loaded);
  EXPECT_EQ(board.ports.read(0x511, 1), static_cast<uint32_t>('M'));
  EXPECT_EQ(device.file("etc/open"), (std::vector<uint8_t>{1, 2}));
}

}  // namespace
}  // namespace calco::devices
