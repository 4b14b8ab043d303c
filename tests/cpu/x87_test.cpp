// x87 instructions against the processor that the tests run on, which is the oracle: registers, tags, status word,
// flags, memory and faults must agree bit for bit. The encodings come from the decode table.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <cstring>
#include <string>
#include <tuple>
#include <vector>

#include "cpu/decode/row.h"
#include "cpu/state.h"
#include "tests/cpu/emulated_instruction.h"
#include "tests/cpu/exception_taken.h"
#include "tests/cpu/host_instruction.h"
#include "tests/cpu/repeatable_random.h"

namespace calco::cpu::test {
namespace {

using Bytes = std::vector<uint8_t>;
using Register = FxsaveImage::Register;

// --- Encodings -------------------------------------------------------------------------------------------------------

constexpr uint8_t kAtRsi = 6;  // ModRM.rm of [RSI]

void append_encodings(const decode::Row& row, std::vector<Bytes>& out) {
  const auto reg = static_cast<unsigned>(row.digit >= 0 ? row.digit : 0);
  if (row.form == decode::Form::Plain) out.push_back({row.opcode});
  if (row.memory_form) out.push_back({row.opcode, static_cast<uint8_t>(reg << 3 | kAtRsi)});
  for (unsigned rm = 0; row.register_form && rm < 8; ++rm) {
    if (row.rm < 0 || static_cast<unsigned>(row.rm) == rm) {
      out.push_back({row.opcode, static_cast<uint8_t>(0xC0 | reg << 3 | rm)});
    }
  }
}

// Every x87 instruction, and the 16-bit forms of those that store or load an environment.
std::vector<Bytes> x87_encodings() {
  std::vector<Bytes> result = {{0x66, 0xD9, 0x26}, {0x66, 0xD9, 0x36}, {0x66, 0xDD, 0x26}, {0x66, 0xDD, 0x36}};
  for (const decode::Row& row : decode::rows()) {
    if (row.group == decode::Group::X87) append_encodings(row, result);
  }
  return result;
}

// --- Operands --------------------------------------------------------------------------------------------------------

// Zeros, denormals, the limits of single and double precision and of the integers, and the largest exponent: with the
// significands below these are also pseudo-denormals, unnormals, infinities, pseudo-infinities and all kinds of NaN.
constexpr uint16_t kExponents[] = {0x0000, 0x0001, 0x3BB3, 0x3C00, 0x3F69, 0x3F80, 0x3FBF, 0x3FFE,
                                   0x3FFF, 0x4000, 0x4003, 0x400E, 0x401D, 0x401E, 0x403D, 0x403E,
                                   0x403F, 0x407E, 0x407F, 0x43FE, 0x43FF, 0x7FFE, 0x7FFF};
constexpr uint64_t kSignificands[] = {0x0000000000000000, 0x0000000000000001, 0x0123456789ABCDEF, 0x4000000000000000,
                                      0x8000000000000000, 0x8000000000000001, 0x8000000000000400, 0xA000000000000000,
                                      0xC000000000000000, 0xC90FDAA22168C235, 0xFFFFFF8000000000, 0xFFFFFFFFFFFFFC00,
                                      0xFFFFFFFFFFFFFFFF};
// Doubles, pairs of singles, integers.
constexpr uint64_t kQwords[] = {0x0000000000000000, 0x0000000000000001, 0x8000000000000000, 0x7FF0000000000000,
                                0xFFF0000000000000, 0x7FF8000000000001, 0x7FF0000000000001, 0xFFF4000000000000,
                                0x000FFFFFFFFFFFFF, 0x3FF0000000000000, 0x7FEFFFFFFFFFFFFF, 0x7F8000007FC00001,
                                0x7F8000017F800001, 0x00000000807FFFFF, 0x000000003F800000, 0x0000000000008000,
                                0x000000007FFFFFFF, 0xFFFFFFFF80000000};

constexpr uint16_t kAllMasked = 0x3F, kAllMaskedButZeroDivide = 0x3B;
constexpr uint16_t kUnmaskedZeroDivide = 0x037B;  // a control word
constexpr uint16_t kPendingZeroDivide = 0x8084;   // in the status word
constexpr size_t kMemorySize = 128;

struct Case {
  HostState state;
  std::array<uint8_t, kMemorySize> memory{};
};

class Operands : public RepeatableRandom {
 public:
  Operands() : RepeatableRandom(19800701) {}

