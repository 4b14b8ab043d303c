// A 102-key PS/2 keyboard with scan code sets 1, 2 and 3.
// Source: IBM PS/2 Hardware Interface Technical Reference, "Keyboard (101- and 102-key)".
#pragma once

#include <array>
#include <bitset>
#include <cstdint>
#include <functional>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "devices/input/key_codes.h"
#include "devices/input/ps2_device.h"

namespace calco {
class Log;
}

namespace calco::devices {

// Threads: everything with the device lock held.
class Ps2Keyboard final : public Ps2Device {
 public:
  static constexpr uint8_t kScrollLockLight = 1;
  static constexpr uint8_t kNumLockLight = 2;
  static constexpr uint8_t kCapsLockLight = 4;

  explicit Ps2Keyboard(Log& log);

  // A key goes down, or repeats because it is held: whoever reports keys does the repeating.
  void press(KeyCode key);
  void release(KeyCode key);

  // The lights that the guest has on: a set of the bits above.
  uint8_t lights() const { return lights_; }
  void set_lights_listener(std::function<void(uint8_t)> listener) { lights_listener_ = std::move(listener); }

  std::string_view name() const override { return "ps2-keyboard"; }
  void reset() override;
  void serialize(Archive& archive) override;
  void receive_byte(uint8_t byte) override;

 private:
  using Bytes = std::vector<uint8_t>;

  void restore_defaults();
  void set_defaults_of_set3();
  void receive_argument(uint8_t command, uint8_t argument);
  bool change_key_types(uint8_t command);
  void select_scan_code_set(uint8_t set);
  void set_lights(uint8_t lights);

  bool down(KeyCode key) const { return down_[static_cast<size_t>(key)]; }
  bool shifted() const { return down(KeyCode::Shift) || down(KeyCode::ShiftRight); }
  bool controlled() const { return down(KeyCode::Ctrl) || down(KeyCode::CtrlRight); }
  bool alternate() const { return down(KeyCode::Alt) || down(KeyCode::AltRight); }
  void send_key(KeyCode key, bool make, bool repeated);
  void send_set3(uint8_t code, bool make, bool repeated);
  void send_print(bool make);
  void send_pause();
  void append_code(Bytes& bytes, uint16_t set2, bool make) const;
  void send(const Bytes& bytes);

  Log& log_;
  std::function<void(uint8_t)> lights_listener_;
  bool scanning_ = true;
  uint8_t scan_code_set_ = 2;
  uint8_t lights_ = 0;
  uint8_t typematic_ = 0;        // as command 0xf3 set it; the repeating itself is done by who calls press()
  uint8_t awaits_argument_ = 0;  // the command that does, or 0
  std::bitset<static_cast<size_t>(KeyCode::Count)> down_;
  std::array<uint8_t, 256> key_types_{};  // of set 3, by scan code
};

}  // namespace calco::devices
