// Object files to executable memory.
#pragma once

#include <llvm/ExecutionEngine/JITLink/JITLink.h>

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "jit/llvm/thunk.h"

namespace calco::jit {

// Code in memory that is executable and not writable. Threads: any.
class LinkedCode {
 public:
  LinkedCode(std::shared_ptr<llvm::jitlink::JITLinkMemoryManager> memory,
             llvm::jitlink::JITLinkMemoryManager::FinalizedAlloc allocation, const void* entry,
             std::span<const uint8_t> bytes)
      : memory_(std::move(memory)), allocation_(std::move(allocation)), entry_(entry), bytes_(bytes) {}
  ~LinkedCode();
  LinkedCode(const LinkedCode&) = delete;
  LinkedCode& operator=(const LinkedCode&) = delete;

  const void* entry() const { return entry_; }
  std::span<const uint8_t> bytes() const { return bytes_; }

 private:
  std::shared_ptr<llvm::jitlink::JITLinkMemoryManager> memory_;
  llvm::jitlink::JITLinkMemoryManager::FinalizedAlloc allocation_;
  const void* entry_;
  std::span<const uint8_t> bytes_;
};

// Links an object whose undefined symbols are the thunks. Null with `error` set where that fails.
std::unique_ptr<LinkedCode> link_object(std::span<const char> object, const std::vector<Thunk>& thunks,
                                        const std::string& entry_symbol,
                                        const std::shared_ptr<llvm::jitlink::JITLinkMemoryManager>& memory,
                                        std::string& error);

}  // namespace calco::jit
