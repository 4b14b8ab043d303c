// Blocks whose code the guest has changed, for the case that it is about to change a constant in an instruction, or
// puts back what was there: then a block need not be decoded anew, and no memory is taken for it.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "cpu/exec/block_cache.h"

namespace calco::cpu {

struct DroppedBlock {
  uint64_t key = ~uint64_t{0};  // as BlockCache::blocks_
  Block* block = nullptr;
  std::vector<Handler> handlers;  // that its operations had
};

// The last ones of as many places. Threads: as BlockCache.
class DroppedBlocks {
 public:
  DroppedBlock& of(uint64_t key) { return blocks_[(key * 0x9E3779B97F4A7C15) >> 56]; }  // a Fibonacci hash
  void note(uint64_t key, Block& block) {
    DroppedBlock& dropped = of(key);
    dropped.key = key;
    dropped.block = &block;
    dropped.handlers.clear();
    for (unsigned i = 0; i + 1u < block.op_count; ++i) dropped.handlers.push_back(block.ops()[i].handler);
  }
  void clear() { blocks_.fill({}); }

 private:
  std::array<DroppedBlock, size_t{1} << (64 - 56)> blocks_;
};

}  // namespace calco::cpu
