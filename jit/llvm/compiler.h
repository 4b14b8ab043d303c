// The optimising tier: regions to host code through LLVM.
//
// LLVM itself is in a library of its own that is loaded when it is first needed (library.h), since that takes longer
// than starting the program. So what others see of the tier is an interface; no header of LLVM is drawn in.
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
  bool loop_heads = true;  // copy the heads of short loops (loop_heads.h)
  bool optimise = true;    // run the IR passes
  Measurement measurement = {};
  bool fast_code = false;  // generate code the quick way: three quarters of the time, larger code
  // Observers, called on the compiling thread: the module's text before and after the passes, and the finished code.
  std::function<void(std::string_view stage, std::string_view text)> dump_module;
  std::function<void(std::span<const uint8_t> code)> dump_code;
};

// Asked while a region is compiled, for each direct jump of a block to an offset in its own page where no block of the
// region begins: the address of the 8 bytes that hold the host address to go on at. They must live as long as the code,
// and may change at any time (one aligned 64-bit store).
using LinkCellSource = std::function<void**(size_t block, int32_t target)>;

// Host code in memory that is executable and not writable. Destruction frees it: only when no processor executes it and
// nothing leads to it. May outlive the compiler.
class CompiledRegion {
 public:
  virtual ~CompiledRegion() = default;
  virtual const void* entry() const = 0;               // in the convention of abi.h
  virtual std::span<const uint8_t> bytes() const = 0;  // code and constants, without padding to pages
};

struct LlvmCounters {
  uint64_t regions = 0, refused = 0, blocks = 0, guest_instructions = 0, code_bytes = 0;
  // Nanoseconds of processor time spent building LLVM's IR, in its passes, generating code, and linking it.
  uint64_t build_time = 0, pass_time = 0, codegen_time = 0, link_time = 0;
};

// Threads: one at a time. Several instances compile at once.
class RegionCompiler {
 public:
  virtual ~RegionCompiler() = default;
  // Null where the region is refused: refusal() says why.
  virtual std::unique_ptr<CompiledRegion> compile(const Region& region, const LinkCellSource& link_cell) = 0;
  virtual const std::string& refusal() const = 0;
  virtual const LlvmCounters& counters() const = 0;
};

}  // namespace calco::jit
