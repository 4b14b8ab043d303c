#include "jit/opt/dead_code.h"
#include "jit/opt/fold.h"
#include "tests/jit/opt_pass.h"

namespace calco::jit::opt {
namespace {

void fold_and_clean(ir::Block& block, Scratch& scratch) {
  fold(block, scratch);
  remove_dead_code(block, scratch);
}

// What %9 becomes, computed from %0 and %1, registers that keep their values, and %2, a number nobody holds.
void expect_folded(const std::string& before, const std::string& after) {
  const std::string start = "%0 = get_register rax\n%1 = get_register rbx\n%2 = load.i64 %0\nstore %1, %2\n";
  const std::string end = "\nstore %0, %9\njump 0x0";
  expect_pass(fold_and_clean, {start + before + end}, {start + after + end});
}

TEST(Fold, ConstantsAreComputed) {
  expect_folded("%3 = constant.i8 0xf0\n%4 = constant.i8 0x21\n%9 = add.i8 %3, %4", "%9 = constant.i8 0x11");
  expect_folded("%3 = constant.i8 0xf0\n%9 = sign_extend.i32 %3", "%9 = constant.i32 0xfffffff0");
  expect_folded("%3 = constant.i8 0xf0\n%4 = constant.i8 0x3\n%9 = rotate_left.i8 %3, %4", "%9 = constant.i8 0x87");
  expect_folded("%3 = constant.i16 0x8000\n%4 = constant.i16 0x1\n%5 = compare l, %3, %4\n%9 = zero_extend.i8 %5",
                "%9 = constant.i8 0x1");
}

TEST(Fold, NeutralOperandsGo) {
  expect_folded("%3 = constant.i64 0x0\n%4 = add.i64 %3, %2\n%5 = or.i64 %4, %4\n%6 = xor.i64 %5, %3\n%9 = not.i64 %6",
                "%9 = not.i64 %2");
  expect_folded("%9 = xor.i64 %0, %0", "%9 = constant.i64 0x0");
  expect_folded("%9 = subtract.i64 %2, %2", "%9 = constant.i64 0x0");
}

TEST(Fold, AdditionsOfConstantsJoin) {
  expect_folded("%3 = constant.i64 0x8\n%4 = add.i64 %0, %3\n%9 = subtract.i64 %4, %3",
                "%3 = constant.i64 0x8\n%4 = add.i64 %0, %3\n%9 = subtract.i64 %4, %3");
  expect_folded("%3 = constant.i64 0x8\n%4 = subtract.i64 %0, %3\n%5 = add.i64 %4, %3\n%9 = not.i64 %5",
                "%9 = not.i64 %0");
}

TEST(Fold, OverwrittenRegistersAreNotKeptAlive) {
  const std::vector<std::string> pushes = {
      "%0 = get_register rsp\n%1 = constant.i64 0xfffffffffffffff8\n%2 = add.i64 %0, %1\nstore %2, %0, stack\n"
      "set_register rsp, %2",
      "%5 = add.i64 %2, %1\nstore %5, %0, stack\nset_register rsp, %5\njump 0x0"};
  expect_pass(fold_and_clean, pushes, pushes);
  const std::vector<std::string> test_of_difference = {
      "%0 = get_register rax\n%1 = truncate.i32 %0\n%2 = constant.i32 0x1\n%3 = subtract.i32 %1, %2\n"
      "%4 = zero_extend.i64 %3\nset_register rax, %4",
      "%6 = constant.i32 0x0\n%7 = compare e, %3, %6\nbranch %7, 0x0, 0x10"};
  expect_pass(fold_and_clean, test_of_difference, test_of_difference);
}

TEST(Fold, MultiplicationsByPowersOfTwoAreShifts) {
  expect_folded("%3 = constant.i64 0x10\n%9 = multiply.i64 %2, %3", "%3 = constant.i8 0x4\n%9 = shift_left.i64 %2, %3");
  expect_folded("%3 = constant.i64 0x9\n%9 = multiply.i64 %2, %3", "%9 = address.i64 %2, %2, 8, 0x0");
  expect_folded("%3 = constant.i64 0x1\n%4 = multiply.i64 %2, %3\n%9 = not.i64 %4", "%9 = not.i64 %2");
}

TEST(Fold, AddressesTakeInSumsAndConstants) {
  expect_folded("%3 = constant.i64 0x8\n%4 = add.i64 %2, %3\n%9 = address.i64 %4, %1, 4, 0x10",
                "%9 = address.i64 %2, %1, 4, 0x18");
  expect_folded("%4 = address.i64 %2, %1, 8, -0x10\n%9 = address.i64 %4, -, 1, 0x20",
                "%9 = address.i64 %2, %1, 8, 0x10");
  expect_folded("%3 = constant.i64 0x3\n%9 = address.i64 %1, %3, 8, 0x0", "%9 = address.i64 %1, -, 1, 0x18");
  expect_folded("%3 = constant.i64 0x1000\n%9 = address.i64 %3, -, 1, 0x10", "%9 = constant.i64 0x1010");
  expect_folded("%4 = address.i64 %2, -, 1, 0x7fffffff\n%9 = address.i64 %4, -, 1, 0x1",
                "%4 = address.i64 %2, -, 1, 0x7fffffff\n%9 = address.i64 %4, -, 1, 0x1");
}

TEST(Fold, TruncationsUndoExtensionsAndInsertions) {
  expect_folded("%3 = truncate.i8 %2\n%4 = zero_extend.i64 %3\n%5 = truncate.i8 %4\n%9 = not.i8 %5",
                "%3 = truncate.i8 %2\n%9 = not.i8 %3");
  expect_folded("%3 = truncate.i8 %2\n%4 = sign_extend.i64 %3\n%9 = truncate.i16 %4",
                "%3 = truncate.i8 %2\n%9 = sign_extend.i16 %3");
  expect_folded("%3 = truncate.i16 %2\n%4 = insert_word %0, %3\n%9 = truncate.i8 %4", "%9 = truncate.i8 %2");
}

TEST(Fold, InsertionsThatAreInsertedOverGo) {
  expect_folded("%3 = truncate.i8 %2\n%4 = insert_low_byte %0, %3\n%5 = truncate.i8 %1\n%9 = insert_low_byte %4, %5",
                "%5 = truncate.i8 %1\n%9 = insert_low_byte %0, %5");
  expect_folded("%3 = constant.i64 0x0\n%4 = truncate.i8 %2\n%9 = insert_low_byte %3, %4",
                "%4 = truncate.i8 %2\n%9 = zero_extend.i64 %4");
}

TEST(Fold, ComparisonsOfTruthValuesAreThemselves) {
  expect_folded(
      "%3 = compare b, %0, %1\n%4 = zero_extend.i8 %3\n%5 = constant.i8 0x0\n%6 = compare e, %4, %5\n"
      "%9 = zero_extend.i32 %6",
      "%3 = compare ae, %0, %1\n%9 = zero_extend.i32 %3");
  expect_folded("%3 = constant.i64 0x0\n%4 = compare b, %0, %3\n%9 = zero_extend.i8 %4", "%9 = constant.i8 0x0");
}

TEST(Fold, ShiftsByConstantsSetFlagsOrDoNot) {
  const std::string start = "%0 = get_register rax\n";
  expect_pass(fold_and_clean, {start + "%1 = constant.i8 0x0\nset_flags_of_shift shift_left, %0, %0, %1\njump 0x0"},
              {"jump 0x0"});
  expect_pass(fold_and_clean, {start + "%1 = constant.i8 0x2\nset_flags_of_shift shift_left, %0, %0, %1\njump 0x0"},
              {start + "set_flags shift_left, %0, %0\njump 0x0"});
}

TEST(Fold, KnownBranchesAreJumps) {
  expect_pass(fold_and_clean, {"%0 = constant.i1 0x0\nbranch %0, 0x10, -0x20"}, {"jump -0x20"});
  expect_pass(fold_and_clean, {"%0 = constant.i1 0x0\nbail_if %0\njump 0x0"}, {"jump 0x0"});
}

}  // namespace
}  // namespace calco::jit::opt
