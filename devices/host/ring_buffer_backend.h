// A back end in memory: tests and the monitor read what the guest wrote and type what it shall read.
#pragma once

#include <deque>
#include <string>
#include <string_view>

#include "devices/host/character_backend.h"

namespace calco::devices {

// Keeps the last `capacity` bytes of output.
class RingBufferBackend final : public CharacterBackend {
 public:
  static constexpr size_t kDefaultCapacity = 64 * 1024;

  explicit RingBufferBackend(size_t capacity = kDefaultCapacity) : capacity_(capacity) {}

  size_t write(std::span<const uint8_t> bytes) override;
  void accept_input() override;
  std::string description() const override { return "ringbuf"; }

  // Takes the output out of the buffer.
  std::string take_output();
  // Queues input; it arrives as the front end has room.
  void type(std::string_view text);
  size_t input_waiting() const { return input_.size(); }

 private:
  size_t capacity_;
  std::string output_;
  std::deque<uint8_t> input_;
};

}  // namespace calco::devices
