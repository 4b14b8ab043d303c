#include "jit/runtime/statistics.h"

#include <fmt/format.h>

namespace calco::jit {

std::vector<std::pair<std::string_view, uint64_t>> Statistics::fields() const {
  return {{"translations", translations},
          {"known", known},
          {"guest-instructions", guest_instructions},
          {"guest-bytes", guest_bytes},
          {"host-bytes", host_bytes},
          {"refused", refused},
          {"frontend-ns", frontend_time},
          {"optimizer-ns", optimizer_time},
          {"baseline-ns", baseline_time},
          {"cache-used", cache_used},
          {"cache-size", cache_size},
          {"evictions", evictions},
          {"links", links},
          {"invalidations", invalidations},
          {"revivals", revivals},
          {"entries", entries},
          {"link-exits", link_exits},
          {"interpret-exits", interpret_exits},
          {"next-exits", next_exits},
          {"translated-ns", translated_time},
          {"regions-promoted", regions_promoted},
          {"regions-published", regions_published},
          {"regions-refused", regions_refused},
          {"regions-dropped", regions_dropped},
          {"region-instructions", region_instructions},
          {"interpreted-instructions", interpreted_instructions},
          {"interpreted-blocks", interpreted_blocks},
          {"decoded-blocks", decoded_blocks},
          {"block-lookups", block_lookups},
          {"tlb-misses", tlb_misses},
          {"tlb-flushes", tlb_flushes},
          {"address-spaces-reused", address_spaces_reused}};
}

std::string Statistics::text() const {
  const auto seconds = [](uint64_t nanoseconds) { return static_cast<double>(nanoseconds) * 1e-9; };
  std::string text = fmt::format(
      "translations {} (known now {}), guest instructions {}, guest bytes {}, host bytes {}, refused {}\n"
      "time: frontend {:.3f} s, optimizer {:.3f} s, baseline {:.3f} s\n"
      "code cache {} of {} bytes, evictions {}; links {}, invalidations {}, revivals {}\n"
      "entries from the dispatch loop {}; exits: link {}, interpret {}, other {}\n"
      "interpreter: {} instructions in {} blocks; {} blocks decoded, {} looked up\n"
      "TLB: misses {}, flushes {}, address spaces reused {}\n",
      translations, known, guest_instructions, guest_bytes, host_bytes, refused, seconds(frontend_time),
      seconds(optimizer_time), seconds(baseline_time), cache_used, cache_size, evictions, links, invalidations,
      revivals, entries, link_exits, interpret_exits, next_exits, interpreted_instructions, interpreted_blocks,
      decoded_blocks, block_lookups, tlb_misses, tlb_flushes, address_spaces_reused);
  if (translated_time != 0) text += fmt::format("in translated code {:.3f} s\n", seconds(translated_time));
  return text;
}

}  // namespace calco::jit
