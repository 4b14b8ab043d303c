#include "jit/opt/dead_code.h"
#include "jit/opt/dead_flags.h"
#include "tests/jit/opt_pass.h"

namespace calco::jit::opt {
namespace {

void remove(ir::Block& block, Scratch& scratch) {
  remove_dead_flags(block, scratch);
  remove_dead_code(block, scratch);
}

void remove_with_dead_exits(ir::Block& block, Scratch& scratch) {
  block.flags_dead_if_taken = block.flags_dead_if_not_taken = true;
  remove(block, scratch);
  block.flags_dead_if_taken = block.flags_dead_if_not_taken = false;
}

TEST(DeadFlags, FlagsThatAreOverwrittenGo) {
  expect_pass(remove,
              {"%0 = get_register rax\nset_flags logic, %0", "%1 = get_register rbx\nset_flags logic, %1\njump 0x0"},
              {"", "%1 = get_register rbx\nset_flags logic, %1\njump 0x0"});
}

TEST(DeadFlags, FlagsThatAFaultMayShowAreMarked) {
  expect_pass(remove,
              {"%0 = get_register rax\nset_flags logic, %0", "%1 = load.i64 %0", "set_flags logic, %1\njump 0x0"},
              {"%0 = get_register rax\nset_flags logic, %0, only_for_faults", "%1 = load.i64 %0",
               "set_flags logic, %1\njump 0x0"});
}

TEST(DeadFlags, ConditionsKeepWhatTheyRead) {
  expect_pass(remove_with_dead_exits,
              {"%0 = get_register rax\nset_flags logic, %0", "change_flags %0, cf", "change_flags %0, zf|of",
               "%4 = condition b\nbranch %4, 0x0, 0x10"},
              {"%0 = get_register rax", "change_flags %0, cf", "", "%4 = condition b\nbranch %4, 0x0, 0x10"});
}

TEST(DeadFlags, ChangedFlagsKeepTheOthersAlive) {
  expect_pass(remove, {"%0 = get_register rax\nset_flags logic, %0", "change_flags %0, cf\njump 0x0"},
              {"%0 = get_register rax\nset_flags logic, %0", "change_flags %0, cf\njump 0x0"});
}

TEST(DeadFlags, AChangeThatKeepsOnlyDeadFlagsSetsAll) {
  constexpr std::string_view kValue = "%0 = get_register rax\n%1 = truncate.i1 %0\n%2 = zero_extend.i64 %1\n";
  const std::string end = "%4 = carry\nbranch %4, 0x0, 0x10";
  expect_pass(remove_with_dead_exits, {std::string(kValue) + "change_flags %2, cf", end},
              {std::string(kValue) + "set_flags explicit, %2", end});
  expect_pass(remove_with_dead_exits, {"%0 = get_register rax\nchange_flags %0, cf", end},
              {"%0 = get_register rax\nchange_flags %0, cf", end});
}

TEST(DeadFlags, AShiftByAVariableCountMayKeepTheFlags) {
  expect_pass(remove,
              {"%0 = get_register rax\nset_flags logic, %0",
               "%1 = truncate.i8 %0\nset_flags_of_shift shift_left, %0, %0, %1\njump 0x0"},
              {"%0 = get_register rax\nset_flags logic, %0",
               "%1 = truncate.i8 %0\nset_flags_of_shift shift_left, %0, %0, %1\njump 0x0"});
}

TEST(DeadFlags, NoMarkBelowAnOperationThatReadsInTheStraightPath) {
  // The change of ZF is read by the jump, so the change of CF, which only the load shows, must have been made.
  expect_pass(remove_with_dead_exits,
              {"%0 = get_register rax\nchange_flags %0, cf", "change_flags %0, zf", "%1 = load.i64 %0",
               "%2 = condition e\nbranch %2, 0x0, 0x10"},
              {"%0 = get_register rax\nchange_flags %0, cf", "change_flags %0, zf", "%1 = load.i64 %0",
               "%2 = condition e\nbranch %2, 0x0, 0x10"});
}

TEST(DeadFlags, AllAreLiveAtTheEndUnlessTheTargetsOverwriteThem) {
  expect_pass(remove_with_dead_exits, {"%0 = get_register rax\nset_flags logic, %0\njump 0x0"}, {"jump 0x0"});
  expect_pass(remove_with_dead_exits, {"%0 = get_register rax\nset_flags logic, %0\njump_indirect %0"},
              {"%0 = get_register rax\nset_flags logic, %0\njump_indirect %0"});
}

TEST(DeadFlags, InterpretedInstructionsReadAll) {
  expect_pass(remove, {"%0 = get_register rax\nset_flags logic, %0", "interpret #0", "set_flags logic, %0\njump 0x0"},
              {"%0 = get_register rax\nset_flags logic, %0", "interpret #0", "set_flags logic, %0\njump 0x0"});
}

}  // namespace
}  // namespace calco::jit::opt
