// Vector instructions.
#include "jit/llvm/lowering.h"

namespace calco::jit {

llvm::Value* Lowering::lower_vector(const ir::Instruction&) { return nullptr; }

}  // namespace calco::jit
