// Over the whole opcode space the decoder and Capstone agree on validity, length and mnemonic, or the case stands in
// the list of known differences (capstone_differences.inc) with its reason.
#include <capstone/capstone.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <string>

#include "cpu/decode/row.h"
#include "tests/cpu/opcode_space.h"

namespace calco::decode {
namespace {

constexpr const char* kConditionNames[] = {"o", "no", "b", "ae", "e", "ne", "be", "a",
                                           "s", "ns", "p", "np", "l", "ge", "le", "g"};

const FeatureSet& features() {
  static const FeatureSet every = [] {
    FeatureSet set;
    set.set();
    set.reset(static_cast<size_t>(Feature::ThreeDNow));
    return set;
  }();
  return every;
}

std::string size_letter(uint8_t size) { return size == 1 ? "b" : (size == 2 ? "w" : (size == 4 ? "d" : "q")); }

// What Capstone calls the instruction: it spells out conditions and the sizes of string instructions.
std::string spelled_out(const Instruction& instruction) {
  const std::string base(name(instruction.mnemonic));
  switch (instruction.mnemonic) {
    case Mnemonic::Jcc:
      return std::string("j") + kConditionNames[instruction.condition];
    case Mnemonic::Setcc:
      return std::string("set") + kConditionNames[instruction.condition];
    case Mnemonic::Cmovcc:
      return std::string("cmov") + kConditionNames[instruction.condition];
    case Mnemonic::Movs:
    case Mnemonic::Cmps:
    case Mnemonic::Stos:
    case Mnemonic::Ins:
      return base + size_letter(instruction.operands[0].size);
    case Mnemonic::Scas:
    case Mnemonic::Lods:
    case Mnemonic::Outs:
      return base + size_letter(instruction.operands[1].size);
    case Mnemonic::Iret:
    case Mnemonic::Popf:
    case Mnemonic::Pushf:
      return base + (instruction.operand_size == 2 ? "" : size_letter(instruction.operand_size));
    case Mnemonic::Pusha:
    case Mnemonic::Popa:
      return base + (instruction.operand_size == 2 ? "w" : "l");
    case Mnemonic::RetFar:
      return instruction.operand_size == 8 ? "retfq" : "retf";
    case Mnemonic::Jcxz:
      return instruction.address_size == 2 ? "jcxz" : (instruction.address_size == 4 ? "jecxz" : "jrcxz");
    default:
      return base;
  }
}

struct Answer {
  std::string name = "-";  // "-": invalid
  unsigned length = 0;
  bool operator==(const Answer&) const = default;
};

struct Case {
  CodeSize code_size;
  CaseBytes bytes;
  Answer calco;
  Answer capstone;
};

Answer ask_calco(CodeSize code_size, std::span<const uint8_t> bytes) {
  Instruction instruction;
  if (decode(bytes, code_size, features(), instruction) != Status::Ok) return {};
  return {spelled_out(instruction), instruction.length};
}

// --- The circumstances that capstone_differences.inc names ---------------------------------------------------------

size_t prefix_count(const Case& one) {
  size_t count = 0;
  while (count < kCaseBytes && (is_legacy_prefix(one.bytes[count]) || is_rex(one.bytes[count], one.code_size))) ++count;
  return count;
}

bool has_prefix(const Case& one, uint8_t prefix) {
  const size_t count = prefix_count(one);
  return std::find(one.bytes.begin(), one.bytes.begin() + count, prefix) != one.bytes.begin() + count;
}
bool has_repeat(const Case& one) { return has_prefix(one, 0xF2) || has_prefix(one, 0xF3); }

// What the decoder makes of the bytes without some prefixes; the length counts these.
template <typename Drop>
Answer without(const Case& one, Drop drop) {
  const size_t count = prefix_count(one);
  std::vector<uint8_t> bytes;
  for (size_t i = 0; i < kCaseBytes; ++i) {
    if (i >= count || !drop(one.bytes[i])) bytes.push_back(one.bytes[i]);
  }
  const auto dropped = static_cast<unsigned>(kCaseBytes - bytes.size());
  bytes.resize(kCaseBytes);
  Answer answer = ask_calco(one.code_size, bytes);
  if (answer.length != 0) answer.length += dropped;
  return answer;
}

bool always(const Case&) { return true; }
bool in_16_bit_code(const Case& one) { return one.code_size == CodeSize::Bits16; }
bool with_66_and_repeat(const Case& one) { return has_prefix(one, 0x66) && has_repeat(one); }

// Capstone gives the instruction without 66, F2, F3.
bool prefix_is_ignored(const Case& one) {
  if (!has_prefix(one, 0x66) && !has_repeat(one)) return false;
  const auto all = [](uint8_t byte) { return byte == 0x66 || byte == 0xF2 || byte == 0xF3; };
  const auto repeat = [](uint8_t byte) { return byte == 0xF2 || byte == 0xF3; };
  return without(one, all) == one.capstone || without(one, repeat) == one.capstone;
}

bool lock_is_ignored(const Case& one) {
  return has_prefix(one, 0xF0) && without(one, [](uint8_t byte) { return byte == 0xF0; }) == one.capstone;
}

bool outside_64_bit(const Case& one) { return one.code_size != CodeSize::Bits64; }

// 8E /1.
bool loads_cs(const Case& one) {
  const size_t opcode = prefix_count(one);
  return one.bytes[opcode] == 0x8E && (one.bytes[opcode + 1] >> 3 & 7) == 1;
}

// 0F 20-23.
bool moves_control_register(const Case& one) {
  const size_t opcode = prefix_count(one);
  return one.bytes[opcode] == 0x0F && (one.bytes[opcode + 1] & 0xFC) == 0x20;
}

bool with_rex(const Case& one) {
  const size_t opcode = prefix_count(one);
  return opcode > 0 && is_rex(one.bytes[opcode - 1], one.code_size);
}

bool with_rex_r(const Case& one) { return with_rex(one) && (one.bytes[prefix_count(one) - 1] & 4) != 0; }

// The three-byte VEX prefix with W.
bool with_vex_w(const Case& one) {
  const size_t opcode = prefix_count(one);
  return one.bytes[opcode] == 0xC4 && (one.bytes[opcode + 2] & 0x80) != 0;
}

// VEX map 0F3A, 5C-7F.
bool is_fma4(const Case& one) {
  const size_t vex = prefix_count(one);
  const uint8_t opcode = one.bytes[vex + 3];
  return one.bytes[vex] == 0xC4 && (one.bytes[vex + 1] & 0x1F) == 3 && opcode >= 0x5C && opcode <= 0x7F;
}

// A REX that something stands behind, and 66, F2 or F3 before an encoding that has none.
bool reserved_rex_prefix(const Case& one) {
  const auto selecting_or_rex = [&](uint8_t byte) {
    return byte == 0x66 || byte == 0xF2 || byte == 0xF3 || is_rex(byte, one.code_size);
  };
  return one.code_size == CodeSize::Bits64 && (has_prefix(one, 0x66) || has_repeat(one)) &&
         without(one, selecting_or_rex) == one.capstone;
}

struct Difference {
  std::string_view calco;  // patterns, see matches()
  std::string_view capstone;
  bool (*applies)(const Case&);
  std::string_view reason;
};
constexpr Difference kDifferences[] = {
#define CALCO_DIFFERENCE(calco, capstone, applies, reason) {calco, capstone, applies, reason},
#include "tests/cpu/capstone_differences.inc"
#undef CALCO_DIFFERENCE
};

// '*' stands for any characters.
bool matches(std::string_view pattern, std::string_view text) {
  if (pattern.empty()) return text.empty();
  if (pattern.front() != '*') {
    return !text.empty() && text.front() == pattern.front() && matches(pattern.substr(1), text.substr(1));
  }
  return matches(pattern.substr(1), text) || (!text.empty() && matches(pattern, text.substr(1)));
}

// --- Comparison ------------------------------------------------------------------------------------------------------

class DecoderAgainstCapstone : public testing::TestWithParam<CodeSize> {
 protected:
  DecoderAgainstCapstone() {
    const cs_mode modes[] = {CS_MODE_16, CS_MODE_32, CS_MODE_64};
    cs_open(CS_ARCH_X86, modes[static_cast<size_t>(GetParam())], &capstone_);
    instruction_ = cs_malloc(capstone_);
  }
  ~DecoderAgainstCapstone() override {
    cs_free(instruction_, 1);
    cs_close(&capstone_);
  }

