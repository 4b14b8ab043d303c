// The lazy flags: what cpu/flags.cpp computes, on values whose kind is mostly known.
#include "jit/llvm/lowering.h"

namespace calco::jit {

using cpu::FlagKind;
using ir::Opcode;
using llvm::Value;
namespace rflags = cpu::rflags;

namespace {

bool is_sum(FlagKind kind) { return kind >= FlagKind::Add && kind <= FlagKind::Decrement; }
bool is_difference(FlagKind kind) {
  return kind == FlagKind::Subtract || kind == FlagKind::SubtractBorrow || kind == FlagKind::Decrement;
}
bool is_step(FlagKind kind) { return kind == FlagKind::Increment || kind == FlagKind::Decrement; }

}  // namespace

// --- Setting
// -------------------------------------------------------------------------------------------------------------

void Lowering::lower_flags(const ir::Instruction& instruction) {
  switch (instruction.opcode) {
    case Opcode::SetFlagsOfShift:
      return set_flags_of_shift(instruction);
    case Opcode::ChangeFlags:
      return change_flags(instruction);
    default:
      return set_flags(instruction);
  }
}

void Lowering::set_flags(const ir::Instruction& instruction) {
  Flags flags;
  flags.known = true;
  flags.kind = static_cast<FlagKind>(instruction.auxiliary);
  flags.first = argument(instruction, 0);
  flags.bits = flags.first->getType()->getIntegerBitWidth();
  if (flags.kind != FlagKind::Explicit && flags.kind != FlagKind::Logic) flags.second = argument(instruction, 1);
  if (instruction.opcode == Opcode::SetFlagsWithCarry) flags.carry = argument(instruction, 2);
  put_flags(flags);
}

void Lowering::put_flags(const Flags& flags) {
  flags_ = flags;
  flags_.local = true;
  dirty_ |= kFlagVariables;
  bail_ = nullptr;
}

// A count of 0 changes nothing, so unless it is a constant nothing is known of the kind any more.
void Lowering::set_flags_of_shift(const ir::Instruction& instruction) {
  Value* const count = argument(instruction, 2);
  Flags shifted;
  shifted.known = true;
  shifted.kind = static_cast<FlagKind>(instruction.auxiliary);
  shifted.first = argument(instruction, 0);
  shifted.second = argument(instruction, 1);
  shifted.bits = shifted.first->getType()->getIntegerBitWidth();
  if (const auto* constant = llvm::dyn_cast<llvm::ConstantInt>(count)) {
    if (!constant->isZero()) put_flags(shifted);
    return;
  }
  const auto before = flag_words();
  put_flags(shifted);
  const auto after = flag_words();
  Value* const changes = builder_.CreateICmpNE(count, builder_.getInt8(0));
  for (unsigned i = 0; i < before.size(); ++i) {
    set(variable::kFlagFirst + i, builder_.CreateSelect(changes, after[i], before[i]));
  }
  flags_ = {};
}

void Lowering::change_flags(const ir::Instruction& instruction) {
  const uint64_t mask = instruction.immediate & rflags::kArithmetic;
  Value* const changed = builder_.CreateAnd(argument(instruction, 0), mask);
  Flags flags;
  flags.known = true;
  flags.kind = FlagKind::Explicit;
  flags.first = mask == rflags::kArithmetic
                    ? changed
                    : builder_.CreateOr(builder_.CreateAnd(all_flags(), rflags::kArithmetic & ~mask), changed);
  put_flags(flags);
}

// --- The triple
// ----------------------------------------------------------------------------------------------------------

void Lowering::start_flags() {
  flags_ = {};
  const auto kind = graph_.nodes[block_].flag_kind;
  if (!kind) return;
  flags_.known = true;
  flags_.kind = static_cast<FlagKind>(*kind & 0xFF);
  flags_.bits = 8u << (*kind >> 8);
}

std::array<Value*, 3> Lowering::flag_words() {
  if (!flags_.local) {
    return {get(variable::kFlagFirst), get(variable::kFlagSecond), get(variable::kFlagKind)};
  }
  llvm::Type* const word = builder_.getInt64Ty();
  Value* second = builder_.getInt64(0);
  if (flags_.second != nullptr) {
    second = is_step(flags_.kind) ? builder_.CreateZExt(flags_.second, word) : builder_.CreateSExt(flags_.second, word);
  }
  const auto log2_size = static_cast<unsigned>(llvm::Log2_32(flags_.bits / 8));
  Value* kind = builder_.getInt32(cpu::flag_kind(flags_.kind, log2_size));
  if (flags_.carry != nullptr) {
    static_assert(static_cast<int>(FlagKind::AddCarry) == static_cast<int>(FlagKind::Add) + 1);
    static_assert(static_cast<int>(FlagKind::SubtractBorrow) == static_cast<int>(FlagKind::Subtract) + 1);
    kind = builder_.CreateAdd(kind, builder_.CreateZExt(flags_.carry, builder_.getInt32Ty()));
  }
  return {builder_.CreateSExt(flags_.first, word), second, kind};
}

void Lowering::flags_to_variables() {
  if (!flags_.local) return;
  const auto words = flag_words();
  for (unsigned i = 0; i < words.size(); ++i) ssa_.write(block_, variable::kFlagFirst + i, words[i]);
  flags_.local = false;
}

Value* Lowering::flag_first() {
  if (flags_.local) return flags_.first;
  return builder_.CreateTrunc(get(variable::kFlagFirst), builder_.getIntNTy(flags_.bits));
}

Value* Lowering::flag_second() {
  if (flags_.local) return flags_.second;
  const unsigned bits = is_step(flags_.kind) ? 1 : flags_.bits;
  return builder_.CreateTrunc(get(variable::kFlagSecond), builder_.getIntNTy(bits));
}

Value* Lowering::flag_carry_in() {
  if (flags_.local && flags_.carry != nullptr) return flags_.carry;
  return builder_.getInt1(flags_.kind == FlagKind::AddCarry || flags_.kind == FlagKind::SubtractBorrow);
}

// The operands and the result of an addition a + b, or a subtraction a - b.
Lowering::Sum Lowering::sum_of_flags() {
  Value* const first = flag_first();
  llvm::Type* const type = first->getType();
  if (is_step(flags_.kind)) {
    Value* const one = llvm::ConstantInt::get(type, 1);
    Value* const a =
        flags_.kind == FlagKind::Increment ? builder_.CreateSub(first, one) : builder_.CreateAdd(first, one);
    return {a, one, first};
  }
  Value* const second = flag_second();
  Value* const carry = builder_.CreateZExt(flag_carry_in(), type);
  Value* const difference = builder_.CreateSub(builder_.CreateSub(first, second), carry);
  if (is_difference(flags_.kind)) return {first, second, difference};
  return {difference, second, first};
}

// --- Single flags, as I1
// -------------------------------------------------------------------------------------------------

Value* Lowering::is_negative(Value* value) {
  return builder_.CreateICmpSLT(value, llvm::ConstantInt::get(value->getType(), 0));
}

Value* Lowering::flag_of_all(uint64_t flag) {
  return builder_.CreateICmpNE(builder_.CreateAnd(all_flags(), flag), builder_.getInt64(0));
}

Value* Lowering::result_of_flags() { return is_sum(flags_.kind) ? sum_of_flags().result : flag_first(); }

Value* Lowering::carry_flag() {
  if (!flags_.known || flags_.kind == FlagKind::Explicit) return flag_of_all(rflags::kCf);
  switch (flags_.kind) {
    case FlagKind::Logic:
      return builder_.getFalse();
    case FlagKind::Increment:
    case FlagKind::Decrement:
      return flag_second();
    case FlagKind::ShiftLeft:
      return is_negative(flag_second());
    case FlagKind::ShiftRight:
    case FlagKind::ShiftArithmetic:
      return builder_.CreateTrunc(flag_second(), builder_.getInt1Ty());
    default:
      break;
  }
  const Sum sum = sum_of_flags();
  Value* const left = is_difference(flags_.kind) ? sum.a : sum.result;
  Value* const right = is_difference(flags_.kind) ? sum.b : sum.a;
  return builder_.CreateSelect(flag_carry_in(), builder_.CreateICmpULE(left, right),
                               builder_.CreateICmpULT(left, right));
}

Value* Lowering::zero_flag() {
  if (!flags_.known || flags_.kind == FlagKind::Explicit) return flag_of_all(rflags::kZf);
  if (flags_.kind == FlagKind::Subtract && flags_.carry == nullptr) {
    return builder_.CreateICmpEQ(flag_first(), flag_second());
  }
  Value* const result = result_of_flags();
  return builder_.CreateICmpEQ(result, llvm::ConstantInt::get(result->getType(), 0));
}

Value* Lowering::sign_flag() {
  if (!flags_.known || flags_.kind == FlagKind::Explicit) return flag_of_all(rflags::kSf);
  return is_negative(result_of_flags());
}

Value* Lowering::parity_flag() {
  if (!flags_.known || flags_.kind == FlagKind::Explicit) return flag_of_all(rflags::kPf);
  Value* const ones = builder_.CreateUnaryIntrinsic(llvm::Intrinsic::ctpop,
                                                    builder_.CreateTrunc(result_of_flags(), builder_.getInt8Ty()));
  return builder_.CreateNot(builder_.CreateTrunc(ones, builder_.getInt1Ty()));
}

Value* Lowering::adjust_flag() {
  if (!flags_.known || flags_.kind == FlagKind::Explicit) return flag_of_all(rflags::kAf);
  if (!is_sum(flags_.kind)) return builder_.getFalse();
  const Sum sum = sum_of_flags();
  Value* const bits = builder_.CreateXor(builder_.CreateXor(sum.a, sum.b), sum.result);
  return builder_.CreateTrunc(builder_.CreateLShr(bits, 4), builder_.getInt1Ty());
}

Value* Lowering::overflow_flag() {
  if (!flags_.known || flags_.kind == FlagKind::Explicit) return flag_of_all(rflags::kOf);
  switch (flags_.kind) {
    case FlagKind::Logic:
    case FlagKind::ShiftArithmetic:
      return builder_.getFalse();
    case FlagKind::ShiftLeft:
      return is_negative(builder_.CreateXor(flag_first(), flag_second()));
    case FlagKind::ShiftRight:
      return is_negative(flag_second());
    default:
      break;
  }
  const Sum sum = sum_of_flags();
  Value* const other = is_difference(flags_.kind) ? sum.a : sum.result;
  return is_negative(builder_.CreateAnd(builder_.CreateXor(other, sum.b), builder_.CreateXor(sum.a, sum.result)));
}

// --- All, and conditions
// -------------------------------------------------------------------------------------------------

Value* Lowering::all_flags() {
  if (flags_.all != nullptr) return flags_.all;
  if (!flags_.known) {
    store_variables(dirty_ & kFlagVariables);
    return flags_.all = call_runtime("get_flags", input_.entries.get_flags, builder_.getInt64Ty(), {state_});
  }
  if (flags_.kind == FlagKind::Explicit) return flags_.all = flag_first();
  Value* sum = builder_.getInt64(0);
  auto add = [&](Value* flag, uint64_t bit) {
    Value* const placed = builder_.CreateShl(builder_.CreateZExt(flag, builder_.getInt64Ty()), llvm::Log2_64(bit));
    sum = builder_.CreateOr(sum, placed);
  };
  add(carry_flag(), rflags::kCf);
  add(parity_flag(), rflags::kPf);
  add(adjust_flag(), rflags::kAf);
  add(zero_flag(), rflags::kZf);
  add(sign_flag(), rflags::kSf);
  add(overflow_flag(), rflags::kOf);
  return flags_.all = sum;
}

Value* Lowering::condition(unsigned code) {
  if (flags_.known && flags_.kind == FlagKind::Subtract && flags_.carry == nullptr) {
    return compare(code, flag_first(), flag_second());
  }
  auto less = [&] { return builder_.CreateXor(sign_flag(), overflow_flag()); };
  Value* holds = nullptr;
  switch (code >> 1) {
    case 0:
      holds = overflow_flag();
      break;
    case 1:
      holds = carry_flag();
      break;
    case 2:
      holds = zero_flag();
      break;
    case 3:
      holds = builder_.CreateOr(carry_flag(), zero_flag());
      break;
    case 4:
      holds = sign_flag();
      break;
    case 5:
      holds = parity_flag();
      break;
    case 6:
      holds = less();
      break;
    default:
      holds = builder_.CreateOr(zero_flag(), less());
  }
  return (code & 1) != 0 ? builder_.CreateNot(holds) : holds;
}

// The condition that CMP a, b gives.
Value* Lowering::compare(unsigned code, Value* a, Value* b) {
  using Predicate = llvm::CmpInst::Predicate;
  auto negated = [&](Value* value) { return (code & 1) != 0 ? builder_.CreateNot(value) : value; };
  auto ordered = [&](Predicate predicate) {
    return builder_.CreateICmp((code & 1) != 0 ? llvm::CmpInst::getInversePredicate(predicate) : predicate, a, b);
  };
  switch (code >> 1) {
    case 0:
      return negated(
          builder_.CreateExtractValue(builder_.CreateBinaryIntrinsic(llvm::Intrinsic::ssub_with_overflow, a, b), 1));
    case 1:
      return ordered(Predicate::ICMP_ULT);
    case 2:
      return ordered(Predicate::ICMP_EQ);
    case 3:
      return ordered(Predicate::ICMP_ULE);
    case 4:
      return negated(is_negative(builder_.CreateSub(a, b)));
    case 5: {
      Value* const low = builder_.CreateTrunc(builder_.CreateSub(a, b), builder_.getInt8Ty());
      Value* const ones = builder_.CreateUnaryIntrinsic(llvm::Intrinsic::ctpop, low);
      Value* const odd = builder_.CreateTrunc(ones, builder_.getInt1Ty());
      return (code & 1) != 0 ? odd : builder_.CreateNot(odd);
    }
    case 6:
      return ordered(Predicate::ICMP_SLT);
    default:
      return ordered(Predicate::ICMP_SLE);
  }
}

}  // namespace calco::jit
