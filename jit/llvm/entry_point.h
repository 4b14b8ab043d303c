// What the shared library of the optimising tier exports.
#pragma once

#include "jit/llvm/compiler.h"

namespace calco::jit {

// A compiler that the caller owns.
using LlvmEntryPoint = RegionCompiler* (*)(const StateLayout* layout, const RuntimeEntries* entries,
                                           const LlvmOptions* options);
constexpr const char* kLlvmEntryPoint = "calco_make_llvm_compiler";

}  // namespace calco::jit
