// The diagnostic port (0x80) to which firmware writes its progress.
#pragma once

#include <cstdint>
#include <functional>
#include <string_view>
#include <utility>

#include "machine/core/device.h"
#include "machine/core/register_window.h"

namespace calco::devices {

// Each byte written goes to the sink, if there is one, and reads back, as from the unused DMA page register that
// shares the address. Kernels write here only to waste a microsecond. The builder attaches it above DmaPages.
//
// Threads: everything with the device lock held.
class PostPort final : public Device, public RegisterWindow {
 public:
  static constexpr uint16_t kPort = 0x80;

  explicit PostPort(std::function<void(uint8_t code)> sink = {}) : sink_(std::move(sink)) {}

  std::string_view name() const override { return "post-port"; }
  void reset() override { code_ = 0; }
  void serialize(Archive& archive) override;

  uint64_t read(uint64_t offset, unsigned size) override;
  void write(uint64_t offset, unsigned size, uint64_t value) override;
  unsigned maximum_access_size() const override { return 1; }

 private:
  std::function<void(uint8_t code)> sink_;
  uint8_t code_ = 0;
};

}  // namespace calco::devices
