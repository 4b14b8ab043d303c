#include "jit/ir/syntax.h"
#include "jit/opt/fuse_flags.h"
#include "tests/jit/opt_pass.h"

namespace calco::jit::opt {
namespace {

const std::string kOperands = "%0 = get_register rax\n%1 = get_register rbx\n";

// A flags operation of %0 and %1, and what a Condition behind it, %9, becomes.
void expect_fused(const std::string& flags, const std::string& condition, const std::string& fused) {
  expect_pass(fuse_flags, {kOperands + flags, "%9 = " + condition + "\nbranch %9, 0x0, 0x10"},
              {kOperands + flags, fused + "\nbranch %9, 0x0, 0x10"});
}
void expect_kept(const std::string& flags, const std::string& condition) {
  expect_fused(flags, condition, "%9 = " + condition);
}

TEST(FuseFlags, EveryConditionOfACompareIsItself) {
  for (const std::string_view condition : ir::words(ir::Auxiliary::Condition)) {
    expect_fused("set_flags subtract, %0, %1", "condition " + std::string(condition),
                 "%9 = compare " + std::string(condition) + ", %0, %1");
  }
  expect_fused("set_flags subtract, %0, %1", "carry", "%9 = compare b, %0, %1");
}

TEST(FuseFlags, ZeroAndSignOfASubtractionAreThoseOfItsResult) {
  expect_fused("%2 = subtract.i64 %0, %1\nset_flags subtract, %0, %1\nset_register rax, %2", "condition ne",
               "%8 = constant.i64 0x0\n%9 = compare ne, %2, %8");
  expect_fused("%2 = subtract.i64 %0, %1\nset_flags subtract, %0, %1\nset_register rax, %2", "condition l",
               "%9 = compare l, %0, %1");
}

TEST(FuseFlags, LogicIsAComparisonWithZero) {
  expect_fused("set_flags logic, %0", "condition le", "%8 = constant.i64 0x0\n%9 = compare le, %0, %8");
}

TEST(FuseFlags, TheCarryOfAnAdditionIsThatTheResultIsBelowTheAddend) {
  expect_fused("set_flags add, %0, %1", "carry", "%9 = compare b, %0, %1");
  expect_fused("set_flags add, %0, %1", "condition e", "%8 = constant.i64 0x0\n%9 = compare e, %0, %8");
  expect_kept("set_flags add, %0, %1", "condition g");
}

TEST(FuseFlags, IncrementsAndDecrementsKeepTheCarry) {
  const std::string flags = "%2 = truncate.i1 %1\nset_flags decrement, %0, %2";
  expect_pass(fuse_flags, {kOperands + flags, "%9 = condition b\nbranch %9, 0x0, 0x10"},
              {kOperands + flags, "branch %2, 0x0, 0x10"});
  expect_fused(flags, "condition s", "%8 = constant.i64 0x0\n%9 = compare s, %0, %8");
  expect_fused(flags, "condition g",
               "%6 = constant.i64 0x1\n%7 = add.i64 %0, %6\n%8 = constant.i64 0x1\n%9 = compare g, %7, %8");
}

TEST(FuseFlags, TheCarryOfACarryChainCountsEqualityIfOneCameIn) {
  const std::string flags = "%2 = truncate.i1 %1\nset_flags_with_carry subtract, %0, %1, %2";
  expect_fused(flags, "carry", "%7 = compare be, %0, %1\n%8 = compare b, %0, %1\n%9 = select.i1 %2, %7, %8");
  expect_fused(flags, "condition ae", "%7 = compare a, %0, %1\n%8 = compare ae, %0, %1\n%9 = select.i1 %2, %7, %8");
  expect_fused(flags, "condition s",
               "%7 = subtract_with_borrow.i64 %0, %1, %2\n%8 = constant.i64 0x0\n%9 = compare s, %7, %8");
}

TEST(FuseFlags, TheCarryOfAShiftIsTheLastBitShiftedOut) {
  expect_fused("set_flags shift_left, %0, %1", "carry", "%8 = constant.i64 0x0\n%9 = compare s, %1, %8");
  expect_fused("set_flags shift_right, %0, %1", "carry", "%9 = truncate.i1 %1");
}

TEST(FuseFlags, OnlyTheFlagsThatAreReadMatter) {
  // CF was changed; ZF is still the comparison's.
  expect_fused("set_flags subtract, %0, %1\nchange_flags %0, cf", "condition e", "%9 = compare e, %0, %1");
  expect_fused("set_flags subtract, %0, %1\nchange_flags %0, cf", "carry", "%9 = truncate.i1 %0");
  expect_kept("set_flags subtract, %0, %1\nchange_flags %0, cf", "condition be");
}

TEST(FuseFlags, ExplicitFlagsAreTested) {
  expect_fused("set_flags explicit, %0", "condition a",
               "%6 = constant.i64 0x41\n%7 = and.i64 %0, %6\n%8 = constant.i64 0x0\n%9 = compare e, %7, %8");
  expect_kept("set_flags explicit, %0", "condition l");
}

TEST(FuseFlags, UnknownFlagsAreRead) {
  expect_kept("%2 = truncate.i8 %0\nset_flags_of_shift shift_left, %0, %1, %2", "condition e");
  expect_kept("", "condition e");
}

}  // namespace
}  // namespace calco::jit::opt
