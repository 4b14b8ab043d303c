// VEX-encoded instructions: what they do to registers, memory and modes (SDM vol. 1, chapter 14; vol. 2, 2.3-2.4).
// That they compute what the host computes is the oracle's affair (tests/oracle).
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "tests/cpu/system_fixture.h"

namespace calco::cpu {
namespace {

using Ymm = std::array<uint32_t, 8>;
constexpr Ymm kOnes = {1, 1, 1, 1, 1, 1, 1, 1};
constexpr uint32_t kChosen = 0x80000000, kAll = ~0u;

class Avx : public testing::Test, protected SystemFixture {
 protected:
  static constexpr uint64_t kX87SseAvx = 7;
  // Pages of 2 MiB: the second one here is absent.
  static constexpr uint64_t kAbsentPage = 0x800000;

  void SetUp() override {
    if (!model.has(decode::Feature::Avx)) GTEST_SKIP() << "the host has no AVX";
    enter_long();
    enable();
    set_page(kAbsentPage, 0);
  }
  void enable() {
    cpu->cr4 |= cr4::kOsxsave;
    cpu->xcr0 = kX87SseAvx;
    cpu->mode_changed();
  }
  void set_page(uint64_t page, uint64_t flags) {
    map.write_value<uint64_t>(kTables + 0x2000 + (page >> 21) * 8, page | flags);
    cpu->mmu().flush_all();
  }

