#include "machine/monitor/expression.h"

#include <fmt/format.h>

#include <array>
#include <cctype>
#include <charconv>
#include <optional>
#include <string>
#include <utility>

#include "machine/monitor/monitor_error.h"

namespace calco::machine {
namespace {

using cpu::Cpu;

constexpr auto kGeneral = std::to_array<std::string_view>(
    {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15"});
constexpr auto kNarrow = std::to_array<std::string_view>({"eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi"});
constexpr auto kSegments = std::to_array<std::string_view>({"es", "cs", "ss", "ds", "fs", "gs"});

template <size_t kCount>
std::optional<size_t> index_of(const std::array<std::string_view, kCount>& names, std::string_view name) {
  for (size_t i = 0; i < kCount; ++i) {
    if (names[i] == name) return i;
  }
  return {};
}

std::optional<uint64_t> segment_value(std::string_view name, const Cpu& cpu) {
  const size_t dot = name.find('.');
  const auto index = index_of(kSegments, name.substr(0, dot));
  if (!index) return {};
  const cpu::Segment& segment = cpu.segments[*index];
  if (dot == std::string_view::npos) return segment.selector;
  const std::string_view part = name.substr(dot + 1);
  if (part == "base") return segment.base;
  if (part == "limit") return segment.limit;
  return {};
}

std::optional<uint64_t> register_value(std::string_view name, const Cpu& cpu) {
  if (const auto index = index_of(kGeneral, name)) return cpu.registers[*index];
  if (const auto index = index_of(kNarrow, name)) return static_cast<uint32_t>(cpu.registers[*index]);
  if (name == "rip" || name == "pc") return cpu.registers[cpu::kRip];
  if (name == "eip") return static_cast<uint32_t>(cpu.registers[cpu::kRip]);
  if (name == "rflags" || name == "eflags") return cpu::rflags_value(cpu);
  if (name == "cr0") return cpu.cr0;
  if (name == "cr2") return cpu.cr2;
  if (name == "cr3") return cpu.cr3;
  if (name == "cr4") return cpu.cr4;
  if (name == "efer") return cpu.efer;
  return segment_value(name, cpu);
}

// Recursive descent; each level binds tighter than the one before.
class Parser {
 public:
  Parser(std::string_view text, const Cpu& cpu) : text_(text), cpu_(cpu) {}

  uint64_t parse() {
    const uint64_t value = sum();
    skip_spaces();
    if (position_ != text_.size()) fail(fmt::format("unexpected '{}'", text_.substr(position_)));
    return value;
  }

 private:
  static constexpr unsigned kDeepest = 100;  // parentheses and signs

  [[noreturn]] void fail(const std::string& reason) const {
    throw MonitorError(fmt::format("expression '{}': {}", text_, reason));
  }

  void skip_spaces() {
    while (position_ < text_.size() && text_[position_] == ' ') ++position_;
  }
  char peek() {
    skip_spaces();
    return position_ < text_.size() ? text_[position_] : '\0';
  }

  uint64_t sum() {
    uint64_t value = bits();
    for (char sign = peek(); sign == '+' || sign == '-'; sign = peek()) {
      ++position_;
      const uint64_t right = bits();
      value = sign == '+' ? value + right : value - right;
    }
    return value;
  }

  uint64_t bits() {
    uint64_t value = product();
    for (char sign = peek(); sign == '&' || sign == '|' || sign == '^'; sign = peek()) {
      ++position_;
      const uint64_t right = product();
      value = sign == '&' ? value & right : sign == '|' ? value | right : value ^ right;
    }
    return value;
  }

  uint64_t product() {
    uint64_t value = unary();
    for (char sign = peek(); sign == '*' || sign == '/' || sign == '%'; sign = peek()) {
      ++position_;
      const uint64_t right = unary();
      if (sign != '*' && right == 0) fail("division by zero");
      value = sign == '*' ? value * right : sign == '/' ? value / right : value % right;
    }
    return value;
  }

  uint64_t unary() {
    if (++depth_ > kDeepest) fail("too deeply nested");
    const uint64_t value = unary_within();
    --depth_;
    return value;
  }

  uint64_t unary_within() {
    const char sign = peek();
    if (sign == '\0') fail("a number is missing");
    if (std::isdigit(static_cast<unsigned char>(sign)) != 0) return number();
    ++position_;
    switch (sign) {
      case '+':
        return unary();
      case '-':
        return 0 - unary();
      case '~':
        return ~unary();
      case '(':
        return parenthesized();
      case '\'':
        return character();
      case '$':
        return register_named();
      default:
        fail(fmt::format("unexpected '{}'", sign));
    }
  }

  uint64_t parenthesized() {
    const uint64_t value = sum();
    if (peek() != ')') fail("')' is missing");
    ++position_;
    return value;
  }

  uint64_t character() {
    if (position_ + 1 >= text_.size() || text_[position_ + 1] != '\'') fail("a character is one byte between quotes");
    const auto value = static_cast<uint8_t>(text_[position_]);
    position_ += 2;
    return value;
  }

  uint64_t register_named() {
    const size_t begin = position_;
    while (position_ < text_.size() &&
           (std::isalnum(static_cast<unsigned char>(text_[position_])) != 0 || text_[position_] == '.')) {
      ++position_;
    }
    const std::string_view name = text_.substr(begin, position_ - begin);
    const auto value = register_value(name, cpu_);
    if (!value) fail(fmt::format("unknown register '${}'", name));
    return *value;
  }

  uint64_t number() {
    int base = 10;
    if (text_[position_] == '0' && position_ + 1 < text_.size()) {
      const char next = text_[position_ + 1];
      if (next == 'x' || next == 'X') {
        base = 16;
        position_ += 2;
      } else if (std::isdigit(static_cast<unsigned char>(next)) != 0) {
        base = 8;
        ++position_;
      }
    }
    uint64_t value = 0;
    const char* end = text_.data() + text_.size();
    const auto [rest, error] = std::from_chars(text_.data() + position_, end, value, base);
    const bool ends = rest == end || std::isalnum(static_cast<unsigned char>(*rest)) == 0;
    if (error != std::errc() || !ends) fail("not a number of 64 bits");
    position_ = static_cast<size_t>(rest - text_.data());
    return value;
  }

  std::string_view text_;
  const Cpu& cpu_;
  size_t position_ = 0;
  unsigned depth_ = 0;
};

}  // namespace

uint64_t evaluate(std::string_view text, const Cpu& cpu) { return Parser(text, cpu).parse(); }

}  // namespace calco::machine
