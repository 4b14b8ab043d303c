// Intel 8237A DMA controllers and their page registers.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "machine/core/device.h"
#include "machine/core/register_window.h"

namespace calco::devices {

// One 8237A: every register behaves as the data sheet says; since no device on the board requests service, no transfer
// takes place. Source: 8237A data sheet (order number 231466), "Register Description" and "Software Commands".
//
// Threads: everything with the device lock held.
class Dma8237 final : public Device, public RegisterWindow {
 public:
  static constexpr uint16_t kMasterPort = 0x00;  // channels 0 to 3, one port a register
  static constexpr uint16_t kSlavePort = 0xC0;   // channels 4 to 7, wired one address line higher
  static constexpr unsigned kRegisterCount = 16;

  // Registers are `stride` ports apart (1 or 2), so the window has port_count() ports.
  Dma8237(std::string name, unsigned stride) : name_(std::move(name)), stride_(stride) {}
  uint32_t port_count() const { return kRegisterCount * stride_; }

  std::string_view name() const override { return name_; }
  void reset() override;
  void serialize(Archive& archive) override;

  uint64_t read(uint64_t offset, unsigned size) override;
  void write(uint64_t offset, unsigned size, uint64_t value) override;
  unsigned maximum_access_size() const override { return 1; }

 private:
  static constexpr unsigned kChannelCount = 4;
  struct Channel {
    uint16_t base_address;
    uint16_t current_address;
    uint16_t base_count;
    uint16_t current_count;
  };

  uint8_t read_channel(unsigned index);
  void write_channel(unsigned index, uint8_t value);
  void write_control(unsigned index, uint8_t value);
  void master_clear();

  std::string name_;
  unsigned stride_;
  std::array<Channel, kChannelCount> channels_{};
  std::array<uint8_t, kChannelCount> modes_{};
  uint8_t command_ = 0;
  uint8_t status_ = 0;  // terminal counts; requests are added on reading
  uint8_t requests_ = 0;
  uint8_t mask_ = 0x0F;
  bool high_byte_next_ = false;  // the byte pointer flip-flop
};

// The page registers: bits 16 to 23 of each channel's address, and spare bytes between them that read back too.
class DmaPages final : public Device, public RegisterWindow {
 public:
  static constexpr uint16_t kPort = 0x80;
  static constexpr uint32_t kPortCount = 16;

  std::string_view name() const override { return "dma-pages"; }
  void reset() override { pages_ = {}; }
  void serialize(Archive& archive) override;

  uint64_t read(uint64_t offset, [[maybe_unused]] unsigned size) override { return pages_.at(offset); }
  void write(uint64_t offset, [[maybe_unused]] unsigned size, uint64_t value) override {
    pages_.at(offset) = static_cast<uint8_t>(value);
  }
  unsigned maximum_access_size() const override { return 1; }

 private:
  std::array<uint8_t, kPortCount> pages_{};
};

}  // namespace calco::devices
