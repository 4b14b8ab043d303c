// The port by which a test guest ends the emulator (isa-debug-exit).
#pragma once

#include <cstdint>
#include <functional>
#include <string_view>
#include <utility>

#include "machine/core/device.h"
#include "machine/core/register_window.h"

namespace calco::devices {

// A write of `value` ends the emulator with exit status (value << 1) | 1, so that 0 always means an ordinary shutdown.
// QEMU's name for it is isa-debug-exit; the builder chooses port and length (there 0x501 and 2).
//
// Threads: everything with the device lock held.
class DebugExit final : public Device, public RegisterWindow {
 public:
  static constexpr uint16_t kDefaultPort = 0x501;
  static constexpr uint32_t kDefaultPortCount = 2;

  explicit DebugExit(std::function<void(int status)> exit) : exit_(std::move(exit)) {}

  std::string_view name() const override { return "debug-exit"; }
  void reset() override {}
  void serialize(Archive& archive) override;

  uint64_t read(uint64_t offset, unsigned size) override;
  void write(uint64_t offset, unsigned size, uint64_t value) override;
  unsigned maximum_access_size() const override { return 4; }

 private:
  std::function<void(int status)> exit_;
};

}  // namespace calco::devices
