// FXSAVE, the XSAVE family, XCR0 and MXCSR (SDM vol. 1, 10.5 and chapter 13); saved areas and restored registers
// against the processor that the tests run on.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <string>
#include <vector>

#include "cpu/state.h"
#include "tests/cpu/emulated_instruction.h"
#include "tests/cpu/exception_taken.h"
#include "tests/cpu/host_instruction.h"
#include "tests/cpu/repeatable_random.h"

namespace calco::cpu::test {
namespace {

using Bytes = std::vector<uint8_t>;

constexpr size_t kAreaSize = 1024;
constexpr size_t kMxcsr = 24, kMxcsrMask = 28, kHeader = 512;
constexpr uint64_t kCompacted = uint64_t{1} << 63;

struct alignas(64) Area {
  std::array<uint8_t, kAreaSize> bytes{};
  template <typename T>
  void set(size_t offset, T value) {
    std::memcpy(bytes.data() + offset, &value, sizeof(T));
  }
  template <typename T>
  T get(size_t offset) const {
    T value;
    std::memcpy(&value, bytes.data() + offset, sizeof(T));
    return value;
  }
};

// --- Against the host ------------------------------------------------------------------------------------------------

struct Case {
  HostState state;
  Area area;
};

void enable_xsave(EmulatedInstruction& machine) {
  machine.processor().cr4 |= cr4::kOsxsave;
  machine.processor().xcr0 = 7;
}

class FloatStateAgainstHost : public testing::Test, protected RepeatableRandom {
 protected:
  FloatStateAgainstHost() : RepeatableRandom(20010101) { enable_xsave(emulated_); }
  // Components from those of x87, SSE and AVX; each in its initial configuration in some cases.
  Case make_case() {
    Case result;
    FxsaveImage& fx = result.state.fx;
    if (below(4) != 0) {
      fx.control = static_cast<uint16_t>(0x7F | below(16) << 8);
      fx.status = static_cast<uint16_t>(random() & 0x7F7F);
      fx.valid = static_cast<uint8_t>(random());
    }
    if (below(4) != 0) {
      for (auto& value : fx.st) value = {random(), static_cast<uint16_t>(random())};
    }
    if (below(4) != 0) {
      for (uint64_t& value : fx.xmm) value = random();
    }
    if (below(2) != 0) fx.mxcsr = 0x1F80 | (random() & 0xFFFF);
    result.state.registers[kRax] = below(8);
    for (size_t offset = 0; offset < kAreaSize; offset += 8) result.area.set(offset, random());
    return result;
  }
  // As make_case(), with a legal image in either form to restore.
  Case make_restore_case() {
    Case result = make_case();
    result.area.set<uint16_t>(0, static_cast<uint16_t>(0x7F | below(16) << 8));
    result.area.set(kMxcsr, static_cast<uint32_t>(random() & 0xFFFF));
    const uint64_t components = below(8);
    for (size_t offset = kHeader; offset < kHeader + 64; offset += 8) result.area.set(offset, uint64_t{0});
    result.area.set(kHeader, components);
    if (below(2) != 0) result.area.set(kHeader + 8, kCompacted | components | below(8));
    return result;
  }

  // Host and emulated processor have the area at the same address.
  template <typename Machine>
  HostFault run_on(Machine& machine, const Bytes& bytes, Case& changed) {
    changed.state.registers[kRsi] = reinterpret_cast<uint64_t>(emulated_.memory());
    std::memcpy(emulated_.memory(), changed.area.bytes.data(), kAreaSize);
    const HostFault fault = machine.run(bytes, changed.state);
    std::memcpy(changed.area.bytes.data(), emulated_.memory(), kAreaSize);
    return fault;
  }

  // XSAVEOPT leaves out what was not modified since an XRSTOR from the same area (SDM vol. 1, 13.9), and the kernel's
  // behind a signal may have been from where the area is now. An XRSTOR of nothing from elsewhere ends that.
  static void forget_restored_area() {
    alignas(64) static const std::array<uint8_t, kAreaSize> kElsewhere{};
    asm volatile("xrstor64 %0" : : "m"(kElsewhere), "a"(0), "d"(0));
  }

  void compare(const Bytes& bytes, const Case& start) {
    Case host = start, emulated = start;
    // The emulated processor starts with upper halves of 0.
    Bytes host_bytes = {0xC5, 0xF8, 0x77};  // vzeroupper
    host_bytes.insert(host_bytes.end(), bytes.begin(), bytes.end());
    emulated_.processor().vectors = {};
    emulated_.processor().x87 = {};
    forget_restored_area();
    ASSERT_EQ(run_on(host_, host_bytes, host), HostFault::None);
    ASSERT_EQ(run_on(emulated_, bytes, emulated), HostFault::None);
    // MXCSR_MASK has AMD's misaligned SSE mode on the host.
    host.area.set(kMxcsrMask, emulated.area.get<uint32_t>(kMxcsrMask));
    EXPECT_EQ(host.area.bytes, emulated.area.bytes) << describe(bytes, start);
    const FxsaveImage &a = host.state.fx, &b = emulated.state.fx;
    EXPECT_EQ(a.control, b.control) << describe(bytes, start);
    EXPECT_EQ(a.status, b.status) << describe(bytes, start);
    EXPECT_EQ(a.valid, b.valid) << describe(bytes, start);
    EXPECT_EQ(a.mxcsr, b.mxcsr) << describe(bytes, start);
    EXPECT_EQ(a.st, b.st) << describe(bytes, start);
    EXPECT_EQ(a.xmm, b.xmm) << describe(bytes, start);
  }

