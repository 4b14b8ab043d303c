// Code that changes while it runs (SDM vol. 3, 9.1.3: processors see their own stores to code at once).
#include "cpu/exec/block_cache.h"

#include <gtest/gtest.h>

#include "tests/cpu/cpu_fixture.h"

namespace calco::cpu {
namespace {

constexpr uint8_t kHlt = 0xF4;

class SelfModifyingCode : public testing::Test, protected CpuFixture {
 protected:
  SelfModifyingCode() { enter_64_bit_mode(); }
};

TEST_F(SelfModifyingCode, StoreIntoTheBlockThatExecutesTakesEffectBehindTheStore) {
  load_code({0xC6, 0x05, 0x01, 0x00, 0x00, 0x00, 0x05,  // mov byte [rip + 1], 5
             0xB0, 0x01,                                // mov al, 1: the 1 becomes 5
             kHlt});
  EXPECT_EQ(cpu->run(), RunExit::Halted);
  EXPECT_EQ(cpu->registers[kRax] & 0xFF, 5u);
}

TEST_F(SelfModifyingCode, LoopThatChangesItselfEachTimeRound) {
  load_code({0xB9, 0x0A, 0x00, 0x00, 0x00,        // mov ecx, 10
             0x31, 0xD2,                          // xor edx, edx
             0x83, 0xC2, 0x01,                    // again: add edx, 1 (the 1 grows)
             0xFE, 0x05, 0xFC, 0xFF, 0xFF, 0xFF,  // inc byte [rip - 4]: wraps around to the add's immediate
             0xFF, 0xC9,                          // dec ecx
             0x75, 0xF3,                          // jnz again
             kHlt});
  // inc's address is that of the byte before the end of "add edx, 1".
  map.write_value<uint32_t>(kCode + 12, static_cast<uint32_t>(-7));
  EXPECT_EQ(cpu->run(), RunExit::Halted);
  EXPECT_EQ(cpu->registers[kRdx], 55u);
}

TEST_F(SelfModifyingCode, DmaIntoCodeIsSeenAtTheNextEntry) {
  load_code({0xB0, 0x01, kHlt});
  cpu->run();
  cpu->activity = Activity::Running;
  cpu->registers[kRip] = kCode;
  map.write_value<uint8_t>(kCode + 1, 7);
  cpu->run();
  EXPECT_EQ(cpu->registers[kRax] & 0xFF, 7u);
}

TEST_F(SelfModifyingCode, DataBesideCodeInOnePageKeepsTheBlocks) {
  load_code({0xB9, 0x64, 0x00, 0x00, 0x00,        // mov ecx, 100
             0xFF, 0x05, 0x00, 0x01, 0x00, 0x00,  // again: inc dword [rip + 256]
             0xFF, 0xC9,                          // dec ecx
             0x75, 0xF6,                          // jnz again
             kHlt});
  EXPECT_EQ(cpu->run(), RunExit::Halted);
  EXPECT_EQ(map.read_value<uint32_t>(kCode + 5 + 6 + 256), 100u);
  EXPECT_EQ(cpu->blocks().counters.invalidations, 0u);
}

TEST_F(SelfModifyingCode, InstructionAcrossTwoPagesFollowsItsSecondHalf) {
  const uint64_t address = kCode + 0xFFE;
  load_code({0xB8, 0x01, 0x00, 0x00, 0x00, kHlt}, address);  // mov eax, 1 with three bytes in the next page
  start_at(address);
  cpu->run();
  EXPECT_EQ(cpu->registers[kRax], 1u);
  map.write_value<uint8_t>(address + 3, 2);
  cpu->activity = Activity::Running;
  start_at(address);
  cpu->run();
  EXPECT_EQ(cpu->registers[kRax], 0x20001u);
}

class ChangedOperand : public SelfModifyingCode {
 protected:
  ChangedOperand() {
    load_code({0x05, 0x10, 0x00, 0x00, 0x00,  // add eax, 16
               0x75, 0x02,                    // jnz over the next
               0xFF, 0xC3,                    // inc ebx
               0x83, 0xC1, 0x01,              // over: add ecx, 1
               kHlt});
    run_again();
    decoded_ = cpu->blocks().counters.blocks_decoded;
  }
  void run_again() {
    cpu->registers[kRax] = 0;
    cpu->registers[kRbx] = 0;
    cpu->registers[kRcx] = 0;
    cpu->registers[kRip] = kCode;
    cpu->activity = Activity::Running;
    EXPECT_EQ(cpu->run(), RunExit::Halted);
  }
  uint64_t newly_decoded() const { return cpu->blocks().counters.blocks_decoded - decoded_; }
  uint64_t renewed() const { return cpu->blocks().counters.blocks_renewed; }

