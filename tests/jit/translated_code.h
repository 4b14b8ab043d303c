// Guest code translated to IR, for tests of the frontend.
#pragma once

#include <gtest/gtest.h>

#include <vector>

#include "jit/frontend/frontend.h"

namespace calco::jit {

struct TranslatedCode {
  static constexpr uint16_t kPageOffset = 0x100;

  explicit TranslatedCode(std::vector<uint8_t> bytes, uint32_t mode_key = 2, unsigned maximum_instructions = 64,
                          FrontendOptions options = {}) {
    features.set();
    bytes.resize(0x1000 - kPageOffset, 0xF4);  // HLT ends blocks
    translated = translate(
        {bytes, 0x5000 + kPageOffset, mode_key, features, maximum_instructions, /*next_page=*/nullptr, options}, block);
  }

  size_t count(ir::Opcode opcode) const {
    size_t found = 0;
    for (const ir::Instruction& instruction : block.code) found += instruction.opcode == opcode ? 1 : 0;
    return found;
  }
  // The only operation of its kind.
  const ir::Instruction& only(ir::Opcode opcode) const {
    EXPECT_EQ(count(opcode), 1u) << ir::info(opcode).text;
    for (const ir::Instruction& instruction : block.code) {
      if (instruction.opcode == opcode) return instruction;
    }
    return block.code.front();
  }

  decode::FeatureSet features;
  ir::Block block;
  bool translated = false;
};

}  // namespace calco::jit
