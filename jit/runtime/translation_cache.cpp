#include "jit/runtime/translation_cache.h"

#include <algorithm>
#include <cstring>
#include <string_view>
#include <utility>

#include "jit/runtime/code_patches.h"
#include "machine/core/guest_memory.h"

namespace calco::jit {

namespace {

uint64_t hash_of(const uint8_t* bytes, size_t size) {
  return std::hash<std::string_view>{}({reinterpret_cast<const char*>(bytes), size});
}

}  // namespace

std::unique_ptr<Translation> TranslationCache::create() {
  auto translation = std::make_unique<Translation>();
  translation->segment = code_.current_segment();
  return translation;
}

Translation& TranslationCache::insert(std::unique_ptr<Translation> owned) {
  Translation& translation = *owned;
  note_code(code_, translation);
  known_[key(translation.memory_offset, translation.mode_key)] = &translation;
  pages_[translation.memory_offset / kPageSize].push_back(&translation);
  if (translation.second_page != Translation::kNowhere) {
    pages_[translation.second_page / kPageSize].push_back(&translation);
  }
  segments_[translation.segment].push_back(std::move(owned));
  translation.alive = true;
  ++counters.translations;
  counters.guest_bytes += translation.byte_length;
  counters.guest_instructions += translation.guest_instructions;
  counters.host_bytes += translation.host_bytes;
  return translation;
}

Translation* TranslationCache::find(uint64_t memory_offset, uint32_t mode_key) const {
  const auto found = known_.find(key(memory_offset, mode_key));
  return found != known_.end() ? found->second : nullptr;
}

// --- Sleep and revival -----------------------------------------------------------------------------------------------

// The first bytes are enough to find candidates by.
uint64_t TranslationCache::sleep_key(const Translation& translation) {
  const size_t size = std::min<size_t>(translation.byte_length, 8);
  return hash_of(translation.guest_code.data(), size) ^ (translation.memory_offset % kPageSize) << 20 ^
         uint64_t { translation.mode_key } << 40;
}

// Whether the page has the bytes that the translation was made from.
bool TranslationCache::holds(const Translation& translation, const uint8_t* page) {
  const uint8_t* expected = translation.guest_code.data();
  for (const CodeRange& range : translation.ranges) {
    if (std::memcmp(page + range.page_offset, expected, range.size) != 0) return false;
    expected += range.size;
  }
  return true;
}

Translation* TranslationCache::revive(uint64_t memory_offset, uint32_t mode_key, const uint8_t* bytes,
                                      size_t available) {
  if (sleeping_.empty()) return nullptr;
  for (size_t size = std::min<size_t>(available, 8); size > 0; --size) {
    const uint64_t wanted = hash_of(bytes, size) ^ (memory_offset % kPageSize) << 20 ^ uint64_t { mode_key } << 40;
    const auto [first, last] = sleeping_.equal_range(wanted);
    for (auto candidate = first; candidate != last; ++candidate) {
      Translation& translation = *candidate->second;
      const bool same = (size == 8 || translation.byte_length == size) && translation.mode_key == mode_key &&
                        translation.memory_offset % kPageSize == memory_offset % kPageSize &&
                        holds(translation, bytes - memory_offset % kPageSize);
      if (!same) continue;
      // The code cache may be too full for its new beginning.
      std::unique_ptr<Translation> revived = wake(translation, memory_offset);
      if (revived == nullptr) return nullptr;
      sleeping_.erase(candidate);
      ++counters.revivals;
      --counters.translations;
      return &insert(std::move(revived));
    }
  }
  return nullptr;
}

// The same code behind a new beginning. Jump caches and predecoded blocks may still know the old one as code for the
// bytes that were there, so it stays dead.
std::unique_ptr<Translation> TranslationCache::wake(Translation& old, uint64_t memory_offset) {
  if (old.segment != code_.current_segment()) return nullptr;
  const void* const entry = new_entry(code_, old);
  if (entry == nullptr) return nullptr;
  auto fresh = std::make_unique<Translation>(std::move(old));
  fresh->memory_offset = memory_offset;
  fresh->entry = entry;
  for (Link& link : fresh->links) link.from = fresh.get();
  if (fresh->countdown != nullptr) *fresh->countdown = fresh->countdown_start;
  old.successor = fresh.get();
  old.alive = false;
  old.set_runnable(false);
  return fresh;
}

void TranslationCache::kill(Translation& translation) {
  if (on_death) on_death(translation);
  translation.alive = false;
  translation.set_runnable(false);
  cut_entry(code_, translation);
  disconnect_incoming(translation);
  // A revived translation may come to lie in another page, where its links would lead astray.
  for (Link& link : translation.links) disconnect(link);
  const auto found = known_.find(key(translation.memory_offset, translation.mode_key));
  if (found != known_.end() && found->second == &translation) known_.erase(found);
}

void TranslationCache::code_changes(uint64_t memory_offset, uint64_t size) {
  const auto page = pages_.find(memory_offset / kPageSize);
  if (page == pages_.end()) return;
  const uint64_t first = memory_offset & ~(kCodeGranule - 1);
  const uint64_t end = (memory_offset + size + kCodeGranule - 1) & ~(kCodeGranule - 1);
  std::erase_if(page->second, [&](Translation* translation) {
    const bool meets = std::ranges::any_of(translation->ranges, [&](const CodeRange& range) {
      const uint64_t begin = begin_of(range, translation->memory_offset, translation->second_page);
      return begin < end && begin + range.size > first;
    });
    if (!meets) return false;
    kill(*translation);
    if (translation->second_page == Translation::kNowhere) {
      sleeping_.emplace(sleep_key(*translation), translation);
    } else {
      forget_pages(*translation, page->first);
    }
    ++counters.invalidations;
    return true;
  });
}

// Takes it out of the lists of its pages, but for that of `but`.
void TranslationCache::forget_pages(Translation& translation, uint64_t but) {
  for (const uint64_t page : {translation.memory_offset / kPageSize, translation.second_page / kPageSize}) {
    if (const auto found = pages_.find(page); page != but && found != pages_.end()) {
      std::erase(found->second, &translation);
    }
  }
}

std::vector<std::unique_ptr<Translation>> TranslationCache::evict(unsigned segment) {
  for (const std::unique_ptr<Translation>& translation : segments_[segment]) {
    if (translation->alive) {
      forget_pages(*translation, Translation::kNowhere);
      kill(*translation);
    }
    ++counters.evictions;
  }
  std::erase_if(sleeping_, [segment](const auto& entry) { return entry.second->segment == segment; });
  return std::exchange(segments_[segment], {});
}

// --- Links -----------------------------------------------------------------------------------------------------------

void TranslationCache::connect(Link& link, Translation& target) {
  if (link.to == &target) return;
  if (link.to != nullptr) std::erase(link.to->incoming, &link);
  link.to = &target;
  target.incoming.push_back(&link);
  set_target(code_, link, static_cast<const uint8_t*>(target.entry));
  ++counters.links;
}

void TranslationCache::disconnect(Link& link) {
  if (link.to == nullptr) return;
  std::erase(link.to->incoming, &link);
  set_target(code_, link, link.stub);
  link.to = nullptr;
}

void TranslationCache::disconnect_incoming(Translation& translation) {
  for (Link* link : translation.incoming) {
    set_target(code_, *link, link->stub);
    link->to = nullptr;
  }
  translation.incoming.clear();
}

void TranslationCache::redirect(Translation& translation, const void* code) {
  if (translation.better_code != nullptr) redirect_entry(code_, translation, code);
}

}  // namespace calco::jit
