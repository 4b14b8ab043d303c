#include "jit/ir/printer.h"

#include <fmt/format.h>

#include "cpu/flags.h"
#include "jit/ir/syntax.h"

namespace calco::jit::ir {

namespace {

// Gathers operands, with commas between them.
class Operands {
 public:
  void add(std::string_view operand) {
    if (operand.empty()) return;
    text_ += text_.empty() ? " " : ", ";
    text_ += operand;
  }
  void add_signed(int64_t value) {
    // The magnitude of the smallest number has no positive counterpart, but an unsigned one.
    const auto magnitude = value < 0 ? 0 - static_cast<uint64_t>(value) : static_cast<uint64_t>(value);
    add(fmt::format("{}{:#x}", value < 0 ? "-" : "", magnitude));
  }
  const std::string& text() const { return text_; }

 private:
  std::string text_;
};

std::string word(Auxiliary auxiliary, uint8_t value) {
  const auto all = words(auxiliary);
  return value < all.size() ? std::string(all[value]) : fmt::format("?{}", value);
}

std::string flag_mask(uint64_t mask) {
  std::string text;
  for (const FlagName& flag : flag_names()) {
    if ((mask & flag.bit) != 0) text += fmt::format("{}{}", text.empty() ? "" : "|", flag.text);
    mask &= ~flag.bit;
  }
  if (mask != 0 || text.empty()) text += fmt::format("{}{:#x}", text.empty() ? "" : "|", mask);
  return text;
}

void add_immediate(Operands& operands, Immediate kind, const Instruction& instruction) {
  const uint64_t immediate = instruction.immediate;
  switch (kind) {
    case Immediate::None:
      break;
    case Immediate::Constant:
      operands.add(fmt::format("{:#x}", immediate));
      break;
    case Immediate::FlagMask:
      operands.add(flag_mask(immediate));
      break;
    case Immediate::Displacement:
    case Immediate::Target:
      operands.add_signed(static_cast<int64_t>(immediate));
      break;
    case Immediate::HostAccess:
      operands.add(fmt::format("{}", immediate & 0xFF));
      if ((immediate & kHostWrite) != 0) operands.add("write");
      if ((immediate & kHostAligned) != 0) operands.add("aligned");
      break;
    case Immediate::Interpreted:
    case Immediate::Vector:
    case Immediate::X87:
      operands.add(fmt::format("#{}", immediate));
      break;
    case Immediate::Targets:
      operands.add_signed(taken_target(instruction));
      operands.add_signed(not_taken_target(instruction));
      break;
  }
}

// How many arguments are written.
unsigned arguments_of(const Instruction& instruction) {
  const auto kind = static_cast<cpu::FlagKind>(instruction.auxiliary);
  const bool one = kind == cpu::FlagKind::Explicit || kind == cpu::FlagKind::Logic;
  if (instruction.opcode == Opcode::SetFlags && one && instruction.arguments[1] == kNoValue) return 1;
  return info(instruction.opcode).arguments;
}

std::string operands_of(const Instruction& instruction) {
  const Syntax& rules = syntax(instruction.opcode);
  const bool word_last = rules.auxiliary == Auxiliary::Access || rules.auxiliary == Auxiliary::Hint;
  Operands operands;
  const bool word_first = rules.auxiliary != Auxiliary::None && rules.auxiliary != Auxiliary::Scale && !word_last;
  if (word_first) operands.add(word(rules.auxiliary, instruction.auxiliary));
  for (unsigned i = 0; i < arguments_of(instruction); ++i) {
    const Value argument = instruction.arguments[i];
    operands.add(argument == kNoValue ? "-" : fmt::format("%{}", argument));
  }
  if (rules.auxiliary == Auxiliary::Scale) operands.add(fmt::format("{}", 1u << (instruction.auxiliary & 31)));
  add_immediate(operands, rules.immediate, instruction);
  if (word_last) operands.add(word(rules.auxiliary, instruction.auxiliary));
  if ((instruction.marks & kFlagsOnlyForFaults) != 0) operands.add("only_for_faults");
  return operands.text();
}

// A line with the fields that differ from their defaults.
template <typename HostInstruction>
void append_host_instruction(std::string& text, std::string_view kind, size_t index,
                             const HostInstruction& instruction) {
  text += fmt::format("{} #{} {}", kind, index, decode::name(instruction.mnemonic));
  const HostInstruction plain;
  std::vector<unsigned> defaults;
  each_field(plain, [&](std::string_view, auto value) { defaults.push_back(static_cast<unsigned>(value)); });
  size_t field = 0;
  each_field(instruction, [&](std::string_view field_name, auto value) {
    const auto number = static_cast<unsigned>(value);
    if (number != defaults[field++]) text += fmt::format(" {}={:#x}", field_name, number);
  });
  text += "\n";
}

void append_header(std::string& text, const Block& block) {
  text += fmt::format("block at {:#x}, {} bytes, mode {:#x}, memory {:#x}\n", block.page_offset, block.byte_length,
                      block.mode_key, block.memory_offset);
  if (block.flags_dead_if_taken) text += "flags dead if taken\n";
  if (block.flags_dead_if_not_taken) text += "flags dead if not taken\n";
  if (!block.interpreted.empty()) text += fmt::format("interpreted {}\n", block.interpreted.size());
  for (size_t i = 0; i < block.vectors.size(); ++i) append_host_instruction(text, "vector", i, block.vectors[i]);
  for (size_t i = 0; i < block.x87.size(); ++i) append_host_instruction(text, "x87", i, block.x87[i]);
}

}  // namespace

std::string print(const Block& block, Value value) {
  const Instruction& instruction = block[value];
  const OpcodeInfo& row = info(instruction.opcode);
  std::string text;
  if (instruction.type != Type::Void) text += fmt::format("%{} = ", value);
  text += row.text;
  if (row.result == Result::Same || row.result == Result::Typed) text += fmt::format(".{}", name(instruction.type));
  return text + operands_of(instruction);
}

std::string print(const Block& block) {
  std::string text;
  append_header(text, block);
  size_t guest = 0;
  const auto heading = [&] {
    text += fmt::format("instruction at {:#x}, {} bytes\n", block.guest[guest].page_offset, block.guest[guest].length);
    ++guest;
  };
  for (size_t i = 0; i < block.code.size(); ++i) {
    while (guest <= block.code[i].guest && guest < block.guest.size()) heading();
    text += fmt::format("  {}\n", print(block, static_cast<Value>(i)));
  }
  while (guest < block.guest.size()) heading();
  return text;
}

}  // namespace calco::jit::ir