 private:
  uint64_t decoded_ = 0;
};

TEST_F(ChangedOperand, ConstantsAreReplacedInTheBlocksThatWereThere) {
  map.write_value<uint32_t>(kCode + 1, 0x12345678);
  run_again();
  EXPECT_EQ(cpu->registers[kRax], 0x12345678u);
  EXPECT_EQ(cpu->registers[kRbx], 0u);
  EXPECT_EQ(cpu->registers[kRcx], 1u);
  map.write_value<uint32_t>(kCode + 1, 0);
  map.write_value<uint8_t>(kCode + 11, 7);
  run_again();
  EXPECT_EQ(cpu->registers[kRax], 0u);
  EXPECT_EQ(cpu->registers[kRbx], 1u);
  EXPECT_EQ(cpu->registers[kRcx], 7u);
  EXPECT_EQ(newly_decoded(), 1u);  // the one behind a jump that was not executed before
  EXPECT_GE(renewed(), 3u);
}

TEST_F(ChangedOperand, BytesThatReturnAreTheSameBlock) {
  map.write_value<uint8_t>(kCode, 0x05);
  run_again();
  EXPECT_EQ(cpu->registers[kRax], 16u);
  EXPECT_EQ(newly_decoded(), 0u);
}

TEST_F(ChangedOperand, AnotherRegisterIsAnOperandToo) {
  map.write_value<uint8_t>(kCode + 10, 0xC2);  // add edx, 1
  cpu->registers[kRdx] = 4;
  run_again();
  EXPECT_EQ(cpu->registers[kRcx], 0u);
  EXPECT_EQ(cpu->registers[kRdx], 5u);
}

TEST_F(ChangedOperand, AnotherInstructionIsDecoded) {
  map.write_value<uint8_t>(kCode, 0x2D);  // sub eax, 16
  run_again();
  EXPECT_EQ(cpu->registers[kRax], 0xFFFFFFF0u);
  EXPECT_GE(newly_decoded(), 1u);
}

TEST_F(ChangedOperand, AnotherJumpIsDecoded) {
  map.write_value<uint8_t>(kCode + 5, 0x74);  // jz
  run_again();
  EXPECT_EQ(cpu->registers[kRbx], 1u);
  map.write_value<uint8_t>(kCode + 5, 0x75);
  map.write_value<uint8_t>(kCode + 6, 0);
  run_again();
  EXPECT_EQ(cpu->registers[kRbx], 1u);
  EXPECT_EQ(cpu->registers[kRcx], 1u);
}

TEST_F(ChangedOperand, AnotherLengthIsDecoded) {
  map.write_value<uint16_t>(kCode, 0xC089);  // mov eax, eax; then five times nop
  map.write_value<uint32_t>(kCode + 2, 0x90909090);
  map.write_value<uint8_t>(kCode + 6, 0x90);
  run_again();
  EXPECT_EQ(cpu->registers[kRax], 0u);
  EXPECT_EQ(cpu->registers[kRbx], 1u);
}

// Code in the upper half of the address space, as kernels have it (SDM vol. 3, 4.10.2.4: global pages).
class UpperHalfCode : public testing::Test, protected CpuFixture {
 protected:
  static constexpr uint64_t kUpper = 0xFFFF'FF80'0000'0000;
  static constexpr uint64_t kPresent2M = 0xE7, kGlobal = 0x100;
  static constexpr uint64_t kFirstRoot = kTables, kSecondRoot = 0x300000;
  static constexpr uint64_t kFirstCode = 0x400000, kSecondCode = 0x600000;

