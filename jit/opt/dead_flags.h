// Removal of flags that nobody reads.
#pragma once

#include "jit/opt/scratch.h"

namespace calco::jit::opt {

// Takes out operations that write flags which are overwritten before anything reads them, and marks those that only a
// fault could show (ir::kFlagsOnlyForFaults). Liveness is kept flag by flag, so that a condition keeps no more alive
// than it reads; at the end of the block all six are live, unless Block::flags_dead_if_... say otherwise.
// Dead-code removal must follow.
void remove_dead_flags(ir::Block& block, Scratch& scratch);

}  // namespace calco::jit::opt
