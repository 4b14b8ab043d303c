// SMBus host controller of the Intel 82371AB (PIIX4).
#pragma once

#include <array>
#include <cstdint>

#include "machine/core/register_window.h"

namespace calco {
class Archive;
}

namespace calco::devices {

// A host on a bus without devices: every transaction ends at once with the device error that a missing acknowledge
// gives. Part of Piix4Pm, which maps and saves it. Source: 82371AB data sheet (order number 290562), 7.3.
//
// Threads: everything with the device lock held.
class Piix4Smbus final : public RegisterWindow {
 public:
  static constexpr uint32_t kPortCount = 16;

  void reset() { registers_ = {}; }
  void serialize(Archive& archive);

  uint64_t read(uint64_t offset, unsigned size) override;
  void write(uint64_t offset, unsigned size, uint64_t value) override;
  unsigned maximum_access_size() const override { return 1; }

 private:
  std::array<uint8_t, kPortCount> registers_{};
};

}  // namespace calco::devices
