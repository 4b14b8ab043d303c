// The same computation once.
#pragma once

#include "jit/opt/scratch.h"

namespace calco::jit::opt {

// An operation without effect that was executed before with the same arguments gives the value of then. Remembers the
// last operation of each hash value only, so now and then it misses one.
void share_common_subexpressions(ir::Block& block, Scratch& scratch);

}  // namespace calco::jit::opt
