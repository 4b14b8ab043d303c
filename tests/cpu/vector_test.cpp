// Vector instructions against the processor that the tests run on, which is the oracle: registers, memory, MXCSR,
// flags, x87 state and faults must agree bit for bit. The encodings come from the decode table.
#include <gtest/gtest.h>

#include <cstring>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "cpu/decode/row.h"
#include "tests/cpu/emulated_instruction.h"
#include "tests/cpu/host_instruction.h"

namespace calco::cpu::test {
namespace {

using decode::Feature;
using decode::Location;
using decode::OpcodeMap;
using decode::Row;

// --- Encodings
// -----------------------------------------------------------------------------------------------------------

struct Encoding {
  const Row* row;
  std::vector<uint8_t> bytes;
  unsigned immediates;  // bytes at the end that may have any value
};

unsigned immediate_bytes(const Row& row) {
  unsigned count = 0;
  for (const decode::OperandSpec& operand : row.operands) {
    if (operand.location == Location::UnsignedImmediate || operand.location == Location::SignedImmediate) ++count;
  }
  return count;
}

bool width_by_rex(const Row& row) {
  for (const decode::OperandSpec& operand : row.operands) {
    if (operand.width == decode::Width::DwordOrQword) return true;
  }
  return row.mnemonic == decode::Mnemonic::Pcmpestri || row.mnemonic == decode::Mnemonic::Pcmpestrm;
}

Encoding encode(const Row& row, bool rex_w, std::optional<uint8_t> modrm) {
  Encoding encoding{&row, {}, immediate_bytes(row)};
  std::vector<uint8_t>& bytes = encoding.bytes;
  if (row.prefixes == decode::prefix::k66) bytes.push_back(0x66);
  if (row.prefixes == decode::prefix::kF3) bytes.push_back(0xF3);
  if (row.prefixes == decode::prefix::kF2) bytes.push_back(0xF2);
  if (rex_w) bytes.push_back(0x48);
  bytes.push_back(0x0F);
  if (row.map == OpcodeMap::Map0F38) bytes.push_back(0x38);
  if (row.map == OpcodeMap::Map0F3A) bytes.push_back(0x3A);
  bytes.push_back(row.opcode);
  if (modrm) bytes.push_back(*modrm);
  bytes.insert(bytes.end(), encoding.immediates, 0);
  return encoding;
}

// Destination 1 with sources 2 and 1, and memory at [RAX].
void append_encodings(const Row& row, bool rex_w, std::vector<Encoding>& out) {
  const unsigned reg = row.digit >= 0 ? static_cast<unsigned>(row.digit) : 1;
  if (row.form == decode::Form::Plain) out.push_back(encode(row, rex_w, std::nullopt));
  if (row.register_form) {
    for (const unsigned rm : {2u, 1u}) out.push_back(encode(row, rex_w, static_cast<uint8_t>(0xC0 | reg << 3 | rm)));
  }
  if (row.memory_form) out.push_back(encode(row, rex_w, static_cast<uint8_t>(reg << 3)));
}

std::vector<Encoding> encodings(Feature feature) {
  std::vector<Encoding> result;
  for (const Row& row : decode::rows()) {
    if (row.group != decode::Group::Vector || row.feature != feature || row.map > OpcodeMap::Map0F3A) continue;
    const bool w1 = row.has(decode::attribute::kW1);
    append_encodings(row, w1, result);
    if (!w1 && width_by_rex(row)) append_encodings(row, true, result);
  }
  return result;
}

// --- Operands
// ------------------------------------------------------------------------------------------------------------

constexpr uint32_t kSingles[] = {0x00000000, 0x80000000, 0x3F800000, 0xBF800000, 0x00000001, 0x807FFFFF, 0x00800000,
                                 0x80800001, 0x7F7FFFFF, 0xFF7FFFFF, 0x7F800000, 0xFF800000, 0x7FC00123, 0xFFC00456,
                                 0x7F800789, 0xFFA00ABC, 0x3F000000, 0x3FC00000, 0x40200000, 0xC0200000, 0x4F000000,
                                 0xCF000000, 0x4EFFFFFF, 0x4F32D05E, 0x00400000, 0x01000000, 0x3F800001, 0x1F800000};
constexpr uint64_t kDoubles[] = {
    0x0000000000000000, 0x8000000000000000, 0x3FF0000000000000, 0xBFF0000000000000, 0x0000000000000001,
    0x800FFFFFFFFFFFFF, 0x0010000000000000, 0x8010000000000001, 0x7FEFFFFFFFFFFFFF, 0xFFEFFFFFFFFFFFFF,
    0x7FF0000000000000, 0xFFF0000000000000, 0x7FF8000000000123, 0xFFF8000000000456, 0x7FF0000000000789,
    0xFFF4000000000ABC, 0x3FE0000000000000, 0x3FF8000000000000, 0x4004000000000000, 0xC004000000000000,
    0x41E0000000000000, 0xC1E0000000000000, 0x41DFFFFFFFE00000, 0x43E0000000000000, 0xC3E0000000000000,
    0x3810000000000000, 0x3800000000000000, 0x36A0000000000000, 0x47EFFFFFF0000000, 0x3FF0000000000001};
constexpr uint64_t kIntegers[] = {0,
                                  1,
                                  ~uint64_t{0},
                                  0x8080808080808080,
                                  0x7F7F7F7F7F7F7F7F,
                                  0x8000800080008000,
                                  0x7FFF7FFF7FFF7FFF,
                                  0x8000000080000000,
                                  0x7FFFFFFF7FFFFFFF,
                                  0x0000000000000010,
                                  0x000000000000001F,
                                  0x0000000000000040,
                                  0x0041424300414243};

// Always the same sequence, so that a failure can be had again.
class Operands {
 public:
  uint64_t random() { return engine_(); }
  unsigned below(unsigned limit) { return static_cast<unsigned>(engine_() % limit); }
  template <typename T, size_t kCount>
  T one_of(const T (&values)[kCount]) {
    return values[below(kCount)];
  }

