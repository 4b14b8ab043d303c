#include <llvm/IR/InlineAsm.h>

#include "jit/llvm/lowering.h"
#include "jit/llvm/pipeline.h"

namespace calco::jit {

using llvm::Value;

// Guest code has 16 vector registers of at most 256 bits.
bool may_use_host_feature(std::string_view name) { return !name.starts_with("avx512") && !name.starts_with("avx10"); }

// The host's instruction: LLVM has none that divides a number twice as wide.
void Lowering::wide_divide(const ir::Instruction& instruction, bool is_signed) {
  Value* const divisor = argument(instruction, 0);
  llvm::Type* const type = divisor->getType();
  Value* const low = builder_.CreateTrunc(get(cpu::kRax), type);
  Value* const high = builder_.CreateTrunc(get(cpu::kRdx), type);
  auto* const results = llvm::StructType::get(context_, {type, type});
  auto* const function = llvm::FunctionType::get(results, {type, type, type}, /*isVarArg=*/false);
  const bool wide = type->isIntegerTy(64);
  const char* const text = is_signed ? (wide ? "idivq $2" : "idivl $2") : (wide ? "divq $2" : "divl $2");
  auto* const division = llvm::InlineAsm::get(function, text, "={ax},={dx},r,0,1,~{dirflag},~{fpsr},~{flags}",
                                              /*hasSideEffects=*/true);
  Value* const both = builder_.CreateCall(function, division, {divisor, low, high});
  set_accumulators(builder_.CreateExtractValue(both, 0), builder_.CreateExtractValue(both, 1));
}

}  // namespace calco::jit
