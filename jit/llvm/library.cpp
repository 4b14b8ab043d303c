#include "jit/llvm/library.h"

#include <dlfcn.h>

#include <filesystem>
#include <system_error>

#include "jit/llvm/entry_point.h"
#include "jit/runtime/helpers.h"

namespace calco::jit {

namespace {

// Null where there is none, with `error` saying why.
LlvmEntryPoint load_entry_point(const std::string& path, std::string& error) {
  void* const library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
  void* const symbol = library == nullptr ? nullptr : dlsym(library, kLlvmEntryPoint);
  if (symbol == nullptr) error = dlerror();
  return reinterpret_cast<LlvmEntryPoint>(symbol);
}

}  // namespace

std::unique_ptr<RegionCompiler> load_llvm_compiler(const std::string& path, const StateLayout& layout,
                                                   const RuntimeEntries& entries, const LlvmOptions& options,
                                                   std::string& error) {
  const LlvmEntryPoint entry_point = load_entry_point(path, error);
  if (entry_point == nullptr) return nullptr;
  const LlvmServices services = llvm_services();
  return std::unique_ptr<RegionCompiler>(entry_point(&layout, &entries, &services, &options));
}

std::string llvm_library_refusal(const std::string& path) {
  std::string error;
  load_entry_point(path, error);
  return error;
}

LlvmServices llvm_services() { return {&vector_syntax, &stop_operation}; }

std::string llvm_library_path() {
  constexpr const char* kName = "libcalco_llvm.so";
  std::error_code error;
  const std::filesystem::path folder = std::filesystem::read_symlink("/proc/self/exe", error).parent_path();
  const std::filesystem::path above = folder.parent_path() / kName;
  return (std::filesystem::exists(folder / kName, error) ? folder / kName : above).string();
}

}  // namespace calco::jit