  Register table_value() { return {one_of(kSignificands), static_cast<uint16_t>(one_of(kExponents) | sign())}; }
  // A normal number about 1, with few bits set or with many.
  Register moderate_value(unsigned spread) {
    const uint64_t bits = below(2) == 0 ? random() : random() & random() & random();
    const unsigned exponent = 0x3FFF - spread + below(2 * spread);
    return {bits | uint64_t{1} << 63, static_cast<uint16_t>(exponent | sign())};
  }
  Register register_value() {
    switch (below(4)) {
      case 0:
        return moderate_value(3);
      case 1:
        return moderate_value(70);
      default:
        return table_value();
    }
  }
  // Every rounding, the three precisions that exist.
  uint16_t control(uint16_t masks) {
    constexpr uint16_t kPrecisions[] = {0x000, 0x200, 0x300};
    return static_cast<uint16_t>(0x40 | below(4) << 10 | one_of(kPrecisions) | masks);
  }
  // Any tags, all empty, or a few valid from the top.
  uint8_t tags(unsigned top) {
    const auto any = static_cast<uint8_t>(random());
    const unsigned from_top = 0xFFu >> (5 - below(4)) << top;
    const uint8_t choices[] = {any, 0, static_cast<uint8_t>(from_top | from_top >> 8),
                               static_cast<uint8_t>(from_top | from_top >> 8)};
    return one_of(choices);
  }

  Case make_case(uint16_t masks) {
    Case result;
    FxsaveImage& fx = result.state.fx;
    fx.control = control(masks);
    // Flags of masked exceptions, the stack fault bit and the condition codes may be set.
    fx.status = static_cast<uint16_t>(random() & (0x7F40 | masks));
    fx.valid = tags(fx.status >> 11 & 7);
    for (auto& value : fx.st) value = register_value();
    result.memory = memory_operand();
    result.state.registers[kRax] = random();
    result.state.flags = 0x202 | (random() & rflags::kArithmetic);
    return result;
  }

 private:
  uint16_t sign() { return below(2) == 0 ? 0 : 0x8000; }
  std::array<uint8_t, kMemorySize> memory_operand() {
    std::array<uint8_t, kMemorySize> bytes;
    for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random());
    const Register extended = register_value();
    const Register decimal = {random() & 0x7777777777777777, static_cast<uint16_t>(random() & 0x8077)};
    const Register other = {one_of(kQwords), static_cast<uint16_t>(random())};
    const Register choices[] = {extended, decimal, other, other};
    std::memcpy(bytes.data(), &choices[below(4)], 10);
    return bytes;
  }
};

// --- Comparison ------------------------------------------------------------------------------------------------------

std::string hexadecimal(const Bytes& bytes) {
  std::string text;
  for (const uint8_t byte : bytes) text += fmt::format("{:02x} ", byte);
  return text;
}
std::string describe(const Register& value) {
  return fmt::format("{:04x}.{:016x}", value.sign_exponent, value.significand);
}

// The first difference, or nothing. The instruction and data pointers are not looked at: the host forgets them when
// its kernel switches tasks.
std::string difference(const HostState& host, const HostState& emulated) {
  for (unsigned i = 0; i < 8; ++i) {
    if (host.fx.st[i] != emulated.fx.st[i]) {
      return fmt::format("st{}: host {}, emulated {}", i, describe(host.fx.st[i]), describe(emulated.fx.st[i]));
    }
  }
  const std::tuple words(host.fx.control, host.fx.status, host.fx.valid);
  if (words != std::tuple(emulated.fx.control, emulated.fx.status, emulated.fx.valid)) {
    return fmt::format("control, status, tags: host {:x} {:x} {:x}, emulated {:x} {:x} {:x}", host.fx.control,
                       host.fx.status, host.fx.valid, emulated.fx.control, emulated.fx.status, emulated.fx.valid);
  }
  if (host.registers[kRax] != emulated.registers[kRax]) {
    return fmt::format("rax: host {:x}, emulated {:x}", host.registers[kRax], emulated.registers[kRax]);
  }
  if (((host.flags ^ emulated.flags) & rflags::kArithmetic) != 0) {
    return fmt::format("flags: host {:x}, emulated {:x}", host.flags, emulated.flags);
  }
  return {};
}

class X87AgainstHost : public testing::Test {
 protected:
  struct Result {
    HostState state;
    HostFault fault;
    std::array<uint8_t, kMemorySize> memory;
  };
  // Host and emulated processor have the operand at the same address.
  template <typename Machine>
  Result run_on(Machine& machine, const Bytes& bytes, const Case& start) {
    Result result{start.state, HostFault::None, {}};
    uint8_t* memory = emulated_.memory();
    result.state.registers[kRsi] = reinterpret_cast<uint64_t>(memory);
    std::memcpy(memory, start.memory.data(), kMemorySize);
    emulated_.processor().x87 = {};
    result.fault = machine.run(bytes, result.state);
    std::memcpy(result.memory.data(), memory, kMemorySize);
    return result;
  }

