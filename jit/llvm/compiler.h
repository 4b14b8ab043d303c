// The optimising tier: regions to host code through LLVM.
//
// This header and compile_queue.h are all that others see of the tier; no LLVM header is drawn in.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "jit/llvm/region.h"
#include "jit/runtime/abi.h"

namespace calco::jit {

// Switches, mostly for bisection and measurement.
struct LlvmOptions {
  // Remember the last page of the accesses that share a base register, so that most of them only compare page numbers.
  bool page_cache = true;
  bool optimise = true;    // run the IR passes
  bool fast_code = false;  // generate code the quick way: about half the time, larger code
  // Observers, called on the compiling thread: the module's text before and after the passes, and the finished code.
  std::function<void(std::string_view stage, std::string_view text)> dump_module;
  std::function<void(std::span<const uint8_t> code)> dump_code;
};

// Asked while a region is compiled, once for each direct target in the page that is not of the region: the address of
// the 8 bytes that hold the host address to go on at. They must live as long as the code, and may change at any time
// (one aligned 64-bit store).
using LinkCellSource = std::function<void**(int32_t target)>;

// Host code in memory that is executable and not writable. Destruction frees it: only when no processor executes it and
// nothing leads to it. May outlive the compiler.
class CompiledRegion {
 public:
  class Code;

  CompiledRegion();
  explicit CompiledRegion(std::unique_ptr<Code> code);
  ~CompiledRegion();
  CompiledRegion(CompiledRegion&&) noexcept;
  CompiledRegion& operator=(CompiledRegion&&) noexcept;

  // False where the region was refused: LlvmCompiler::refusal() says why.
  explicit operator bool() const { return code_ != nullptr; }
  const void* entry() const;               // in the convention of abi.h
  std::span<const uint8_t> bytes() const;  // code and constants, without padding to pages

 private:
  std::unique_ptr<Code> code_;
};

struct LlvmCounters {
  uint64_t regions = 0, refused = 0, blocks = 0, guest_instructions = 0, code_bytes = 0;
  // Nanoseconds spent building LLVM's IR, in its passes, generating code, and linking it.
  uint64_t build_time = 0, pass_time = 0, codegen_time = 0, link_time = 0;
};

// Threads: one at a time. Several instances compile at once.
class LlvmCompiler {
 public:
  LlvmCompiler(const StateLayout& layout, const RuntimeEntries& entries, LlvmOptions options = {});
  ~LlvmCompiler();
  LlvmCompiler(const LlvmCompiler&) = delete;
  LlvmCompiler& operator=(const LlvmCompiler&) = delete;

  CompiledRegion compile(const Region& region, const LinkCellSource& link_cell);

  const std::string& refusal() const;
  const LlvmCounters& counters() const;

 private:
  struct Implementation;
  std::unique_ptr<Implementation> implementation_;
};

}  // namespace calco::jit
