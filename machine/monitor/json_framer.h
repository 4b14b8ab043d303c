// Cuts a stream of bytes into JSON values.
#pragma once

#include <cstdint>
#include <string>
#include <variant>

namespace calco::machine {

// Objects may follow each other with or without white space between and may be spread over lines. After something that
// is no JSON the rest of its line is skipped.
class JsonFramer {
 public:
  static constexpr size_t kLongestMessage = 1 << 20;  // bytes
  static constexpr size_t kDeepestNesting = 1024;

  struct Incomplete {};
  struct Message {
    std::string text;  // balanced, not yet parsed
  };
  struct Malformed {
    std::string reason;
  };
  using Result = std::variant<Incomplete, Message, Malformed>;

  Result take(uint8_t byte);
  void clear();

 private:
  // Messages up to this size are checked at each line's end, so that a mistake in them is answered at once.
  static constexpr size_t kLargestChecked = 64 << 10;

  Result structure(char letter);
  Result end_of_line();
  Result refuse(const char* reason, bool line_ended);
  Result finish();

  std::string text_;
  std::string open_;  // brackets that are not closed yet
  bool in_string_ = false;
  bool escaped_ = false;
  bool skipping_ = false;  // to the end of the line
};

}  // namespace calco::machine
