// Passes as text before and text behind.
#pragma once

#include <string>
#include <vector>

#include "jit/opt/scratch.h"
#include "tests/jit/ir_text.h"

namespace calco::jit::opt {

// The pass turns the first block into the second; texts as ir::block_of takes them.
template <typename Pass>
void expect_pass(Pass pass, const std::vector<std::string>& before, const std::vector<std::string>& after) {
  ir::Block block = ir::block_of(before);
  ASSERT_EQ(ir::messages(block), "");
  Scratch scratch;
  pass(block, scratch);
  EXPECT_EQ(ir::print(block), ir::print(ir::block_of(after)));
  EXPECT_EQ(ir::messages(block), "");
}

}  // namespace calco::jit::opt
