#include "machine/firmware/smbios_tables.h"

#include <algorithm>
#include <string>
#include <string_view>

#include "machine/firmware/byte_writer.h"

namespace calco::machine {
namespace {

constexpr std::string_view kManufacturer = "Calco";
constexpr std::string_view kProduct = "Standard PC (i440FX + PIIX, 1996)";
constexpr std::string_view kVersion = "pc-i440fx";
constexpr uint64_t kKib = 1024, kMib = kKib << 10, kGib = kMib << 10;
constexpr uint64_t kLargestModule = 16 * kGib;
constexpr uint16_t kProcessorHandle = 0x0400, kMemoryArrayHandle = 0x1000, kMemoryDeviceHandle = 0x1100,
                   kMappedAddressHandle = 0x1300;

// One structure: the formatted area is written by the caller, strings are collected and follow it (6.1.3).
class Structure {
 public:
  Structure(uint8_t type, uint16_t handle) { body_.u8(type).u8(0).u16(handle); }

  ByteWriter& fields() { return body_; }
  // Writes the number of `text` in the string set; an absent one is 0.
  void string(std::string_view text) {
    strings_.text(text, text.size() + 1);
    body_.u8(++count_);
  }

  std::vector<uint8_t> take() {
    std::vector<uint8_t> bytes = body_.take();
    bytes[1] = static_cast<uint8_t>(bytes.size());
    if (count_ == 0) strings_.u8(0);
    strings_.u8(0);
    bytes.insert(bytes.end(), strings_.data().begin(), strings_.data().end());
    return bytes;
  }

 private:
  ByteWriter body_;
  ByteWriter strings_;
  uint8_t count_ = 0;
};

// The structure table, and what the anchor says of it.
class StructureTable {
 public:
  void add(Structure structure) {
    const std::vector<uint8_t> bytes = structure.take();
    table_.bytes(bytes);
    largest_ = std::max(largest_, bytes.size());
    ++count_;
  }

  SmbiosFiles take() {
    constexpr uint8_t kAnchorSize = 0x1F, kIntermediate = 0x10;
    ByteWriter anchor;
    anchor.text("_SM_", 4).u8(0).u8(kAnchorSize).u8(2).u8(8).u16(largest_).u8(0).zeros(5);
    anchor.text("_DMI_", 5).u8(0).u16(table_.size()).u32(0).u16(count_).u8(0x28);
    std::vector<uint8_t> bytes = anchor.take();
    bytes[kIntermediate + 5] = checksum(std::span(bytes).subspan(kIntermediate));
    bytes[4] = checksum(bytes);
    return {std::move(bytes), table_.take()};
  }

