// The port that firmware prints its messages to (isa-debugcon).
#pragma once

#include <cstdint>
#include <functional>
#include <string_view>
#include <utility>

#include "machine/core/device.h"
#include "machine/core/register_window.h"

namespace calco::devices {

// One port: a byte written goes to the sink, a read tells firmware that the port is there. QEMU's name for it is
// isa-debugcon; SeaBIOS and OVMF print to port 0x402.
//
// Threads: everything with the device lock held.
class DebugConsole final : public Device, public RegisterWindow {
 public:
  static constexpr uint16_t kPort = 0x402;
  static constexpr uint8_t kPresent = 0xE9;

  explicit DebugConsole(std::function<void(uint8_t byte)> sink) : sink_(std::move(sink)) {}

  std::string_view name() const override { return "debug-console"; }
  void reset() override {}
  void serialize(Archive& archive) override;

  uint64_t read(uint64_t offset, unsigned size) override;
  void write(uint64_t offset, unsigned size, uint64_t value) override;
  unsigned maximum_access_size() const override { return 1; }

 private:
  std::function<void(uint8_t byte)> sink_;
};

}  // namespace calco::devices
