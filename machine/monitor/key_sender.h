// Keys that the monitor presses.
#pragma once

#include <chrono>
#include <optional>
#include <string_view>
#include <vector>

#include "devices/input/key_codes.h"
#include "devices/input/ps2_keyboard.h"
#include "machine/core/clock.h"

namespace calco::machine {

// Threads: everything with the device lock held.
class KeySender {
 public:
  static constexpr std::chrono::milliseconds kDefaultHold{100};
  static constexpr size_t kMostKeys = 16;  // at one time

  KeySender(Clock& clock, devices::Ps2Keyboard& keyboard) : keyboard_(keyboard), timer_(clock, [this] { release(); }) {}

  // Presses the keys in order and releases them after `hold` of guest time in the opposite order. Keys that are still
  // held from before are released first.
  void send(std::vector<devices::KeyCode> keys, std::chrono::milliseconds hold, int64_t now);

 private:
  void release();

  devices::Ps2Keyboard& keyboard_;
  std::vector<devices::KeyCode> held_;
  Timer timer_;
};

// "ctrl-alt-delete": names of keys, or scan codes of set 1 as numbers (0x80 added for those with a prefix). Throws
// MonitorError.
std::vector<devices::KeyCode> parse_keys(std::string_view text);
// The key with a scan code as above.
std::optional<devices::KeyCode> key_from_scan_code(uint64_t code);

}  // namespace calco::machine
