// CPUID (SDM vol. 2) and the models of -cpu.
#include "cpu/system/cpu_model.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <string>

#include "machine/core/option_error.h"
#include "tests/cpu/system_fixture.h"

namespace calco::cpu {
namespace {

using decode::Feature;

std::string text(std::initializer_list<uint32_t> registers) {
  std::string result;
  for (const uint32_t value : registers) result.append(reinterpret_cast<const char*>(&value), sizeof(value));
  return result;
}

TEST(CpuModelTest, FeaturesAreSwitchedByName) {
  const CpuModel model = CpuModel::parse("qemu64,+sse4_2,popcnt=on,-lahf_lm,aes");
  EXPECT_TRUE(model.has(Feature::Sse42));
  EXPECT_TRUE(model.has(Feature::Popcnt));
  EXPECT_TRUE(model.has(Feature::Aes));
  EXPECT_FALSE(model.has(Feature::LahfLm));
  EXPECT_FALSE(model.has(Feature::Ssse3));
  EXPECT_TRUE(model.warnings().empty());
}

TEST(CpuModelTest, UnknownNamesSayWhatWouldBeRight) {
  EXPECT_THAT([] { CpuModel::parse("pentium9"); },
              ::testing::ThrowsMessage<OptionError>(::testing::HasSubstr("qemu64")));
  EXPECT_THAT([] { CpuModel::parse("max,+warp"); },
              ::testing::ThrowsMessage<OptionError>(::testing::HasSubstr("warp")));
  EXPECT_THROW(CpuModel::parse("max,sse2=perhaps"), OptionError);
  EXPECT_THROW(CpuModel::parse("max,vendor=me"), OptionError);
}

TEST(CpuModelTest, WhatIsNotImplementedStaysOffWithAWarning) {
  const CpuModel model = CpuModel::parse("max,+svm");
  EXPECT_FALSE(model.has(Feature::Svm));
  EXPECT_EQ(model.warnings().size(), 1u);
}

TEST(CpuModelTest, NehalemIsAnIntelProcessorWithSse42) {
  const CpuFixture fixture("Nehalem");
  const CpuidResult vendor = fixture.model.cpuid(0, 0, *fixture.cpu);
  EXPECT_EQ(text({vendor.ebx, vendor.edx, vendor.ecx}), "GenuineIntel");
  EXPECT_EQ(fixture.model.cpuid(1, 0, *fixture.cpu).eax, 0x106A3u);
  EXPECT_TRUE(fixture.model.has(Feature::Sse42));
  EXPECT_FALSE(fixture.model.has(Feature::Aes));
}

TEST(CpuModelTest, AmdRepeatsTheFeaturesOfLeaf1) {
  const CpuFixture fixture("qemu64");
  const uint32_t basic = fixture.model.cpuid(1, 0, *fixture.cpu).edx;
  const uint32_t extended = fixture.model.cpuid(0x80000001, 0, *fixture.cpu).edx;
  EXPECT_EQ(extended & 0x0183F3FF, basic & 0x0183F3FF);
  EXPECT_NE(extended & 1u << 29, 0u);
}

TEST(CpuModelTest, OsxsaveFollowsCr4) {
  const CpuFixture fixture("max");
  EXPECT_EQ(fixture.model.cpuid(1, 0, *fixture.cpu).ecx & 1u << 27, 0u);
  fixture.cpu->cr4 |= cr4::kOsxsave;
  EXPECT_NE(fixture.model.cpuid(1, 0, *fixture.cpu).ecx & 1u << 27, 0u);
}

TEST(CpuModelTest, AvxNeedsXsaveAndIsNeededItself) {
  EXPECT_FALSE(CpuModel::parse("qemu64,+avx").has(Feature::Avx));
  EXPECT_TRUE(CpuModel::parse("qemu64,+avx,+xsave").has(Feature::Avx));
  const CpuModel without_avx = CpuModel::parse("max,-avx");
  EXPECT_FALSE(without_avx.has(Feature::Avx2) || without_avx.has(Feature::Fma) || without_avx.has(Feature::F16c));
  EXPECT_FALSE(CpuModel::parse("max,-xsave").has(Feature::Avx2));
}

TEST(CpuModelTest, HaswellHasTheFeaturesOfX8664V3) {
  const CpuFixture fixture("Haswell");
  constexpr uint32_t kFmaMovbeXsaveAvxF16c = 1u << 12 | 1u << 22 | 1u << 26 | 1u << 28 | 1u << 29;
  constexpr uint32_t kBmi1Avx2Bmi2 = 1u << 3 | 1u << 5 | 1u << 8;
  constexpr uint32_t kLzcnt = 1u << 5;
  EXPECT_EQ(fixture.model.cpuid(1, 0, *fixture.cpu).ecx & kFmaMovbeXsaveAvxF16c, kFmaMovbeXsaveAvxF16c);
  EXPECT_EQ(fixture.model.cpuid(7, 0, *fixture.cpu).ebx & kBmi1Avx2Bmi2, kBmi1Avx2Bmi2);
  EXPECT_NE(fixture.model.cpuid(0x80000001, 0, *fixture.cpu).ecx & kLzcnt, 0u);
  EXPECT_EQ(fixture.model.cpuid(0xD, 0, *fixture.cpu).eax, 7u);
  EXPECT_TRUE(fixture.model.warnings().empty());
}

TEST(CpuModelTest, XsaveAreaEndsWithTheUpperHalvesOfYmmRegisters) {
  const CpuFixture fixture("max");
  const CpuidResult leaf = fixture.model.cpuid(0xD, 0, *fixture.cpu);
  EXPECT_EQ(leaf.eax, 7u);
  EXPECT_EQ(leaf.ecx, 832u);
  const CpuidResult ymm = fixture.model.cpuid(0xD, 2, *fixture.cpu);
  EXPECT_EQ(ymm.eax, 256u);
  EXPECT_EQ(ymm.ebx, 576u);
}

TEST(CpuModelTest, XsaveAreaHoldsLegacyStateAndHeader) {
  const CpuFixture fixture("max,-avx");
  const CpuidResult leaf = fixture.model.cpuid(0xD, 0, *fixture.cpu);
  EXPECT_EQ(leaf.eax, 3u);
  EXPECT_EQ(leaf.ecx, 576u);
  EXPECT_EQ(fixture.model.cpuid(0xD, 1, *fixture.cpu).eax & 7u, 7u);
}

TEST(CpuModelTest, TopologyLeavesGiveShiftsAndCounts) {
  CpuFixture fixture("max");
  fixture.model.set_topology(2, 4);
  const CpuidResult threads = fixture.model.cpuid(0xB, 0, *fixture.cpu);
  EXPECT_EQ(threads.eax, 1u);
  EXPECT_EQ(threads.ebx, 2u);
  const CpuidResult cores = fixture.model.cpuid(0xB, 1, *fixture.cpu);
  EXPECT_EQ(cores.eax, 3u);
  EXPECT_EQ(cores.ebx, 8u);
  EXPECT_EQ(cores.ecx, 0x201u);
  EXPECT_EQ(fixture.model.cpuid(1, 0, *fixture.cpu).ebx >> 16 & 0xFF, 8u);
  EXPECT_NE(fixture.model.cpuid(1, 0, *fixture.cpu).edx & 1u << 28, 0u);
}

TEST(CpuModelTest, BrandStringIsZeroTerminated) {
  const CpuFixture fixture("max,model-id=A processor");
  const CpuidResult leaf = fixture.model.cpuid(0x80000002, 0, *fixture.cpu);
  EXPECT_STREQ(text({leaf.eax, leaf.ebx, leaf.ecx, leaf.edx}).c_str(), "A processor");
}

TEST(CpuModelTest, LeavesBeyondTheHighestAnswerAsTheHighest) {
  const CpuFixture fixture("Nehalem");
  EXPECT_EQ(fixture.model.cpuid(0x100, 1, *fixture.cpu).ecx, fixture.model.cpuid(0xB, 1, *fixture.cpu).ecx);
}

TEST(CpuModelTest, HelpListsModelsAndFlags) {
  EXPECT_THAT(CpuModel::help(), ::testing::AllOf(::testing::HasSubstr("qemu64"), ::testing::HasSubstr(" sse4.2")));
}

}  // namespace
}  // namespace calco::cpu