  uint64_t qword() {
    switch (below(5)) {
      case 0:
        return random();
      case 1:
        return uint64_t{one_of(kSingles)} << 32 | one_of(kSingles);
      case 2:
        return one_of(kDoubles);
      case 3:
        return one_of(kIntegers);
      default:
        return random() & 0x0303030303030303;
    }
  }
  // Both halves of one kind.
  std::array<uint64_t, 2> dqword() {
    switch (below(6)) {
      case 0:
        return {uint64_t{one_of(kSingles)} << 32 | one_of(kSingles),
                uint64_t{one_of(kSingles)} << 32 | one_of(kSingles)};
      case 1:
        return {one_of(kDoubles), one_of(kDoubles)};
      case 2:
        return {random(), random()};
      default:
        return {qword(), qword()};
    }
  }
  // Rounding, DAZ, FTZ and flags of any value, `masks` as the exception masks.
  uint32_t mxcsr(uint32_t masks) {
    const auto any = static_cast<uint32_t>(random());
    return below(2) == 0 ? masks : ((any & 0xE07F) | masks);
  }

 private:
  std::mt19937_64 engine_{20240229};
};

constexpr uint32_t kAllMasked = 0x1F80;

struct Case {
  std::vector<uint8_t> bytes;
  HostState state;
  std::array<uint64_t, 8> memory{};
};

std::array<uint64_t, 2> xmm(const HostState& state, unsigned number) {
  return {state.fx.xmm[2 * number], state.fx.xmm[2 * number + 1]};
}
void set_xmm(HostState& state, unsigned number, const std::array<uint64_t, 2>& value) {
  state.fx.xmm[2 * number] = value[0];
  state.fx.xmm[2 * number + 1] = value[1];
}

// [RAX] and [RDI] are in the middle of `memory`, aligned or not.
Case make_case(const Encoding& encoding, Operands& operands, uint32_t mxcsr, const uint8_t* memory) {
  Case result{encoding.bytes, {}, {}};
  for (unsigned i = 0; i < encoding.immediates; ++i) {
    *(result.bytes.end() - 1 - i) = static_cast<uint8_t>(operands.random());
  }
  for (unsigned i = 0; i < 16; ++i) set_xmm(result.state, i, operands.dqword());
  for (auto& value : result.state.fx.st) value = {operands.qword(), static_cast<uint16_t>(operands.random())};
  for (auto& value : result.memory) value = operands.qword();
  for (auto& value : result.state.registers) value = operands.qword();
  // Alignment of SHA's operands is checked as the manual says, and not by AMD's processors.
  constexpr unsigned kOffsets[] = {16, 16, 16, 8, 17};
  const unsigned offset = encoding.row->feature == Feature::Sha ? 16 : operands.one_of(kOffsets);
  result.state.registers[0] = reinterpret_cast<uint64_t>(memory) + offset;
  result.state.registers[7] = reinterpret_cast<uint64_t>(memory) + operands.one_of(kOffsets);
  result.state.fx.mxcsr = mxcsr;
  result.state.fx.valid = static_cast<uint8_t>(operands.random());
  result.state.fx.status = static_cast<uint16_t>(operands.below(8) << 11);
  result.state.flags = 0x202 | (operands.random() & 0x8D5);
  return result;
}

// --- Comparison
// ----------------------------------------------------------------------------------------------------------

std::string hexadecimal(const std::vector<uint8_t>& bytes) {
  std::string text;
  for (const uint8_t byte : bytes) text += fmt::format("{:02x} ", byte);
  return text;
}
std::string both_halves(const std::array<uint64_t, 2>& value) {
  return fmt::format("{:016x}_{:016x}", value[1], value[0]);
}
std::string extended(const FxsaveImage::Register& value) {
  return fmt::format("{:04x}_{:016x}", value.sign_exponent, value.significand);
}

// The first difference, or nothing.
std::string difference(const HostState& host, const HostState& emulated) {
  for (unsigned i = 0; i < 16; ++i) {
    if (xmm(host, i) != xmm(emulated, i)) {
      return fmt::format("xmm{}: host {}, emulated {}", i, both_halves(xmm(host, i)), both_halves(xmm(emulated, i)));
    }
  }
  for (unsigned i = 0; i < 8; ++i) {
    if (host.fx.st[i] != emulated.fx.st[i]) {
      return fmt::format("st{}: host {}, emulated {}", i, extended(host.fx.st[i]), extended(emulated.fx.st[i]));
    }
  }
  for (const unsigned i : {0u, 1u, 2u, 3u, 6u, 7u}) {
    if (host.registers[i] != emulated.registers[i]) {
      return fmt::format("r{}: host {:x}, emulated {:x}", i, host.registers[i], emulated.registers[i]);
    }
  }
  if (host.fx.mxcsr != emulated.fx.mxcsr) {
    return fmt::format("mxcsr: host {:x}, emulated {:x}", host.fx.mxcsr, emulated.fx.mxcsr);
  }
  if (host.fx.status != emulated.fx.status || host.fx.valid != emulated.fx.valid) {
    return fmt::format("x87 status, tags: host {:x}, {:x}, emulated {:x}, {:x}", host.fx.status, host.fx.valid,
                       emulated.fx.status, emulated.fx.valid);
  }
  if ((host.flags & rflags::kArithmetic) != (emulated.flags & rflags::kArithmetic)) {
    return fmt::format("flags: host {:x}, emulated {:x}", host.flags, emulated.flags);
  }
  return {};
}

class VectorAgainstHost : public testing::Test {
 protected:
  // `masks` gives the exception masks of a case.
  template <typename Masks>
  void compare(Feature feature, unsigned cases, Masks masks) {
    for (const Encoding& encoding : encodings(feature)) {
      unsigned failures = 0;
      for (unsigned i = 0; i < cases && failures < 3; ++i) {
        const Case start = make_case(encoding, operands_, operands_.mxcsr(masks(operands_)), emulated_.memory());
        failures += run(start) ? 0 : 1;
      }
    }
  }
  void compare_masked(Feature feature) {
    compare(feature, 100, [](Operands&) { return kAllMasked; });
  }

