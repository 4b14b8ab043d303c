// Translated code and the interpreter in step (-d cosim).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/jit/jit_fixture.h"

namespace calco::jit {
namespace {

using namespace cpu;
using namespace Xbyak::util;
using testing::AllOf;
using testing::HasSubstr;
using testing::SizeIs;

struct Reports {
  std::vector<std::string> reports;
};

class ComparedExecution : public testing::TestWithParam<Tier>, protected Reports, protected JitFixture {
 protected:
  ComparedExecution()
      : JitFixture({.threshold = 1, .on_disagreement = [this](const std::string& text) { reports.push_back(text); }},
                   GetParam()) {}

  const Cosimulation::Counters& compared() const { return jit->cosimulation()->counters; }
};

INSTANTIATE_TEST_SUITE_P(Tiers, ComparedExecution, testing::Values(Tier::Baseline, Tier::Llvm), tier_name);

TEST_P(ComparedExecution, GoesOnAsTranslated) {
  GuestCode code;
  Xbyak::Label again;
  code.mov(rdi, kData);
  code.mov(ecx, 1000);
  code.xor_(eax, eax);
  code.L(again);
  code.add(rax, rcx);
  code.mov(code.qword[rdi], rax);
  code.add(code.qword[rdi + 8], 2);
  code.push(rax);
  code.pop(rbx);
  code.dec(ecx);
  code.jnz(again);
  code.hlt();
  load(code);
  run();
  EXPECT_EQ(reg(kRax), 500500u);
  EXPECT_EQ(reg(kRbx), 500500u);
  EXPECT_EQ(word(kData), 500500u);
  EXPECT_EQ(word(kData + 8), 2000u);
  EXPECT_THAT(reports, SizeIs(0));
  EXPECT_GE(compared().instructions, 7000u);
  EXPECT_GE(compared().pieces, 100u);
}

TEST_P(ComparedExecution, ALoopInARegionGoesRoundSeveralTimesAPiece) {
  GuestCode code;
  Xbyak::Label again;
  code.mov(ecx, 1000);
  code.L(again);
  code.dec(ecx);
  code.jnz(again);
  code.hlt();
  load(code);
  run();
  const uint64_t least = GetParam() == Tier::Llvm ? 10 : 1;
  EXPECT_GE(compared().instructions / compared().pieces, least);
  EXPECT_THAT(reports, SizeIs(0));
}

// Linux's preemption count: the execution without journal went into a page that the one with a journal did not know,
// and its store could not be undone.
TEST_P(ComparedExecution, AnInstructionAcrossPagesIsDoneOnce) {
  constexpr uint64_t kAway = kAlias + kCode + 0x1000;  // meets the second page's TLB entry
  GuestCode code;
  Xbyak::Label again;
  code.mov(rsi, kAway);
  code.mov(rdi, kData);
  code.mov(ecx, 500);
  const uint64_t begin = kCode + 0x1000 - 2 - code.getSize();
  code.L(again);
  code.add(code.qword[rdi], 1);
  code.mov(rax, code.qword[rsi]);
  code.dec(ecx);
  code.jnz(again);
  code.hlt();
  load(code, begin);
  run(begin);
  EXPECT_EQ(word(kData), 500u);
  EXPECT_THAT(reports, SizeIs(0));
}

TEST_P(ComparedExecution, FaultsAreCompared) {
  GuestCode code;
  code.mov(r14, kNowhere);
  code.mov(eax, 5);
  code.mov(code.qword[r14], rax);
  code.hlt();
  load(code);
  run();
  EXPECT_EQ(reg(kRip), handler(kPageFault) + 1);
  EXPECT_EQ(cpu->cr2, kNowhere);
  EXPECT_EQ(compared().faults, 1u);
  EXPECT_THAT(reports, SizeIs(0));
}

// Counts its reads.
class Counting final : public RegisterWindow {
 public:
  uint64_t read(uint64_t, unsigned) override { return ++reads; }
  void write(uint64_t, unsigned, uint64_t) override {}
  uint64_t reads = 0;
};

TEST_P(ComparedExecution, DevicesAreAccessedOnce) {
  Counting device;
  map.add_window("counting", kPages, 0x1000, device);
  map.commit();
  map_page(0, kPages);
  GuestCode code;
  code.mov(rdi, kPages);
  code.mov(eax, code.dword[rdi]);
  code.hlt();
  load(code);
  run();
  EXPECT_EQ(reg(kRax), 1u);
  EXPECT_EQ(device.reads, 1u);
  EXPECT_EQ(compared().devices, 1u);
}

TEST_P(ComparedExecution, AccessedAndDirtyBitsAreSetOnce) {
  map.write_value<uint64_t>(kPageTable, kData | 3);
  cpu->mmu().flush_all();
  GuestCode code;
  code.mov(rdi, kPages);
  code.inc(code.qword[rdi]);
  code.hlt();
  load(code);
  run();
  EXPECT_EQ(word(kData), 1u);
  EXPECT_EQ(map.read_value<uint64_t>(kPageTable), kData | 0x63);
  EXPECT_EQ(compared().page_tables, 1u);
}

// A translation of other bytes than memory holds: changed behind everybody's back.
TEST_P(ComparedExecution, AWrongTranslationIsReportedAndTheGuestGoesOnRight) {
  GuestCode code;
  code.mov(ecx, 3);
  code.mov(rdi, kData);
  code.mov(code.qword[rdi], rcx);
  code.hlt();
  load(code);
  run();
  EXPECT_THAT(reports, SizeIs(0));
  memory.data()[kCode + 1] = 4;  // MOV ECX, 4
  cpu->blocks().clear();
  run();
  ASSERT_THAT(reports, SizeIs(1));
  EXPECT_THAT(reports[0], AllOf(HasSubstr("* rcx"), HasSubstr("IR after optimization:"), HasSubstr("host code")));
  EXPECT_EQ(reg(kRcx), 4u);
  EXPECT_EQ(word(kData), 4u);
}

TEST_P(ComparedExecution, AWrongStoreIsReported) {
  GuestCode code;
  code.mov(rdi, kData);
  code.mov(code.dword[rdi], 5);
  code.hlt();
  load(code);
  run();
  const uint64_t immediate = code.getSize() - 5;
  memory.data()[kCode + immediate] = 6;
  cpu->blocks().clear();
  run();
  ASSERT_THAT(reports, SizeIs(1));
  EXPECT_THAT(reports[0], HasSubstr("translated  "));
  EXPECT_EQ(word(kData), 6u);
}

}  // namespace
}  // namespace calco::jit
