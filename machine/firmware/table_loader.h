// The script by which the firmware places and links the ACPI tables.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "machine/firmware/byte_writer.h"

namespace calco::machine {

// Commands of 128 bytes for the fw_cfg file "etc/table-loader" (QEMU's interface to SeaBIOS and OVMF). Offsets are in
// the named fw_cfg files.
class TableLoader {
 public:
  enum class Zone : uint8_t { High = 1, Fseg = 2 };

  void allocate(std::string_view file, uint32_t alignment, Zone zone);
  // Adds the address of `target_file` to the `size`-byte number at `offset` of `file`.
  void add_pointer(std::string_view file, uint32_t offset, uint8_t size, std::string_view target_file);
  // Sets the byte at `offset` so that the `length` bytes from `start` sum up to 0.
  void add_checksum(std::string_view file, uint32_t offset, uint32_t start, uint32_t length);

  std::vector<uint8_t> take() { return commands_.take(); }

 private:
  void finish() { commands_.align(kCommandSize); }
  static constexpr size_t kCommandSize = 128;
  static constexpr size_t kNameSize = 56;

  ByteWriter commands_;
};

}  // namespace calco::machine
