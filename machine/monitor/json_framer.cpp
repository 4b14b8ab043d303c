#include "machine/monitor/json_framer.h"

#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>

namespace calco::machine {
namespace {

// Whether `text` could be the beginning of a value: the only mistake is that it ends.
bool could_go_on(const std::string& text) {
  try {
    (void)nlohmann::json::parse(text);
  } catch (const nlohmann::json::parse_error& error) {
    return error.byte > text.size();
  } catch (const nlohmann::json::exception&) {
    return false;  // a number that is too large
  }
  return true;
}

}  // namespace

void JsonFramer::clear() {
  text_.clear();
  open_.clear();
  in_string_ = false;
  escaped_ = false;
  skipping_ = false;
}

JsonFramer::Result JsonFramer::take(uint8_t byte) {
  const char letter = static_cast<char>(byte);
  if (skipping_) {
    if (letter == '\n') clear();
    return Incomplete{};
  }
  if (letter == '\n' && !text_.empty()) return end_of_line();
  const bool space = letter == ' ' || letter == '\t' || letter == '\r' || letter == '\n';
  if (text_.empty() && space) return Incomplete{};
  text_ += letter;
  if (text_.size() > kLongestMessage) return refuse("message is longer than a megabyte", letter == '\n');
  if (in_string_) {
    if (letter == '"' && !escaped_) in_string_ = false;
    escaped_ = letter == '\\' && !escaped_;
    return Incomplete{};
  }
  return structure(letter);
}

JsonFramer::Result JsonFramer::structure(char letter) {
  switch (letter) {
    case '"':
      in_string_ = true;
      return Incomplete{};
    case '{':
    case '[':
      open_ += letter;
      if (open_.size() > kDeepestNesting) return refuse("too deeply nested", false);
      return Incomplete{};
    case '}':
    case ']':
      if (open_.empty() || open_.back() != (letter == '}' ? '{' : '[')) return refuse("unexpected bracket", false);
      open_.pop_back();
      return open_.empty() ? finish() : Incomplete{};
    default:
      return Incomplete{};
  }
}

// Outside of brackets a line is a message; within them only a mistake ends it. A string does not go over a line's end.
JsonFramer::Result JsonFramer::end_of_line() {
  if (in_string_) return refuse("string is not closed", true);
  if (open_.empty()) return finish();
  text_ += '\n';
  if (text_.size() > kLongestMessage) return refuse("message is longer than a megabyte", true);
  if (text_.size() <= kLargestChecked && !could_go_on(text_)) return refuse("invalid syntax", true);
  return Incomplete{};
}

JsonFramer::Result JsonFramer::refuse(const char* reason, bool line_ended) {
  clear();
  skipping_ = !line_ended;
  return Malformed{reason};
}

JsonFramer::Result JsonFramer::finish() {
  std::string text = std::move(text_);
  clear();
  return Message{std::move(text)};
}

}  // namespace calco::machine
