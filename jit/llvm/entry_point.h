// What the shared library of the optimising tier exports.
#pragma once

#include <optional>

#include "cpu/exec/op.h"
#include "jit/llvm/compiler.h"
#include "jit/llvm/vector_operands.h"

namespace calco::jit {

// What the library uses of the program, which thus need not export anything.
struct LlvmServices {
  std::optional<VectorSyntax> (*vector_syntax)(const ir::HostVectorInstruction& vector);
  cpu::Op (*stop_operation)();  // jit/runtime/helpers.h
};
LlvmServices llvm_services();

// A compiler that the caller owns.
using LlvmEntryPoint = RegionCompiler* (*)(const StateLayout* layout, const RuntimeEntries* entries,
                                           const LlvmServices* services, const LlvmOptions* options);
constexpr const char* kLlvmEntryPoint = "calco_make_llvm_compiler";

}  // namespace calco::jit
