#include "jit/llvm/linker.h"

#include <fmt/format.h>
#include <llvm/ExecutionEngine/JITLink/ELF.h>

#include <algorithm>
#include <cstring>
#include <utility>

namespace calco::jit {

namespace jitlink = llvm::jitlink;

LinkedCode::~LinkedCode() {
  std::vector<jitlink::JITLinkMemoryManager::FinalizedAlloc> allocations;
  allocations.push_back(std::move(allocation_));
  llvm::consumeError(memory_->deallocate(std::move(allocations)));
}

namespace {

void append_address(std::vector<char>& code, const void* address) {
  const auto value = reinterpret_cast<uintptr_t>(address);
  const auto* const bytes = reinterpret_cast<const char*>(&value);
  code.insert(code.end(), bytes, bytes + sizeof value);
}

#if defined(__x86_64__)
// R10 is free at tail calls (abi.h), R11 at calls of preserve_allcc functions.
std::vector<char> thunk_code(const Thunk& thunk) {
  const bool call = thunk.kind == Thunk::Kind::Call;
  std::vector<char> code{'\x49', call ? '\xBB' : '\xBA'};  // mov r10/r11, target
  append_address(code, thunk.target);
  const char modrm = thunk.kind == Thunk::Kind::Cell ? '\x22' : call ? '\xE3' : '\xE2';
  code.insert(code.end(), {'\x41', '\xFF', modrm});  // jmp [r10], r10 or r11
  return code;
}
#elif defined(__aarch64__)
// X16 is what linkers may use between a call and its target.
std::vector<char> thunk_code(const Thunk& thunk) {
  std::vector<char> code;
  auto append = [&](uint32_t instruction) {
    const auto* const bytes = reinterpret_cast<const char*>(&instruction);
    code.insert(code.end(), bytes, bytes + sizeof instruction);
  };
  const bool cell = thunk.kind == Thunk::Kind::Cell;
  append(cell ? 0x58000090 : 0x58000050);  // ldr x16, target (16 or 8 bytes ahead)
  if (cell) append(0xF9400210);            // ldr x16, [x16]
  append(0xD61F0200);                      // br x16
  if (cell) append(0xD503201F);            // nop
  append_address(code, thunk.target);
  return code;
}
#else
std::vector<char> thunk_code(const Thunk&) { return {}; }
#endif

// One link: gives every undefined symbol its thunk, and remembers what came of it.
class Link final : public jitlink::JITLinkContext {
 public:
  struct Result {
    std::unique_ptr<LinkedCode> code;
    std::string error;
  };

  Link(const std::vector<Thunk>& thunks, const std::string& entry_symbol,
       const std::shared_ptr<jitlink::JITLinkMemoryManager>& memory, Result& result)
      : JITLinkContext(nullptr), thunks_(thunks), entry_symbol_(entry_symbol), memory_(memory), result_(result) {}

  jitlink::JITLinkMemoryManager& getMemoryManager() override { return *memory_; }
  void notifyFailed(llvm::Error error) override { result_.error = llvm::toString(std::move(error)); }
  void lookup(const LookupMap& symbols, std::unique_ptr<jitlink::JITLinkAsyncLookupContinuation> done) override {
    done->run(llvm::make_error<llvm::StringError>(
        symbols.empty() ? std::string("no symbols") : fmt::format("undefined symbol {}", symbols.begin()->first.str()),
        llvm::inconvertibleErrorCode()));
  }
  llvm::Error modifyPassConfig(jitlink::LinkGraph&, jitlink::PassConfiguration& config) override {
    config.PrePrunePasses.insert(config.PrePrunePasses.begin(), [this](jitlink::LinkGraph& graph) {
      add_thunks(graph);
      // Read already (stack_maps.h).
      if (jitlink::Section* const maps = graph.findSectionByName(".llvm_stackmaps")) graph.removeSection(*maps);
      return llvm::Error::success();
    });
    return llvm::Error::success();
  }
  llvm::Error notifyResolved(jitlink::LinkGraph& graph) override {
    for (const jitlink::Symbol* symbol : graph.defined_symbols()) {
      if (symbol->hasName() && symbol->getName() == entry_symbol_)
        entry_ = symbol->getAddress().toPtr<const uint8_t*>();
    }
    uintptr_t first = ~uintptr_t{0};
    uintptr_t last = 0;
    for (const jitlink::Block* block : graph.blocks()) {
      first = std::min<uintptr_t>(first, block->getAddress().getValue());
      last = std::max<uintptr_t>(last, block->getAddress().getValue() + block->getSize());
    }
    bytes_ = {reinterpret_cast<const uint8_t*>(first), last - first};
    return llvm::Error::success();
  }
  void notifyFinalized(jitlink::JITLinkMemoryManager::FinalizedAlloc allocation) override {
    result_.code = std::make_unique<LinkedCode>(memory_, std::move(allocation), entry_, bytes_);
  }

 private:
  void add_thunks(jitlink::LinkGraph& graph) {
    jitlink::Section* section = graph.findSectionByName(".text");
    std::vector<jitlink::Symbol*> undefined(graph.external_symbols().begin(), graph.external_symbols().end());
    for (jitlink::Symbol* symbol : undefined) {
      const auto thunk = std::find_if(thunks_.begin(), thunks_.end(),
                                      [&](const Thunk& each) { return symbol->getName() == each.symbol; });
      if (thunk == thunks_.end() || section == nullptr) continue;
      const std::vector<char> code = thunk_code(*thunk);
      llvm::MutableArrayRef<char> content = graph.allocateContent(llvm::ArrayRef<char>(code));
      jitlink::Block& block = graph.createContentBlock(*section, content, llvm::orc::ExecutorAddr(), 8, 0);
      graph.makeDefined(*symbol, block, 0, code.size(), jitlink::Linkage::Strong, jitlink::Scope::Local,
                        /*IsLive=*/true);
    }
  }

  const std::vector<Thunk>& thunks_;
  const std::string& entry_symbol_;
  std::shared_ptr<jitlink::JITLinkMemoryManager> memory_;
  Result& result_;
  const uint8_t* entry_ = nullptr;
  std::span<const uint8_t> bytes_;
};

}  // namespace

std::unique_ptr<LinkedCode> link_object(std::span<const char> object, const std::vector<Thunk>& thunks,
                                        const std::string& entry_symbol,
                                        const std::shared_ptr<jitlink::JITLinkMemoryManager>& memory,
                                        std::string& error) {
  const llvm::MemoryBufferRef buffer(llvm::StringRef(object.data(), object.size()), "region");
  llvm::Expected<std::unique_ptr<jitlink::LinkGraph>> graph = jitlink::createLinkGraphFromELFObject(buffer);
  if (!graph) {
    error = llvm::toString(graph.takeError());
    return nullptr;
  }
  // The memory manager and the lookup answer at once, so the link is finished when link() returns.
  Link::Result result;
  jitlink::link(std::move(*graph), std::make_unique<Link>(thunks, entry_symbol, memory, result));
  error = result.error;
  return std::move(result.code);
}

}  // namespace calco::jit
