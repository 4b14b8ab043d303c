// Model-specific registers (SDM vol. 4).
#include "cpu/system/msr.h"

#include <gtest/gtest.h>

#include "tests/cpu/system_fixture.h"

namespace calco::cpu {
namespace {

class Msr : public ::testing::Test, protected SystemFixture {
 protected:
  uint64_t read(uint32_t index) {
    uint64_t value = 0;
    EXPECT_TRUE(read_msr(*cpu, index, value));
    return value;
  }
  bool is_gp_to_read(uint32_t index) {
    uint64_t value = 0;
    return !read_msr(*cpu, index, value);
  }
};

TEST_F(Msr, UnknownRegistersAreGp) {
  enter_long();
  cpu->registers[kRcx] = 0x12345;
  EXPECT_TRUE(execute_faults({0x0F, 0x32}, kGeneralProtection));
  EXPECT_TRUE(execute_faults({0x0F, 0x30}, kGeneralProtection));
}

TEST_F(Msr, RdmsrSplitsIntoEdxAndEax) {
  enter_long();
  cpu->kernel_gs_base = 0xFFFF888012345678;
  cpu->registers[kRcx] = 0xC0000102;
  execute({0x0F, 0x32});
  EXPECT_EQ(cpu->registers[kRax], 0x12345678u);
  EXPECT_EQ(cpu->registers[kRdx], 0xFFFF8880u);
}

TEST_F(Msr, BasesMustBeCanonical) {
  enter_long();
  EXPECT_FALSE(write_msr(*cpu, 0xC0000100, uint64_t{1} << 47));
  EXPECT_TRUE(write_msr(*cpu, 0xC0000100, 0xFFFF800000000000));
  EXPECT_EQ(cpu->segments[kFs].base, 0xFFFF800000000000u);
}

TEST(ApicBase, X2apicModeIsReservedWithoutItsFeature) {
  const SystemFixture with("qemu64,+x2apic"), without("qemu64");
  EXPECT_TRUE(write_msr(*with.cpu, 0x1B, 0xFEE00C00));
  EXPECT_FALSE(write_msr(*without.cpu, 0x1B, 0xFEE00C00));
  EXPECT_TRUE(write_msr(*without.cpu, 0x1B, 0xFEE00800));
}

TEST_F(Msr, MemoryTypesAreChecked) {
  enter_long();
  EXPECT_FALSE(write_msr(*cpu, 0x277, 0x0007040600070402));
  EXPECT_TRUE(write_msr(*cpu, 0x277, 0x0007010600070106));
  EXPECT_FALSE(write_msr(*cpu, 0x2FF, 0x802));
  EXPECT_TRUE(write_msr(*cpu, 0x2FF, 0xC06));
  EXPECT_FALSE(write_msr(*cpu, 0x200, 0x106));
  EXPECT_FALSE(write_msr(*cpu, 0x250, 0x0707070707070707));
  EXPECT_TRUE(write_msr(*cpu, 0x26F, 0x0505050505050505));
  EXPECT_EQ(read(0x26F), 0x0505050505050505u);
  EXPECT_EQ(read(0xFE), 0x508u);
}

TEST_F(Msr, EferRefusesReservedBitsAndLmeUnderPaging) {
  enter_long();
  cpu->registers[kRcx] = 0xC0000080;
  cpu->registers[kRdx] = 0;
  cpu->registers[kRax] = cpu->efer | 2;
  EXPECT_TRUE(execute_faults({0x0F, 0x30}, kGeneralProtection));
  cpu->registers[kRax] = cpu->efer & ~efer::kLme;
  EXPECT_TRUE(execute_faults({0x0F, 0x30}, kGeneralProtection));
}

TEST_F(Msr, WritesOfTheTscShowInTscAdjust) {
  enter_long();
  const uint64_t before = read(0x10);
  EXPECT_TRUE(write_msr(*cpu, 0x10, before + 1'000'000));
  EXPECT_NEAR(static_cast<double>(read(0x3B)), 1'000'000.0, 1000.0);
  EXPECT_TRUE(write_msr(*cpu, 0x3B, 0));
  EXPECT_LT(read(0x10), before + 100'000);
}

TEST_F(Msr, TscDeadlineCountsInTheProcessorsOwnTsc) {
  enter_long();
  cpu->tsc_offset = 0 - uint64_t{500'000};
  const uint64_t deadline = read(0x10) + 10'000;
  EXPECT_TRUE(write_msr(*cpu, 0x6E0, deadline));
  EXPECT_EQ(apic.deadline, deadline + 500'000);
  EXPECT_EQ(read(0x6E0), deadline);
  EXPECT_TRUE(write_msr(*cpu, 0x6E0, 0));
  EXPECT_EQ(apic.deadline, 0u);
}

TEST_F(Msr, MachineCheckStatusCanOnlyBeCleared) {
  enter_long();
  EXPECT_EQ(read(0x179), 0x10Au);
  EXPECT_TRUE(write_msr(*cpu, 0x400, ~uint64_t{0}));
  EXPECT_FALSE(write_msr(*cpu, 0x401, 1));
  EXPECT_TRUE(write_msr(*cpu, 0x401, 0));
}

TEST_F(Msr, MachineCheckControlIsAllOrNothing) {
  enter_long();
  EXPECT_FALSE(write_msr(*cpu, 0x400, 0xAAAAAAAAAAAAAAAA));
  EXPECT_TRUE(write_msr(*cpu, 0x402, 0xAAAAAAAAAAAAAAAA));
  EXPECT_EQ(read(0x402), 0xAAAAAAAAAAAAAAAAu);
  EXPECT_TRUE(is_gp_to_read(0x400 + 4 * 10));
}

// Xen clears them on its way up.
TEST_F(Msr, PerformanceCountersOfAmdModelsStandStill) {
  enter_long();
  EXPECT_TRUE(write_msr(*cpu, 0xC0010004, 5));
  EXPECT_EQ(read(0xC0010004), 0u);
  EXPECT_FALSE(write_msr(*cpu, 0xC0010008, 0));
}

TEST_F(Msr, SmbaseIsVisibleInSmmOnly) {
  enter_long();
  EXPECT_TRUE(is_gp_to_read(0x9E));
}

TEST_F(Msr, UserCodeMayNotReadThem) {
  enter_long(3);
  cpu->registers[kRcx] = 0x10;
  EXPECT_TRUE(execute_faults({0x0F, 0x32}, kGeneralProtection));
}

}  // namespace
}  // namespace calco::cpu
