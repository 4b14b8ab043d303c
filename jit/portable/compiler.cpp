// In the place of the baseline on hosts that have none: a translation without code. It stands for a block that the
// interpreter executes until a region begins there.
#include "jit/baseline/compiler.h"

#include "jit/portable/entry.h"

namespace calco::jit::baseline {

// The interpreter counts in steps of the first.
Thresholds default_thresholds() { return {.translate = 256, .optimize = 4096}; }

Outcome compile(const ir::Block& block, CodeCache& cache, const BaselineEntries&, const StateLayout& layout,
                const Options& options, Translation& translation) {
  if (!can_emit_route_stubs(layout.exit_link)) return Outcome::Unsupported;
  translation.memory_offset = block.memory_offset;
  if (!make_entry(cache, translation, layout.exit_link)) return Outcome::CacheFull;
  *translation.countdown = translation.countdown_start = options.hot_threshold;
  return Outcome::Done;
}

}  // namespace calco::jit::baseline