  bool run(const Case& start) {
    HostState host = start.state, emulated = start.state;
    std::array<uint64_t, 8> host_memory, emulated_memory;
    std::memcpy(emulated_.memory(), start.memory.data(), sizeof(start.memory));
    const HostFault host_fault = host_.run(start.bytes, host);
    std::memcpy(host_memory.data(), emulated_.memory(), sizeof(host_memory));
    std::memcpy(emulated_.memory(), start.memory.data(), sizeof(start.memory));
    const HostFault emulated_fault = emulated_.run(start.bytes, emulated);
    std::memcpy(emulated_memory.data(), emulated_.memory(), sizeof(emulated_memory));
    std::string found = difference(host, emulated);
    if (host_memory != emulated_memory) found = "memory differs";
    if (host_fault != emulated_fault) {
      found =
          fmt::format("faults: host {}, emulated {}", static_cast<int>(host_fault), static_cast<int>(emulated_fault));
    }
    if (found.empty()) return true;
    ADD_FAILURE() << hexadecimal(start.bytes) << EmulatedInstruction::name(start.bytes) << ": " << found
                  << fmt::format("\n  before: xmm1 {}, xmm2 {}, memory {}, mxcsr {:x}",
                                 both_halves(xmm(start.state, 1)), both_halves(xmm(start.state, 2)),
                                 both_halves({start.memory[2], start.memory[3]}), start.state.fx.mxcsr);
    return false;
  }