  void compare(const CaseBytes& bytes) {
    Case one{GetParam(), bytes, ask_calco(GetParam(), bytes), ask_capstone(bytes)};
    if (one.calco == one.capstone) return;
    for (const Difference& difference : kDifferences) {
      if (matches(difference.calco, one.calco.name) && matches(difference.capstone, one.capstone.name) &&
          difference.applies(one)) {
        return;
      }
    }
    std::string& examples = unexplained_[fmt::format("calco {}, capstone {}", one.calco.name, one.capstone.name)];
    if (examples.size() < 200) {
      examples += fmt::format("{:02x} ({}, {}); ", fmt::join(bytes, " "), one.calco.length, one.capstone.length);
    }
  }

  void expect_no_unexplained_difference() const {
    std::string report;
    for (const auto& [what, examples] : unexplained_) report += fmt::format("\n{}: {}", what, examples);
    EXPECT_EQ(report, "");
  }

 private:
  Answer ask_capstone(const CaseBytes& bytes) {
    const uint8_t* code = bytes.data();
    size_t size = bytes.size();
    uint64_t address = 0;
    if (!cs_disasm_iter(capstone_, &code, &size, &address, instruction_)) return {};
    return {cs_insn_name(capstone_, instruction_->id), instruction_->size};
  }

  csh capstone_ = 0;
  cs_insn* instruction_ = nullptr;
  std::map<std::string, std::string> unexplained_;
};

TEST_P(DecoderAgainstCapstone, LegacyMapsWithPrefixesAndEveryModRm) {
  for_each_legacy_case(GetParam(), [&](const CaseBytes& bytes) { compare(bytes); });
  expect_no_unexplained_difference();
}

TEST_P(DecoderAgainstCapstone, VexMaps) {
  for_each_vex_case([&](const CaseBytes& bytes) { compare(bytes); });
  expect_no_unexplained_difference();
}

TEST_P(DecoderAgainstCapstone, RandomBytes) {
  for_each_random_case(300'000, [&](const CaseBytes& bytes) { compare(bytes); });
  expect_no_unexplained_difference();
}

INSTANTIATE_TEST_SUITE_P(CodeSizes, DecoderAgainstCapstone,
                         testing::Values(CodeSize::Bits16, CodeSize::Bits32, CodeSize::Bits64), code_size_name);

}  // namespace
}  // namespace calco::decode
