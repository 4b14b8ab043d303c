// Constant folding and small algebra.
#pragma once

#include "jit/opt/scratch.h"

namespace calco::jit::opt {

// Replaces operations by constants, by their arguments, or by simpler operations.
void fold(ir::Block& block, Scratch& scratch);

}  // namespace calco::jit::opt
