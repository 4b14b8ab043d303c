// Chooses the blocks of a region.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <vector>

#include "cpu/cpu.h"
#include "jit/llvm/region.h"
#include "jit/runtime/region_tier.h"

namespace calco::jit {

// What was translated and can be reached from a hot block: by direct jumps and calls; by indirect ones, as far as they
// were seen to go somewhere; and behind the calls, once the region has a return. Other pages belong to it where the
// processor's TLB knows their code now. Used once, with the cache's lock held, on the processor's thread.
class RegionFormer {
 public:
  RegionFormer(const cpu::Cpu& cpu, TranslationCache& cache, Translation& hot, const RegionOptions& options,
               opt::Scratch& scratch);
  void run();

  Region region;
  std::vector<Translation*> members;  // one a block
  size_t instructions = 0;
  bool loops = false;  // a direct jump leads back to the first block

 private:
  struct Page {
    uint64_t memory_offset;
    const uint8_t* bytes;
  };
  // By distance from the first page; nothing where the code there is not known.
  const std::optional<Page>& page(int32_t distance);
  std::optional<Page> find_page(int32_t distance) const;
  bool add(int64_t place);
  void add_ways(const ir::Block& block, const Translation& member, int64_t page_start);
  void add_way(int64_t place);
  void resolve_indirect_targets();

  const cpu::Cpu& cpu_;
  TranslationCache& cache_;
  Translation& hot_;
  const RegionOptions& options_;
  opt::Scratch& scratch_;
  const uint64_t linear_page_;  // of the first block
  std::map<int32_t, std::optional<Page>> pages_;
  // Places are distances from the first page's first byte.
  std::deque<int64_t> waiting_;
  std::set<int64_t> seen_;
  std::vector<int64_t> behind_calls_;
  bool returns_ = false;
  std::vector<std::vector<int64_t>> indirect_places_;  // one a block
};

}  // namespace calco::jit
