// Blocks from text, for tests.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

#include "jit/ir/printer.h"
#include "jit/ir/verifier.h"

namespace calco::jit::ir {

inline Block parsed(std::string_view text) {
  Block block;
  EXPECT_EQ(parse(text, block), "");
  return block;
}

// A block of one guest instruction each text; page offsets 0, 1, 2...
inline Block block_of(const std::vector<std::string>& instructions) {
  std::string text = "block at 0x0, 16 bytes, mode 0x0, memory 0x0\ninterpreted 1\nvector #0 movaps\n";
  size_t offset = 0;
  for (const std::string& instruction : instructions) {
    text += "instruction at " + std::to_string(offset++) + ", 1 bytes\n";
    text += instruction;
    text += '\n';
  }
  return parsed(text);
}

inline std::string messages(const Block& block) {
  std::string text;
  for (const std::string& message : verify(block)) text += message + "\n";
  return text;
}

}  // namespace calco::jit::ir
