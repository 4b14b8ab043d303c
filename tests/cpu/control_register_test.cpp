// SDM vol. 2, MOV to and from control registers; vol. 3, 2.5, 4.10 and 9.8.5.
#include <gtest/gtest.h>

#include "cpu/system/control_registers.h"
#include "tests/cpu/system_fixture.h"

namespace calco::cpu {
namespace {

class ControlRegister : public ::testing::Test, protected SystemFixture {
 protected:
  // mov crN, rax of the current code size
  bool mov_to_faults(unsigned number, uint64_t value) {
    cpu->registers[kRax] = value;
    return execute_faults({0x0F, 0x22, static_cast<uint8_t>(0xC0 | number << 3)}, kGeneralProtection);
  }
};

TEST_F(ControlRegister, PagingWithoutProtectionIsGp) {
  enter_protected();
  EXPECT_TRUE(mov_to_faults(0, cr0::kPg));
}

TEST_F(ControlRegister, NotWriteThroughNeedsCacheDisable) {
  enter_protected();
  EXPECT_TRUE(mov_to_faults(0, cr0::kPe | cr0::kNw));
}

TEST_F(ControlRegister, UpperHalfOfCr0IsGp) {
  enter_long();
  EXPECT_TRUE(mov_to_faults(0, cpu->cr0 | uint64_t{1} << 32));
}

TEST_F(ControlRegister, PagingWithLmeActivatesLongMode) {
  enter_64_bit_mode();
  enter_protected();
  cpu->cr4 |= cr4::kPae;
  cpu->cr3 = kTables;
  cpu->efer = efer::kLme;
  EXPECT_FALSE(mov_to_faults(0, cpu->cr0 | cr0::kPg));
  EXPECT_TRUE(cpu->long_mode_active());
  EXPECT_FALSE(cpu->code_64());
}

TEST_F(ControlRegister, PagingWithLmeNeedsPae) {
  enter_protected();
  cpu->efer = efer::kLme;
  EXPECT_TRUE(mov_to_faults(0, cpu->cr0 | cr0::kPg));
}

TEST_F(ControlRegister, PagingCannotBeLeftIn64BitCode) {
  enter_long();
  EXPECT_TRUE(mov_to_faults(0, cpu->cr0 & ~cr0::kPg));
}

TEST_F(ControlRegister, PaeCannotBeClearedInLongMode) {
  enter_long();
  EXPECT_TRUE(mov_to_faults(4, cpu->cr4 & ~cr4::kPae));
}

TEST_F(ControlRegister, ReservedBitsOfCr4AreGp) {
  enter_long();
  EXPECT_TRUE(mov_to_faults(4, cpu->cr4 | 1u << 15));
  EXPECT_TRUE(mov_to_faults(4, cpu->cr4 | uint64_t{1} << 32));
}

TEST_F(ControlRegister, PcidsNeedAZeroCurrentPcid) {
  enter_long();
  cpu->cr3 = kTables | 0x18;
  EXPECT_TRUE(mov_to_faults(4, cpu->cr4 | cr4::kPcide));
}

TEST_F(ControlRegister, Bit63OfCr3IsGpWithoutPcidsAndDroppedWithThem) {
  enter_long();
  EXPECT_TRUE(mov_to_faults(3, kTables | uint64_t{1} << 63));
  cpu->cr4 |= cr4::kPcide;
  EXPECT_FALSE(mov_to_faults(3, kTables | uint64_t{1} << 63));
  EXPECT_EQ(cpu->cr3, kTables);
}

TEST_F(ControlRegister, AddressBitsBeyondTheProcessorsAreGp) {
  enter_long();
  EXPECT_TRUE(mov_to_faults(3, kTables | uint64_t{1} << 52));
}

TEST_F(ControlRegister, PaePointersAreCheckedAsCr3IsLoaded) {
  enter_protected();
  cpu->cr4 |= cr4::kPae;
  cpu->cr3 = 0x14000;
  map.write_value<uint64_t>(0x14000, 0x15001);
  for (uint64_t page = 0; page < 512; ++page) map.write_value<uint64_t>(0x15000 + page * 8, page << 21 | 0xE7);
  EXPECT_FALSE(mov_to_faults(0, cpu->cr0 | cr0::kPg));
  EXPECT_EQ(cpu->pae_pointers[0], 0x15001u);
  map.write_value<uint64_t>(0x14008, 7);
  EXPECT_TRUE(mov_to_faults(3, 0x14000));
}

TEST_F(ControlRegister, Cr8IsTheTaskPriority) {
  enter_long();
  cpu->registers[kRax] = 9;
  execute({0x44, 0x0F, 0x22, 0xC0});
  EXPECT_EQ(apic.priority, 9);
  cpu->registers[kRax] = 16;
  EXPECT_TRUE(execute_faults({0x44, 0x0F, 0x22, 0xC0}, kGeneralProtection));
}

TEST_F(ControlRegister, Cr1IsUd) {
  enter_long();
  EXPECT_TRUE(execute_faults({0x0F, 0x20, 0xC8}, kInvalidOpcode));
}

TEST_F(ControlRegister, UserCodeMayNotTouchThem) {
  enter_long(3);
  EXPECT_TRUE(execute_faults({0x0F, 0x20, 0xC0}, kGeneralProtection));
}

TEST_F(ControlRegister, LmswSetsPeAndCannotClearIt) {
  enter_protected();
  cpu->registers[kRax] = cr0::kTs;
  execute({0x0F, 0x01, 0xF0});
  EXPECT_NE(cpu->cr0 & cr0::kPe, 0u);
  EXPECT_NE(cpu->cr0 & cr0::kTs, 0u);
}

TEST_F(ControlRegister, UmipKeepsUserCodeFromTheTables) {
  enter_long(3);
  execute({0x0F, 0x01, 0x04, 0x25, 0x00, 0x00, 0x30, 0x00});
  EXPECT_EQ(map.read_value<uint16_t>(kData), cpu->gdtr.limit);
  EXPECT_EQ(map.read_value<uint64_t>(kData + 2), cpu->gdtr.base);
  cpu->cr4 |= cr4::kUmip;
  EXPECT_TRUE(execute_faults({0x0F, 0x01, 0x04, 0x25, 0x00, 0x00, 0x30, 0x00}, kGeneralProtection));
}

TEST_F(ControlRegister, InvpcidChecksTypeAndDescriptor) {
  enter_long();
  cpu->registers[kRax] = 4;
  EXPECT_TRUE(execute_faults({0x66, 0x0F, 0x38, 0x82, 0x04, 0x25, 0x00, 0x00, 0x30, 0x00}, kGeneralProtection));
  cpu->registers[kRax] = 0;
  map.write_value<uint64_t>(kData + 8, uint64_t{1} << 47);
  EXPECT_TRUE(execute_faults({0x66, 0x0F, 0x38, 0x82, 0x04, 0x25, 0x00, 0x00, 0x30, 0x00}, kGeneralProtection));
}

}  // namespace
}  // namespace calco::cpu
