// Loads the optimising tier while the program runs.
#pragma once

#include <memory>
#include <string>

#include "jit/llvm/compiler.h"

namespace calco::jit {

// Makes a compiler out of the shared library at `path`; null where there is none, or it is not of this program, with
// `error` saying why. The library stays loaded until the program ends. Threads: any.
std::unique_ptr<RegionCompiler> load_llvm_compiler(const std::string& path, const StateLayout& layout,
                                                   const RuntimeEntries& entries, const LlvmOptions& options,
                                                   std::string& error);

// Why the library at `path` cannot be used, in one line that names it; empty: it can. Loads it. Threads: any.
std::string llvm_library_refusal(const std::string& path);

// Where the build puts the library: beside the program, or one folder up (test programs).
std::string llvm_library_path();

}  // namespace calco::jit
