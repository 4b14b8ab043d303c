#include "jit/opt/fold.h"

#include <algorithm>
#include <bit>

#include "cpu/exec/condition.h"
#include "cpu/flags.h"
#include "jit/opt/constant_evaluation.h"
#include "jit/opt/rewriter.h"

namespace calco::jit::opt {

namespace {

using cpu::FlagKind;
using ir::Instruction;
using ir::kNoValue;
using ir::Opcode;
using ir::Type;
using ir::Value;

constexpr bool is_commutative(Opcode opcode) {
  return opcode == Opcode::Add || opcode == Opcode::And || opcode == Opcode::Or || opcode == Opcode::Xor ||
         opcode == Opcode::Multiply;
}

class Folder {
 public:
  explicit Folder(Rewriter& rewriter) : rewriter_(rewriter) { registers_.fill(kNoValue); }

  Value visit(Instruction& instruction) {
    if (info(instruction.opcode).effects != ir::kNone) return visit_effect(instruction);
    if (instruction.opcode == Opcode::Constant) return rewriter_.append(instruction);
    const Value folded = constant_result(instruction);
    if (folded != kNoValue) return folded;
    if (is_commutative(instruction.opcode) && is_constant(instruction.arguments[0])) {
      std::swap(instruction.arguments[0], instruction.arguments[1]);
    }
    const Value simpler = simplify(instruction);
    return simpler != kNoValue ? simpler : rewriter_.append(instruction);
  }

 private:
  const Instruction& definition(Value value) const { return rewriter_[value]; }
  bool is(Value value, Opcode opcode) const { return value != kNoValue && definition(value).opcode == opcode; }
  bool is_constant(Value value) const { return is(value, Opcode::Constant); }
  bool is_constant(Value value, uint64_t number) const {
    return is_constant(value) && definition(value).immediate == number;
  }
  Value argument(Value value, unsigned i = 0) const { return definition(value).arguments[i]; }

  // What a value was made from by cutting and extending it.
  Value root(Value value) const {
    while (is(value, Opcode::ZeroExtend) || is(value, Opcode::Truncate)) value = argument(value);
    return value;
  }
  // A register still holds the value: using it costs no host register more.
  bool in_register(Value value) const { return std::ranges::find(registers_, root(value)) != registers_.end(); }

  Value constant_result(const Instruction& instruction) {
    const unsigned count = info(instruction.opcode).arguments;
    std::array<uint64_t, 3> values{};
    for (unsigned i = 0; i < count; ++i) {
      if (!is_constant(instruction.arguments[i])) return kNoValue;
      values[i] = definition(instruction.arguments[i]).immediate;
    }
    const auto result = evaluate_constant(instruction, rewriter_.type(instruction.arguments[0]), values);
    return result ? rewriter_.constant(instruction.type, *result) : kNoValue;
  }

  // All of these return kNoValue where they know nothing better, and have appended nothing then.
  Value simplify(Instruction& instruction) {
    const auto [a, b, c] = instruction.arguments;
    switch (instruction.opcode) {
      case Opcode::Add:
        if (is_constant(b, 0)) return a;
        return add_of_add(instruction);
      case Opcode::Subtract:
        if (is_constant(b, 0)) return a;
        return a == b ? rewriter_.constant(instruction.type, 0) : kNoValue;
      case Opcode::AddWithCarry:
        return is_constant(c, 0) ? again(instruction, Opcode::Add) : kNoValue;
      case Opcode::SubtractWithBorrow:
        return is_constant(c, 0) ? again(instruction, Opcode::Subtract) : kNoValue;
      case Opcode::And:
        if (a == b || is_constant(b, mask_of(instruction.type))) return a;
        return is_constant(b, 0) ? b : kNoValue;
      case Opcode::Or:
        if (a == b || is_constant(b, 0)) return a;
        return is_constant(b, mask_of(instruction.type)) ? b : kNoValue;
      case Opcode::Xor:
        return exclusive_or(instruction);
      case Opcode::Not:
      case Opcode::Negate:
      case Opcode::ByteSwap:
        return is(a, instruction.opcode) ? argument(a) : kNoValue;
      case Opcode::Multiply:
        return multiply(instruction);
      case Opcode::ShiftLeft:
      case Opcode::ShiftRight:
      case Opcode::ShiftArithmetic:
      case Opcode::RotateLeft:
      case Opcode::RotateRight:
        return is_constant(b, 0) ? a : kNoValue;
      case Opcode::Address:
        return address(instruction);
      case Opcode::Compare:
        return compare(instruction);
      case Opcode::Select:
        return select(instruction);
      case Opcode::Truncate:
        return truncate(instruction);
      case Opcode::ZeroExtend:
        return is(a, Opcode::ZeroExtend) ? extend(Opcode::ZeroExtend, instruction.type, argument(a)) : kNoValue;
      case Opcode::SignExtend:
        if (is(a, Opcode::ZeroExtend)) return extend(Opcode::ZeroExtend, instruction.type, argument(a));
        return is(a, Opcode::SignExtend) ? extend(Opcode::SignExtend, instruction.type, argument(a)) : kNoValue;
      case Opcode::HighByte:
        if (is(a, Opcode::InsertHighByte)) return argument(a, 1);
        return is(a, Opcode::InsertLowByte) ? visit_new(Opcode::HighByte, Type::I8, argument(a)) : kNoValue;
      case Opcode::InsertLowByte:
      case Opcode::InsertHighByte:
      case Opcode::InsertWord:
        return insert(instruction);
      default:
        return kNoValue;
    }
  }

