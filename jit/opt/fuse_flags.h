// Conditions without flags.
#pragma once

#include "jit/opt/scratch.h"

namespace calco::jit::opt {

// Where the operation that set the flags is in the block, computes a condition (the carry, all flags) from that
// operation's operands instead of reading the flags. Nobody may need the flags then.
void fuse_flags(ir::Block& block, Scratch& scratch);

}  // namespace calco::jit::opt