  Ymm ymm(unsigned number) const { return cpu->vectors[number].dwords; }
  void set_ymm(unsigned number, const Ymm& value) { cpu->vectors[number].dwords = value; }
  void put(uint64_t address, const Ymm& value) { map.write(address, value.data(), sizeof(value)); }
  Ymm at(uint64_t address) {
    Ymm value;
    map.read(address, value.data(), sizeof(value));
    return value;
  }
};

// --- Registers -------------------------------------------------------------------------------------------------------

TEST_F(Avx, Vex128ClearsTheUpperHalfAndLegacyEncodingsKeepIt) {
  set_ymm(0, kOnes);
  execute({0x0F, 0x57, 0xC0});  // XORPS xmm0, xmm0
  EXPECT_EQ(ymm(0), (Ymm{0, 0, 0, 0, 1, 1, 1, 1}));
  execute({0xC5, 0xF8, 0x57, 0xC0});  // VXORPS xmm0, xmm0, xmm0
  EXPECT_EQ(ymm(0), Ymm{});
}

TEST_F(Avx, ScalarFormsTakeTheRestOfTheLaneFromTheSecondOperand) {
  constexpr uint32_t kOne = 0x3F800000, kTwo = 0x40000000;
  set_ymm(0, kOnes);
  set_ymm(1, {kOne, 5, 6, 7, 8, 8, 8, 8});
  set_ymm(2, {kOne, 9, 9, 9, 9, 9, 9, 9});
  execute({0xC5, 0xF2, 0x58, 0xC2});  // VADDSS xmm0, xmm1, xmm2
  EXPECT_EQ(ymm(0), (Ymm{kTwo, 5, 6, 7, 0, 0, 0, 0}));
}

TEST_F(Avx, VzeroupperKeepsTheLowerHalves) {
  cpu->vectors.fill(VectorRegister{.dwords = kOnes});
  execute({0xC5, 0xF8, 0x77});
  EXPECT_EQ(ymm(0), (Ymm{1, 1, 1, 1, 0, 0, 0, 0}));
  EXPECT_EQ(ymm(15), (Ymm{1, 1, 1, 1, 0, 0, 0, 0}));
}

TEST_F(Avx, VzeroallReachesOnlyEightRegistersOutsideOf64BitMode) {
  enter_protected();
  enable();
  cpu->vectors.fill(VectorRegister{.dwords = kOnes});
  execute({0xC5, 0xFC, 0x77});
  EXPECT_EQ(ymm(7), Ymm{});
  EXPECT_EQ(ymm(8), kOnes);
}

// --- Availability ----------------------------------------------------------------------------------------------------

constexpr auto kVaddps = {uint8_t{0xC5}, uint8_t{0xF0}, uint8_t{0x58}, uint8_t{0xC2}};  // xmm0, xmm1, xmm2

TEST_F(Avx, IsInvalidUntilTheSystemSetsOsxsave) {
  cpu->cr4 &= ~cr4::kOsxsave;
  cpu->mode_changed();
  EXPECT_TRUE(execute_faults(kVaddps, kInvalidOpcode));
}

TEST_F(Avx, IsInvalidWhileXcr0HasNotBothVectorComponents) {
  cpu->xcr0 = 3;
  cpu->mode_changed();
  EXPECT_TRUE(execute_faults(kVaddps, kInvalidOpcode));
}

TEST_F(Avx, TaskSwitchedMakesTheDeviceNotAvailable) {
  cpu->cr0 |= cr0::kTs;
  cpu->mode_changed();
  EXPECT_TRUE(execute_faults(kVaddps, kDeviceNotAvailable));
}

// Real mode: registers and table of enter_real().
TEST_F(Avx, VexEncodingsAreInvalidInRealMode) {
  cpu->reset();
  enter_real();
  enable();
  load_code(kVaddps, 0x10100);
  cpu->run_instructions(1);
  EXPECT_EQ(cpu->segments[kCs].selector, 0x2000);
  EXPECT_EQ(cpu->registers[kRip], kInvalidOpcode * 16u);
}

TEST_F(Avx, VexEncodingsOfGeneralRegistersAreInvalidInRealModeToo) {
  cpu->reset();
  enter_real();
  load_code({0xC4, 0xE2, 0x70, 0xF2, 0xC2}, 0x10100);  // ANDN eax, ecx, edx
  cpu->run_instructions(1);
  EXPECT_EQ(cpu->registers[kRip], kInvalidOpcode * 16u);
}

TEST_F(Avx, VexEncodingsAreExecutedIn16BitProtectedMode) {
  enter_protected();
  enable();
  cpu->segments[kCs].attributes &= static_cast<uint16_t>(~Segment::kDb);
  cpu->mode_changed();
  set_ymm(0, kOnes);
  execute({0xC5, 0xF8, 0x57, 0xC0});  // VXORPS xmm0, xmm0, xmm0
  EXPECT_EQ(ymm(0), Ymm{});
}

// --- Memory ----------------------------------------------------------------------------------------------------------

TEST_F(Avx, OperandsNeedNoAlignmentButOfAlignedMoves) {
  cpu->registers[kRcx] = kData;
  put(kData + 1, kOnes);
  execute({0xC5, 0xF5, 0xEF, 0x41, 0x01});  // VPXOR ymm0, ymm1, [rcx + 1]
  EXPECT_EQ(ymm(0), kOnes);
  EXPECT_TRUE(execute_faults({0xC5, 0xFC, 0x28, 0x41, 0x10}, kGeneralProtection));  // VMOVAPS ymm0, [rcx + 16]
  execute({0xC5, 0xF8, 0x28, 0x41, 0x10});                                          // VMOVAPS xmm0, [rcx + 16]
  EXPECT_EQ(cpu->registers[kRip], kCode + 5);
}

TEST_F(Avx, StoreAcrossIntoAnAbsentPageStoresNothing) {
  cpu->registers[kRcx] = kAbsentPage - 16;
  set_ymm(0, kOnes);
  EXPECT_TRUE(execute_faults({0xC5, 0xFC, 0x11, 0x01}, kPageFault));  // VMOVUPS [rcx], ymm0
  EXPECT_EQ(cpu->cr2, kAbsentPage);
  EXPECT_EQ(at(kAbsentPage - 32), Ymm{});
}

TEST_F(Avx, MaskedStoreTouchesOnlyTheChosenElements) {
  cpu->registers[kRcx] = kAbsentPage - 16;  // elements 4-7 are in the absent page
  set_ymm(0, kOnes);
  set_ymm(1, {kChosen, 0, kAll, 0x7FFFFFFF, 0, 0, 0, 0});
  execute({0xC4, 0xE2, 0x75, 0x2E, 0x01});  // VMASKMOVPS [rcx], ymm1, ymm0
  EXPECT_EQ(at(kAbsentPage - 32), (Ymm{0, 0, 0, 0, 1, 0, 1, 0}));
  cpu->vectors[1].dwords[5] = kChosen;
  set_ymm(0, {2, 2, 2, 2, 2, 2, 2, 2});
  EXPECT_TRUE(execute_faults({0xC4, 0xE2, 0x75, 0x2E, 0x01}, kPageFault));
  EXPECT_EQ(cpu->cr2, kAbsentPage + 4);
  EXPECT_EQ(at(kAbsentPage - 32), (Ymm{0, 0, 0, 0, 1, 0, 1, 0}));
}

TEST_F(Avx, MaskedLoadClearsWhatIsNotChosen) {
  cpu->registers[kRcx] = kAbsentPage - 8;
  put(kAbsentPage - 32, {3, 4, 5, 6, 7, 8, 9, 10});
  set_ymm(0, kOnes);
  set_ymm(1, {0, kChosen, 0, 0, 0, 0, 0, 0});
  execute({0xC4, 0xE2, 0x75, 0x2C, 0x01});  // VMASKMOVPS ymm0, ymm1, [rcx]
  EXPECT_EQ(ymm(0), (Ymm{0, 10, 0, 0, 0, 0, 0, 0}));
}

// VPGATHERDD ymm0, [rcx + ymm1 * 4], ymm2
constexpr auto kVpgatherdd = {uint8_t{0xC4}, uint8_t{0xE2}, uint8_t{0x6D}, uint8_t{0x90}, uint8_t{0x04}, uint8_t{0x89}};

TEST_F(Avx, GatherGoesOnWhereItFaulted) {
  cpu->registers[kRcx] = kAbsentPage - 16;
  put(kAbsentPage - 32, {0, 0, 0, 0, 10, 11, 12, 13});
  set_ymm(0, kOnes);
  set_ymm(1, {1, 0, 3, 4, 2, 2, 2, 2});
  set_ymm(2, {kChosen, 0, kChosen, kChosen, kChosen, 0, 0, 0});
  EXPECT_TRUE(execute_faults(kVpgatherdd, kPageFault));
  EXPECT_EQ(cpu->cr2, kAbsentPage);
  EXPECT_EQ(ymm(0), (Ymm{11, 1, 13, 1, 1, 1, 1, 1}));
  EXPECT_EQ(ymm(2), (Ymm{0, 0, 0, kChosen, kChosen, 0, 0, 0}));

  constexpr uint64_t kPresentWritableLarge = 0x83;
  set_page(kAbsentPage, kPresentWritableLarge);
  put(kAbsentPage, {14, 0, 0, 0, 0, 0, 0, 0});
  execute(kVpgatherdd);
  EXPECT_EQ(ymm(0), (Ymm{11, 1, 13, 14, 12, 1, 1, 1}));
  EXPECT_EQ(ymm(2), Ymm{});
}

TEST_F(Avx, GatherIsInvalidWhereRegistersAreTheSame) {
  EXPECT_TRUE(execute_faults({0xC4, 0xE2, 0x6D, 0x90, 0x0C, 0x89}, kInvalidOpcode));  // destination and index
  EXPECT_TRUE(execute_faults({0xC4, 0xE2, 0x7D, 0x90, 0x04, 0x89}, kInvalidOpcode));  // destination and mask
  EXPECT_TRUE(execute_faults({0xC4, 0xE2, 0x75, 0x90, 0x04, 0x89}, kInvalidOpcode));  // index and mask
}

// --- Floating point --------------------------------------------------------------------------------------------------

TEST_F(Avx, UnmaskedExceptionInTheUpperLaneLeavesTheDestination) {
  constexpr uint32_t kZeroDivide = 4;
  cpu->mxcsr = 0x1F80 & ~(kZeroDivide << 7);
  set_ymm(0, kOnes);
  set_ymm(1, {0x3F800000, 0x3F800000, 0x3F800000, 0x3F800000, 0x3F800000, 0x3F800000, 0x3F800000, 0x3F800000});
  set_ymm(2, {0x3F800000, 0x3F800000, 0x3F800000, 0x3F800000, 0x3F800000, 0x3F800000, 0x3F800000, 0});
  EXPECT_TRUE(execute_faults({0xC5, 0xF4, 0x5E, 0xC2}, kSimdError));  // VDIVPS ymm0, ymm1, ymm2
  EXPECT_EQ(ymm(0), kOnes);
  EXPECT_EQ(cpu->mxcsr & 0x3F, kZeroDivide);
}

// Each order of VFMADDps ymm0, ymm1, ymm2 has its own: the multiplicand first, then the multiplier, then the addend.
TEST_F(Avx, FusedMultiplyAddAnswersWithTheFirstNanOfItsOrder) {
  const auto result = [&](uint8_t opcode) {
    set_ymm(0, {0x7FC00001, 0x3F800000, 0x7FC00001, 0x7F800000, 0, 0, 0, 0});
    set_ymm(1, {0x7FC00002, 0x7FC00002, 0x3F800000, 0x7FC00002, 0, 0, 0, 0});
    set_ymm(2, {0x7FC00003, 0x7FC00003, 0x7FC00003, 0, 0, 0, 0, 0});
    execute({0xC4, 0xE2, 0x75, opcode, 0xC2});
    return std::array<uint32_t, 4>{ymm(0)[0], ymm(0)[1], ymm(0)[2], ymm(0)[3]};
  };
  constexpr uint8_t k132 = 0x98, k213 = 0xA8, k231 = 0xB8;
  EXPECT_EQ(result(k132), (std::array<uint32_t, 4>{0x7FC00001, 0x7FC00003, 0x7FC00001, 0x7FC00002}));
  EXPECT_EQ(result(k213), (std::array<uint32_t, 4>{0x7FC00002, 0x7FC00002, 0x7FC00001, 0x7FC00002}));
  EXPECT_EQ(result(k231), (std::array<uint32_t, 4>{0x7FC00002, 0x7FC00002, 0x7FC00003, 0x7FC00002}));
}

TEST_F(Avx, ConversionToHalvesFaultsInMemoryBeforeItReports) {
  cpu->mxcsr = 0;
  cpu->registers[kRcx] = kAbsentPage;
  set_ymm(0, {0x7F800001, 0, 0, 0, 0, 0, 0, 0});                                  // a signaling NaN
  EXPECT_TRUE(execute_faults({0xC4, 0xE3, 0x7D, 0x1D, 0x01, 0x04}, kPageFault));  // VCVTPS2PH [rcx], ymm0, 4
  EXPECT_EQ(cpu->mxcsr, 0u);
}

// --- XSAVE -----------------------------------------------------------------------------------------------------------

constexpr uint64_t kHeader = 512, kUpperHalves = 576;

TEST_F(Avx, UpperHalvesLieBehindTheHeaderInBothForms) {
  cpu->registers[kRax] = kX87SseAvx;
  cpu->registers[kRdx] = 0;
  cpu->registers[kRcx] = kData;
  set_ymm(3, {1, 2, 3, 4, 5, 6, 7, 8});
  execute({0x0F, 0xAE, 0x21});  // XSAVE [rcx]
  EXPECT_EQ(at(kData + kUpperHalves + 3 * 16)[0], 5u);
  EXPECT_EQ(map.read_value<uint64_t>(kData + kHeader) & 6, 6u);
  cpu->registers[kRcx] = kData + 0x1000;
  execute({0x0F, 0xC7, 0x21});  // XSAVEC [rcx]
  EXPECT_EQ(at(kData + 0x1000 + kUpperHalves + 3 * 16)[3], 8u);
  EXPECT_EQ(map.read_value<uint64_t>(kData + 0x1000 + kHeader + 8), uint64_t{1} << 63 | kX87SseAvx);
}

TEST_F(Avx, XsaveoptLeavesUpperHalvesInTheirInitialConfigurationOut) {
  cpu->registers[kRax] = kX87SseAvx;
  cpu->registers[kRdx] = 0;
  cpu->registers[kRcx] = kData;
  put(kData + kUpperHalves, kOnes);
  set_ymm(3, {1, 2, 3, 4, 0, 0, 0, 0});
  execute({0x0F, 0xAE, 0x31});  // XSAVEOPT [rcx]
  EXPECT_EQ(at(kData + kUpperHalves), kOnes);
  EXPECT_EQ(map.read_value<uint64_t>(kData + kHeader) & 4, 0u);
  cpu->vectors[3].dwords[7] = 9;
  execute({0x0F, 0xAE, 0x29});  // XRSTOR [rcx]
  EXPECT_EQ(ymm(3), (Ymm{1, 2, 3, 4, 0, 0, 0, 0}));
}

}  // namespace
}  // namespace calco::cpu
