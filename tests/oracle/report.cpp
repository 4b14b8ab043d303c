#include "tests/oracle/report.h"

#include <capstone/capstone.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "tests/oracle/compare.h"

namespace calco::oracle {
namespace {

struct Line {
  uint64_t address;
  std::string bytes, text;
};

unsigned bits(decode::CodeSize size) { return 16u << static_cast<unsigned>(size); }

cs_mode mode_of(decode::CodeSize size) {
  return size == decode::CodeSize::Bits64 ? CS_MODE_64 : size == decode::CodeSize::Bits32 ? CS_MODE_32 : CS_MODE_16;
}

std::vector<Line> disassemble(const TestCase& test) {
  std::vector<Line> lines;
  csh handle;
  if (cs_open(CS_ARCH_X86, mode_of(test.code_size), &handle) != CS_ERR_OK) return lines;
  cs_option(handle, CS_OPT_SKIPDATA, CS_OPT_ON);
  cs_insn* instructions = nullptr;
  const size_t count = cs_disasm(handle, test.code.data(), test.code.size(), test.code_address, 0, &instructions);
  for (size_t i = 0; i < count; ++i) {
    const cs_insn& it = instructions[i];
    lines.push_back({it.address, fmt::format("{:02X}", fmt::join(it.bytes, it.bytes + it.size, " ")),
                     fmt::format("{} {}", it.mnemonic, it.op_str)});
  }
  if (instructions != nullptr) cs_free(instructions, count);
  cs_close(&handle);
  return lines;
}

std::string ending_name(uint64_t ending) {
  if (ending == Ending::kThrough) return "through";
  if (ending == Ending::kLost) return "lost";
  return fmt::format("vector {}", ending);
}

std::string memory_differences(const MemoryPair& memory) {
  std::string text;
  constexpr size_t kLine = 16;
  for (size_t at = 0; at < memory.host.size(); at += kLine) {
    const auto host = memory.host.subspan(at, kLine), other = memory.interpreter.subspan(at, kLine);
    if (std::equal(host.begin(), host.end(), other.begin())) continue;
    text += fmt::format("* {:08X}  host        {:02X}\n            interpreter {:02X}\n", memory.address + at,
                        fmt::join(host, " "), fmt::join(other, " "));
  }
  return text;
}

}  // namespace

std::string listing(const TestCase& test) {
  std::string text;
  for (const Line& line : disassemble(test)) {
    text += fmt::format("  {:08X}  {:<30}  {}\n", line.address, line.bytes, line.text);
  }
  return text;
}

Difference describe_difference(const TestCase& test, const Outcome& host, const Outcome& interpreter,
                               const MemoryPair& data, const MemoryPair& code) {
  Difference difference;
  const std::vector<Field> all = fields(test, host, interpreter);
  std::string names;
  std::string states;
  for (const Field& field : all) {
    if (field.differs()) names += (names.empty() ? "" : ", ") + field.name;
    const bool is_vector =
        field.name.starts_with("xmm") || field.name.starts_with("ymm") || field.name.starts_with("st");
    const bool shown = field.differs() || field.initial != field.host || (test.instructions == 1 && !is_vector);
    if (!shown) continue;
    const auto value = [&](uint64_t number) {
      return field.name == "ending" ? ending_name(number) : fmt::format("{:016X}", number);
    };
    states += fmt::format("{} {:<10} {:>16} {:>16} {:>16}\n", field.differs() ? '*' : ' ', field.name,
                          value(field.initial), value(field.host), value(field.interpreter));
  }
  if (!data.equal()) names += (names.empty() ? "memory" : ", memory");
  if (!code.equal()) names += (names.empty() ? "code" : ", code");
  const std::vector<Line> lines = disassemble(test);
  const std::string first = lines.empty() ? "?" : lines.front().text;
  difference.summary =
      fmt::format("{}{}: {}", test.code_64() ? "" : fmt::format("{}-bit ", bits(test.code_size)), first, names);
  difference.report =
      fmt::format("{}-bit code\n{}  {:<10} {:>16} {:>16} {:>16}\n{}{}{}", bits(test.code_size), listing(test), "",
                  "initial", "host", "interpreter", states, memory_differences(data), memory_differences(code));
  return difference;
}

}  // namespace calco::oracle
