// Whether code needs the flags that it is entered with.
#pragma once

#include <cstdint>
#include <span>

#include "cpu/decode/instruction.h"

namespace calco::jit::opt {

// True where the 64-bit code at the start of `bytes` (which end with their page at the latest) overwrites all six
// arithmetic flags before it reads one, and before anything that may fault, jump, or give way to the interpreter. Looks
// at a few instructions; false also where it cannot tell. For ir::Block::flags_dead_if_taken and ..._not_taken.
bool flags_dead_at(std::span<const uint8_t> bytes, const decode::FeatureSet& features);

}  // namespace calco::jit::opt
