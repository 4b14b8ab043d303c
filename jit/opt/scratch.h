// What the passes share: buffers that live on from block to block, so that a pass allocates nothing.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

#include "jit/ir/ir.h"

namespace calco::jit::opt {

// One for each thread that translates. A pass may find anything in it and leave anything in it; the lists only grow.
struct Scratch {
  std::vector<ir::Instruction> code;
  std::vector<ir::Value> renumbering;
  std::vector<uint8_t> used;
  std::array<ir::Value, 128> expressions;

  // Numbers of values in a new list by those in the old one, of `count` operations. An absent argument stays absent, by
  // the entry behind the last: what passes do with each argument should not cost a branch that nobody can predict.
  void start_renumbering(size_t count) {
    if (renumbering.size() <= count) renumbering.resize(count + 1);
    renumbering[count] = ir::kNoValue;
  }
  ir::Value renumbered(ir::Value argument, size_t count) const {
    return renumbering[std::min<size_t>(argument, count)];
  }
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
