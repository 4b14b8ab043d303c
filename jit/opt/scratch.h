// What the passes share: buffers that live on from block to block, so that a pass allocates nothing.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "jit/ir/ir.h"

namespace calco::jit::opt {

// One for each thread that translates. A pass may find anything in it and leave anything in it.
struct Scratch {
  std::vector<ir::Instruction> code;
  std::vector<ir::Value> renumbering;
  std::vector<uint8_t> used;
  std::array<ir::Value, 256> expressions;
};

// Takes the operation out: dead-code removal drops what nobody uses and has no effect.
inline void erase(ir::Instruction& instruction) {
  const uint8_t guest = instruction.guest;
  instruction = {};
  instruction.opcode = ir::Opcode::Constant;
  instruction.type = ir::Type::I1;
  instruction.guest = guest;
}

}  // namespace calco::jit::opt