  bool agrees(const Bytes& bytes, const Case& start) {
    const Result host = run_on(host_, bytes, start);
    const Result emulated = run_on(emulated_, bytes, start);
    std::string found = difference(host.state, emulated.state);
    if (host.memory != emulated.memory) found = "memory differs";
    if (host.fault != emulated.fault) {
      found =
          fmt::format("faults: host {}, emulated {}", static_cast<int>(host.fault), static_cast<int>(emulated.fault));
    }
    if (found.empty()) return true;
    const FxsaveImage& fx = start.state.fx;
    ADD_FAILURE() << hexadecimal(bytes) << emulated_.name(bytes) << ": " << found
                  << fmt::format("\n  before: control {:04x}, status {:04x}, tags {:02x}, st0 {}, st1 {}", fx.control,
                                 fx.status, fx.valid, describe(fx.st[0]), describe(fx.st[1]));
    return false;
  }

  // Every instruction with `cases` operands each; `change` may alter the case that was made.
  template <typename Masks, typename Change>
  void compare(unsigned cases, Masks masks, Change change) {
    for (const Bytes& bytes : x87_encodings()) {
      unsigned failures = 0;
      for (unsigned i = 0; i < cases && failures < 3; ++i) {
        Case start = operands_.make_case(masks());
        change(start);
        failures += agrees(bytes, start) ? 0 : 1;
      }
    }
  }

  Operands operands_;
  HostInstruction host_;
  EmulatedInstruction emulated_;
};

TEST_F(X87AgainstHost, EveryInstructionWithAllExceptionsMasked) {
  compare(300, [] { return kAllMasked; }, [](Case&) {});
}

TEST_F(X87AgainstHost, EveryInstructionWithUnmaskedExceptions) {
  compare(300, [this] { return static_cast<uint16_t>(operands_.random() & kAllMasked); }, [](Case&) {});
}

// #MF is raised by the next waiting instruction; those without a wait go on (SDM vol. 1, 8.7.1).
TEST_F(X87AgainstHost, APendingExceptionStopsWaitingInstructionsOnly) {
  compare(5, [] { return kAllMaskedButZeroDivide; }, [](Case& start) { start.state.fx.status |= kPendingZeroDivide; });
}

// --- What user mode of the host cannot show
// ----------------------------------------------------------------------------

class X87 : public testing::Test {
 protected:
  std::optional<unsigned> run(const Bytes& bytes) {
    state_.registers[kRsi] = reinterpret_cast<uint64_t>(machine_.memory());
    machine_.run(bytes, state_);
    return exception_taken(machine_);
  }
  Cpu& cpu() { return machine_.processor(); }
  template <typename T>
  T memory_at(size_t offset) {
    T value;
    std::memcpy(&value, machine_.memory() + offset, sizeof(T));
    return value;
  }

