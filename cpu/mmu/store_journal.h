// What a piece of execution stores, so that it can be undone and done again.
#pragma once

#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

namespace calco::cpu {

// Notes the bytes of guest memory behind each store of one processor, while its Mmu has the journal, and what execution
// did besides that cannot be undone. Accessed and dirty bits of page tables are not undone: they may be set early.
//
// Threads: the vCPU's own.
class StoreJournal {
 public:
  // What is done once only.
  enum Outside : uint8_t {
    kDevice = 1,      // an access to what is not memory, or a port
    kClock = 2,       // a counter that goes on by itself
    kCode = 4,        // a store to bytes that were decoded or translated
    kPageTables = 8,  // a walk set accessed or dirty bits
    kSystem = 16,     // a model-specific register, the local APIC
  };
  struct Store {
    uint8_t* host;
    uint32_t size;
    uint32_t position;  // of the old bytes
  };

  // To be called before the bytes change.
  void note_store(uint8_t* host, size_t size) {
    stores_.push_back({host, static_cast<uint32_t>(size), static_cast<uint32_t>(old_bytes_.size())});
    old_bytes_.insert(old_bytes_.end(), host, host + size);
  }
  void note(Outside what) { outside_ |= what; }

  void clear() {
    stores_.clear();
    old_bytes_.clear();
    outside_ = 0;
  }
  void undo() const {
    for (auto store = stores_.rbegin(); store != stores_.rend(); ++store) {
      std::memcpy(store->host, &old_bytes_[store->position], store->size);
    }
  }
  std::span<const Store> stores() const { return stores_; }
  uint8_t outside() const { return outside_; }

 private:
  std::vector<Store> stores_;
  std::vector<uint8_t> old_bytes_;
  uint8_t outside_ = 0;
};

}  // namespace calco::cpu
