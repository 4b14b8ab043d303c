// What the optimising tier compiles at once.
#pragma once

#include <vector>

#include "jit/ir/ir.h"

namespace calco::jit {

// Blocks of one guest page and one mode. It is entered at blocks[0]; a direct jump to an offset in the page where one
// of the blocks begins stays inside, every other way leads out.
struct Region {
  std::vector<ir::Block> blocks;
};

}  // namespace calco::jit
