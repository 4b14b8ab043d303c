// What stands behind a block in its page.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "cpu/decode/instruction.h"
#include "jit/ir/ir.h"
#include "jit/runtime/translation.h"

namespace calco::jit {

// Says of each way out within the page whether the code there needs the flags, from its bytes `page`; notes what that
// depends on.
void look_behind(ir::Block& block, std::span<const uint8_t> page, const decode::FeatureSet& features,
                 std::vector<CodeRange>& ranges);

}  // namespace calco::jit
