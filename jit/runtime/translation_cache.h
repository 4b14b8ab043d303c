// All translations of a machine: which code they are for, how they are linked, and when they die.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <unordered_map>
#include <vector>

#include "jit/runtime/code_cache.h"
#include "jit/runtime/translation.h"

namespace calco::jit {

// Keyed by memory offset (so processes share code, and a change of address space costs nothing) and mode.
//
// A translation lives until the guest changes its code (it then sleeps, and is revived if the same bytes are
// translated again) or its segment of the code cache is used anew.
//
// Threads: none of its own; the Translator's lock guards it. Code that runs needs no lock: what changes under it are
// aligned words, each written at once.
class TranslationCache {
 public:
  explicit TranslationCache(size_t code_bytes) : code_(code_bytes) {}

  CodeCache& code() { return code_; }

  // A fresh one, not yet known.
  std::unique_ptr<Translation> create();
  // Makes it known and alive.
  Translation& insert(std::unique_ptr<Translation> translation);
  Translation* find(uint64_t memory_offset, uint32_t mode_key) const;
  // A sleeping translation of exactly these bytes at this offset in a page (all of which can be read), alive again at
  // `memory_offset`; or null.
  Translation* revive(uint64_t memory_offset, uint32_t mode_key, const uint8_t* bytes, size_t available);

  // Lets `link` lead to `target`.
  void connect(Link& link, Translation& target);
  // Guest code in these bytes, widened to code granules, is about to change.
  void code_changes(uint64_t memory_offset, uint64_t size);
  // Forgets what lies in a segment of the code cache. Nothing of it executes. What is returned can no longer run, and
  // is to be kept until nobody has a pointer into it.
  std::vector<std::unique_ptr<Translation>> evict(unsigned segment);
  // Replaces the body of a translation that counts its entries by a jump to better code (null: by its own again).
  void redirect(Translation& translation, const void* code);
  // Lets `link` lead to its stub.
  void disconnect(Link& link);
  // Called for each translation that dies, while its neighbours still stand.
  std::function<void(Translation&)> on_death;

  struct Counters {
    uint64_t translations = 0, guest_bytes = 0, host_bytes = 0, guest_instructions = 0;
    uint64_t links = 0, invalidations = 0, revivals = 0, evictions = 0;
  } counters;
  size_t known() const { return known_.size(); }

 private:
  std::unique_ptr<Translation> wake(Translation& old, uint64_t memory_offset);
  void kill(Translation& translation);
  void forget_pages(Translation& translation, uint64_t but);
  void disconnect_incoming(Translation& translation);
  static uint64_t key(uint64_t memory_offset, uint32_t mode_key) { return memory_offset | uint64_t{mode_key} << 48; }
  static bool holds(const Translation& translation, const uint8_t* page);
  static uint64_t sleep_key(const Translation& translation);

  CodeCache code_;
  std::unordered_map<uint64_t, Translation*> known_;
  std::unordered_map<uint64_t, std::vector<Translation*>> pages_;
  std::unordered_multimap<uint64_t, Translation*> sleeping_;  // by content
  std::vector<std::unique_ptr<Translation>> segments_[CodeCache::kSegments];
};

}  // namespace calco::jit
