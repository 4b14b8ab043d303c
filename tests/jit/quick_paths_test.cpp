// What translated code has done without leaving its surroundings (jit/runtime/quick_paths.h).
#include <gtest/gtest.h>

#include "tests/jit/jit_fixture.h"

namespace calco::jit {
namespace {

using namespace cpu;
using namespace Xbyak::util;

// --- Two pages
// ---------------------------------------------------------------------------------------------------------

struct Place {
  Tier tier;
  uint64_t second;  // physical address of the second page
};

// Two pages that follow each other; in memory they do, or do not.
class AcrossTwoPages : public testing::TestWithParam<Place>, protected JitFixture {
 protected:
  static constexpr uint64_t kFirst = 0x400000, kNeighbour = 0x401000;
  static constexpr uint64_t kOperand = kPages + 0x1000 - 3;

  AcrossTwoPages() : JitFixture({.threshold = 1}, GetParam().tier) {
    map_page(0, kFirst);
    map_page(1, GetParam().second);
    // The TLB knows both pages, for reading and writing.
    code_.mov(rsi, kOperand);
    code_.inc(code_.byte[rsi]);
    code_.dec(code_.byte[rsi]);
    code_.inc(code_.byte[rsi + 3]);
    code_.dec(code_.byte[rsi + 3]);
    map.write_value<uint64_t>(kFirst + 0x1000 - 8, 0x1122334455667788);
    map.write_value<uint64_t>(GetParam().second, 0x99AABBCCDDEEFF00);
  }
  void run_code() {
    code_.hlt();
    load(code_);
    run();
    EXPECT_TRUE(entered_translations());
  }
  uint64_t end_of_first() { return word(kFirst + 0x1000 - 8); }
  uint64_t begin_of_second() { return word(GetParam().second); }

