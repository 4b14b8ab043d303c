// Guest registers as values.
#pragma once

#include "jit/opt/scratch.h"

namespace calco::jit::opt {

// A register that the block has set or read before is read no more: the value is known. One that would be set to what
// it holds is not set.
void forward_registers(ir::Block& block, Scratch& scratch);

// Takes out what sets a register that is set again before anything can see it: another reader, or an operation that may
// leave. Dead-code removal must follow.
void remove_dead_registers(ir::Block& block, Scratch& scratch);

}  // namespace calco::jit::opt
