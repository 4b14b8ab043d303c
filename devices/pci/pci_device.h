// What every PCI function has: configuration space, base address registers, an interrupt pin, capabilities.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "machine/core/device.h"
#include "machine/core/irq_line.h"
#include "machine/core/memory_map.h"
#include "machine/core/port_bus.h"

namespace calco::devices {

// Offsets and bits of the type 0 header (PCI Local Bus Specification 3.0, 6.1 and 6.2).
namespace pci {
constexpr unsigned kCommand = 0x04;
constexpr unsigned kStatus = 0x06;
constexpr unsigned kHeaderType = 0x0E;
constexpr unsigned kBaseAddress0 = 0x10;
constexpr unsigned kExpansionRom = 0x30;
constexpr unsigned kCapabilities = 0x34;
constexpr unsigned kInterruptLine = 0x3C;
constexpr unsigned kInterruptPin = 0x3D;

constexpr uint16_t kCommandIo = 1u << 0;
constexpr uint16_t kCommandMemory = 1u << 1;
constexpr uint16_t kCommandBusMaster = 1u << 2;
constexpr uint16_t kCommandInterruptDisable = 1u << 10;
constexpr uint16_t kStatusInterrupt = 1u << 3;
constexpr uint16_t kStatusCapabilities = 1u << 4;
constexpr uint8_t kHeaderMultifunction = 0x80;
}  // namespace pci

// The fixed part of the header. The subsystem is the one by which firmware knows QEMU's machines.
struct PciIdentity {
  uint16_t vendor = 0xFFFF;
  uint16_t device = 0xFFFF;
  uint8_t revision = 0;
  uint32_t class_code = 0;  // 24 bits: base class, subclass, programming interface
  uint16_t subsystem_vendor = 0x1AF4;
  uint16_t subsystem = 0x1100;
  uint8_t interrupt_pin = 0;  // 0: none, 1: INTA# to 4: INTD#
  uint16_t status = 0;        // DEVSEL# timing (bits 9 and 10), fast back-to-back (bit 7)
};

// Where base address registers map to. Both outlive the function.
struct PciBuses {
  PortBus& ports;
  MemoryMap& memory;
};

// One PCI function. A derived class describes its registers in its constructor with define() and add_*_bar(), and
// hears of guest writes through config_written(). A function stays on its buses until the machine ends.
//
// Threads: everything with the device lock held.
class PciDevice : public Device {
 public:
  static constexpr unsigned kConfigurationSize = 256;
  // Below everything else, so that a base address over RAM or a fixed window hides neither, as host bridges decode.
  static constexpr int kBarPriority = -1;

  enum class BarKind : uint8_t { Io, Memory32, Memory64, PrefetchableMemory32, PrefetchableMemory64 };

  std::string_view name() const final { return name_; }
  // Derived classes that override these call them too.
  void reset() override;
  void serialize(Archive& archive) override;

  // Configuration accesses of 1, 2 or 4 bytes; bytes beyond the space read as ones and are dropped.
  virtual uint32_t read_config(unsigned offset, unsigned size);
  void write_config(unsigned offset, unsigned size, uint32_t value);

  // Guest physical or port address at which BAR `index` (6: expansion ROM) is decoded now, or kUnmapped.
  static constexpr uint64_t kUnmapped = ~uint64_t{0};
  uint64_t bar_address(unsigned index) const;

 protected:
  PciDevice(std::string name, const PciIdentity& identity, const PciBuses& buses, IrqLine interrupt = {});

  // Register of `size` bytes: its value after reset, which bits the guest may write, which it clears by writing 1.
  void define(unsigned offset, unsigned size, uint32_t reset_value, uint32_t writable = 0, uint32_t clearable = 0);
  void set_multifunction() { define(pci::kHeaderType, 1, pci::kHeaderMultifunction); }

  // BAR `index` (0 to 5; a 64-bit one takes the next too) of `size` bytes, a power of two, at least 16 for memory and
  // 4 for I/O. The window is used by this BAR only and lives as long as the function.
  void add_window_bar(unsigned index, BarKind kind, uint64_t size, RegisterWindow& window);
  // The same with guest memory behind it, at memory offset `memory_offset` (a frame buffer). Not BarKind::Io.
  void add_memory_bar(unsigned index, BarKind kind, uint64_t size, uint64_t memory_offset);
  // The expansion ROM BAR: `size` bytes, a power of two from 2 KiB, at memory offset `memory_offset`.
  void add_expansion_rom(uint64_t size, uint64_t memory_offset);

  // Puts a capability of `length` bytes (its two header bytes included) at the head of the list, at `offset` or, where
  // that is 0, behind those before it. Returns its offset. Throws std::length_error where it does not fit.
  uint8_t add_capability(uint8_t id, unsigned length, unsigned offset = 0);

  // After a guest write changed (or might have changed) these bytes.
  virtual void config_written([[maybe_unused]] unsigned offset, [[maybe_unused]] unsigned size) {}
  // Register values as the device itself sees and sets them, write masks not applied.
  uint32_t config(unsigned offset, unsigned size) const;
  void set_config(unsigned offset, unsigned size, uint32_t value);

  // Drives INTx#: the status bit follows at once, the pin unless the command register disables it.
  void set_interrupt(bool asserted);
  bool interrupt_asserted() const { return (config(pci::kStatus, 2) & pci::kStatusInterrupt) != 0; }
  bool bus_master() const { return (config(pci::kCommand, 2) & pci::kCommandBusMaster) != 0; }
  MemoryMap& memory() const { return buses_.memory; }
  PortBus& ports() const { return buses_.ports; }

 private:
  static constexpr unsigned kBarCount = 7;  // the expansion ROM's is number 6
  struct Bar {
    BarKind kind = BarKind::Memory32;
    uint64_t size = 0;  // 0: not there
    RegisterWindow* window = nullptr;
    MemoryMap::RegionId region = 0;  // of a memory BAR
    uint64_t address = kUnmapped;
  };
  static constexpr unsigned bar_offset(unsigned index) {
    return index == 6 ? pci::kExpansionRom : pci::kBaseAddress0 + index * 4;
  }
  static bool is_64_bit(BarKind kind) { return kind == BarKind::Memory64 || kind == BarKind::PrefetchableMemory64; }
  void define_bar(unsigned index, BarKind kind, uint64_t size);
  uint64_t decoded_address(unsigned index) const;
  void update_mappings();
  void drive_interrupt();

  std::string name_;
  PciBuses buses_;
  IrqLine interrupt_;
  std::array<uint8_t, kConfigurationSize> config_{};
  std::array<uint8_t, kConfigurationSize> reset_values_{};
  std::array<uint8_t, kConfigurationSize> writable_{};
  std::array<uint8_t, kConfigurationSize> clearable_{};
  std::array<Bar, kBarCount> bars_{};
  unsigned next_capability_ = 0x40;
};

}  // namespace calco::devices
