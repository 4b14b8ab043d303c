#include "jit/opt/dead_flags.h"

#include "cpu/flags.h"
#include "jit/opt/flag_sets.h"

namespace calco::jit::opt {

namespace {

using cpu::rflags::kArithmetic;
using ir::Instruction;
using ir::Opcode;

// Walks a block from its end to its beginning.
class FlagLiveness {
 public:
  explicit FlagLiveness(ir::Block& block) : block_(block) {}

  void visit(Instruction& instruction) {
    const uint32_t effects = info(instruction.opcode).effects;
    shown_ |= (effects & ir::kMayLeave) != 0 ? kArithmetic : 0;
    if ((effects & (ir::kReadsFlags | ir::kWritesFlags | ir::kTerminator)) == 0) return;
    switch (instruction.opcode) {
      case Opcode::SetFlags:
      case Opcode::SetFlagsWithCarry:
        write(instruction, kArithmetic, kArithmetic);
        break;
      case Opcode::SetFlagsOfShift:
        write(instruction, kArithmetic, 0);
        break;
      case Opcode::ChangeFlags:
        if (is_all_that_matters(instruction)) {
          instruction.opcode = Opcode::SetFlags;
          instruction.auxiliary = static_cast<uint8_t>(cpu::FlagKind::Explicit);
          instruction.immediate = 0;
          write(instruction, kArithmetic, kArithmetic);
        } else {
          write(instruction, instruction.immediate, instruction.immediate);
        }
        break;
      case Opcode::Condition:
        needed_ |= flags_of_condition(instruction.auxiliary);
        break;
      case Opcode::Carry:
        needed_ |= cpu::rflags::kCf;
        break;
      case Opcode::GetFlags:
      case Opcode::Interpret:
        needed_ = kArithmetic;
        break;
      case Opcode::Jump:
        needed_ = block_.flags_dead_if_taken ? 0 : kArithmetic;
        break;
      case Opcode::Branch:
        needed_ = block_.flags_dead_if_taken && block_.flags_dead_if_not_taken ? 0 : kArithmetic;
        break;
      case Opcode::JumpIndirect:
      case Opcode::Leave:
        needed_ = kArithmetic;
        break;
      default:
        break;
    }
  }

 private:
  // Whether a ChangeFlags may as well set all flags, since nobody needs those that it keeps.
  bool is_all_that_matters(const Instruction& change) const {
    return ((needed_ | shown_) & ~change.immediate) == 0 && (possible_bits(change.arguments[0], 4) & ~kArithmetic) == 0;
  }

  // A set of bits beside which the value has none; looks at most `depth` operations deep.
  uint64_t possible_bits(ir::Value value, unsigned depth) const {
    const Instruction& instruction = block_[value];
    if (depth == 0) return mask_of(instruction.type);
    const auto of_argument = [&](unsigned i) { return possible_bits(instruction.arguments[i], depth - 1); };
    switch (instruction.opcode) {
      case Opcode::Constant:
        return instruction.immediate;
      case Opcode::ZeroExtend:
        return of_argument(0);
      case Opcode::And:
        return of_argument(0) & of_argument(1);
      case Opcode::Or:
      case Opcode::Xor:
        return of_argument(0) | of_argument(1);
      case Opcode::Select:
        return of_argument(1) | of_argument(2);
      case Opcode::ShiftLeft: {
        const Instruction& count = block_[instruction.arguments[1]];
        if (count.opcode != Opcode::Constant) return mask_of(instruction.type);
        return of_argument(0) << (count.immediate & 63) & mask_of(instruction.type);
      }
      default:
        return mask_of(instruction.type);
    }
  }

  // An operation that may write the flags `written`, and surely overwrites `overwritten`.
  void write(Instruction& instruction, uint64_t written, uint64_t overwritten) {
    if (((needed_ | shown_) & written) == 0) {
      erase(instruction);
      return;
    }
    const bool only_for_faults = (needed_ & written) == 0;
    instruction.marks = only_for_faults ? ir::kFlagsOnlyForFaults : 0;
    // An operation that stands in the straight path and keeps some flags reads them there.
    if (!only_for_faults) needed_ |= shown_;
    needed_ &= ~overwritten;
    shown_ &= ~overwritten;
  }

  ir::Block& block_;
  uint64_t needed_ = kArithmetic;  // flags that are read behind this point before they are overwritten
  uint64_t shown_ = 0;             // flags that an operation which may leave shows, likewise
};

}  // namespace

void remove_dead_flags(ir::Block& block, Scratch&) {
  FlagLiveness liveness(block);
  for (size_t i = block.code.size(); i-- > 0;) liveness.visit(block.code[i]);
}

}  // namespace calco::jit::opt
