// The fast tier: IR to x86-64 in one pass. Other hosts have none: jit/portable makes translations without code.
#pragma once

#include "jit/ir/ir.h"
#include "jit/runtime/abi.h"
#include "jit/runtime/code_cache.h"
#include "jit/runtime/entries.h"
#include "jit/runtime/translation.h"

namespace calco::jit::baseline {

struct Options {
  bool count_entries = false;  // each translation counts its entries and exits as Hot when `hot_threshold` is reached
  int32_t hot_threshold = 0;
  bool record_targets = false;  // of indirect jumps, for regions
  bool jump_cache = true;       // asked inline for targets in other pages
  Measurement measurement = {};
};

enum class Outcome : uint8_t {
  Done,
  CacheFull,    // no room in the cache's segment
  Unsupported,  // the host lacks an instruction
};

// How many executions make a block worth to be translated, and to be compiled by the optimizing tier.
struct Thresholds {
  uint32_t translate;
  int32_t optimize;
};
Thresholds default_thresholds();

// Emits `block` into the cache and fills what `translation` says of its code: entry, head_exit, links, countdown,
// host_bytes, interpreted. Not alive yet.
Outcome compile(const ir::Block& block, CodeCache& cache, const BaselineEntries& entries, const StateLayout& layout,
                const Options& options, Translation& translation);

}  // namespace calco::jit::baseline