  void compare_saves(const Bytes& bytes) {
    for (unsigned i = 0; i < kCases && !HasFailure(); ++i) compare(bytes, make_case());
  }
  void compare_restores(const Bytes& bytes) {
    for (unsigned i = 0; i < kCases && !HasFailure(); ++i) compare(bytes, make_restore_case());
  }

 private:
  static constexpr unsigned kCases = 500;

  std::string describe(const Bytes& bytes, const Case& start) const {
    return fmt::format("{}, eax {:x}, header {:x} {:x}, control {:x}, status {:x}, mxcsr {:x}", emulated_.name(bytes),
                       start.state.registers[kRax], start.area.get<uint64_t>(kHeader),
                       start.area.get<uint64_t>(kHeader + 8), start.state.fx.control, start.state.fx.status,
                       start.state.fx.mxcsr);
  }

  HostInstruction host_;
  EmulatedInstruction emulated_;
};

TEST_F(FloatStateAgainstHost, Fxsave) { compare_saves({0x0F, 0xAE, 0x06}); }
TEST_F(FloatStateAgainstHost, Fxsave64) { compare_saves({0x48, 0x0F, 0xAE, 0x06}); }
TEST_F(FloatStateAgainstHost, Xsave) { compare_saves({0x0F, 0xAE, 0x26}); }
TEST_F(FloatStateAgainstHost, Xsave64) { compare_saves({0x48, 0x0F, 0xAE, 0x26}); }
TEST_F(FloatStateAgainstHost, Xsaveopt) { compare_saves({0x0F, 0xAE, 0x36}); }
TEST_F(FloatStateAgainstHost, Xsaveopt64) { compare_saves({0x48, 0x0F, 0xAE, 0x36}); }
TEST_F(FloatStateAgainstHost, Xsavec) { compare_saves({0x0F, 0xC7, 0x26}); }
TEST_F(FloatStateAgainstHost, Xsavec64) { compare_saves({0x48, 0x0F, 0xC7, 0x26}); }
TEST_F(FloatStateAgainstHost, Stmxcsr) { compare_saves({0x0F, 0xAE, 0x1E}); }
TEST_F(FloatStateAgainstHost, Fxrstor) { compare_restores({0x0F, 0xAE, 0x0E}); }
TEST_F(FloatStateAgainstHost, Fxrstor64) { compare_restores({0x48, 0x0F, 0xAE, 0x0E}); }
TEST_F(FloatStateAgainstHost, Xrstor) { compare_restores({0x0F, 0xAE, 0x2E}); }
TEST_F(FloatStateAgainstHost, Xrstor64) { compare_restores({0x48, 0x0F, 0xAE, 0x2E}); }

// --- Faults and privileged instructions
// ----------------------------------------------------------------------------------

const Bytes kFxsave = {0x0F, 0xAE, 0x06}, kFxsaveAt8 = {0x0F, 0xAE, 0x46, 0x08}, kFxrstor = {0x0F, 0xAE, 0x0E},
            kXsave = {0x0F, 0xAE, 0x26}, kXsaveAt16 = {0x0F, 0xAE, 0x66, 0x10}, kXrstor = {0x0F, 0xAE, 0x2E},
            kLdmxcsr = {0x0F, 0xAE, 0x16}, kXgetbv = {0x0F, 0x01, 0xD0}, kXsetbv = {0x0F, 0x01, 0xD1},
            kXsaves = {0x0F, 0xC7, 0x2E}, kXrstors = {0x0F, 0xC7, 0x1E};

class FloatState : public testing::Test {
 protected:
  FloatState() { enable_xsave(machine_); }
  std::optional<unsigned> run(const Bytes& bytes) {
    state_.registers[kRsi] = reinterpret_cast<uint64_t>(machine_.memory());
    std::memcpy(machine_.memory(), area_.bytes.data(), kAreaSize);
    machine_.run(bytes, state_);
    std::memcpy(area_.bytes.data(), machine_.memory(), kAreaSize);
    return exception_taken(machine_);
  }
  Cpu& cpu() { return machine_.processor(); }
  std::optional<unsigned> set_xcr0(uint32_t index, uint64_t value) {
    state_.registers[kRcx] = index;
    state_.registers[kRdx] = value >> 32;
    state_.registers[kRax] = static_cast<uint32_t>(value);
    return run(kXsetbv);
  }
  std::optional<unsigned> restore_with_header(uint64_t components, uint64_t layout, uint64_t reserved) {
    area_ = Area{};
    area_.set<uint32_t>(kMxcsr, 0x1F80);
    area_.set(kHeader, components);
    area_.set(kHeader + 8, layout);
    area_.set(kHeader + 16, reserved);
    state_.registers[kRax] = 7;
    return run(kXrstor);
  }

