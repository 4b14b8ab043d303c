// The shared library's only export.
#include "jit/llvm/entry_point.h"
#include "jit/llvm/llvm_compiler.h"

extern "C" [[gnu::visibility("default")]] calco::jit::RegionCompiler* calco_make_llvm_compiler(
    const calco::jit::StateLayout* layout, const calco::jit::RuntimeEntries* entries,
    const calco::jit::LlvmServices* services, const calco::jit::LlvmOptions* options) {
  return calco::jit::make_llvm_compiler(*layout, *entries, *services, *options).release();
}
