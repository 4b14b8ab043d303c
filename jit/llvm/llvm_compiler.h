// The compiler, where the program is linked with it; see library.h for where it is not.
#pragma once

#include <memory>

#include "jit/llvm/compiler.h"
#include "jit/llvm/entry_point.h"

namespace calco::jit {

std::unique_ptr<RegionCompiler> make_llvm_compiler(const StateLayout& layout, const RuntimeEntries& entries,
                                                   const LlvmServices& services, const LlvmOptions& options = {});

}  // namespace calco::jit
