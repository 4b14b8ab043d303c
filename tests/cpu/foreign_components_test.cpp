// XSAVE and XRSTOR of state that only another engine's processor computes with.
#include "cpu/exec/foreign_components.h"

#include <gtest/gtest.h>

#include <vector>

#include "tests/cpu/cpu_fixture.h"

namespace calco::cpu {
namespace {

constexpr unsigned kOpmask = 5, kProtectionKeys = 9;
constexpr uint64_t kOpmaskBit = 1u << kOpmask, kProtectionKeysBit = 1u << kProtectionKeys;
constexpr uint64_t kHeader = 512, kAvx = 576, kAvxSize = 256;

// Opmask registers and PKRU, at the places of a processor without MPX in between.
class ForeignComponentsTest : public ::testing::Test {
 protected:
  ForeignComponentsTest() {
    fixture_.enter_64_bit_mode();
    cpu().cr4 |= cr4::kOsxsave;
    cpu().xcr0 = 7 | kOpmaskBit | kProtectionKeysBit;
    components_.area = area_;
    components_.mask = kOpmaskBit | kProtectionKeysBit;
    components_.places[kOpmask] = {.offset = 1088, .size = 64, .aligned = false};
    components_.places[kProtectionKeys] = {.offset = 2688, .size = 8, .aligned = true};
    cpu().foreign_components = &components_;
    cpu().registers[kRdi] = CpuFixture::kData;
    request(kOpmaskBit | kProtectionKeysBit);
  }
  Cpu& cpu() { return *fixture_.cpu; }
  void request(uint64_t components) {
    cpu().registers[kRax] = components;
    cpu().registers[kRdx] = 0;
  }
  void hold(uint64_t components, unsigned offset, uint64_t value) {
    std::memcpy(&area_[kHeader], &components, sizeof(components));
    std::memcpy(&area_[offset], &value, sizeof(value));
  }
  uint64_t held(uint64_t offset) const {
    uint64_t value;
    std::memcpy(&value, &area_[offset], sizeof(value));
    return value;
  }
  uint64_t memory(uint64_t offset) { return fixture_.map.read_value<uint64_t>(CpuFixture::kData + offset); }

  std::vector<uint8_t> area_ = std::vector<uint8_t>(4096);
  ForeignComponents components_;
  CpuFixture fixture_;
};

TEST_F(ForeignComponentsTest, XsavePutsThemWhereTheStandardFormHasThem) {
  hold(kOpmaskBit, 1088, 0x1234);
  fixture_.execute({0x48, 0x0F, 0xAE, 0x27});  // xsave64 [rdi]
  EXPECT_EQ(memory(1088), 0x1234u);
  EXPECT_EQ(memory(kHeader), kOpmaskBit);
}

TEST_F(ForeignComponentsTest, XsavecPacksThemAndAlignsThoseThatWantIt) {
  hold(kOpmaskBit | kProtectionKeysBit, 1088, 0x1234);
  area_[2688] = 0x55;
  request(4 | kOpmaskBit | kProtectionKeysBit);
  fixture_.execute({0x48, 0x0F, 0xC7, 0x27});  // xsavec64 [rdi]
  EXPECT_EQ(memory(kAvx + kAvxSize), 0x1234u);
  EXPECT_EQ(memory(kAvx + kAvxSize + 64), 0x55u);
  EXPECT_EQ(memory(kHeader), kOpmaskBit | kProtectionKeysBit);
}

TEST_F(ForeignComponentsTest, XrstorBringsThemBack) {
  fixture_.map.write_value<uint64_t>(CpuFixture::kData + 1088, 0x9876);
  fixture_.map.write_value<uint64_t>(CpuFixture::kData + kHeader, kOpmaskBit);
  hold(kProtectionKeysBit, 1088, 0x1234);
  fixture_.execute({0x48, 0x0F, 0xAE, 0x2F});  // xrstor64 [rdi]
  EXPECT_EQ(held(1088), 0x9876u);
  // PKRU was asked for and is not there: initial.
  EXPECT_EQ(held(kHeader), kOpmaskBit);
}

TEST_F(ForeignComponentsTest, XrstorLeavesWhatWasNotAskedFor) {
  hold(kOpmaskBit, 1088, 0x1234);
  request(1);
  fixture_.execute({0x48, 0x0F, 0xAE, 0x2F});
  EXPECT_EQ(held(1088), 0x1234u);
  EXPECT_EQ(held(kHeader), kOpmaskBit);
}

}  // namespace
}  // namespace calco::cpu
