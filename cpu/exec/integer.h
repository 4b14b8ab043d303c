// Selectors that integer groups share among their files.
#pragma once

#include "cpu/exec/handlers.h"

namespace calco::cpu {

Selection select_stack(const decode::Instruction& instruction, Op& op);

}  // namespace calco::cpu