  // A new operation in the place of the visited one, simplified in its turn.
  Value visit_new(Opcode opcode, Type type, Value a, Value b = kNoValue, uint8_t auxiliary = 0) {
    Instruction instruction;
    instruction.opcode = opcode;
    instruction.type = type;
    instruction.auxiliary = auxiliary;
    instruction.guest = rewriter_.guest();
    instruction.arguments = {a, b, kNoValue};
    return visit(instruction);
  }
  // The same with another opcode, and without the third argument.
  Value again(const Instruction& instruction, Opcode opcode) {
    return visit_new(opcode, instruction.type, instruction.arguments[0], instruction.arguments[1],
                     instruction.auxiliary);
  }
  Value extend(Opcode opcode, Type type, Value value) {
    return rewriter_.type(value) == type ? value : visit_new(opcode, type, value);
  }

  // Whether an operation may use the argument of its argument instead, without keeping a value alive that the guest has
  // overwritten since.
  bool may_look_through(Value inner) const { return !in_register(inner) || in_register(argument(inner)); }

  // (x + c1) + c2, (x - c1) + c2
  Value add_of_add(const Instruction& instruction) {
    const auto [a, b, unused] = instruction.arguments;
    if (!is_constant(b) || !(is(a, Opcode::Add) || is(a, Opcode::Subtract))) return kNoValue;
    if (!is_constant(argument(a, 1)) || !may_look_through(a)) return kNoValue;
    const uint64_t inner = definition(argument(a, 1)).immediate;
    const uint64_t outer = definition(b).immediate;
    const uint64_t sum = is(a, Opcode::Add) ? outer + inner : outer - inner;
    const Type type = instruction.type;
    return visit_new(Opcode::Add, type, argument(a), rewriter_.constant(type, sum));
  }

  Value exclusive_or(const Instruction& instruction) {
    const auto [a, b, unused] = instruction.arguments;
    if (a == b) return rewriter_.constant(instruction.type, 0);
    if (is_constant(b, 0)) return a;
    if (instruction.type != Type::I1 || !is_constant(b, 1)) return kNoValue;
    if (is(a, Opcode::Compare)) return rewriter_.compare(definition(a).auxiliary ^ 1, argument(a, 0), argument(a, 1));
    return is(a, Opcode::Xor) && is_constant(argument(a, 1), 1) ? argument(a) : kNoValue;
  }

  Value multiply(const Instruction& instruction) {
    const auto [a, b, unused] = instruction.arguments;
    if (!is_constant(b)) return kNoValue;
    const uint64_t factor = definition(b).immediate;
    if (factor == 0) return b;
    if (factor == 1) return a;
    const Type type = instruction.type;
    if (std::has_single_bit(factor)) {
      const Value count = rewriter_.constant(Type::I8, static_cast<uint64_t>(std::countr_zero(factor)));
      return rewriter_.append(Opcode::ShiftLeft, type, a, count);
    }
    if (type < Type::I32 || (factor != 3 && factor != 5 && factor != 9)) return kNoValue;
    const auto scale = static_cast<uint8_t>(std::countr_zero(factor - 1));
    return rewriter_.append(Opcode::Address, type, a, a, kNoValue, scale);
  }

