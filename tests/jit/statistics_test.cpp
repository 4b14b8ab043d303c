#include "jit/runtime/statistics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <set>
#include <thread>

#include "tests/jit/jit_fixture.h"

namespace calco::jit {
namespace {

using namespace cpu;
using namespace Xbyak::util;
using testing::HasSubstr;

TEST(Statistics, HaveOneNameForEachNumber) {
  std::set<std::string_view> names;
  for (const Statistics::Field& field : Statistics::fields()) names.insert(field.name);
  EXPECT_EQ(names.size(), Statistics::fields().size());
}

TEST(Statistics, AreAddedAndSubtractedByField) {
  Statistics sum{.translations = 5, .revivals = 7};
  sum += Statistics{.translations = 2, .tlb_misses = 3};
  EXPECT_EQ(sum.translations, 7u);
  EXPECT_EQ(sum.tlb_misses, 3u);
  sum -= Statistics{.translations = 1, .revivals = 7};
  EXPECT_EQ(sum.translations, 6u);
  EXPECT_EQ(sum.revivals, 0u);
}

TEST(Statistics, EntriesWithoutAnExitLeftByAFault) {
  const Statistics statistics{.entries = 10, .link_exits = 1, .hot_exits = 2, .interpret_exits = 3, .next_exits = 1};
  EXPECT_EQ(statistics.fault_exits(), 3u);
  EXPECT_THAT(statistics.json(), HasSubstr("\"fault-exits\": 3}"));
}

TEST(Statistics, TextHasSharesOnlyWhereTheyWereMeasured) {
  EXPECT_THAT(Statistics{}.text(), testing::Not(HasSubstr("samples")));
  EXPECT_THAT((Statistics{.interpreter_samples = 1, .baseline_samples = 3}.text()), HasSubstr("baseline 75.0 %"));
}

// A loop of ten rounds with two instructions in front of it, and HLT behind it.
void load_loop(JitFixture& fixture) {
  GuestCode code;
  Xbyak::Label again;
  code.mov(ecx, 10);
  code.mov(ebx, static_cast<uint32_t>(JitFixture::kData));
  code.L(again);
  code.mov(rax, code.ptr[rbx]);
  code.mov(code.ptr[rbx + 8], rax);
  code.dec(ecx);
  code.jnz(again);
  code.hlt();
  fixture.load(code);
}

TEST(TranslationCounters, CountTheInstructionsAndAccessesOfTranslatedCode) {
  JitFixture fixture({.threshold = 1, .measurement = {.work = true}});
  load_loop(fixture);
  fixture.run();
  const cpu::TranslationCounters& counters = fixture.cpu->translation_counters;
  EXPECT_EQ(counters.baseline_instructions, 2u + 10 * 4 + 1);
  EXPECT_EQ(counters.accesses, 20u);
  EXPECT_GE(counters.slow_accesses, 1u);  // the TLB was empty
  EXPECT_LE(counters.slow_accesses, 2u);
}

TEST(TranslationCounters, CountNoWorkUnlessAsked) {
  JitFixture fixture;
  load_loop(fixture);
  fixture.run();
  EXPECT_GT(fixture.cpu->translation_counters.entries, 0u);
  EXPECT_EQ(fixture.cpu->translation_counters.baseline_instructions, 0u);
  EXPECT_EQ(fixture.cpu->translation_counters.accesses, 0u);
}

TEST(TranslationCounters, KnowWhyTranslatedCodeWasLeft) {
  JitFixture fixture;
  load_loop(fixture);
  fixture.jit->admit(*fixture.cpu);
  fixture.run();
  const Statistics after_loop = fixture.jit->statistics();
  EXPECT_EQ(after_loop.fault_exits(), 0u);
  EXPECT_EQ(after_loop.next_exits, 1u);  // behind HLT
  GuestCode code;
  code.mov(rax, code.ptr[JitFixture::kNowhere]);
  fixture.load(code, JitFixture::kCode + 0x1000);
  fixture.run(JitFixture::kCode + 0x1000);
  EXPECT_EQ(fixture.jit->statistics().fault_exits(), 1u);
}

TEST(TranslationCounters, OfAProcessorThatIsRetiredStay) {
  JitFixture fixture;
  load_loop(fixture);
  fixture.run();
  fixture.jit->admit(*fixture.cpu);  // what it did before is not counted
  EXPECT_EQ(fixture.jit->statistics().entries, 0u);
  fixture.run();
  const uint64_t entries = fixture.jit->statistics().entries;
  EXPECT_GT(entries, 0u);
  fixture.jit->retire(*fixture.cpu);
  fixture.run();
  EXPECT_EQ(fixture.jit->statistics().entries, entries);
}

TEST(TierSampler, SeesTheTierOfEachProcessorThatItWatches) {
  cpu::TranslationCounters first, second;
  first.enter_tier(ExecutionTier::Baseline);
  second.enter_tier(ExecutionTier::Optimizer);
  TierSampler sampler;
  sampler.watch(first);
  sampler.watch(second);
  const auto of = [&sampler](ExecutionTier tier) { return sampler.samples()[static_cast<size_t>(tier)]; };
  while (of(ExecutionTier::Optimizer) < 3) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  EXPECT_GE(of(ExecutionTier::Baseline), 3u);
  EXPECT_EQ(of(ExecutionTier::Interpreter), 0u);
  sampler.forget(second);
  const uint64_t seen = of(ExecutionTier::Optimizer);
  const uint64_t baseline = of(ExecutionTier::Baseline);
  while (of(ExecutionTier::Baseline) < baseline + 3) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  EXPECT_EQ(of(ExecutionTier::Optimizer), seen);
}

TEST(TierSampler, TranslatedCodeSaysThatItExecutes) {
  JitFixture fixture({.threshold = 1, .measurement = {.tier = true}});
  GuestCode code;
  Xbyak::Label again;
  code.mov(ecx, 50'000'000);
  code.L(again);
  code.dec(ecx);
  code.jnz(again);
  code.hlt();
  fixture.load(code);
  fixture.jit->admit(*fixture.cpu);
  fixture.run();
  EXPECT_GT(fixture.jit->statistics().baseline_samples, 0u);
  EXPECT_EQ(fixture.cpu->translation_counters.tier.load(), static_cast<uint8_t>(ExecutionTier::None));
  fixture.jit->retire(*fixture.cpu);
}

}  // namespace
}  // namespace calco::jit
