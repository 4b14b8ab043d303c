// What a PS/2 keyboard and a PS/2 mouse have in common: the serial link to the controller.
#pragma once

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <span>
#include <utility>

#include "devices/fifo.h"
#include "machine/core/device.h"

namespace calco::devices {

// Bytes for the host wait here until the controller takes them. Answers to commands overtake scan codes and movements
// that wait.
//
// Threads: everything with the device lock held.
class Ps2Device : public Device {
 public:
  // Called whenever a byte was added. Set once by the controller.
  void set_byte_available(std::function<void()> listener) { byte_available_ = std::move(listener); }

  bool has_byte() const { return !answers_.empty() || !data_.empty(); }
  // The next byte; only where has_byte().
  uint8_t take_byte();
  // A byte from the host: a command or its argument.
  virtual void receive_byte(uint8_t byte) = 0;

 protected:
  static constexpr uint8_t kAcknowledge = 0xfa;
  static constexpr uint8_t kResend = 0xfe;
  static constexpr uint8_t kSelfTestPassed = 0xaa;
  static constexpr size_t kDataSize = 64;

  void answer(std::initializer_list<uint8_t> bytes);
  // Repeats the last byte sent (command 0xfe).
  void answer_again() { answer({last_sent_}); }
  // Adds all bytes or, where they do not fit, none: half a scan code is worse than a lost key.
  bool send_data(std::span<const uint8_t> bytes);
  void clear_output();
  size_t data_waiting() const { return data_.count(); }
  // All data is taken.
  virtual void data_drained() {}
  void serialize_link(Archive& archive);
  void reset_link();

 private:
  void signal_byte_available();

  std::function<void()> byte_available_;
  bool taking_ = false;
  Fifo<uint8_t, 16> answers_;
  Fifo<uint8_t, kDataSize> data_;
  uint8_t last_sent_ = 0;
};

}  // namespace calco::devices
