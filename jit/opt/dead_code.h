// Removal of operations that nobody would miss.
#pragma once

#include "jit/opt/scratch.h"

namespace calco::jit::opt {

// Removes operations without effect whose results are not used, and numbers the others anew.
void remove_dead_code(ir::Block& block, Scratch& scratch);

}  // namespace calco::jit::opt
