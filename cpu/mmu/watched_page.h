// Pages that are stored to the slow way because of code alone (GuestMemory::watches_stores).
#pragma once

#include <cstdint>

#include "machine/core/guest_memory.h"

namespace calco::cpu {

// Beside kTlbSlow in a write tag: plain memory that may be written, slow only because the page has code, or had some
// lately.
constexpr uint64_t kTlbWatched = 2;

// Whether the `size` bytes at a memory offset, in one page, are beside the code that the page has. Without any code the
// answer is no: such a page shall be given back to fast stores some time (GuestMemory::before_store).
[[gnu::always_inline]] inline bool beside_code(const GuestMemory& memory, uint64_t offset, uint64_t size) {
  const uint64_t granules = memory.code_granules(offset);
  const uint64_t first = offset % kPageSize / kCodeGranule;
  const uint64_t last = (offset % kPageSize + size - 1) / kCodeGranule;
  return granules != 0 && (granules >> first & (~uint64_t{0} >> (63 - (last - first)))) == 0;
}

}  // namespace calco::cpu
