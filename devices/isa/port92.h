// System control port A (port 0x92): the fast A20 gate and processor reset.
#pragma once

#include <cstdint>
#include <functional>
#include <string_view>
#include <utility>

#include "machine/core/device.h"
#include "machine/core/register_window.h"

namespace calco::devices {

// Bit 1 opens address line A20, the rising edge of bit 0 resets the processors. After reset A20 is open, as firmware
// finds it on the `pc` machine. Source: IBM PS/2 Hardware Interface Technical Reference, "System Control Port A".
//
// Threads: everything with the device lock held.
class Port92 final : public Device, public RegisterWindow {
 public:
  static constexpr uint16_t kPort = 0x92;

  // `set_a20` hears the state of bit 1 after each write, reset and load; where the keyboard controller gates A20 too,
  // whichever spoke last counts. `request_reset` asks for a reset of the processors.
  Port92(std::function<void(bool open)> set_a20, std::function<void()> request_reset)
      : set_a20_(std::move(set_a20)), request_reset_(std::move(request_reset)) {}

  std::string_view name() const override { return "port92"; }
  void reset() override;
  void serialize(Archive& archive) override;

  uint64_t read(uint64_t offset, unsigned size) override;
  void write(uint64_t offset, unsigned size, uint64_t value) override;
  unsigned maximum_access_size() const override { return 1; }

 private:
  static constexpr uint8_t kFastReset = 1u << 0;
  static constexpr uint8_t kA20Open = 1u << 1;

  std::function<void(bool open)> set_a20_;
  std::function<void()> request_reset_;
  uint8_t value_ = kA20Open;
};

}  // namespace calco::devices