  // Takes constants and nested sums into the displacement, as far as it holds them.
  Value address(Instruction& instruction) {
    while (address_step(instruction)) {
    }
    const auto [base, index, unused] = instruction.arguments;
    if (base == kNoValue && index == kNoValue) return rewriter_.constant(instruction.type, instruction.immediate);
    return base != kNoValue && index == kNoValue && instruction.immediate == 0 ? base : kNoValue;
  }

  bool address_step(Instruction& instruction) {
    Value& base = instruction.arguments[0];
    Value& index = instruction.arguments[1];
    if (base == kNoValue && index != kNoValue && instruction.auxiliary == 0) {
      std::swap(base, index);
      return true;
    }
    if (is_constant(base) && displace(instruction, constant_of(base))) {
      base = kNoValue;
      return true;
    }
    if (is_constant(index) && displace(instruction, constant_of(index) << instruction.auxiliary)) {
      index = kNoValue;
      instruction.auxiliary = 0;
      return true;
    }
    return base != kNoValue && base_step(instruction);
  }

  // The base is itself a sum.
  bool base_step(Instruction& instruction) {
    Value& base = instruction.arguments[0];
    Value& index = instruction.arguments[1];
    const Instruction inner = definition(base);
    if (inner.opcode == Opcode::Add && is_constant(inner.arguments[1]) && may_look_through(base)) {
      if (!displace(instruction, constant_of(inner.arguments[1]))) return false;
      base = inner.arguments[0];
      return true;
    }
    if (inner.opcode != Opcode::Address || (index != kNoValue && inner.arguments[1] != kNoValue)) return false;
    if (in_register(base) && !still_there(inner)) return false;
    if (!displace(instruction, static_cast<int64_t>(inner.immediate))) return false;
    base = inner.arguments[0];
    if (inner.arguments[1] != kNoValue) {
      index = inner.arguments[1];
      instruction.auxiliary = inner.auxiliary;
    }
    return true;
  }

  bool still_there(const Instruction& sum) const {
    return std::ranges::all_of(sum.arguments, [&](Value value) { return value == kNoValue || in_register(value); });
  }

  int64_t constant_of(Value value) const {
    return static_cast<int64_t>(sign_extended(rewriter_.type(value), definition(value).immediate));
  }

  static bool displace(Instruction& instruction, int64_t by) {
    int64_t sum = static_cast<int64_t>(instruction.immediate + static_cast<uint64_t>(by));
    if (instruction.type == Type::I32) sum = static_cast<int32_t>(sum);
    if (sum != static_cast<int32_t>(sum)) return false;
    instruction.immediate = static_cast<uint64_t>(sum);
    return true;
  }

  Value compare(const Instruction& instruction) {
    const auto [a, b, unused] = instruction.arguments;
    const uint8_t condition = instruction.auxiliary;
    if (a == b) return rewriter_.constant(Type::I1, holds(condition, Type::I64, 0, 0) ? 1 : 0);
    return is_constant(b, 0) ? compare_with_zero(condition, a, b) : kNoValue;
  }

  Value compare_with_zero(uint8_t condition, Value a, Value zero) {
    const uint8_t negation = condition & 1;
    switch (condition & 0xE) {
      case cpu::kOverflowSet:
      case cpu::kBelow:
        return rewriter_.constant(Type::I1, negation);
      case cpu::kBelowOrEqual:
        return visit_new(Opcode::Compare, Type::I1, a, zero, cpu::kEqual | negation);
      case cpu::kLess:
        return visit_new(Opcode::Compare, Type::I1, a, zero, cpu::kSign | negation);
      case cpu::kEqual:
        // A truth value that was made a number: what SETcc leaves.
        if (is(a, Opcode::ZeroExtend) && rewriter_.type(argument(a)) == Type::I1) {
          return negation != 0 ? argument(a)
                               : visit_new(Opcode::Xor, Type::I1, argument(a), rewriter_.constant(Type::I1, 1));
        }
        if (!is(a, Opcode::Subtract) || !may_look_through(a)) return kNoValue;
        return visit_new(Opcode::Compare, Type::I1, argument(a, 0), argument(a, 1), condition);
      default:
        return kNoValue;
    }
  }

  Value select(const Instruction& instruction) {
    const auto [condition, yes, no] = instruction.arguments;
    if (yes == no) return yes;
    if (is_constant(condition)) return is_constant(condition, 1) ? yes : no;
    if (instruction.type != Type::I1) return kNoValue;
    return is_constant(yes, 1) && is_constant(no, 0) ? condition : kNoValue;
  }

