// Checks that a block keeps the rules of ir.h and opcodes.inc.
#pragma once

#include <string>
#include <vector>

#include "jit/ir/ir.h"

namespace calco::jit::ir {

// What is wrong, one message each that quotes the operation; empty for a good block.
std::vector<std::string> verify(const Block& block);

}  // namespace calco::jit::ir