  UpperHalfCode() {
    enter_64_bit_mode();
    load_code({0xB8, 0x01, 0x00, 0x00, 0x00, kHlt}, kFirstCode);   // mov eax, 1
    load_code({0xB8, 0x02, 0x00, 0x00, 0x00, kHlt}, kSecondCode);  // mov eax, 2
    map.write_value<uint64_t>(kSecondRoot, map.read_value<uint64_t>(kFirstRoot));
  }
  // One 2-MiB page at kUpper under this root.
  void map_upper(uint64_t root, uint64_t code, uint64_t attributes) {
    map.write_value<uint64_t>(root + 511 * 8, (root + 0x3000) | 7);
    map.write_value<uint64_t>(root + 0x3000, (root + 0x4000) | 7);
    map.write_value<uint64_t>(root + 0x4000, code | kPresent2M | attributes);
  }
  void load_cr3(uint64_t root) {
    cpu->cr3 = root;
    cpu->mmu().address_space_changed(false);
  }
  uint64_t run_upper() {
    cpu->activity = Activity::Running;
    cpu->registers[kRip] = kUpper;
    EXPECT_EQ(cpu->run(), RunExit::Halted);
    return cpu->registers[kRax];
  }
};

TEST_F(UpperHalfCode, GlobalPagesKeepTheirTagAcrossAddressSpaces) {
  map_upper(kFirstRoot, kFirstCode, kGlobal);
  map_upper(kSecondRoot, kFirstCode, kGlobal);
  EXPECT_EQ(run_upper(), 1u);
  const auto tags = cpu->jump_tags;
  load_cr3(kSecondRoot);
  EXPECT_EQ(run_upper(), 1u);
  EXPECT_NE(cpu->jump_tags[0], tags[0]);
  EXPECT_EQ(cpu->jump_tags[1], tags[1]);
}

TEST_F(UpperHalfCode, OtherPagesAreThoseOfTheAddressSpace) {
  map_upper(kFirstRoot, kFirstCode, 0);
  map_upper(kSecondRoot, kSecondCode, 0);
  EXPECT_EQ(run_upper(), 1u);
  load_cr3(kSecondRoot);
  EXPECT_EQ(run_upper(), 2u);
  load_cr3(kFirstRoot);
  EXPECT_EQ(run_upper(), 1u);
}

TEST_F(UpperHalfCode, InvlpgOfAGlobalPageLeadsToWhatIsMappedNow) {
  map_upper(kFirstRoot, kFirstCode, kGlobal);
  EXPECT_EQ(run_upper(), 1u);
  map_upper(kFirstRoot, kSecondCode, kGlobal);
  cpu->mmu().invalidate_page(kUpper);
  EXPECT_EQ(run_upper(), 2u);
}

TEST_F(UpperHalfCode, PageThatIsGlobalNoLongerFollowsItsAddressSpace) {
  map_upper(kFirstRoot, kFirstCode, kGlobal);
  map_upper(kSecondRoot, kSecondCode, 0);
  EXPECT_EQ(run_upper(), 1u);
  map_upper(kFirstRoot, kFirstCode, 0);
  cpu->mmu().invalidate_page(kUpper);
  EXPECT_EQ(run_upper(), 1u);
  load_cr3(kSecondRoot);
  EXPECT_EQ(run_upper(), 2u);
  load_cr3(kFirstRoot);
  EXPECT_EQ(run_upper(), 1u);
}

}  // namespace
}  // namespace calco::cpu
