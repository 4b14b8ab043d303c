#include "devices/pci/pci_device.h"

#include <algorithm>
#include <stdexcept>
#include <utility>

#include "machine/core/archive.h"

namespace calco::devices {

namespace {

constexpr uint16_t kWritableCommandBits = 0x0507;  // I/O, memory, master, SERR#, interrupt disable
constexpr uint16_t kClearableStatusBits = 0xF900;  // the error bits (PCI 3.0, 6.2.3)
constexpr uint32_t kRomEnable = 1;

bool overlaps(unsigned offset, unsigned size, unsigned first, unsigned length) {
  return offset < first + length && first < offset + size;
}

// The read-only low bits of a base address register (PCI 3.0, 6.2.5.1).
uint32_t bar_type_bits(PciDevice::BarKind kind) {
  switch (kind) {
    case PciDevice::BarKind::Io:
      return 0x1;
    case PciDevice::BarKind::Memory32:
      return 0x0;
    case PciDevice::BarKind::Memory64:
      return 0x4;
    case PciDevice::BarKind::PrefetchableMemory32:
      return 0x8;
    case PciDevice::BarKind::PrefetchableMemory64:
      return 0xC;
  }
  return 0;
}

}  // namespace

PciDevice::PciDevice(std::string name, const PciIdentity& identity, const PciBuses& buses, IrqLine interrupt)
    : name_(std::move(name)), buses_(buses), interrupt_(std::move(interrupt)) {
  define(0x00, 2, identity.vendor);
  define(0x02, 2, identity.device);
  define(pci::kCommand, 2, 0, kWritableCommandBits);
  define(pci::kStatus, 2, identity.status, 0, kClearableStatusBits);
  define(0x08, 4, identity.class_code << 8 | identity.revision);
  define(0x0C, 1, 0, 0xFF);  // cache line size
  define(0x0D, 1, 0, 0xFF);  // latency timer
  define(0x2C, 2, identity.subsystem_vendor);
  define(0x2E, 2, identity.subsystem);
  define(pci::kInterruptLine, 1, 0, 0xFF);
  define(pci::kInterruptPin, 1, identity.interrupt_pin);
}

void PciDevice::reset() {
  config_ = reset_values_;
  update_mappings();
  drive_interrupt();
}

void PciDevice::serialize(Archive& archive) {
  archive.section(name_);
  archive.field("configuration", config_);
  if (!archive.loading()) return;
  update_mappings();
  drive_interrupt();
}

void PciDevice::define(unsigned offset, unsigned size, uint32_t reset_value, uint32_t writable, uint32_t clearable) {
  for (unsigned i = 0; i < size; ++i) {
    config_.at(offset + i) = reset_values_.at(offset + i) = static_cast<uint8_t>(reset_value >> (i * 8));
    writable_.at(offset + i) = static_cast<uint8_t>(writable >> (i * 8));
    clearable_.at(offset + i) = static_cast<uint8_t>(clearable >> (i * 8));
  }
}

uint32_t PciDevice::config(unsigned offset, unsigned size) const {
  uint32_t value = 0;
  for (unsigned i = 0; i < size; ++i) value |= uint32_t{config_.at(offset + i)} << (i * 8);
  return value;
}

void PciDevice::set_config(unsigned offset, unsigned size, uint32_t value) {
  for (unsigned i = 0; i < size; ++i) config_.at(offset + i) = static_cast<uint8_t>(value >> (i * 8));
}

uint32_t PciDevice::read_config(unsigned offset, unsigned size) {
  if (offset + size > kConfigurationSize) return static_cast<uint32_t>(floating_bus(size));
  return config(offset, size);
}

void PciDevice::write_config(unsigned offset, unsigned size, uint32_t value) {
  if (offset + size > kConfigurationSize) return;
  for (unsigned i = 0; i < size; ++i) {
    const auto written = static_cast<uint8_t>(value >> (i * 8));
    uint8_t& byte = config_[offset + i];
    const uint8_t writable = writable_[offset + i];
    byte = static_cast<uint8_t>((byte & ~writable) | (written & writable));
    byte = static_cast<uint8_t>(byte & ~(written & clearable_[offset + i]));
  }
  if (overlaps(offset, size, pci::kCommand, 2)) drive_interrupt();
  if (overlaps(offset, size, pci::kCommand, 2) || overlaps(offset, size, pci::kBaseAddress0, 24) ||
      overlaps(offset, size, pci::kExpansionRom, 4)) {
    update_mappings();
  }
  config_written(offset, size);
}

void PciDevice::define_bar(unsigned index, BarKind kind, uint64_t size) {
  const uint32_t type = bar_type_bits(kind);
  const uint64_t writable = ~(size - 1);
  define(bar_offset(index), 4, type, static_cast<uint32_t>(writable));
  if (is_64_bit(kind)) define(bar_offset(index) + 4, 4, 0, static_cast<uint32_t>(writable >> 32));
  bars_.at(index).kind = kind;
  bars_.at(index).size = size;
}

void PciDevice::add_window_bar(unsigned index, BarKind kind, uint64_t size, RegisterWindow& window) {
  define_bar(index, kind, size);
  Bar& bar = bars_.at(index);
  bar.window = &window;
  if (kind == BarKind::Io) return;
  bar.region = memory().add_window(name_ + " BAR " + std::to_string(index), 0, size, window, kBarPriority);
  memory().set_enabled(bar.region, false);
}

void PciDevice::add_memory_bar(unsigned index, BarKind kind, uint64_t size, uint64_t memory_offset) {
  define_bar(index, kind, size);
  Bar& bar = bars_.at(index);
  bar.region = memory().add_memory(name_ + " BAR " + std::to_string(index), 0, size, memory_offset, true, kBarPriority);
  memory().set_enabled(bar.region, false);
}

void PciDevice::add_expansion_rom(uint64_t size, uint64_t memory_offset) {
  constexpr unsigned kIndex = 6;
  define(pci::kExpansionRom, 4, 0, static_cast<uint32_t>(~(size - 1)) | kRomEnable);
  Bar& bar = bars_[kIndex];
  bar.size = size;
  bar.region = memory().add_memory(name_ + " ROM", 0, size, memory_offset, false, kBarPriority);
  memory().set_enabled(bar.region, false);
}

uint64_t PciDevice::bar_address(unsigned index) const { return bars_.at(index).address; }

// Where the BAR would be decoded under the registers' current values. Addresses that a driver writes only to learn
// the size (all ones) or has not written yet (zero) are not decoded.
uint64_t PciDevice::decoded_address(unsigned index) const {
  const Bar& bar = bars_[index];
  const bool io = bar.kind == BarKind::Io;
  const uint32_t low = config(bar_offset(index), 4);
  if ((config(pci::kCommand, 2) & (io ? pci::kCommandIo : pci::kCommandMemory)) == 0) return kUnmapped;
  if (index == 6 && (low & kRomEnable) == 0) return kUnmapped;
  uint64_t address = low & ~(bar.size - 1);
  if (is_64_bit(bar.kind)) address |= uint64_t{config(bar_offset(index) + 4, 4)} << 32;
  const uint64_t last = address + (bar.size - 1);
  if (address == 0 || last < address) return kUnmapped;
  if (io) return last > 0xFFFF ? kUnmapped : address;
  return last == 0xFFFFFFFF || last == ~uint64_t{0} ? kUnmapped : address;
}

void PciDevice::update_mappings() {
  for (unsigned index = 0; index < kBarCount; ++index) {
    Bar& bar = bars_[index];
    if (bar.size == 0) continue;
    const uint64_t address = decoded_address(index);
    if (address == bar.address) continue;
    if (bar.kind == BarKind::Io) {
      if (bar.address != kUnmapped) ports().detach(*bar.window);
      if (address != kUnmapped) {
        ports().attach(static_cast<uint16_t>(address), static_cast<uint32_t>(bar.size), *bar.window);
      }
    } else {
      memory().set_enabled(bar.region, address != kUnmapped);
      if (address != kUnmapped) memory().set_address(bar.region, address);
    }
    bar.address = address;
  }
  memory().commit();
}

uint8_t PciDevice::add_capability(uint8_t id, unsigned length, unsigned offset) {
  if (offset == 0) offset = next_capability_;
  if (offset + length > kConfigurationSize) throw std::length_error(name_ + ": capability does not fit");
  next_capability_ = std::max(next_capability_, (offset + length + 3) & ~3u);
  define(offset, 2, uint32_t{id} | config(pci::kCapabilities, 1) << 8);
  define(pci::kCapabilities, 1, offset);
  set_config(pci::kStatus, 2, config(pci::kStatus, 2) | pci::kStatusCapabilities);
  reset_values_[pci::kStatus] |= pci::kStatusCapabilities;
  return static_cast<uint8_t>(offset);
}

void PciDevice::set_interrupt(bool asserted) {
  const uint32_t status = config(pci::kStatus, 2);
  set_config(pci::kStatus, 2, asserted ? status | pci::kStatusInterrupt : status & ~uint32_t{pci::kStatusInterrupt});
  drive_interrupt();
}

void PciDevice::drive_interrupt() {
  interrupt_.set(interrupt_asserted() && (config(pci::kCommand, 2) & pci::kCommandInterruptDisable) == 0);
}

}  // namespace calco::devices
