// Short loops whose code need not keep the lazy flags that it was entered with.
#pragma once

#include "jit/llvm/region.h"

namespace calco::jit {

// A loop's head is entered from outside with flags of any kind, and from its end with those of the comparison there.
// Where the head may fault before it sets flags itself, both would have to be joined into three more variables of the
// loop, written in each round. The head gets a copy instead (Region::copies) that only the loop's end leads to: there
// the flags are what was just compared. Code outside goes through the original once.
void copy_loop_heads(Region& region);

}  // namespace calco::jit