  Value truncate(const Instruction& instruction) {
    const Value a = instruction.arguments[0];
    const Type type = instruction.type;
    switch (definition(a).opcode) {
      case Opcode::Truncate:
        return visit_new(Opcode::Truncate, type, argument(a));
      case Opcode::ZeroExtend:
      case Opcode::SignExtend: {
        const Type inner = rewriter_.type(argument(a));
        if (inner >= type) return extend(Opcode::Truncate, type, argument(a));
        return visit_new(definition(a).opcode, type, argument(a));
      }
      case Opcode::InsertLowByte:
        return type <= Type::I8 ? extend(Opcode::Truncate, type, argument(a, 1)) : kNoValue;
      case Opcode::InsertWord:
        return type <= Type::I16 ? extend(Opcode::Truncate, type, argument(a, 1)) : kNoValue;
      case Opcode::InsertHighByte:
        return type <= Type::I8 ? visit_new(Opcode::Truncate, type, argument(a)) : kNoValue;
      default:
        return kNoValue;
    }
  }

  // Bits of a register replaced that were replaced before, or by themselves.
  Value insert(Instruction& instruction) {
    Value& whole = instruction.arguments[0];
    const Value part = instruction.arguments[1];
    if (is(whole, instruction.opcode) || (instruction.opcode == Opcode::InsertWord &&
                                          (is(whole, Opcode::InsertLowByte) || is(whole, Opcode::InsertHighByte)))) {
      return visit_new(instruction.opcode, Type::I64, argument(whole), part);
    }
    const bool low = instruction.opcode != Opcode::InsertHighByte;
    if (is(part, low ? Opcode::Truncate : Opcode::HighByte) && argument(part) == whole) return whole;
    return low && is_constant(whole, 0) ? visit_new(Opcode::ZeroExtend, Type::I64, part) : kNoValue;
  }

  // --- Operations with effects ---------------------------------------------------------------------------------------

  Value visit_effect(Instruction& instruction) {
    const auto [a, b, c] = instruction.arguments;
    switch (instruction.opcode) {
      case Opcode::GetRegister:
        return registers_[instruction.auxiliary] = rewriter_.append(instruction);
      case Opcode::SetRegister:
        registers_[instruction.auxiliary] = root(a);
        break;
      case Opcode::WideMultiply:
      case Opcode::WideMultiplySigned:
      case Opcode::WideDivide:
      case Opcode::WideDivideSigned:
        registers_[cpu::kRax] = registers_[cpu::kRdx] = kNoValue;
        break;
      case Opcode::Interpret:
        registers_.fill(kNoValue);
        break;
      case Opcode::BailIf:
        if (is_constant(a, 0)) return kNoValue;
        break;
      case Opcode::SetFlagsWithCarry:
        if (is_constant(c)) set_flags_with_known_carry(instruction);
        break;
      case Opcode::SetFlagsOfShift:
        if (is_constant(c, 0)) return kNoValue;
        if (is_constant(c)) {
          instruction.opcode = Opcode::SetFlags;
          instruction.arguments[2] = kNoValue;
        }
        break;
      case Opcode::Branch:
        if (is_constant(a)) jump_instead(instruction);
        break;
      default:
        break;
    }
    return rewriter_.append(instruction);
  }

  void set_flags_with_known_carry(Instruction& instruction) {
    const bool add = instruction.auxiliary == static_cast<uint8_t>(FlagKind::Add);
    if (is_constant(instruction.arguments[2], 1)) {
      instruction.auxiliary = static_cast<uint8_t>(add ? FlagKind::AddCarry : FlagKind::SubtractBorrow);
    }
    instruction.opcode = Opcode::SetFlags;
    instruction.arguments[2] = kNoValue;
  }

  void jump_instead(Instruction& branch) {
    const bool taken = is_constant(branch.arguments[0], 1);
    ir::Block& block = rewriter_.block();
    if (!taken) block.flags_dead_if_taken = block.flags_dead_if_not_taken;
    const int64_t target = taken ? taken_target(branch) : not_taken_target(branch);
    branch.opcode = Opcode::Jump;
    branch.arguments[0] = kNoValue;
    branch.immediate = static_cast<uint64_t>(target);
  }

  Rewriter& rewriter_;
  std::array<Value, 16> registers_;  // the root of what each register holds, where that is known
};

}  // namespace

void fold(ir::Block& block, Scratch& scratch) {
  Rewriter rewriter(block, scratch);
  Folder folder(rewriter);
  rewriter.run([&](Instruction& instruction) { return folder.visit(instruction); });
}

}  // namespace calco::jit::opt
