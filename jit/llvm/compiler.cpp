#include "jit/llvm/compiler.h"

#include <llvm/ExecutionEngine/JITLink/JITLinkMemoryManager.h>
#include <llvm/IR/DiagnosticInfo.h>
#include <llvm/IR/DiagnosticPrinter.h>
#include <llvm/IR/Verifier.h>
#include <llvm/Support/raw_ostream.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "jit/llvm/linker.h"
#include "jit/llvm/lowering.h"
#include "jit/llvm/pipeline.h"

namespace calco::jit {

class CompiledRegion::Code {
 public:
  std::unique_ptr<LinkedCode> linked;
  std::deque<cpu::Op> operations;  // that the code refers to
};

CompiledRegion::CompiledRegion() = default;
CompiledRegion::CompiledRegion(std::unique_ptr<Code> code) : code_(std::move(code)) {}
CompiledRegion::~CompiledRegion() = default;
CompiledRegion::CompiledRegion(CompiledRegion&&) noexcept = default;
CompiledRegion& CompiledRegion::operator=(CompiledRegion&&) noexcept = default;
const void* CompiledRegion::entry() const { return code_->linked->entry(); }
std::span<const uint8_t> CompiledRegion::bytes() const { return code_->linked->bytes(); }

namespace {

using Clock = std::chrono::steady_clock;

// Adds the time of its own life to a counter.
class Stopwatch {
 public:
  explicit Stopwatch(uint64_t& nanoseconds) : nanoseconds_(nanoseconds) {}
  ~Stopwatch() {
    nanoseconds_ +=
        static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now() - start_).count());
  }

 private:
  uint64_t& nanoseconds_;
  Clock::time_point start_ = Clock::now();
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

bool has_vectors(const Region& region) {
  return std::any_of(region.blocks.begin(), region.blocks.end(), [](const ir::Block& block) {
    return std::any_of(block.code.begin(), block.code.end(),
                       [](const ir::Instruction& each) { return each.opcode == ir::Opcode::HostVector; });
  });
}

std::string text_of(const llvm::Module& module) {
  std::string text;
  llvm::raw_string_ostream stream(text);
  module.print(stream, nullptr);
  return text;
}

}  // namespace

struct LlvmCompiler::Implementation {
  const StateLayout layout;
  const RuntimeEntries entries;
  const LlvmOptions options;
  Pipeline pipeline{options.optimise, options.fast_code};
  std::shared_ptr<llvm::jitlink::JITLinkMemoryManager> memory;
  LlvmCounters counters;
  std::string refusal;

  std::unique_ptr<CompiledRegion::Code> compile(const Region& region, const LinkCellSource& link_cell);
  void dump(std::string_view stage, const llvm::Module& module) const {
    if (options.dump_module) options.dump_module(stage, text_of(module));
  }
};

LlvmCompiler::LlvmCompiler(const StateLayout& layout, const RuntimeEntries& entries, LlvmOptions options)
    : implementation_(std::make_unique<Implementation>(layout, entries, std::move(options))) {
  auto memory = llvm::jitlink::InProcessMemoryManager::Create();
  if (memory) {
    implementation_->memory = std::move(*memory);
  } else {
    llvm::consumeError(memory.takeError());
  }
}

LlvmCompiler::~LlvmCompiler() = default;
const std::string& LlvmCompiler::refusal() const { return implementation_->refusal; }
const LlvmCounters& LlvmCompiler::counters() const { return implementation_->counters; }

CompiledRegion LlvmCompiler::compile(const Region& region, const LinkCellSource& link_cell) {
  implementation_->refusal.clear();
  std::unique_ptr<CompiledRegion::Code> code = implementation_->compile(region, link_cell);
  LlvmCounters& counters = implementation_->counters;
  if (code == nullptr) {
    ++counters.refused;
    return {};
  }
  ++counters.regions;
  counters.blocks += region.blocks.size();
  for (const ir::Block& block : region.blocks) counters.guest_instructions += block.guest.size();
  counters.code_bytes += code->linked->bytes().size();
  return CompiledRegion(std::move(code));
}

std::unique_ptr<CompiledRegion::Code> LlvmCompiler::Implementation::compile(const Region& region,
                                                                            const LinkCellSource& link_cell) {
  const llvm::TargetMachine* const target = pipeline.target();
  if (target == nullptr || memory == nullptr) {
    refusal = "LLVM does not know this host";
    return nullptr;
  }
  if (has_vectors(region)) {
    refusal = "vector instructions are not translated";
    return nullptr;
  }
  auto code = std::make_unique<CompiledRegion::Code>();
  llvm::LLVMContext context;
  context.setDiagnosticHandler(std::make_unique<Complaints>(refusal));
  llvm::Module module("region", context);
  module.setTargetTriple(target->getTargetTriple().str());
  module.setDataLayout(target->createDataLayout());
  std::vector<Thunk> thunks;
  {
    const Stopwatch watch(counters.build_time);
    Lowering lowering(module, {region, layout, entries, link_cell, options.page_cache, code->operations});
    lowering.run();
    thunks = lowering.thunks();
  }
  dump("before passes", module);
#ifndef NDEBUG
  llvm::raw_string_ostream errors(refusal);
  if (llvm::verifyModule(module, &errors)) return nullptr;
#endif
  {
    const Stopwatch watch(counters.pass_time);
    pipeline.optimise(module);
  }
  dump("after passes", module);
  llvm::SmallVector<char, 0> object;
  {
    const Stopwatch watch(counters.codegen_time);
    object = pipeline.generate_object(module);
  }
  if (!refusal.empty()) return nullptr;
  const Stopwatch watch(counters.link_time);
  code->linked = link_object(object, thunks, Lowering::kFunctionName, memory, refusal);
  if (code->linked == nullptr) return nullptr;
  if (options.dump_code) options.dump_code(code->linked->bytes());
  return code;
}

}  // namespace calco::jit