  Operands operands_;
  HostInstruction host_;
  EmulatedInstruction emulated_;
};

TEST_F(VectorAgainstHost, Mmx) { compare_masked(Feature::Mmx); }
TEST_F(VectorAgainstHost, Sse) { compare_masked(Feature::Sse); }
TEST_F(VectorAgainstHost, Sse2) { compare_masked(Feature::Sse2); }
TEST_F(VectorAgainstHost, Sse3) { compare_masked(Feature::Sse3); }
TEST_F(VectorAgainstHost, Ssse3) { compare_masked(Feature::Ssse3); }
TEST_F(VectorAgainstHost, Sse41) { compare_masked(Feature::Sse41); }
TEST_F(VectorAgainstHost, Sse42) { compare_masked(Feature::Sse42); }
TEST_F(VectorAgainstHost, Sse4a) { compare_masked(Feature::Sse4a); }
TEST_F(VectorAgainstHost, Aes) { compare_masked(Feature::Aes); }
TEST_F(VectorAgainstHost, Pclmulqdq) { compare_masked(Feature::Pclmulqdq); }
TEST_F(VectorAgainstHost, Sha) { compare_masked(Feature::Sha); }

TEST_F(VectorAgainstHost, UnmaskedExceptionsChangeOnlyMxcsr) {
  const auto any_masks = [](Operands& operands) { return static_cast<uint32_t>(operands.random()) & kAllMasked; };
  for (const Feature feature : {Feature::Sse, Feature::Sse2, Feature::Sse3, Feature::Sse41}) {
    compare(feature, 150, any_masks);
  }
}

// --- What a host program cannot try
// --------------------------------------------------------------------------------------

constexpr uint8_t kAddps[] = {0x0F, 0x58, 0xCA}, kDivps[] = {0x0F, 0x5E, 0xCA}, kPaddb[] = {0x0F, 0xFC, 0xCA};

TEST(VectorState, SseIsInvalidUntilTheSystemSetsOsfxsr) {
  EmulatedInstruction emulated;
  HostState state;
  emulated.processor().cr4 &= ~cr4::kOsfxsr;
  EXPECT_EQ(emulated.run(kAddps, state), HostFault::InvalidOpcode);
}

TEST(VectorState, EmulationBitMakesMmxInvalid) {
  EmulatedInstruction emulated;
  HostState state;
  emulated.processor().cr0 |= cr0::kEm;
  EXPECT_EQ(emulated.run(kPaddb, state), HostFault::InvalidOpcode);
}

TEST(VectorState, UnmaskedExceptionIsInvalidOpcodeUntilTheSystemSetsOsxmmexcpt) {
  EmulatedInstruction emulated;
  HostState state;
  state.fx.mxcsr = 0;
  emulated.processor().cr4 &= ~cr4::kOsxmmexcpt;
  EXPECT_EQ(emulated.run(kDivps, state), HostFault::InvalidOpcode);  // 0 / 0
  EXPECT_EQ(state.fx.mxcsr, 1u);
}

TEST(VectorState, MmxReportsPendingX87ExceptionsFirst) {
  EmulatedInstruction emulated;
  HostState state;
  state.fx.control = 0x037E;
  state.fx.status = 0x8081;
  EXPECT_EQ(emulated.run(kPaddb, state), HostFault::FloatingPoint);
}

}  // namespace
}  // namespace calco::cpu::test
