#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <charconv>
#include <optional>

#include "cpu/flags.h"
#include "jit/ir/printer.h"
#include "jit/ir/syntax.h"

namespace calco::jit::ir {

namespace {

std::string_view trim(std::string_view text) {
  const size_t first = text.find_first_not_of(" \t\r");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t\r") - first + 1);
}

// The text up to `separator`, which leaves the front of `rest` with it.
std::string_view take(std::string_view& rest, char separator) {
  const size_t end = rest.find(separator);
  const std::string_view taken = rest.substr(0, end);
  rest = end == std::string_view::npos ? std::string_view{} : rest.substr(end + 1);
  return trim(taken);
}

std::optional<uint64_t> number(std::string_view text) {
  const bool negative = text.starts_with('-');
  if (negative) text.remove_prefix(1);
  const bool hexadecimal = text.starts_with("0x");
  if (hexadecimal) text.remove_prefix(2);
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, hexadecimal ? 16 : 10);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return negative ? 0 - value : value;
}

std::optional<Opcode> opcode_named(std::string_view text) {
  for (size_t i = 0; i < static_cast<size_t>(Opcode::Count); ++i) {
    if (info(static_cast<Opcode>(i)).text == text) return static_cast<Opcode>(i);
  }
  return std::nullopt;
}

std::optional<Type> type_named(std::string_view text) {
  for (const Type type : {Type::Void, Type::I1, Type::I8, Type::I16, Type::I32, Type::I64}) {
    if (name(type) == text) return type;
  }
  return std::nullopt;
}

std::optional<decode::Mnemonic> mnemonic_named(std::string_view text) {
  for (size_t i = 0; i < static_cast<size_t>(decode::Mnemonic::Count); ++i) {
    if (decode::name(static_cast<decode::Mnemonic>(i)) == text) return static_cast<decode::Mnemonic>(i);
  }
  return std::nullopt;
}

class Parser {
 public:
  explicit Parser(Block& block) : block_(block) {}

  // Each returns false with error() set.
  bool line(std::string_view text);
  const std::string& error() const { return error_; }

 private:
  bool fail(std::string message) {
    error_ = std::move(message);
    return false;
  }
  bool header(std::string_view text);
  bool guest_instruction(std::string_view text);
  template <typename HostInstruction>
  bool host_instruction(std::string_view text, std::vector<HostInstruction>& list);
  bool operation(std::string_view text);
  bool fields(std::string_view text, std::initializer_list<std::string_view> words, std::span<uint64_t> values);
  bool operands(Instruction& instruction, std::string_view text);
  bool argument(Value& value, std::string_view text);
  bool immediate(Instruction& instruction, std::string_view text, std::string_view& rest);
  bool trailing_word(Instruction& instruction, std::string_view text);
  std::optional<Value> value_named(std::string_view text) const;

