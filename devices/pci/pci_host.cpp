#include "devices/pci/pci_host.h"

#include <stdexcept>

#include "devices/pci/pci_device.h"
#include "machine/core/archive.h"

namespace calco::devices {

namespace {

constexpr uint32_t kEnable = 1u << 31;
constexpr uint32_t kBusMask = 0xFFu << 16;
constexpr uint32_t kAddressBits = kEnable | 0x00FFFFFC;  // the others are reserved and read as 0
constexpr uint64_t kDataOffset = 4;

}  // namespace

void PciHost::attach(unsigned slot, unsigned function, PciDevice& device) {
  if (slot >= kSlots || function >= kFunctions) throw std::invalid_argument("no such PCI slot or function");
  PciDevice*& place = functions_[slot * kFunctions + function];
  if (place != nullptr) throw std::invalid_argument("PCI slot and function are taken");
  place = &device;
}

PciDevice* PciHost::device(unsigned slot, unsigned function) const {
  return slot < kSlots && function < kFunctions ? functions_[slot * kFunctions + function] : nullptr;
}

void PciHost::serialize(Archive& archive) {
  archive.section(name());
  archive.field("address", address_);
}

// The function that CONFIG_ADDRESS names. There is only bus 0.
PciDevice* PciHost::addressed() const {
  if ((address_ & kEnable) == 0 || (address_ & kBusMask) != 0) return nullptr;
  return functions_[address_ >> 8 & 0xFF];
}

uint64_t PciHost::read(uint64_t offset, unsigned size) {
  if (offset < kDataOffset) return offset == 0 && size == 4 ? address_ : floating_bus(size);
  PciDevice* device = addressed();
  if (device == nullptr) return floating_bus(size);
  return device->read_config((address_ & 0xFC) + static_cast<unsigned>(offset - kDataOffset), size);
}

void PciHost::write(uint64_t offset, unsigned size, uint64_t value) {
  if (offset < kDataOffset) {
    if (offset == 0 && size == 4) address_ = static_cast<uint32_t>(value) & kAddressBits;
    return;
  }
  PciDevice* device = addressed();
  if (device == nullptr) return;
  device->write_config((address_ & 0xFC) + static_cast<unsigned>(offset - kDataOffset), size,
                       static_cast<uint32_t>(value));
}

}  // namespace calco::devices
