// A line of text as it is typed on a terminal.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace calco::machine {

// Echoes, takes back (Backspace, Ctrl-U, Ctrl-C) and remembers lines (arrow up and down, Ctrl-P and Ctrl-N).
class LineEditor {
 public:
  // Characters of a line; more are not taken.
  static constexpr size_t kLongestLine = 4096;
  static constexpr size_t kHistory = 100;  // lines

  // A key. Appends to `echo` what the terminal shall show; the line where it ends it.
  std::optional<std::string> type(uint8_t byte, std::string& echo);
  void clear();

 private:
  enum class Escape : uint8_t { None, Seen, Sequence };

  void replace(const std::string& line, std::string& echo);
  void recall(bool older, std::string& echo);
  std::optional<std::string> finish(std::string& echo);

  std::string line_;
  std::vector<std::string> history_;
  size_t recalled_ = 0;  // index in the history; its size: the line being typed
  Escape escape_ = Escape::None;
  bool after_return_ = false;  // a line feed after a carriage return is part of it
};

}  // namespace calco::machine
