#include "jit/opt/fuse_flags.h"

#include "cpu/exec/condition.h"
#include "cpu/flags.h"
#include "jit/opt/flag_sets.h"
#include "jit/opt/rewriter.h"

namespace calco::jit::opt {

namespace {

using cpu::FlagKind;
using ir::Instruction;
using ir::Opcode;
using ir::Type;
using ir::Value;

constexpr bool is_negated(uint8_t condition) { return (condition & 1) != 0; }
constexpr uint8_t pair_of(uint8_t condition) { return condition & 0xE; }

// Conditions that ask for sign, zero and parity of the result alone.
constexpr bool is_of_result(uint8_t condition) {
  const uint8_t pair = pair_of(condition);
  return pair == cpu::kEqual || pair == cpu::kSign || pair == cpu::kParityEven;
}
constexpr bool needs_carry(uint8_t condition) { return (flags_of_condition(condition) & cpu::rflags::kCf) != 0; }

class Fuser {
 public:
  explicit Fuser(Rewriter& rewriter) : rewriter_(rewriter) {}

  Value visit(const Instruction& instruction) {
    if ((info(instruction.opcode).effects & (ir::kReadsFlags | ir::kWritesFlags)) == 0) {
      return rewriter_.append(instruction);
    }
    switch (instruction.opcode) {
      case Opcode::Condition:
        return or_itself(condition(instruction.auxiliary), instruction);
      case Opcode::Carry:
        return or_itself(condition(cpu::kBelow), instruction);
      case Opcode::GetFlags: {
        const Instruction* source = source_of(cpu::rflags::kArithmetic);
        const bool known =
            source != nullptr && source->opcode == Opcode::SetFlags && kind(*source) == FlagKind::Explicit;
        return known ? source->arguments[0] : rewriter_.append(instruction);
      }
      case Opcode::SetFlags:
      case Opcode::SetFlagsWithCarry:
        full_ = rewriter_.next();
        difference_ = difference_of(instruction);
        changed_ = 0;
        break;
      case Opcode::ChangeFlags:
        change_ = rewriter_.next();
        changed_ |= instruction.immediate;
        break;
      case Opcode::SetFlagsOfShift:
      case Opcode::Interpret:
        full_ = ir::kNoValue;
        changed_ = 0;
        break;
      default:
        break;
    }
    return rewriter_.append(instruction);
  }

 private:
  static FlagKind kind(const Instruction& instruction) { return static_cast<FlagKind>(instruction.auxiliary); }

  Value or_itself(Value value, const Instruction& instruction) {
    return value != ir::kNoValue ? value : rewriter_.append(instruction);
  }

  // The result that belongs to the flags, where the operation in front computed it: SUB, not CMP. Comparing it with 0
  // needs the operand no more that SUB overwrites.
  Value difference_of(const Instruction& flags) const {
    if (rewriter_.next() == 0) return ir::kNoValue;
    const auto last = static_cast<Value>(rewriter_.next() - 1);
    const bool found = rewriter_[last].opcode == Opcode::Subtract &&
                       rewriter_[last].arguments[0] == flags.arguments[0] &&
                       rewriter_[last].arguments[1] == flags.arguments[1];
    return found ? last : ir::kNoValue;
  }

  // The one operation that wrote all of these flags last, if it is known.
  const Instruction* source_of(uint64_t flags) const {
    if ((flags & changed_) == 0) return full_ != ir::kNoValue ? &rewriter_[full_] : nullptr;
    return (flags & ~rewriter_[change_].immediate) == 0 ? &rewriter_[change_] : nullptr;
  }

  // Each of these returns kNoValue where it cannot tell.
  Value condition(uint8_t wanted) {
    const Instruction* source = source_of(flags_of_condition(wanted));
    if (source == nullptr) return ir::kNoValue;
    if (source->opcode == Opcode::ChangeFlags) return of_explicit(wanted, source->arguments[0]);
    if (source->opcode == Opcode::SetFlagsWithCarry) return of_carry_chain(wanted, *source);
    const auto [first, second, unused] = source->arguments;
    switch (kind(*source)) {
      case FlagKind::Explicit:
        return of_explicit(wanted, first);
      case FlagKind::Logic:  // as CMP result, 0: CF and OF are clear
        return against(wanted, first, 0);
      case FlagKind::Subtract:
        if (is_of_result(wanted) && difference_ != ir::kNoValue) return against(wanted, difference_, 0);
        return rewriter_.compare(wanted, first, second);
      case FlagKind::Add:
        if (is_of_result(wanted)) return against(wanted, first, 0);
        return pair_of(wanted) == cpu::kBelow ? rewriter_.compare(wanted, first, second) : ir::kNoValue;
      case FlagKind::Increment:
      case FlagKind::Decrement:
        return of_step(wanted, *source);
      case FlagKind::ShiftLeft:
      case FlagKind::ShiftRight:
      case FlagKind::ShiftArithmetic:
        return of_shift(wanted, *source);
      case FlagKind::AddCarry:
      case FlagKind::SubtractBorrow:
        break;
    }
    return ir::kNoValue;
  }

