#include "machine/monitor/key_sender.h"

#include <fmt/format.h>

#include <ranges>
#include <string>
#include <utility>

#include "machine/monitor/monitor_error.h"
#include "machine/options/option_values.h"

namespace calco::machine {

using devices::KeyCode;

void KeySender::send(std::vector<KeyCode> keys, std::chrono::milliseconds hold, int64_t now) {
  release();
  held_ = std::move(keys);
  for (const KeyCode key : held_) keyboard_.press(key);
  timer_.arm(now + std::chrono::nanoseconds(hold).count());
}

void KeySender::release() {
  for (const KeyCode key : held_ | std::views::reverse) keyboard_.release(key);
  held_.clear();
}

std::optional<KeyCode> key_from_scan_code(uint64_t code) {
  constexpr uint16_t kExtended = 0xE0;
  for (unsigned number = 0; number < static_cast<unsigned>(KeyCode::Count); ++number) {
    const auto key = static_cast<KeyCode>(number);
    const uint16_t set2 = devices::scan_code_set2(key);
    const unsigned set1 = devices::translate_set2_to_set1(static_cast<uint8_t>(set2));
    const unsigned prefix = set2 >> 8;
    if (prefix <= kExtended && code == (set1 | (prefix == kExtended ? 0x80u : 0u))) return key;
  }
  return {};
}

std::vector<KeyCode> parse_keys(std::string_view text) {
  std::vector<KeyCode> keys;
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find('-', begin), text.size());
    const std::string_view name = text.substr(begin, end - begin);
    std::optional<KeyCode> key = devices::key_from_name(name);
    // Digits alone name the digit keys.
    if (!key && name.starts_with("0x")) key = key_from_scan_code(parse_number(name).value_or(0));
    if (!key) throw MonitorError(fmt::format("unknown key '{}'", name));
    keys.push_back(*key);
    begin = end + 1;
  }
  if (keys.size() > KeySender::kMostKeys) {
    throw MonitorError(fmt::format("too many keys at a time: {} at most", KeySender::kMostKeys));
  }
  return keys;
}

}  // namespace calco::machine
