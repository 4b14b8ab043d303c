#include "jit/llvm/library.h"

#include <dlfcn.h>

#include <filesystem>
#include <system_error>

#include "jit/llvm/entry_point.h"

namespace calco::jit {

std::unique_ptr<RegionCompiler> load_llvm_compiler(const std::string& path, const StateLayout& layout,
                                                   const RuntimeEntries& entries, const LlvmOptions& options,
                                                   std::string& error) {
  void* const library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
  void* const symbol = library == nullptr ? nullptr : dlsym(library, kLlvmEntryPoint);
  if (symbol == nullptr) {
    error = dlerror();
    return nullptr;
  }
  const auto entry_point = reinterpret_cast<LlvmEntryPoint>(symbol);
  return std::unique_ptr<RegionCompiler>(entry_point(&layout, &entries, &options));
}

std::string llvm_library_path() {
  std::error_code error;
  const std::filesystem::path program = std::filesystem::read_symlink("/proc/self/exe", error);
  const std::filesystem::path name = "libcalco_llvm.so";
  const std::filesystem::path beside = program.parent_path() / name;
  // Tests are built one folder deeper.
  return std::filesystem::exists(beside, error) ? beside : program.parent_path().parent_path() / name;
}

}  // namespace calco::jit