  Value against(uint8_t wanted, Value value, uint64_t number) {
    return rewriter_.compare(wanted, value, rewriter_.constant(rewriter_.type(value), number));
  }
  Value negated_if(bool negated, Value value) { return negated ? rewriter_.complement(value) : value; }

  // INC and DEC: the operand compared with -1 and 1 has the same sign, zero and overflow, but not the carry.
  Value of_step(uint8_t wanted, const Instruction& source) {
    const auto [result, carry, unused] = source.arguments;
    if (pair_of(wanted) == cpu::kBelow) return negated_if(is_negated(wanted), carry);
    if (is_of_result(wanted)) return against(wanted, result, 0);
    if (needs_carry(wanted)) return ir::kNoValue;
    const bool up = kind(source) == FlagKind::Increment;
    const Type type = rewriter_.type(result);
    const Opcode back = up ? Opcode::Subtract : Opcode::Add;
    const Value operand = rewriter_.append(back, type, result, rewriter_.constant(type, 1));
    return against(wanted, operand, up ? ~uint64_t{0} : 1);
  }

  // Shifts by a count that is not 0: `second` is shifted by one less than the result.
  Value of_shift(uint8_t wanted, const Instruction& source) {
    const auto [result, before_last, unused] = source.arguments;
    if (is_of_result(wanted)) return against(wanted, result, 0);
    if (pair_of(wanted) != cpu::kBelow) return ir::kNoValue;
    if (kind(source) == FlagKind::ShiftLeft) {
      return against(is_negated(wanted) ? cpu::kNotSign : cpu::kSign, before_last, 0);
    }
    return negated_if(is_negated(wanted), rewriter_.append(Opcode::Truncate, Type::I1, before_last));
  }

  // ADC and SBB with a carry that is known at run time only. With it, equality carries too.
  Value of_carry_chain(uint8_t wanted, const Instruction& source) {
    const auto [first, second, carry] = source.arguments;
    const bool add = kind(source) == FlagKind::Add;
    if (is_of_result(wanted)) {
      const Type type = rewriter_.type(first);
      const Value result = add ? first : rewriter_.append(Opcode::SubtractWithBorrow, type, first, second, carry);
      return against(wanted, result, 0);
    }
    if (pair_of(wanted) != cpu::kBelow) return ir::kNoValue;
    const uint8_t with_carry = is_negated(wanted) ? cpu::kAbove : cpu::kBelowOrEqual;
    const Value yes = rewriter_.compare(with_carry, first, second);
    const Value no = rewriter_.compare(wanted, first, second);
    return rewriter_.append(Opcode::Select, Type::I1, carry, yes, no);
  }

  // From a value with the flags in their places: conditions that hold where any of some flags is set.
  Value of_explicit(uint8_t wanted, Value flags) {
    const uint8_t pair = pair_of(wanted);
    if (pair == cpu::kLess || pair == cpu::kLessOrEqual) return ir::kNoValue;
    if (pair == cpu::kBelow) {
      return negated_if(is_negated(wanted), rewriter_.append(Opcode::Truncate, Type::I1, flags));
    }
    const Value mask = rewriter_.constant(Type::I64, flags_of_condition(wanted));
    const Value set = rewriter_.append(Opcode::And, Type::I64, flags, mask);
    return against(is_negated(wanted) ? cpu::kEqual : cpu::kNotEqual, set, 0);
  }

  Rewriter& rewriter_;
  Value full_ = ir::kNoValue;        // the last operation that set all flags
  Value difference_ = ir::kNoValue;  // its result, if it is a subtraction that has one
  Value change_ = ir::kNoValue;      // the last ChangeFlags since then
  uint64_t changed_ = 0;             // the flags that it and others since then wrote
};

}  // namespace

void fuse_flags(ir::Block& block, Scratch& scratch) {
  Rewriter rewriter(block, scratch);
  Fuser fuser(rewriter);
  rewriter.run([&](const Instruction& instruction) { return fuser.visit(instruction); });
}

}  // namespace calco::jit::opt
