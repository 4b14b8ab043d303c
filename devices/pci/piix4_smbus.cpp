#include "devices/pci/piix4_smbus.h"

#include "machine/core/archive.h"

namespace calco::devices {

namespace {

constexpr uint64_t kHostStatus = 0;
constexpr uint8_t kDeviceError = 1u << 2;
constexpr uint64_t kSlaveStatus = 1;
constexpr uint64_t kHostControl = 2;
constexpr uint8_t kStart = 1u << 6;

}  // namespace

void Piix4Smbus::serialize(Archive& archive) { archive.field("smbus registers", registers_); }

uint64_t Piix4Smbus::read(uint64_t offset, [[maybe_unused]] unsigned size) { return registers_.at(offset); }

void Piix4Smbus::write(uint64_t offset, [[maybe_unused]] unsigned size, uint64_t value) {
  const auto byte = static_cast<uint8_t>(value);
  if (offset == kHostStatus || offset == kSlaveStatus) {
    registers_[offset] = static_cast<uint8_t>(registers_[offset] & ~byte);
  } else if (offset == kHostControl) {
    registers_[kHostControl] = static_cast<uint8_t>(byte & ~kStart);
    if ((byte & kStart) != 0) registers_[kHostStatus] |= kDeviceError;
  } else {
    registers_.at(offset) = byte;
  }
}

}  // namespace calco::devices