  EmulatedInstruction machine_;
  HostState state_;
};

const Bytes kFld1 = {0xD9, 0xE8}, kFwait = {0x9B}, kFnclex = {0xDB, 0xE2}, kFnstenv = {0xD9, 0x36},
            kFxsave64 = {0x48, 0x0F, 0xAE, 0x06}, kFdivMemory = {0xD8, 0x76, 0x10};

TEST_F(X87, TaskSwitchedOrEmulatedIsDeviceNotAvailable) {
  cpu().cr0 |= cr0::kTs;
  EXPECT_EQ(run(kFld1), kDeviceNotAvailable);
  EXPECT_EQ(run(kFnclex), kDeviceNotAvailable);
  cpu().cr0 ^= cr0::kTs | cr0::kEm;
  EXPECT_EQ(run(kFld1), kDeviceNotAvailable);
}

TEST_F(X87, WaitLooksAtTaskSwitchedOnlyWithMonitorCoprocessor) {
  cpu().cr0 |= cr0::kTs | cr0::kMp;
  EXPECT_EQ(run(kFwait), kDeviceNotAvailable);
  cpu().cr0 &= ~cr0::kMp;
  EXPECT_EQ(run(kFwait), std::nullopt);
}

TEST_F(X87, DeviceNotAvailableComesBeforeAPendingException) {
  state_.fx.control = kUnmaskedZeroDivide;
  state_.fx.status = kPendingZeroDivide;
  EXPECT_EQ(run(kFld1), kX87Error);
  cpu().cr0 |= cr0::kTs;
  EXPECT_EQ(run(kFld1), kDeviceNotAvailable);
}

TEST_F(X87, FxsaveHoldsThePointersOfAPendingException) {
  state_.fx.control = kUnmaskedZeroDivide;
  state_.fx.valid = 1;
  state_.fx.st[0] = {uint64_t{1} << 63, 0x3FFF};
  EXPECT_EQ(run(kFdivMemory), std::nullopt);
  EXPECT_EQ(run(kFxsave64), std::nullopt);
  EXPECT_EQ(memory_at<uint16_t>(6), 0x076);
  EXPECT_EQ(memory_at<uint64_t>(8), CpuFixture::kCode);
  EXPECT_EQ(memory_at<uint64_t>(16), reinterpret_cast<uint64_t>(machine_.memory()) + 0x10);
}

TEST_F(X87, FxsaveHoldsNoPointersWithoutAPendingException) {
  EXPECT_EQ(run(kFld1), std::nullopt);
  EXPECT_EQ(run(kFxsave64), std::nullopt);
  EXPECT_EQ(memory_at<uint16_t>(6), 0);
  EXPECT_EQ(memory_at<uint64_t>(8), 0u);
}

// CR0.NE clear: FERR# is asserted and the processor waits; IGNNE# lets it go on (SDM vol. 1, 8.7.2).
TEST_F(X87, WithoutNumericErrorTheProcessorReportsAndWaits) {
  std::vector<bool> pin;
  bool ignore = false;
  cpu().cr0 &= ~cr0::kNe;
  cpu().environment().x87_error = [&](bool pending) {
    pin.push_back(pending);
    return ignore;
  };
  state_.fx.control = kUnmaskedZeroDivide;
  state_.fx.status = kPendingZeroDivide;
  EXPECT_EQ(run(kFld1), std::nullopt);
  EXPECT_EQ(cpu().registers[kRip], CpuFixture::kCode);
  EXPECT_EQ(state_.fx.valid, 0);
  ignore = true;
  EXPECT_EQ(run(kFld1), std::nullopt);
  EXPECT_EQ(cpu().registers[kRip], CpuFixture::kCode + 2);
  EXPECT_EQ(state_.fx.valid, 0x80);
  EXPECT_EQ(run(kFnclex), std::nullopt);
  EXPECT_EQ(pin, (std::vector{true, true, false}));
}

// --- Environments (SDM vol. 1, figures 8-9 to 8-12)
// --------------------------------------------------------------------

class X87Environment : public testing::Test, protected CpuFixture {
 protected:
  X87Environment() {
    enter_32_bit_mode();
    cpu->registers[kRsi] = kData;
    X87State& x87 = cpu->x87;
    x87.top = 6;
    x87.empty = 0x3F;
    x87.physical[7] = {uint64_t{1} << 63, 0x3FFF, {}};
    x87.opcode = 0x6AB;
    x87.instruction_pointer = 0x00045678;
    x87.code_selector = 0x1234;
    x87.data_pointer = 0x0009ABCD;
    x87.data_selector = 0x4321;
  }
  template <typename T>
  std::vector<T> fields() {
    std::vector<T> result;
    result.reserve(7);
    for (unsigned i = 0; i < 7; ++i) result.push_back(map.read_value<T>(kData + i * sizeof(T)));
    return result;
  }
  void leave_protected_mode() {
    cpu->cr0 &= ~cr0::kPe;
    cpu->mode_changed();
  }
};

TEST_F(X87Environment, ThirtyTwoBitProtectedModeHasSelectors) {
  execute({0xD9, 0x36});  // fnstenv [esi]
  EXPECT_EQ(fields<uint32_t>(), (std::vector<uint32_t>{0xFFFF037F, 0xFFFF3000, 0xFFFF1FFF, 0x00045678, 0x06AB1234,
                                                       0x0009ABCD, 0xFFFF4321}));
}

TEST_F(X87Environment, SixteenBitProtectedModeHasSelectors) {
  execute({0x66, 0xD9, 0x36});
  EXPECT_EQ(fields<uint16_t>(), (std::vector<uint16_t>{0x037F, 0x3000, 0x1FFF, 0x5678, 0x1234, 0xABCD, 0x4321}));
}

TEST_F(X87Environment, ThirtyTwoBitRealModeHasLinearAddresses) {
  leave_protected_mode();
  execute({0xD9, 0x36});
  EXPECT_EQ(fields<uint32_t>(), (std::vector<uint32_t>{0xFFFF037F, 0xFFFF3000, 0xFFFF1FFF, 0xFFFF79B8, 0x000056AB,
                                                       0xFFFFDDDD, 0x0000D000}));
}

TEST_F(X87Environment, SixteenBitRealModeHasLinearAddresses) {
  leave_protected_mode();
  execute({0x66, 0xD9, 0x36});
  EXPECT_EQ(fields<uint16_t>(), (std::vector<uint16_t>{0x037F, 0x3000, 0x1FFF, 0x79B8, 0x56AB, 0xDDDD, 0xD000}));
}

TEST_F(X87Environment, RealModeLoadsWhatItStored) {
  leave_protected_mode();
  execute({0xD9, 0x36});  // fnstenv [esi]
  const auto stored = fields<uint32_t>();
  cpu->x87.instruction_pointer = cpu->x87.data_pointer = 0;
  cpu->x87.top = 0;
  cpu->x87.empty = 0xFF;
  execute({0xD9, 0x26});  // fldenv [esi]
  execute({0xD9, 0x36});
  EXPECT_EQ(fields<uint32_t>(), stored);
}

TEST_F(X87Environment, SaveInitializesAndRestoreBringsBack) {
  const X87State before = cpu->x87;
  execute({0xDD, 0x36});  // fnsave [esi]
  EXPECT_EQ(cpu->x87.empty, 0xFF);
  EXPECT_EQ(cpu->x87.instruction_pointer, 0u);
  execute({0xDD, 0x26});  // frstor [esi]
  EXPECT_EQ(cpu->x87.empty, before.empty);
  EXPECT_EQ(cpu->x87.top, before.top);
  EXPECT_EQ(cpu->x87.opcode, before.opcode);
  EXPECT_EQ(cpu->x87.physical[7].sign_exponent, before.physical[7].sign_exponent);
}

}  // namespace
}  // namespace calco::cpu::test