  GuestCode code_;
};

TEST_P(AcrossTwoPages, AnOperandIsRead) {
  code_.mov(rax, code_.ptr[rsi]);
  code_.mov(ecx, code_.dword[rsi]);
  code_.movzx(edx, code_.word[rsi + 2]);
  run_code();
  EXPECT_EQ(reg(kRax), 0xCCDDEEFF00'112233u);
  EXPECT_EQ(reg(kRcx), 0x00'112233u);
  EXPECT_EQ(reg(kRdx), 0x00'11u);
}

TEST_P(AcrossTwoPages, AnOperandIsWritten) {
  code_.mov(rax, 0x0102030405060708);
  code_.mov(code_.ptr[rsi], rax);
  run_code();
  EXPECT_EQ(end_of_first(), 0x0607084455667788u);
  EXPECT_EQ(begin_of_second(), 0x99AABB0102030405u);
}

TEST_P(AcrossTwoPages, AVectorIsReadAndWritten) {
  code_.movdqu(xmm1, code_.ptr[rsi]);
  code_.paddb(xmm1, xmm1);
  code_.movdqu(code_.ptr[rsi], xmm1);
  run_code();
  EXPECT_EQ(end_of_first(), 0x2244664455667788u);
  EXPECT_EQ(begin_of_second(), 0x32547698BADCFE00u);
  EXPECT_EQ(cpu->translation_counters.interpret_exits == 0, GetParam().second == kNeighbour);
}

TEST_P(AcrossTwoPages, ALockedOperandIsWritten) {
  code_.mov(ecx, 0x01000001);
  code_.lock();
  code_.add(code_.dword[rsi], ecx);
  run_code();
  EXPECT_EQ(begin_of_second(), 0x99AABBCCDDEEFF01u);
}

TEST_P(AcrossTwoPages, AStringIsMoved) {
  code_.mov(ecx, 5);
  code_.mov(edi, kData);
  code_.rep();
  code_.movsb();
  run_code();
  EXPECT_EQ(word(kData) & 0xFF'FFFF'FFFF, 0xFF00'112233u);
  EXPECT_EQ(reg(kRsi), kOperand + 5);
  EXPECT_EQ(reg(kRdi), kData + 5);
  EXPECT_EQ(reg(kRcx), 0u);
}

std::string place_name(const testing::TestParamInfo<Place>& info) {
  const std::string tier = info.param.tier == Tier::Llvm ? "Llvm" : "Baseline";
  return tier + (info.param.second == 0x401000 ? "InNeighbours" : "InStrangers");
}
INSTANTIATE_TEST_SUITE_P(Places, AcrossTwoPages,
                         testing::Values(Place{Tier::Baseline, 0x401000}, Place{Tier::Baseline, 0x600000},
                                         Place{Tier::Llvm, 0x401000}, Place{Tier::Llvm, 0x600000}),
                         place_name);

// --- Strings, and data beside code
// -------------------------------------------------------------------------------------

class QuickPaths : public testing::TestWithParam<Tier>, protected JitFixture {
 protected:
  QuickPaths() : JitFixture({.threshold = 1}, GetParam()) {}
};

TEST_P(QuickPaths, AMoveOntoItselfRepeatsItsBeginning) {
  map.write_value<uint64_t>(kData, 0x0000'0000'1122'3344);
  GuestCode code;
  code.mov(esi, kData);
  code.mov(edi, kData + 4);
  code.mov(ecx, 3);
  code.rep();
  code.movsd();
  code.hlt();
  load(code);
  run();
  EXPECT_EQ(word(kData), 0x1122'3344'1122'3344u);
  EXPECT_EQ(word(kData + 8), 0x1122'3344'1122'3344u);
}

TEST_P(QuickPaths, WordsAreStoredDownwardsWithTheDirectionFlag) {
  GuestCode code;
  code.mov(edi, kData + 4);
  code.mov(eax, 0xABCD);
  code.mov(ecx, 2);
  code.std();
  code.rep();
  code.stosw();
  code.cld();
  code.mov(edi, kData + 8);
  code.mov(ecx, 3);
  code.rep();
  code.stosw();
  code.hlt();
  load(code);
  run();
  EXPECT_EQ(word(kData), 0x0000'ABCD'ABCD'0000u);
  EXPECT_EQ(word(kData + 8), 0x0000'ABCD'ABCD'ABCDu);
  EXPECT_EQ(reg(kRdi), kData + 14);
}

TEST_P(QuickPaths, ARepeatedStoreChangesTheNextInstruction) {
  GuestCode code;
  Xbyak::Label next;
  code.lea(rdi, code.ptr[rip + next]);
  code.mov(ecx, 2);
  code.mov(eax, 0x43);  // INC EBX becomes INC R11D, with REX.XB
  code.rep();
  code.stosb();
  code.L(next);
  for (const int byte : {0x40, 0x40, 0xFF, 0xC3}) code.db(byte);
  code.hlt();
  load(code);
  run();
  EXPECT_EQ(reg(kR11), 1u);
  EXPECT_EQ(reg(kRbx), 0u);
}

TEST_P(QuickPaths, DataBesideCodeIsStoredWithoutHarmToTheCode) {
  constexpr uint64_t kBeside = kCode + 0x800;
  GuestCode code;
  code.mov(ecx, 100);
  code.mov(ebx, kBeside);
  Xbyak::Label again;
  code.L(again);
  code.inc(code.dword[rbx]);
  code.mov(code.dword[rbx + 8], ecx);
  code.dec(ecx);
  code.jnz(again);
  code.hlt();
  load(code);
  run();
  EXPECT_EQ(word(kBeside), 100u);
  EXPECT_EQ(word(kBeside + 8), 1u);
  EXPECT_EQ(jit->statistics().invalidations, 0u);
}

INSTANTIATE_TEST_SUITE_P(Tiers, QuickPaths, testing::Values(Tier::Baseline, Tier::Llvm), tier_name);

}  // namespace
}  // namespace calco::jit