 private:
  ByteWriter table_;
  size_t largest_ = 0;
  uint16_t count_ = 0;
};

// 7.2: system information. All-zero: there is no identifier.
Structure system_information() {
  constexpr uint8_t kPowerSwitch = 6;
  Structure structure(1, 0x0100);
  structure.string(kManufacturer);
  structure.string(kProduct);
  structure.string(kVersion);
  structure.fields().u8(0).zeros(16).u8(kPowerSwitch).u8(0).u8(0);
  return structure;
}

// 7.4: enclosure.
Structure enclosure() {
  constexpr uint8_t kOther = 1, kUnknown = 2, kSafe = 3;
  Structure structure(3, 0x0300);
  structure.string(kManufacturer);
  structure.fields().u8(kOther);
  structure.string(kVersion);
  structure.fields().u8(0).u8(0).u8(kSafe).u8(kSafe).u8(kSafe).u8(kUnknown).u32(0).u8(0).u8(0).u8(0).u8(0).u8(0);
  return structure;
}

// 7.5: one socket.
Structure processor(const Platform& platform, unsigned socket) {
  constexpr uint8_t kCentral = 3, kOther = 1, kPopulatedAndEnabled = 0x41;
  constexpr uint16_t kMegahertz = 2000, kNoCache = 0xFFFF, kUnknown = 2;
  Structure structure(4, static_cast<uint16_t>(kProcessorHandle + socket));
  structure.string("CPU " + std::to_string(socket));
  structure.fields().u8(kCentral).u8(kOther);
  structure.string(kManufacturer);
  structure.fields().u64(0);
  structure.string(kVersion);
  structure.fields().u8(0).u16(0).u16(kMegahertz).u16(kMegahertz).u8(kPopulatedAndEnabled).u8(kOther);
  structure.fields().u16(kNoCache).u16(kNoCache).u16(kNoCache).u8(0).u8(0).u8(0);
  structure.fields().u8(platform.cores).u8(platform.cores).u8(uint64_t{platform.cores} * platform.threads);
  structure.fields().u16(kUnknown).u16(kOther);
  return structure;
}

// 7.17: the array that the modules are in.
Structure memory_array(uint64_t size, size_t modules) {
  constexpr uint8_t kOther = 1, kSystemMemory = 3, kMultiBitEcc = 6;
  constexpr uint64_t kSeeExtended = 0x80000000;
  constexpr uint16_t kNoErrorInformation = 0xFFFE;
  const bool fits = size / kKib < kSeeExtended;
  Structure structure(16, kMemoryArrayHandle);
  structure.fields().u8(kOther).u8(kSystemMemory).u8(kMultiBitEcc).u32(fits ? size / kKib : kSeeExtended);
  structure.fields().u16(kNoErrorInformation).u16(modules).u64(fits ? 0 : size);
  return structure;
}

// 7.18: one module.
Structure memory_device(size_t index, uint64_t size) {
  constexpr uint8_t kDimm = 9, kRam = 7;
  constexpr uint16_t kUnknownWidth = 0xFFFF, kNoErrorInformation = 0xFFFE, kSeeExtended = 0x7FFF, kOther = 1u << 1;
  const uint64_t mebibytes = size / kMib;
  Structure structure(17, static_cast<uint16_t>(kMemoryDeviceHandle + index));
  structure.fields().u16(kMemoryArrayHandle).u16(kNoErrorInformation).u16(kUnknownWidth).u16(kUnknownWidth);
  structure.fields().u16(mebibytes < kSeeExtended ? mebibytes : kSeeExtended).u8(kDimm).u8(0);
  structure.string("DIMM " + std::to_string(index));
  structure.fields().u8(0).u8(kRam).u16(kOther).u16(0);
  structure.string(kManufacturer);
  structure.fields().u8(0).u8(0).u8(0).u8(0).u32(mebibytes < kSeeExtended ? 0 : mebibytes).u16(0);
  structure.fields().u16(0).u16(0).u16(0);
  return structure;
}

// 7.20: an address range that the array answers to.
Structure mapped_addresses(uint16_t index, uint64_t first, uint64_t size) {
  constexpr uint64_t kSeeExtended = 0xFFFFFFFF;
  const uint64_t last = first + size - 1;
  const bool fits = last / kKib < kSeeExtended;
  Structure structure(19, static_cast<uint16_t>(kMappedAddressHandle + index));
  structure.fields().u32(fits ? first / kKib : kSeeExtended).u32(fits ? last / kKib : kSeeExtended);
  structure.fields().u16(kMemoryArrayHandle).u8(1).u64(fits ? 0 : first).u64(fits ? 0 : last);
  return structure;
}

// 7.33: no errors at the last boot.
Structure boot_information() {
  Structure structure(32, 0x2000);
  structure.fields().zeros(6).u8(0);
  return structure;
}

}  // namespace

SmbiosFiles build_smbios_files(const Platform& platform) {
  const uint64_t size = platform.memory.low + platform.memory.high;
  const size_t modules = (size + kLargestModule - 1) / kLargestModule;
  StructureTable table;
  table.add(system_information());
  table.add(enclosure());
  for (unsigned socket = 0; socket < platform.sockets; ++socket) {
    table.add(processor(platform, socket));
  }
  table.add(memory_array(size, modules));
  for (size_t index = 0; index < modules; ++index) {
    table.add(memory_device(index, std::min(kLargestModule, size - index * kLargestModule)));
  }
  table.add(mapped_addresses(0, 0, platform.memory.low));
  if (platform.memory.high != 0) table.add(mapped_addresses(1, board::kFourGib, platform.memory.high));
  table.add(boot_information());
  table.add(Structure(127, 0x7F00));
  return table.take();
}

}  // namespace calco::machine
