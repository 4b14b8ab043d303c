#include "jit/opt/dead_code.h"
#include "tests/jit/opt_pass.h"

namespace calco::jit::opt {
namespace {

TEST(DeadCode, UnusedOperationsGoAndTheOthersAreNumberedAnew) {
  expect_pass(remove_dead_code,
              {"%0 = get_register rax", "%1 = get_register rbx\n%2 = add.i64 %0, %0\nset_register rcx, %1\nleave 0x2"},
              {"", "%0 = get_register rbx\nset_register rcx, %0\nleave 0x2"});
}

TEST(DeadCode, AccessesThatMayFaultStay) {
  expect_pass(remove_dead_code,
              {"%0 = get_register rax\n%1 = load.i8 %0\n%2 = host_address %0, 8\n%3 = load_host.i64 %2\nleave 0x1"},
              {"%0 = get_register rax\n%1 = load.i8 %0\n%2 = host_address %0, 8\nleave 0x1"});
}

}  // namespace
}  // namespace calco::jit::opt