  Block& block_;
  std::vector<Value> values_;  // by number in the text
  std::string error_;
};

bool Parser::line(std::string_view text) {
  text = trim(text.substr(0, text.find(';')));
  if (text.empty()) return true;
  if (text.starts_with("block ")) return header(text);
  if (text.starts_with("instruction ")) return guest_instruction(text);
  if (text.starts_with("vector #")) return host_instruction(text, block_.vectors);
  if (text.starts_with("x87 #")) return host_instruction(text, block_.x87);
  if (text == "flags dead if taken") return block_.flags_dead_if_taken = true;
  if (text == "flags dead if not taken") return block_.flags_dead_if_not_taken = true;
  if (text.starts_with("interpreted ")) {
    const auto count = number(text.substr(12));
    if (!count || *count > 0xFFFF) return fail("number of interpreted operations expected");
    block_.interpreted.resize(*count);
    return true;
  }
  return operation(text);
}

// "words[0] value, words[1] value, ...": units behind a value are not looked at.
bool Parser::fields(std::string_view text, std::initializer_list<std::string_view> words, std::span<uint64_t> values) {
  size_t index = 0;
  for (const std::string_view wanted : words) {
    std::string_view field = take(text, ',');
    if (!field.starts_with(wanted)) return fail(fmt::format("\"{}\" expected", wanted));
    field.remove_prefix(wanted.size());
    field = trim(field);
    const auto value = number(take(field, ' '));
    if (!value) return fail(fmt::format("number expected after \"{}\"", wanted));
    values[index++] = *value;
  }
  return true;
}

bool Parser::header(std::string_view text) {
  std::array<uint64_t, 4> values{};
  if (!fields(text, {"block at", "", "mode", "memory"}, values)) return false;
  block_.page_offset = static_cast<uint16_t>(values[0]);
  block_.byte_length = static_cast<uint16_t>(values[1]);
  block_.mode_key = static_cast<uint32_t>(values[2]);
  block_.memory_offset = values[3];
  return true;
}

bool Parser::guest_instruction(std::string_view text) {
  std::array<uint64_t, 2> values{};
  if (!fields(text, {"instruction at", ""}, values)) return false;
  block_.guest.push_back({static_cast<uint16_t>(values[0]), static_cast<uint8_t>(values[1])});
  return true;
}

template <typename HostInstruction>
bool Parser::host_instruction(std::string_view text, std::vector<HostInstruction>& list) {
  take(text, ' ');
  if (take(text, ' ') != fmt::format("#{}", list.size())) return fail("host instructions out of order");
  HostInstruction& result = list.emplace_back();
  const auto mnemonic = mnemonic_named(take(text, ' '));
  if (!mnemonic) return fail("mnemonic expected");
  result.mnemonic = *mnemonic;
  while (!text.empty()) {
    std::string_view field = take(text, ' ');
    const std::string_view wanted = take(field, '=');
    const auto value = number(field);
    if (!value) return fail("name=number expected");
    bool found = false;
    each_field(result, [&](std::string_view field_name, auto& target) {
      if (field_name != wanted) return;
      target = static_cast<std::remove_reference_t<decltype(target)>>(*value);
      found = true;
    });
    if (!found) return fail(fmt::format("unknown field \"{}\"", wanted));
  }
  return true;
}

std::optional<Value> Parser::value_named(std::string_view text) const {
  if (!text.starts_with('%')) return std::nullopt;
  const auto index = number(text.substr(1));
  if (!index || *index >= values_.size() || values_[*index] == kNoValue) return std::nullopt;
  return values_[*index];
}

bool Parser::argument(Value& value, std::string_view text) {
  if (text == "-") return true;
  const auto found = value_named(text);
  if (!found) return fail(fmt::format("\"{}\" is not a value defined above", text));
  value = *found;
  return true;
}

bool Parser::immediate(Instruction& instruction, std::string_view text, std::string_view& rest) {
  const Immediate kind = syntax(instruction.opcode).immediate;
  if (kind == Immediate::FlagMask) {
    while (!text.empty()) {
      const std::string_view one = take(text, '|');
      const auto known = std::ranges::find(flag_names(), one, &FlagName::text);
      const auto bits = known != flag_names().end() ? std::optional(known->bit) : number(one);
      if (!bits) return fail(fmt::format("\"{}\" is not a flag", one));
      instruction.immediate |= *bits;
    }
    return true;
  }
  if (kind == Immediate::Interpreted || kind == Immediate::Vector || kind == Immediate::X87) {
    if (!text.starts_with('#')) return fail("index expected");
    text.remove_prefix(1);
  }
  const auto first = number(text);
  if (!first) return fail(fmt::format("\"{}\" is not a number", text));
  instruction.immediate = *first;
  if (kind == Immediate::Targets) {
    const auto second = number(take(rest, ','));
    if (!second) return fail("second target expected");
    instruction.immediate = branch_targets(static_cast<int32_t>(*first), static_cast<int32_t>(*second));
  }
  return true;
}

bool Parser::trailing_word(Instruction& instruction, std::string_view text) {
  if (text == "only_for_faults") {
    instruction.marks |= kFlagsOnlyForFaults;
    return true;
  }
  const Syntax& rules = syntax(instruction.opcode);
  if (rules.immediate == Immediate::HostAccess && (text == "write" || text == "aligned")) {
    instruction.immediate |= text == "write" ? kHostWrite : kHostAligned;
    return true;
  }
  const auto all = words(rules.auxiliary);
  const auto found = std::ranges::find(all, text);
  const bool word_last = rules.auxiliary == Auxiliary::Access || rules.auxiliary == Auxiliary::Hint;
  if (!word_last || found == all.end()) return fail(fmt::format("\"{}\" means nothing here", text));
  instruction.auxiliary = static_cast<uint8_t>(found - all.begin());
  return true;
}

bool Parser::operands(Instruction& instruction, std::string_view text) {
  const Syntax& rules = syntax(instruction.opcode);
  const bool word_last = rules.auxiliary == Auxiliary::Access || rules.auxiliary == Auxiliary::Hint;
  if (rules.auxiliary != Auxiliary::None && rules.auxiliary != Auxiliary::Scale && !word_last) {
    const std::string_view word = take(text, ',');
    const auto all = words(rules.auxiliary);
    const auto found = std::ranges::find(all, word);
    if (found == all.end()) return fail(fmt::format("\"{}\" is not known", word));
    instruction.auxiliary = static_cast<uint8_t>(found - all.begin());
  }
  for (unsigned i = 0; i < info(instruction.opcode).arguments; ++i) {
    const bool may_end = (rules.arguments[i] & type_set::kOptional) != 0;
    const std::string_view front = trim(text);
    if (may_end && !front.starts_with('%') && !front.starts_with("-,") && front != "-") break;
    if (!argument(instruction.arguments[i], take(text, ','))) return false;
  }
  if (rules.auxiliary == Auxiliary::Scale) {
    const auto scale = number(take(text, ','));
    if (!scale || !std::has_single_bit(*scale)) return fail("scale expected");
    instruction.auxiliary = static_cast<uint8_t>(std::countr_zero(*scale));
  }
  if (rules.immediate != Immediate::None) {
    const std::string_view first = take(text, ',');
    if (!immediate(instruction, first, text)) return false;
  }
  while (!text.empty()) {
    if (!trailing_word(instruction, take(text, ','))) return false;
  }
  return true;
}

bool Parser::operation(std::string_view text) {
  if (block_.guest.empty()) return fail("operation before the first guest instruction");
  if (block_.code.size() >= kNoValue) return fail("too many operations");
  std::optional<uint64_t> name_of_result;
  if (text.starts_with('%')) {
    name_of_result = number(take(text, '=').substr(1));
    if (!name_of_result || *name_of_result >= kNoValue) return fail("value number expected");
    text = trim(text);
  }
  std::string_view word = take(text, ' ');
  const auto opcode = opcode_named(take(word, '.'));
  if (!opcode) return fail("unknown operation");
  Instruction instruction;
  instruction.opcode = *opcode;
  instruction.guest = static_cast<uint8_t>(block_.guest.size() - 1);
  const Result result = info(*opcode).result;
  if (result == Result::Same || result == Result::Typed) {
    const auto type = type_named(word);
    if (!type) return fail("type expected");
    instruction.type = *type;
  } else {
    instruction.type = static_cast<Type>(result);  // the first of Result are those of Type
  }
  if (!operands(instruction, text)) return false;
  if (name_of_result) {
    if (values_.size() <= *name_of_result) values_.resize(*name_of_result + 1, kNoValue);
    values_[*name_of_result] = static_cast<Value>(block_.code.size());
  }
  block_.code.push_back(instruction);
  return true;
}

}  // namespace

std::string parse(std::string_view text, Block& block) {
  block = {};
  Parser parser(block);
  for (unsigned line = 1; !text.empty(); ++line) {
    const size_t end = text.find('\n');
    if (!parser.line(text.substr(0, end))) return fmt::format("line {}: {}", line, parser.error());
    if (end == std::string_view::npos) break;
    text.remove_prefix(end + 1);
  }
  return {};
}

}  // namespace calco::jit::ir