  EmulatedInstruction machine_;
  HostState state_;
  Area area_;
};

TEST_F(FloatState, MisalignedAreasAreProtectionFaults) {
  EXPECT_EQ(run(kFxsaveAt8), kGeneralProtection);
  EXPECT_EQ(run(kXsaveAt16), kGeneralProtection);
}

TEST_F(FloatState, FxsaveNeedsTheX87Unit) {
  cpu().cr0 |= cr0::kTs;
  EXPECT_EQ(run(kFxsave), kDeviceNotAvailable);
  cpu().cr0 ^= cr0::kTs | cr0::kEm;
  EXPECT_EQ(run(kFxsave), kDeviceNotAvailable);
}

TEST_F(FloatState, XsaveNeedsOsxsave) {
  cpu().cr0 |= cr0::kTs;
  EXPECT_EQ(run(kXsave), kDeviceNotAvailable);
  cpu().cr4 &= ~cr4::kOsxsave;
  EXPECT_EQ(run(kXsave), kInvalidOpcode);
  EXPECT_EQ(run(kXgetbv), kInvalidOpcode);
  EXPECT_EQ(run(kXsetbv), kInvalidOpcode);
}

TEST_F(FloatState, ReservedMxcsrBitsAreProtectionFaults) {
  area_.set<uint32_t>(0, 0x10000);
  EXPECT_EQ(run(kLdmxcsr), kGeneralProtection);
  area_.set<uint32_t>(kMxcsr, 0x10000);
  EXPECT_EQ(run(kFxrstor), kGeneralProtection);
  EXPECT_EQ(state_.fx.mxcsr, 0x1F80u);
}

TEST_F(FloatState, XrstorChecksTheHeader) {
  EXPECT_EQ(restore_with_header(7, 0, 0), std::nullopt);
  EXPECT_EQ(restore_with_header(8, 0, 0), kGeneralProtection);  // a component that XCR0 has off
  EXPECT_EQ(restore_with_header(1, 1, 0), kGeneralProtection);  // standard form with XCOMP_BV
  EXPECT_EQ(restore_with_header(1, 0, 1), kGeneralProtection);  // reserved bytes
  EXPECT_EQ(restore_with_header(3, kCompacted | 3, 0), std::nullopt);
  EXPECT_EQ(restore_with_header(3, kCompacted | 1, 0), kGeneralProtection);  // a component outside of the area
  EXPECT_EQ(restore_with_header(1, kCompacted | 9, 0), kGeneralProtection);  // XCOMP_BV beyond XCR0
  EXPECT_EQ(restore_with_header(1, kCompacted | 1, 1), kGeneralProtection);
}

TEST_F(FloatState, AbsentComponentsGetTheirInitialConfiguration) {
  state_.fx.control = 0x0040;
  state_.fx.xmm[6] = 1;
  EXPECT_EQ(restore_with_header(0, 0, 0), std::nullopt);
  EXPECT_EQ(state_.fx.control, 0x037F);
  EXPECT_EQ(state_.fx.xmm[6], 0u);
}

TEST_F(FloatState, SupervisorFormsNeedPrivilegeAndCompaction) {
  state_.registers[kRax] = 7;
  EXPECT_EQ(run(kXsaves), std::nullopt);
  EXPECT_EQ(area_.get<uint64_t>(kHeader + 8), kCompacted | 7);
  EXPECT_EQ(run(kXrstors), std::nullopt);
  area_.set<uint64_t>(kHeader + 8, 0);
  EXPECT_EQ(run(kXrstors), kGeneralProtection);
}

TEST_F(FloatState, XsetbvAcceptsOnlySupportedCombinations) {
  EXPECT_EQ(set_xcr0(0, 1), std::nullopt);
  EXPECT_EQ(cpu().xcr0, 1u);
  EXPECT_EQ(set_xcr0(0, 3), std::nullopt);
  EXPECT_EQ(set_xcr0(0, 2), kGeneralProtection);  // x87 is always on
  EXPECT_EQ(set_xcr0(0, 5), kGeneralProtection);  // AVX without SSE
  EXPECT_EQ(set_xcr0(0, uint64_t{1} << 62 | 3), kGeneralProtection);
  EXPECT_EQ(set_xcr0(1, 3), kGeneralProtection);
  EXPECT_EQ(cpu().xcr0, 3u);
}

TEST_F(FloatState, XgetbvOneTellsWhatIsInUse) {
  state_.registers[kRcx] = 1;
  EXPECT_EQ(run(kXgetbv), std::nullopt);
  EXPECT_EQ(state_.registers[kRax], 0u);
  state_.registers[kRcx] = 1;
  state_.fx.xmm[31] = 1;
  EXPECT_EQ(run(kXgetbv), std::nullopt);
  EXPECT_EQ(state_.registers[kRax], 2u);
  state_.registers[kRcx] = 2;
  EXPECT_EQ(run(kXgetbv), kGeneralProtection);
}

}  // namespace
}  // namespace calco::cpu::test
