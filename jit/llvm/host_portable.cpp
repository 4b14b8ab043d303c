#include "jit/llvm/lowering.h"
#include "jit/llvm/pipeline.h"

namespace calco::jit {

using llvm::Value;

// The compiler's own preserve_all functions (jit/portable/entries.cpp) keep what the compiler knows of, which on x86-64
// are 128 bits of each vector register.
bool may_use_host_feature(std::string_view name) { return !name.starts_with("avx"); }

// LLVM has no division of a number twice as wide by itself. Signed dividends are only sign-extended ones
// (jit/frontend/multiply_divide.cpp); unsigned ones of more than 64 bits are left to the interpreter. Quotients fit.
void Lowering::wide_divide(const ir::Instruction& instruction, bool is_signed) {
  Value* const divisor = argument(instruction, 0);
  llvm::Type* const type = divisor->getType();
  Value* const low = builder_.CreateTrunc(get(cpu::kRax), type);
  if (is_signed) return set_accumulators(builder_.CreateSDiv(low, divisor), builder_.CreateSRem(low, divisor));
  Value* const high = builder_.CreateTrunc(get(cpu::kRdx), type);
  if (type->isIntegerTy(64)) {
    branch_unlikely(builder_.CreateICmpNE(high, builder_.getInt64(0)), bail_block(instruction));
    return set_accumulators(builder_.CreateUDiv(low, divisor), builder_.CreateURem(low, divisor));
  }
  llvm::Type* const wide = builder_.getInt64Ty();
  Value* const dividend =
      builder_.CreateOr(builder_.CreateZExt(low, wide), builder_.CreateShl(builder_.CreateZExt(high, wide), 32));
  Value* const extended = builder_.CreateZExt(divisor, wide);
  set_accumulators(builder_.CreateTrunc(builder_.CreateUDiv(dividend, extended), type),
                   builder_.CreateTrunc(builder_.CreateURem(dividend, extended), type));
}

}  // namespace calco::jit
