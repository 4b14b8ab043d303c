// The beginning of a translation on hosts without a baseline: it has code only once a region begins there.
#pragma once

#include <cstdint>

#include "jit/portable/route_stub.h"
#include "jit/runtime/translation.h"

namespace calco::jit {

// In the code cache's data. Any vCPU may be on its way through it while the translator's lock is held by another.
struct Entry {
  Route route;                 // the first member: code finds the entry by it
  const void* code = nullptr;  // of the region; null: the interpreter's. Written atomically.
  int32_t countdown = 0;       // Translation::countdown
  uint32_t page_offset = 0;    // of the block
  int exit_link_offset = 0;    // StateLayout::exit_link
};

// Gives the translation an entry; false where the cache is full.
bool make_entry(CodeCache& cache, Translation& translation, int exit_link_offset);

}  // namespace calco::jit
