// Random blocks do the same before and after every pass, also where an access faults.
#include "jit/opt/pipeline.h"
#include "tests/jit/ir_text.h"
#include "tests/jit/random_block.h"

namespace calco::jit::opt {
namespace {

using ir::EvaluatedState;

constexpr unsigned kBlocks = 1000;

struct Run {
  EvaluatedState state;
  ir::Outcome outcome;
};

Run run(const ir::Block& block, const EvaluatedState& state, unsigned faulting_access) {
  Run result{state, {}};
  result.outcome = evaluate(block, result.state, faulting_access);
  return result;
}

// In everything that the guest can see.
bool same(const Run& a, const Run& b) {
  const bool same_flags = !a.outcome.flags_matter || a.state.flag_bits() == b.state.flag_bits();
  return same_flags && a.outcome == b.outcome && a.state.registers == b.state.registers &&
         a.state.fs_base == b.state.fs_base && a.state.gs_base == b.state.gs_base &&
         a.state.vectors == b.state.vectors && a.state.memory == b.state.memory;
}

std::string listing(const Run& run) {
  std::string text = fmt::format("left {} guest {} target {:#x} flags {:#x}\n", run.outcome.left, run.outcome.guest,
                                 run.outcome.target, run.state.flag_bits());
  return text + fmt::format("registers {:#x}\nmemory {:02x}\n", fmt::join(run.state.registers, " "),
                            fmt::join(run.state.memory, " "));
}

void expect_same(const ir::Block& before, const ir::Block& after, ir::Random& random, unsigned seed) {
  ASSERT_EQ(ir::messages(after), "") << "seed " << seed << "\n" << print(before) << print(after);
  const EvaluatedState state = ir::random_state(random);
  for (const unsigned fault : {ir::kNoFault, 0u, 1u, 2u, 3u, 5u, 8u}) {
    const Run expected = run(before, state, fault), actual = run(after, state, fault);
    ASSERT_TRUE(same(expected, actual)) << "seed " << seed << ", access " << fault << " faults\n"
                                        << print(before) << listing(expected) << print(after) << listing(actual);
  }
}

class Equivalence : public testing::TestWithParam<Pass> {};

TEST_P(Equivalence, APassChangesNothingThatTheGuestSees) {
  Scratch scratch;
  for (unsigned seed = 0; seed < kBlocks; ++seed) {
    ir::Random random(seed);
    const ir::Block before = ir::random_block(random, 1 + seed % 12);
    ASSERT_EQ(ir::messages(before), "") << print(before);
    ir::Block after = before;
    GetParam().run(after, scratch);
    expect_same(before, after, random, seed);
    if (HasFatalFailure()) return;
  }
}

INSTANTIATE_TEST_SUITE_P(Passes, Equivalence, testing::ValuesIn(passes()), [](const auto& tested) {
  std::string name(tested.param.name);
  std::erase(name, '-');
  return name;
});

TEST(Pipeline, ChangesNothingThatTheGuestSees) {
  Scratch scratch;
  Options options;
  options.verify = true;
  for (unsigned seed = 0; seed < 4 * kBlocks; ++seed) {
    ir::Random random(seed);
    const ir::Block before = ir::random_block(random, 1 + seed % 24);
    ir::Block after = before;
    optimize(after, options, scratch);
    expect_same(before, after, random, seed);
    if (HasFatalFailure()) return;
  }
}

TEST(Pipeline, PassesCanBeSwitchedOff) {
  Options options;
  for (const Pass& pass : passes()) options.*pass.enabled = false;
  ir::Random random(1);
  const ir::Block before = ir::random_block(random, 20);
  ir::Block after = before;
  Scratch scratch;
  optimize(after, options, scratch);
  EXPECT_EQ(print(after), print(before));
}

}  // namespace
}  // namespace calco::jit::opt
