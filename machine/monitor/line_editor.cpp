#include "machine/monitor/line_editor.h"

#include <utility>

namespace calco::machine {
namespace {

constexpr uint8_t control(char letter) { return static_cast<uint8_t>(letter & 0x1F); }
constexpr uint8_t kEscape = 0x1B;
constexpr uint8_t kDelete = 0x7F;

}  // namespace

void LineEditor::clear() {
  line_.clear();
  recalled_ = history_.size();
  escape_ = Escape::None;
  after_return_ = false;
}

std::optional<std::string> LineEditor::type(uint8_t byte, std::string& echo) {
  const bool after_return = std::exchange(after_return_, byte == '\r');
  if (escape_ == Escape::Seen) {
    escape_ = byte == '[' || byte == 'O' ? Escape::Sequence : Escape::None;
    return {};
  }
  if (escape_ == Escape::Sequence) {
    // Parameters of a sequence are below '@' (ECMA-48, 5.4).
    if (byte < '@') return {};
    escape_ = Escape::None;
    if (byte == 'A' || byte == 'B') recall(byte == 'A', echo);
    return {};
  }
  switch (byte) {
    case '\n':
      if (after_return) return {};
      return finish(echo);
    case '\r':
      return finish(echo);
    case '\b':
    case kDelete:
      if (line_.empty()) return {};
      line_.pop_back();
      echo += "\b \b";
      return {};
    case control('U'):
    case control('C'):
      replace({}, echo);
      return {};
    case control('P'):
    case control('N'):
      recall(byte == control('P'), echo);
      return {};
    case kEscape:
      escape_ = Escape::Seen;
      return {};
    default:
      if (byte < ' ' || line_.size() == kLongestLine) return {};
      line_ += static_cast<char>(byte);
      echo += static_cast<char>(byte);
      return {};
  }
}

void LineEditor::replace(const std::string& line, std::string& echo) {
  for (size_t i = 0; i < line_.size(); ++i) echo += "\b \b";
  line_ = line;
  echo += line_;
}

void LineEditor::recall(bool older, std::string& echo) {
  if (older ? recalled_ == 0 : recalled_ >= history_.size()) return;
  recalled_ += older ? -1 : 1;
  replace(recalled_ < history_.size() ? history_[recalled_] : std::string(), echo);
}

std::optional<std::string> LineEditor::finish(std::string& echo) {
  echo += "\r\n";
  if (!line_.empty() && (history_.empty() || history_.back() != line_)) history_.push_back(line_);
  if (history_.size() > kHistory) history_.erase(history_.begin());
  recalled_ = history_.size();
  return std::exchange(line_, {});
}

}  // namespace calco::machine
