// A share of calco-fuzz with a fixed seed: single instructions and blocks, on the host and in each tier.
#include "tests/oracle/oracle.h"

#include <gtest/gtest.h>

#include "tests/oracle/excluded_rows.h"
#include "tests/oracle/generator.h"

namespace calco::oracle {
namespace {

constexpr uint64_t kSeed = 2026;
constexpr unsigned kReports = 5;

// Runs `count` tests; the reports of the first disagreements, or nothing.
std::string disagreements(Oracle& oracle, Generator& generator, uint64_t count) {
  std::string text;
  unsigned found = 0;
  for (uint64_t number = 0; number < count && found < kReports; ++number) {
    const auto difference = oracle.run(generator.make(number));
    if (!difference) continue;
    ++found;
    text += "case " + std::to_string(number) + ": " + difference->summary + "\n" + difference->report + "\n";
  }
  return text;
}

std::string fuzz(GeneratorOptions options, uint64_t count, Tier tier = Tier::Interpreter,
                 LlvmLevel level = LlvmLevel::Full) {
  Oracle oracle(tier, level);
  options.seed = kSeed;
  options.features = oracle.features();
  Generator generator(options);
  return disagreements(oracle, generator, count);
}

TEST(Oracle, SingleInstructionsAgreeWithTheHost) { EXPECT_EQ(fuzz({}, 1'500'000), ""); }

TEST(Oracle, ShortBlocksAgreeWithTheHost) { EXPECT_EQ(fuzz({.block_length = 5}, 50'000), ""); }

TEST(Oracle, LongBlocksAgreeWithTheHost) { EXPECT_EQ(fuzz({.block_length = 100}, 5'000), ""); }

std::string fuzz_translated(GeneratorOptions options, uint64_t count, Tier tier, LlvmLevel level = LlvmLevel::Full) {
  options.code = GeneratorOptions::Code::Only64;
  return fuzz(options, count, tier, level);
}

TEST(Oracle, TranslatedInstructionsAgreeWithTheHost) { EXPECT_EQ(fuzz_translated({}, 400'000, Tier::Ir), ""); }

TEST(Oracle, TranslatedBlocksAgreeWithTheHost) {
  EXPECT_EQ(fuzz_translated({.block_length = 20}, 10'000, Tier::Ir), "");
}

TEST(Oracle, OptimizedBlocksAgreeWithTheHost) {
  EXPECT_EQ(fuzz_translated({.block_length = 20}, 10'000, Tier::OptimizedIr), "");
}

TEST(Oracle, BaselineInstructionsAgreeWithTheHost) { EXPECT_EQ(fuzz_translated({}, 400'000, Tier::Baseline), ""); }

TEST(Oracle, BaselineBlocksAgreeWithTheHost) {
  EXPECT_EQ(fuzz_translated({.block_length = 40}, 10'000, Tier::Baseline), "");
}

TEST(Oracle, OptimizedRegionsAgreeWithTheHost) {
  EXPECT_EQ(fuzz_translated({.block_length = 40}, 100, Tier::Regions), "");
}

TEST(Oracle, RegionsAgreeWithTheHost) {
  EXPECT_EQ(fuzz_translated({.block_length = 60}, 200, Tier::Regions, LlvmLevel::Quick), "");
}

TEST(Oracle, EveryRowIsGeneratedOrExcludedWithAReason) {
  GeneratorOptions options;
  options.seed = kSeed;
  options.features = Oracle().features();
  Generator generator(options);
  for (uint64_t number = 0; number < 300'000; ++number) generator.make(number);
  for (size_t i = 0; i < decode::rows().size(); ++i) {
    const decode::Row& row = decode::rows()[i];
    const bool expected = reason_for_exclusion(row, options.features) == nullptr;
    EXPECT_EQ(generator.coverage()[i] != 0, expected) << decode::describe(row);
  }
}

}  // namespace
}  // namespace calco::oracle
