#include "jit/opt/common_subexpressions.h"
#include "tests/jit/opt_pass.h"

namespace calco::jit::opt {
namespace {

TEST(CommonSubexpressions, AnAddressIsComputedOnce) {
  expect_pass(share_common_subexpressions,
              {"%0 = get_register rax\n%1 = address.i64 %0, -, 1, 0x10\n%2 = load.i8 %1",
               "%3 = address.i64 %0, -, 1, 0x10\nstore %3, %2\njump 0x0"},
              {"%0 = get_register rax\n%1 = address.i64 %0, -, 1, 0x10\n%2 = load.i8 %1", "store %1, %2\njump 0x0"});
}

TEST(CommonSubexpressions, EveryFieldCounts) {
  const std::vector<std::string> different = {
      "%0 = get_register rax\n%1 = constant.i32 0x1\n%2 = constant.i64 0x1\n%3 = address.i64 %0, %0, 1, 0x1\n"
      "%4 = address.i64 %0, %0, 2, 0x1\n%5 = address.i64 %0, %2, 1, 0x1\n%6 = address.i64 %0, %0, 1, 0x2\njump 0x0"};
  expect_pass(share_common_subexpressions, different, different);
}

TEST(CommonSubexpressions, LoadsAreNotShared) {
  const std::vector<std::string> loads = {"%0 = get_register rax\n%1 = load.i8 %0\n%2 = load.i8 %0\njump 0x0"};
  expect_pass(share_common_subexpressions, loads, loads);
}

TEST(CommonSubexpressions, InterpretedInstructionsMayMoveSegmentsButNotTheCode) {
  expect_pass(share_common_subexpressions,
              {"%0 = segment_base gs\n%1 = page_base\n%2 = segment_base gs\n%3 = load.i8 %2", "interpret #0",
               "%5 = segment_base gs\n%6 = page_base\nset_register rax, %5\nset_register rbx, %6\njump 0x0"},
              {"%0 = segment_base gs\n%1 = page_base\n%3 = load.i8 %0", "interpret #0",
               "%5 = segment_base gs\nset_register rax, %5\nset_register rbx, %1\njump 0x0"});
}

}  // namespace
}  // namespace calco::jit::opt
