// What the optimising tier compiles at once.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "jit/ir/ir.h"

namespace calco::jit {

// A block's page, for the check that it is still mapped where the region expects it.
struct RegionPage {
  int32_t distance = 0;             // linear pages from that of the region's first block
  const uint8_t* memory = nullptr;  // the guest's bytes there; unused for distance 0
  bool operator==(const RegionPage&) const = default;
};

// Blocks of one mode. It is entered at blocks[0]; a jump to where one of the blocks begins stays inside, every other
// way leads out.
struct Region {
  std::vector<ir::Block> blocks;
  // One a block; none at all where all blocks lie in the first one's page.
  std::vector<RegionPage> pages = {};
  // For each block that ends in an indirect jump or call: blocks that it was seen to go to. Guesses, as are the returns
  // that the compiler itself leads behind the region's calls: the code compares.
  std::vector<std::vector<size_t>> indirect_targets = {};
  bool guess_returns = true;

  // The last blocks may be copies of others; a direct jump from the end of block `from`, or of its copy, leads to the
  // copy and not to the original.
  struct Copy {
    size_t original;
    size_t from;
  };
  std::vector<Copy> copies = {};

  // The general registers when the region was formed, at its entry: what loops do not change is still so.
  std::array<uint64_t, 16> registers = {};

  // Of a block's first byte, counted from the first byte of the first block's page.
  int64_t place(size_t block) const { return page_start(block) + blocks[block].page_offset; }
  size_t original(size_t block) const {
    const size_t originals = blocks.size() - copies.size();
    return block < originals ? block : copies[block - originals].original;
  }
  int64_t page_start(size_t block) const { return pages.empty() ? 0 : int64_t{pages[block].distance} * 4096; }
};

}  // namespace calco::jit
