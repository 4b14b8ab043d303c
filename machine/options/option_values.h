// The value syntax that QEMU's options share: "value,key=value,...", numbers, sizes, switches.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace calco::machine {

// The argument of one option, split at its commas; ",," stands for one comma within a value.
//
// Every member throws OptionError naming the option. Values are taken out; finish() complains about what is left.
class OptionList {
 public:
  // `leading_key` is the key that a first part without "=" gets ("type" in "-machine pc,smm=off"); where it is empty a
  // first part without "=" is like any other: "key" means "key=on" and "nokey" means "key=off".
  OptionList(std::string option, std::string_view argument, std::string_view leading_key = {});

  const std::string& option() const { return option_; }
  bool empty() const { return entries_.empty(); }

  // The value of `key`, removed from the list; of several the last. Null where it is not there.
  std::optional<std::string> take(std::string_view key);
  std::optional<bool> take_switch(std::string_view key);
  // A number not above `maximum`.
  std::optional<uint64_t> take_number(std::string_view key, uint64_t maximum);

  // Throws where keys are left that nobody took; `known` says what would be right.
  void finish(std::string_view known) const;

 private:
  struct Entry {
    std::string key;
    std::string value;
  };
  std::string option_;
  std::vector<Entry> entries_;
};

// Decimal, or hexadecimal with 0x. Null where `text` is anything else or does not fit.
std::optional<uint64_t> parse_number(std::string_view text);
// A number of bytes with an optional suffix b, k, M, G, T (either case, "iB" and "B" allowed behind) and an optional
// fraction ("1.5G"). `default_unit` bytes where no suffix is given. Null where `text` is anything else.
std::optional<uint64_t> parse_size(std::string_view text, uint64_t default_unit);
// on/yes/true or off/no/false.
std::optional<bool> parse_switch(std::string_view text);

}  // namespace calco::machine
