// The firmware configuration device: how the machine hands tables, kernels and settings to its firmware.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "machine/core/device.h"
#include "machine/core/register_window.h"

namespace calco {
class Log;
class MemoryMap;
}  // namespace calco

namespace calco::devices {

// Items of bytes, each chosen by a 16-bit key, read through a data port or by DMA. Named items ("files") have keys from
// 0x20 upward in the order of their names and are listed by the directory at key 0x19. Source: QEMU's
// docs/specs/fw_cfg, "QEMU Firmware Configuration (fw_cfg) Device".
//
// The window covers the twelve ports 0x510 to 0x51B: selector (word) at 0, data (byte) at 1, DMA address (two
// big-endian dwords, high first) at 4.
//
// Threads: items are added before the machine runs; everything else with the device lock held.
class FwCfg final : public Device, public RegisterWindow {
 public:
  static constexpr uint16_t kPort = 0x510;
  static constexpr uint32_t kPortCount = 12;
  static constexpr size_t kMaximumFiles = 96;
  static constexpr size_t kMaximumNameLength = 55;

  // Keys that QEMU's pc machine uses besides files (numbers are its interface to SeaBIOS, OVMF and Linux).
  enum Key : uint16_t {
    kSignature = 0x00,
    kInterfaceVersion = 0x01,
    kUuid = 0x02,
    kRamSize = 0x03,  // 64 bits
    kNoGraphic = 0x04,
    kProcessorCount = 0x05,  // 16 bits
    kMachineId = 0x06,
    kKernelAddress = 0x07,  // 32 bits, as are all addresses and sizes that follow
    kKernelSize = 0x08,
    kKernelCommandLine = 0x09,
    kInitrdAddress = 0x0A,
    kInitrdSize = 0x0B,
    kBootDevice = 0x0C,
    kNuma = 0x0D,
    kBootMenu = 0x0E,
    kMaximumProcessors = 0x0F,  // 16 bits
    kKernelEntry = 0x10,
    kKernelData = 0x11,
    kInitrdData = 0x12,
    kCommandLineAddress = 0x13,
    kCommandLineSize = 0x14,
    kCommandLineData = 0x15,
    kSetupAddress = 0x16,
    kSetupSize = 0x17,
    kSetupData = 0x18,
    kFileDirectory = 0x19,
    kFirstFile = 0x20,
    kAcpiTables = 0x8000,  // from here on: specific to x86
    kSmbiosEntries = 0x8001,
    kIrq0Override = 0x8002,
    kE820Table = 0x8003,
    kHpet = 0x8004,
  };

  struct FileOptions {
    // The guest may overwrite the bytes (never past their end) by DMA; `written` is told after each such write.
    bool writable = false;
    std::function<void(std::span<const uint8_t> bytes)> written = {};
    // Called when the guest selects the file, before the first byte is read; may call replace_file().
    std::function<void()> selected = {};
  };

  // DMA goes to `memory`, which outlives the device.
  FwCfg(MemoryMap& memory, Log& log);

  // Sets or replaces the item of a key outside the files' range.
  void add_bytes(uint16_t key, std::vector<uint8_t> bytes);
  void add_u16(uint16_t key, uint16_t value);
  void add_u32(uint16_t key, uint32_t value);
  void add_u64(uint16_t key, uint64_t value);
  // With the terminating zero.
  void add_string(uint16_t key, std::string_view text);

  // Adds a file. Throws std::invalid_argument for a name that is empty, too long or taken, or one file too many.
  void add_file(const std::string& name, std::vector<uint8_t> bytes) { add_file(name, std::move(bytes), {}); }
  void add_file(const std::string& name, std::vector<uint8_t> bytes, FileOptions options);
  // Replaces a file's bytes; the guest's next reads see them. Throws std::out_of_range for an unknown name.
  void replace_file(const std::string& name, std::vector<uint8_t> bytes);
  // A file's bytes now, the guest's writes included. Throws std::out_of_range for an unknown name.
  const std::vector<uint8_t>& file(const std::string& name) const { return files_.at(name).bytes; }

  std::string_view name() const override { return "fw_cfg"; }
  void reset() override;
  void serialize(Archive& archive) override;

  uint64_t read(uint64_t offset, unsigned size) override;
  void write(uint64_t offset, unsigned size, uint64_t value) override;
  unsigned maximum_access_size() const override { return 4; }

 private:
  struct Item {
    std::vector<uint8_t> bytes;
    FileOptions options;
  };

  Item* find(uint16_t key);
  void select(uint16_t key);
  std::vector<uint8_t> directory() const;
  uint8_t read_data();
  void transfer(uint64_t descriptor);
  bool transfer_item(uint32_t control, uint64_t address, uint32_t length);
  bool fill_with_zeros(uint64_t address, uint64_t length);

  MemoryMap& memory_;
  Log& log_;
  std::map<uint16_t, Item> items_;
  std::map<std::string, Item> files_;
  uint16_t selected_ = 0;
  uint32_t position_ = 0;  // in the selected item; may lie beyond its end
  uint64_t dma_address_ = 0;
};

}  // namespace calco::devices
