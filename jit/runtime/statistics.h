// What a translator did, in numbers: for -d jit, `info jit`, x-query-jit and -accel jit,report=FILE.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace calco::jit {

// A plain value. Times are nanoseconds, summed over all threads.
struct Statistics {
  // Translations made, and how many of them are alive now.
  uint64_t translations = 0, known = 0;
  uint64_t guest_instructions = 0, guest_bytes = 0, host_bytes = 0;
  uint64_t refused = 0;  // blocks that only the interpreter can execute
  uint64_t frontend_time = 0, optimizer_time = 0, baseline_time = 0;
  // Bytes, and translations thrown away because it was full.
  uint64_t cache_used = 0, cache_size = 0, evictions = 0;
  uint64_t links = 0, invalidations = 0, revivals = 0;
  // From the dispatch loop into translated code, and why it came back.
  uint64_t entries = 0, link_exits = 0, interpret_exits = 0, next_exits = 0;
  uint64_t translated_time = 0;  // in translated code and what it calls; 0 where nobody asked
  // The optimizing tier's: translations handed to it, regions in use, and what became of the others.
  uint64_t regions_promoted = 0, regions_published = 0, regions_refused = 0, regions_dropped = 0;
  uint64_t region_instructions = 0;  // of the guest
  // Of the processors.
  uint64_t interpreted_instructions = 0, interpreted_blocks = 0, decoded_blocks = 0, block_lookups = 0;
  uint64_t tlb_misses = 0, tlb_flushes = 0, address_spaces_reused = 0;

  // Every number above with its name.
  std::vector<std::pair<std::string_view, uint64_t>> fields() const;
  // Lines to read.
  std::string text() const;
};

}  // namespace calco::jit
