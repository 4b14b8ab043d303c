// The keys of a PC keyboard by their place, not by what is printed on them.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace calco::devices {

enum class KeyCode : uint8_t {
#define CALCO_KEY(enumerator, name, set2, set3) enumerator,
#include "devices/input/key_codes.inc"
#undef CALCO_KEY
  Count,  // number of keys, no key itself
};

// The key that QEMU calls `name` ("ret", "a", "ctrl_r", "kp_5"), where there is one.
std::optional<KeyCode> key_from_name(std::string_view name);
std::string_view key_name(KeyCode key);

// Scan code in set 2: the last byte, with a prefix of 0xe0 or 0xe1 in the upper byte.
uint16_t scan_code_set2(KeyCode key);
// Scan code in set 3, or 0 for a key that this set lacks.
uint8_t scan_code_set3(KeyCode key);

// What the 8042 makes of a byte in set 2 (prefix 0xf0 aside) when it translates to set 1.
uint8_t translate_set2_to_set1(uint8_t code);

}  // namespace calco::devices
