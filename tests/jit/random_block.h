// Random blocks that look like what frontends make.
#pragma once

#include <cstdint>
#include <random>

#include "jit/ir/ir.h"
#include "tests/jit/ir_evaluator.h"

namespace calco::jit::ir {

using Random = std::mt19937_64;

Block random_block(Random& random, unsigned guest_instructions);
EvaluatedState random_state(Random& random);

}  // namespace calco::jit::ir
