#include "jit/opt/dead_code.h"
#include "jit/opt/forward_registers.h"
#include "tests/jit/opt_pass.h"

namespace calco::jit::opt {
namespace {

void remove(ir::Block& block, Scratch& scratch) {
  remove_dead_registers(block, scratch);
  remove_dead_code(block, scratch);
}

TEST(ForwardRegisters, ARegisterIsReadOnce) {
  expect_pass(forward_registers,
              {"%0 = get_register rax\n%1 = get_register rax\n%2 = add.i64 %0, %1\nset_register rbx, %2\njump 0x0"},
              {"%0 = get_register rax\n%2 = add.i64 %0, %0\nset_register rbx, %2\njump 0x0"});
}

TEST(ForwardRegisters, ARegisterThatWasSetHasThatValue) {
  expect_pass(forward_registers,
              {"%0 = get_register rax\nset_register rbx, %0", "%2 = get_register rbx\nset_register rcx, %2\njump 0x0"},
              {"%0 = get_register rax\nset_register rbx, %0", "set_register rcx, %0\njump 0x0"});
}

TEST(ForwardRegisters, ARegisterIsNotSetToWhatItHolds) {
  expect_pass(forward_registers, {"%0 = get_register rax\nset_register rax, %0\njump 0x0"},
              {"%0 = get_register rax\njump 0x0"});
}

TEST(ForwardRegisters, InterpretedInstructionsMayWriteAllOfThem) {
  expect_pass(forward_registers,
              {"%0 = get_register rbx\n%1 = load.i64 %0", "interpret #0",
               "%3 = get_register rbx\nset_register rcx, %3\njump 0x0"},
              {"%0 = get_register rbx\n%1 = load.i64 %0", "interpret #0",
               "%3 = get_register rbx\nset_register rcx, %3\njump 0x0"});
}

TEST(ForwardRegisters, WideMultiplicationWritesRaxAndRdx) {
  expect_pass(forward_registers,
              {"%0 = get_register rdx\n%1 = get_register rbx\nwide_multiply %1",
               "%3 = get_register rdx\n%4 = get_register rbx\n%5 = add.i64 %3, %4\nset_register rcx, %5\njump 0x0"},
              {"%0 = get_register rdx\n%1 = get_register rbx\nwide_multiply %1",
               "%3 = get_register rdx\n%5 = add.i64 %3, %1\nset_register rcx, %5\njump 0x0"});
}

TEST(DeadRegisters, ARegisterThatIsOverwrittenIsNotSet) {
  expect_pass(remove,
              {"%0 = get_register rax\nset_register rbx, %0", "%2 = constant.i64 0x5\nset_register rbx, %2\njump 0x0"},
              {"", "%2 = constant.i64 0x5\nset_register rbx, %2\njump 0x0"});
}

TEST(DeadRegisters, AFaultShowsThem) {
  expect_pass(remove,
              {"%0 = get_register rax\nset_register rbx, %0", "%2 = load.i64 %0\nset_register rbx, %2\njump 0x0"},
              {"%0 = get_register rax\nset_register rbx, %0", "%2 = load.i64 %0\nset_register rbx, %2\njump 0x0"});
}

TEST(DeadRegisters, WideMultiplicationReadsRaxAndWritesRdx) {
  expect_pass(remove,
              {"%0 = get_register rbx\nset_register rdx, %0\nset_register rax, %0", "wide_multiply %0\njump 0x0"},
              {"%0 = get_register rbx\nset_register rax, %0", "wide_multiply %0\njump 0x0"});
}

TEST(DeadRegisters, WideDivisionReadsBoth) {
  expect_pass(remove, {"%0 = get_register rbx\nset_register rdx, %0", "wide_divide %0\njump 0x0"},
              {"%0 = get_register rbx\nset_register rdx, %0", "wide_divide %0\njump 0x0"});
}

}  // namespace
}  // namespace calco::jit::opt
