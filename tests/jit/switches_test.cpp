// What each switch of the translator leaves out, and that the guest does not notice.
#include <gtest/gtest.h>

#include "tests/jit/jit_fixture.h"
#include "tests/jit/translated_code.h"

namespace calco::jit {
namespace {

using namespace cpu;
using namespace Xbyak::util;
using ir::Opcode;

JitOptions at_once() { return {.threshold = 1}; }

// A loop over calls, a direct one into another page and an indirect one.
class Calls : public JitFixture {
 public:
  static constexpr uint64_t kRounds = 100, kFarFunction = kCode + 0x1800;
  static constexpr int32_t kHot = 20;

  explicit Calls(const JitOptions& options, Tier tier = Tier::Baseline) : JitFixture(options, tier, kHot) {
    GuestCode code;
    Xbyak::Label again, near_function;
    code.mov(ecx, static_cast<uint32_t>(kRounds));
    code.xor_(ebx, ebx);
    code.L(again);
    code.call(reinterpret_cast<const void*>(code.getCode() + (kFarFunction - kCode)));
    code.lea(rdx, code.ptr[rip + near_function]);
    code.call(rdx);
    code.dec(ecx);
    code.jnz(again);
    code.hlt();
    code.L(near_function);
    code.add(ebx, 3);
    code.ret();
    load(code);
    GuestCode function;
    function.inc(ebx);
    function.ret();
    load(function, kFarFunction);
    run();
  }

  bool is_right() const { return reg(kRbx) == 4 * kRounds; }
  double instructions_a_region() const {
    const Statistics statistics = jit->statistics();
    return static_cast<double>(statistics.region_instructions) / static_cast<double>(statistics.regions_published);
  }
  uint64_t left_for_next() const { return cpu->translation_counters.next_exits; }
};

TEST(Switches, WithoutLinksBlocksAreNotConnected) {
  JitOptions options = at_once();
  options.links = false;
  const Calls with(at_once()), without(options);
  EXPECT_TRUE(with.is_right() && without.is_right());
  EXPECT_GT(with.jit->statistics().links, 0u);
  EXPECT_EQ(without.jit->statistics().links, 0u);
}

TEST(Switches, WithoutTheJumpCacheEveryCallAndReturnAsksTheDispatchLoop) {
  JitOptions options = at_once();
  options.jump_cache = false;
  const Calls with(at_once()), without(options);
  EXPECT_TRUE(with.is_right() && without.is_right());
  EXPECT_LT(with.left_for_next(), Calls::kRounds);
  EXPECT_GE(without.left_for_next(), 4 * Calls::kRounds - 10);
}

// A part of RegionWays.
class RegionSwitches : public testing::TestWithParam<bool RegionWays::*> {};

TEST_P(RegionSwitches, WithoutAWayRegionsAreSmaller) {
  JitOptions options = at_once();
  options.regions.ways.*GetParam() = false;
  const Calls with(at_once(), Tier::Llvm), without(options, Tier::Llvm);
  EXPECT_TRUE(with.is_right() && without.is_right());
  EXPECT_LT(without.instructions_a_region(), with.instructions_a_region());
}

INSTANTIATE_TEST_SUITE_P(Switches, RegionSwitches,
                         testing::Values(&RegionWays::calls, &RegionWays::returns, &RegionWays::indirect,
                                         &RegionWays::pages));

// Runs a function, another in its place, and the first again.
uint64_t revivals(const JitOptions& options) {
  JitFixture fixture(options);
  for (const uint32_t answer : {1, 2, 1}) {
    GuestCode code;
    code.mov(eax, answer);
    code.hlt();
    fixture.load(code);
    fixture.run();
    EXPECT_EQ(fixture.reg(kRax), answer);
  }
  return fixture.jit->statistics().revivals;
}

TEST(Switches, WithoutRevivalTheSameBytesAreTranslatedAgain) {
  JitOptions options = at_once();
  EXPECT_EQ(revivals(options), 1u);
  options.revival = false;
  EXPECT_EQ(revivals(options), 0u);
}

// Instructions that were interpreted, of a loop around one that begins in one page and ends in the next.
uint64_t interpreted_across_pages(const JitOptions& options) {
  JitFixture fixture(options);
  constexpr uint64_t kLoop = JitFixture::kCode + kPageSize - 4;
  GuestCode code;
  Xbyak::Label again;
  code.L(again);
  code.nop();
  code.mov(eax, 0x11111111);  // two bytes of it in the second page
  code.dec(ecx);
  code.jnz(again);
  code.hlt();
  fixture.load(code, kLoop);
  fixture.cpu->registers[kRcx] = 1000;
  fixture.run(kLoop);
  EXPECT_EQ(fixture.reg(kRax), 0x11111111u);
  EXPECT_EQ(fixture.reg(kRcx), 0u);
  return fixture.cpu->instructions_retired;
}

TEST(Switches, WithoutNextPageAnInstructionAcrossPagesIsInterpreted) {
  JitOptions options = at_once();
  EXPECT_LT(interpreted_across_pages(options), 100u);
  options.next_page = false;
  EXPECT_GE(interpreted_across_pages(options), 1000u);
}

TEST(Switches, WithoutX87ItsInstructionsAreInterpreted) {
  const std::vector<uint8_t> code{0xD9, 0xE8, 0xDD, 0xD8};  // fld1; fstp st0
  EXPECT_EQ(TranslatedCode(code, 2 | kModeVector).count(Opcode::HostX87), 2u);
  EXPECT_EQ(TranslatedCode(code, 2 | kModeVector, 64, {.x87 = false}).count(Opcode::HostX87), 0u);
}

TEST(Switches, WithoutVectorsTheirInstructionsAreInterpreted) {
  const std::vector<uint8_t> code{0x0F, 0x58, 0xC1};  // addps xmm0, xmm1
  EXPECT_EQ(TranslatedCode(code, 2 | kModeVector).count(Opcode::HostVector), 1u);
  EXPECT_EQ(TranslatedCode(code, 2 | kModeVector, 64, {.vectors = false}).count(Opcode::HostVector), 0u);
}

TEST(Switches, WithoutLastABlockEndsInFrontOfAnInterpretedInstruction) {
  EXPECT_TRUE(TranslatedCode({0x90}).block.last);  // nop; hlt
  const TranslatedCode without({0x90}, 2, 64, {.last = false});
  EXPECT_FALSE(without.block.last);
  EXPECT_EQ(without.block.byte_length, 1u);
}

}  // namespace
}  // namespace calco::jit
