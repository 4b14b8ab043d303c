#include "jit/opt/common_subexpressions.h"

#include "jit/opt/rewriter.h"

namespace calco::jit::opt {

namespace {

using ir::Instruction;
using ir::Opcode;
using ir::Value;

size_t hash(const Instruction& instruction) {
  const uint64_t head = static_cast<uint64_t>(instruction.opcode) | static_cast<uint64_t>(instruction.type) << 8 |
                        static_cast<uint64_t>(instruction.auxiliary) << 12;
  const uint64_t arguments = instruction.arguments[0] | static_cast<uint64_t>(instruction.arguments[1]) << 16 |
                             static_cast<uint64_t>(instruction.arguments[2]) << 32;
  constexpr uint64_t kOdd = 0x9E3779B97F4A7C15;
  return static_cast<size_t>(((head + arguments * 31 + instruction.immediate) * kOdd ^ arguments) * kOdd >> 57);
}

bool same(const Instruction& a, const Instruction& b) {
  return a.opcode == b.opcode && a.type == b.type && a.auxiliary == b.auxiliary && a.arguments == b.arguments &&
         a.immediate == b.immediate;
}

bool can_be_shared(const Instruction& instruction) {
  return info(instruction.opcode).effects == ir::kNone || instruction.opcode == Opcode::PageBase ||
         instruction.opcode == Opcode::SegmentBase;
}

}  // namespace

void share_common_subexpressions(ir::Block& block, Scratch& scratch) {
  Rewriter rewriter(block, scratch);
  scratch.expressions.fill(ir::kNoValue);
  Value segments_since = 0;  // operations before this one may have read other segment bases
  rewriter.run([&](const Instruction& instruction) {
    if (instruction.opcode == Opcode::Interpret) segments_since = rewriter.next();
    if (!can_be_shared(instruction)) return rewriter.append(instruction);
    Value& earlier = scratch.expressions[hash(instruction)];
    const bool known = earlier != ir::kNoValue && same(rewriter[earlier], instruction) &&
                       (instruction.opcode != Opcode::SegmentBase || earlier >= segments_since);
    if (!known) earlier = rewriter.append(instruction);
    return earlier;
  });
}

}  // namespace calco::jit::opt
