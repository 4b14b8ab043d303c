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

}  // namespace
}  // namespace calco::cpu
