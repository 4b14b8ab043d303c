// Integer arithmetic, comparison, conversion.
#include <llvm/IR/InlineAsm.h>
#include <llvm/IR/Intrinsics.h>

#include "jit/llvm/lowering.h"

namespace calco::jit {

using ir::Opcode;
using llvm::Value;

Value* Lowering::lower_integer(const ir::Instruction& instruction) {
  auto a = [&] { return argument(instruction, 0); };
  auto b = [&] { return argument(instruction, 1); };
  auto c = [&] { return argument(instruction, 2); };
  llvm::Type* const type = type_of(instruction.type);
  switch (instruction.opcode) {
    case Opcode::Add:
      return builder_.CreateAdd(a(), b());
    case Opcode::Subtract:
      return builder_.CreateSub(a(), b());
    case Opcode::AddWithCarry:
      return builder_.CreateAdd(builder_.CreateAdd(a(), b()), builder_.CreateZExt(c(), type));
    case Opcode::SubtractWithBorrow:
      return builder_.CreateSub(builder_.CreateSub(a(), b()), builder_.CreateZExt(c(), type));
    case Opcode::And:
      return builder_.CreateAnd(a(), b());
    case Opcode::Or:
      return builder_.CreateOr(a(), b());
    case Opcode::Xor:
      return builder_.CreateXor(a(), b());
    case Opcode::Not:
      return builder_.CreateNot(a());
    case Opcode::Negate:
      return builder_.CreateNeg(a());
    case Opcode::Multiply:
      return builder_.CreateMul(a(), b());
    case Opcode::MultiplyHigh:
      return multiply_high(a(), b(), /*is_signed=*/false);
    case Opcode::MultiplyHighSigned:
      return multiply_high(a(), b(), /*is_signed=*/true);
    case Opcode::ShiftLeft:
    case Opcode::ShiftRight:
    case Opcode::ShiftArithmetic:
    case Opcode::RotateLeft:
    case Opcode::RotateRight:
      return lower_shift(instruction);
    case Opcode::ByteSwap:
      return builder_.CreateUnaryIntrinsic(llvm::Intrinsic::bswap, a());
    case Opcode::PopulationCount:
      return builder_.CreateUnaryIntrinsic(llvm::Intrinsic::ctpop, a());
    case Opcode::LeadingZeros:
      return builder_.CreateBinaryIntrinsic(llvm::Intrinsic::ctlz, a(), builder_.getFalse());
    case Opcode::TrailingZeros:
      return builder_.CreateBinaryIntrinsic(llvm::Intrinsic::cttz, a(), builder_.getFalse());
    case Opcode::Address:
      return lower_address(instruction);
    case Opcode::Compare:
      return compare(instruction.auxiliary, a(), b());
    case Opcode::Select:
      return builder_.CreateSelect(a(), b(), c());
    case Opcode::Truncate:
      return builder_.CreateTrunc(a(), type);
    case Opcode::ZeroExtend:
      return builder_.CreateZExt(a(), type);
    case Opcode::SignExtend:
      return builder_.CreateSExt(a(), type);
    case Opcode::HighByte:
      return builder_.CreateTrunc(builder_.CreateLShr(a(), 8), type);
    case Opcode::InsertLowByte:
    case Opcode::InsertWord:
      return insert_bits(a(), b(), 0);
    case Opcode::InsertHighByte:
      return insert_bits(a(), b(), 8);
    default:
      return nullptr;  // Constant: see argument()
  }
}

Value* Lowering::lower_shift(const ir::Instruction& instruction) {
  Value* const operand = argument(instruction, 0);
  Value* const count = argument(instruction, 1);
  llvm::Type* const type = operand->getType();
  const Opcode opcode = instruction.opcode;
  if (opcode == Opcode::RotateLeft || opcode == Opcode::RotateRight) {
    const auto intrinsic = opcode == Opcode::RotateLeft ? llvm::Intrinsic::fshl : llvm::Intrinsic::fshr;
    return builder_.CreateIntrinsic(intrinsic, {type}, {operand, operand, builder_.CreateZExt(count, type)});
  }
  // Bytes and words are shifted as 32 bits: the count may exceed their width.
  llvm::Type* const wide = type->getIntegerBitWidth() < 32 ? builder_.getInt32Ty() : type;
  Value* const extended =
      opcode == Opcode::ShiftArithmetic ? builder_.CreateSExt(operand, wide) : builder_.CreateZExt(operand, wide);
  Value* const by = builder_.CreateZExt(count, wide);
  Value* const shifted = opcode == Opcode::ShiftLeft    ? builder_.CreateShl(extended, by)
                         : opcode == Opcode::ShiftRight ? builder_.CreateLShr(extended, by)
                                                        : builder_.CreateAShr(extended, by);
  return builder_.CreateTrunc(shifted, type);
}

Value* Lowering::lower_address(const ir::Instruction& instruction) {
  llvm::Type* const type = type_of(instruction.type);
  Value* sum = nullptr;
  if (instruction.arguments[0] != ir::kNoValue) sum = argument(instruction, 0);
  if (instruction.arguments[1] != ir::kNoValue) {
    Value* index = argument(instruction, 1);
    if (instruction.auxiliary != 0) index = builder_.CreateShl(index, instruction.auxiliary);
    sum = sum == nullptr ? index : builder_.CreateAdd(sum, index);
  }
  Value* const displacement = llvm::ConstantInt::getSigned(type, static_cast<int32_t>(instruction.immediate));
  if (sum == nullptr) return displacement;
  return instruction.immediate == 0 ? sum : builder_.CreateAdd(sum, displacement);
}

Value* Lowering::multiply_high(Value* a, Value* b, bool is_signed) {
  llvm::Type* const type = a->getType();
  const unsigned bits = type->getIntegerBitWidth();
  llvm::Type* const wide = builder_.getIntNTy(bits * 2);
  auto extend = [&](Value* value) {
    return is_signed ? builder_.CreateSExt(value, wide) : builder_.CreateZExt(value, wide);
  };
  return builder_.CreateTrunc(builder_.CreateLShr(builder_.CreateMul(extend(a), extend(b)), bits), type);
}

Value* Lowering::insert_bits(Value* into, Value* part, unsigned low) {
  const uint64_t mask = ((uint64_t{1} << part->getType()->getIntegerBitWidth()) - 1) << low;
  Value* const placed = builder_.CreateShl(builder_.CreateZExt(part, into->getType()), low);
  return builder_.CreateOr(builder_.CreateAnd(into, ~mask), placed);
}

// To RAX and RDX; what is narrower than they are clears their upper halves.
void Lowering::set_accumulators(Value* low, Value* high) {
  set(cpu::kRax, builder_.CreateZExt(low, builder_.getInt64Ty()));
  set(cpu::kRdx, builder_.CreateZExt(high, builder_.getInt64Ty()));
}

void Lowering::wide_multiply(const ir::Instruction& instruction, bool is_signed) {
  Value* const factor = argument(instruction, 0);
  Value* const accumulator = builder_.CreateTrunc(get(cpu::kRax), factor->getType());
  Value* const high = multiply_high(accumulator, factor, is_signed);
  set_accumulators(builder_.CreateMul(accumulator, factor), high);
}

}  // namespace calco::jit
