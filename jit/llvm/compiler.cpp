#include <llvm/ExecutionEngine/JITLink/JITLinkMemoryManager.h>
#include <llvm/IR/DiagnosticInfo.h>
#include <llvm/IR/DiagnosticPrinter.h>
#include <llvm/IR/Verifier.h>
#include <llvm/Support/raw_ostream.h>

#include <ctime>
#include <utility>

#include "jit/llvm/linker.h"
#include "jit/llvm/llvm_compiler.h"
#include "jit/llvm/loop_heads.h"
#include "jit/llvm/lowering.h"
#include "jit/llvm/pipeline.h"
#include "jit/llvm/stack_maps.h"

namespace calco::jit {

namespace {

class LlvmRegion final : public CompiledRegion {
 public:
  const void* entry() const override { return linked->entry(); }
  std::span<const uint8_t> bytes() const override { return linked->bytes(); }

  std::deque<InterpretedOperations> operations;  // that the code refers to
  std::deque<StateTable> tables;                 // the same
  std::unique_ptr<LinkedCode> linked;
};

uint64_t processor_time() {
  timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

// Adds the processor time that the thread spends during its life to a counter.
class Stopwatch {
 public:
  explicit Stopwatch(uint64_t& nanoseconds) : nanoseconds_(nanoseconds) {}
  ~Stopwatch() { nanoseconds_ += processor_time() - start_; }

 private:
  uint64_t& nanoseconds_;
  const uint64_t start_ = processor_time();
};

// Keeps what LLVM complains of (inline assembly, registers) from ending the program.
class Complaints final : public llvm::DiagnosticHandler {
 public:
  explicit Complaints(std::string& text) : text_(text) {}
  bool handleDiagnostics(const llvm::DiagnosticInfo& info) override {
    if (info.getSeverity() != llvm::DS_Error) return true;
    llvm::raw_string_ostream stream(text_);
    llvm::DiagnosticPrinterRawOStream printer(stream);
    info.print(printer);
    return true;
  }

 private:
  std::string& text_;
};

std::string text_of(const llvm::Module& module) {
  std::string text;
  llvm::raw_string_ostream stream(text);
  module.print(stream, nullptr);
  return text;
}

class LlvmCompiler final : public RegionCompiler {
 public:
  LlvmCompiler(const StateLayout& layout, const RuntimeEntries& entries, const LlvmServices& services,
               const LlvmOptions& options);

  std::unique_ptr<CompiledRegion> compile(const Region& region, const LinkCellSource& link_cell) override;
  const std::string& refusal() const override { return refusal_; }
  const LlvmCounters& counters() const override { return counters_; }

 private:
  // The steps of compile(); false or null with refusal_ set.
  bool lower(const Region& region, const LinkCellSource& link_cell, llvm::Module& module, LlvmRegion& result,
             std::vector<Thunk>& thunks);
  bool link(llvm::Module& module, const std::vector<Thunk>& thunks, LlvmRegion& result);
  void count(const Region& region, const LlvmRegion& result);
  void dump(std::string_view stage, const llvm::Module& module) const {
    if (options_.dump_module) options_.dump_module(stage, text_of(module));
  }

  const StateLayout layout_;
  const RuntimeEntries entries_;
  const LlvmServices services_;
  const LlvmOptions options_;
  Pipeline pipeline_;
  std::shared_ptr<llvm::jitlink::JITLinkMemoryManager> memory_;
  LlvmCounters counters_;
  std::string refusal_;
};

LlvmCompiler::LlvmCompiler(const StateLayout& layout, const RuntimeEntries& entries, const LlvmServices& services,
                           const LlvmOptions& options)
    : layout_(layout),
      entries_(entries),
      services_(services),
      options_(options),
      pipeline_(options.optimise, options.fast_code) {
  auto memory = llvm::jitlink::InProcessMemoryManager::Create();
  if (memory) {
    memory_ = std::move(*memory);
  } else {
    llvm::consumeError(memory.takeError());
  }
}

std::unique_ptr<CompiledRegion> LlvmCompiler::compile(const Region& region, const LinkCellSource& link_cell) {
  refusal_.clear();
  auto result = std::make_unique<LlvmRegion>();
  llvm::LLVMContext context;
  context.setDiagnosticHandler(std::make_unique<Complaints>(refusal_));
  llvm::Module module("region", context);
  std::vector<Thunk> thunks;
  if (!lower(region, link_cell, module, *result, thunks) || !link(module, thunks, *result)) {
    ++counters_.refused;
    return nullptr;
  }
  count(region, *result);
  return result;
}

bool LlvmCompiler::lower(const Region& given, const LinkCellSource& link_cell, llvm::Module& module, LlvmRegion& result,
                         std::vector<Thunk>& thunks) {
  const llvm::TargetMachine* const target = pipeline_.target();
  if (target == nullptr || memory_ == nullptr) {
    refusal_ = "LLVM does not know this host";
    return false;
  }
  const Stopwatch watch(counters_.build_time);
  module.setTargetTriple(target->getTargetTriple().str());
  module.setDataLayout(target->createDataLayout());
  Region region = given;
  if (options_.loop_heads) copy_loop_heads(region);
  // The register allocator of quick code generation has no place for a table's values.
  const bool stack_maps = !options_.fast_code;
  Lowering lowering(module, {region, layout_, entries_, services_, link_cell, options_.page_cache, stack_maps,
                             options_.measurement, result.operations, result.tables});
  lowering.run();
  thunks = lowering.thunks();
  refusal_ = lowering.refusal();
  if (!refusal_.empty()) return false;
  dump("before passes", module);
#ifndef __OPTIMIZE__
  llvm::raw_string_ostream errors(refusal_);
  if (llvm::verifyModule(module, &errors)) return false;
#endif
  return true;
}

bool LlvmCompiler::link(llvm::Module& module, const std::vector<Thunk>& thunks, LlvmRegion& result) {
  {
    const Stopwatch watch(counters_.pass_time);
    pipeline_.optimise(module);
  }
  dump("after passes", module);
  llvm::SmallVector<char, 0> object;
  {
    const Stopwatch watch(counters_.codegen_time);
    object = pipeline_.generate_object(module);
  }
  if (!refusal_.empty()) return false;
  const Stopwatch watch(counters_.link_time);
  if (!read_stack_maps(object, result.tables, refusal_)) return false;
  result.linked = link_object(object, thunks, Lowering::kFunctionName, memory_, refusal_);
  if (result.linked == nullptr) return false;
  if (options_.dump_code) {
    const std::span<const uint8_t> bytes = result.bytes();
    const auto thunks_size = static_cast<const uint8_t*>(result.entry()) - bytes.data();
    options_.dump_code(bytes.subspan(static_cast<size_t>(thunks_size)));
  }
  return true;
}

void LlvmCompiler::count(const Region& region, const LlvmRegion& result) {
  ++counters_.regions;
  counters_.blocks += region.blocks.size();
  for (const ir::Block& block : region.blocks) counters_.guest_instructions += block.guest.size();
  counters_.code_bytes += result.bytes().size();
}

}  // namespace

std::unique_ptr<RegionCompiler> make_llvm_compiler(const StateLayout& layout, const RuntimeEntries& entries,
                                                   const LlvmServices& services, const LlvmOptions& options) {
  return std::make_unique<LlvmCompiler>(layout, entries, services, options);
}

}  // namespace calco::jit
