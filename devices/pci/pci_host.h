// PCI bus 0 and the ports through which a processor configures its functions.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "machine/core/device.h"
#include "machine/core/register_window.h"

namespace calco::devices {

class PciDevice;

// Configuration mechanism #1 (PCI Local Bus Specification 3.0, 3.2.2.3.2): CONFIG_ADDRESS at port 0xCF8, which takes
// dword accesses only, and CONFIG_DATA at 0xCFC. The window covers the eight ports 0xCF8 to 0xCFF; byte accesses to
// 0xCF9 belong to the reset control register, which the builder attaches after this window and so above it.
//
// Threads: everything with the device lock held.
class PciHost final : public Device, public RegisterWindow {
 public:
  static constexpr uint16_t kPort = 0xCF8;
  static constexpr uint32_t kPortCount = 8;
  static constexpr size_t kSlots = 32;
  static constexpr size_t kFunctions = 8;

  // Plugs a function in; it outlives the host. Throws std::invalid_argument where the place does not exist or is taken.
  void attach(unsigned slot, unsigned function, PciDevice& device);
  // The function there, or null.
  PciDevice* device(unsigned slot, unsigned function) const;

  std::string_view name() const override { return "pci-host"; }
  void reset() override { address_ = 0; }
  void serialize(Archive& archive) override;

  uint64_t read(uint64_t offset, unsigned size) override;
  void write(uint64_t offset, unsigned size, uint64_t value) override;
  unsigned maximum_access_size() const override { return 4; }

 private:
  PciDevice* addressed() const;

  uint32_t address_ = 0;
  std::array<PciDevice*, kSlots * kFunctions> functions_{};
};

}  // namespace calco::devices
