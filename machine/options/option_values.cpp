#include "machine/options/option_values.h"

#include <cctype>
#include <charconv>
#include <cmath>
#include <utility>

#include "machine/core/option_error.h"
#include "machine/core/option_syntax.h"

namespace calco::machine {

OptionList::OptionList(std::string option, std::string_view argument, std::string_view leading_key)
    : option_(std::move(option)) {
  bool first = true;
  for (std::string& part : split_at_commas(argument)) {
    const size_t equals = part.find('=');
    if (equals != std::string::npos) {
      entries_.push_back({part.substr(0, equals), part.substr(equals + 1)});
    } else if (first && !leading_key.empty()) {
      entries_.push_back({std::string(leading_key), part});
    } else if (part.empty()) {
      throw OptionError(option_, fmt::format("'{}' has an empty part between its commas", argument));
    } else if (part.starts_with("no") && part.size() > 2) {
      entries_.push_back({part.substr(2), "off"});
    } else {
      entries_.push_back({part, "on"});
    }
    first = false;
  }
}

std::optional<std::string> OptionList::take(std::string_view key) {
  std::optional<std::string> value;
  std::erase_if(entries_, [&](Entry& entry) {
    if (entry.key != key) return false;
    value = std::move(entry.value);
    return true;
  });
  return value;
}

std::optional<bool> OptionList::take_switch(std::string_view key) {
  const std::optional<std::string> text = take(key);
  if (!text) return std::nullopt;
  const std::optional<bool> value = parse_switch(*text);
  if (!value) throw OptionError(option_, fmt::format("{}='{}' is neither on nor off", key, *text));
  return value;
}

std::optional<uint64_t> OptionList::take_number(std::string_view key, uint64_t maximum) {
  const std::optional<std::string> text = take(key);
  if (!text) return std::nullopt;
  const std::optional<uint64_t> value = parse_number(*text);
  if (!value || *value > maximum) {
    throw OptionError(option_, fmt::format("{}='{}' is not a number from 0 to {}", key, *text, maximum));
  }
  return value;
}

void OptionList::finish(std::string_view known) const {
  if (entries_.empty()) return;
  throw OptionError(option_, fmt::format("'{}' is not known here; possible are {}", entries_.front().key, known));
}

std::optional<uint64_t> parse_number(std::string_view text) {
  int base = 10;
  if (text.starts_with("0x") || text.starts_with("0X")) {
    base = 16;
    text.remove_prefix(2);
  }
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (text.empty() || error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::optional<uint64_t> parse_size(std::string_view text, uint64_t default_unit) {
  if (const std::optional<uint64_t> plain = parse_number(text)) {
    if (*plain > UINT64_MAX / default_unit) return std::nullopt;
    return *plain * default_unit;
  }
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, std::chars_format::fixed);
  if (error != std::errc() || value < 0) return std::nullopt;
  std::string_view suffix = text.substr(static_cast<size_t>(end - text.data()));
  uint64_t unit = default_unit;
  if (!suffix.empty()) {
    static constexpr std::string_view kSuffixes = "bkmgt";
    const size_t power = kSuffixes.find(static_cast<char>(std::tolower(static_cast<unsigned char>(suffix.front()))));
    if (power == std::string_view::npos) return std::nullopt;
    unit = uint64_t{1} << (10 * power);
    suffix.remove_prefix(1);
    if (!suffix.empty() && (power == 0 || (suffix != "iB" && suffix != "B"))) return std::nullopt;
  }
  const double bytes = std::floor(value * static_cast<double>(unit));
  if (!(bytes < 9.2e18)) return std::nullopt;
  return static_cast<uint64_t>(bytes);
}

std::optional<bool> parse_switch(std::string_view text) {
  if (text == "on" || text == "yes" || text == "true" || text == "y") return true;
  if (text == "off" || text == "no" || text == "false" || text == "n") return false;
  return std::nullopt;
}

}  // namespace calco::machine
