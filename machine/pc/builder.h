// Puts a `pc` together.
#pragma once

#include <memory>

#include "machine/pc/pc_board.h"
#include "machine/pc/preparation.h"

namespace calco::machine {

// The board at power-on: everything connected and reset, the firmware in its ROM, the processors about to fetch their
// first instruction. Device lock held. Throws OptionError where a character device cannot be made, std::system_error
// where the host has no memory.
std::unique_ptr<PcBoard> build_pc(const PreparedPc& prepared, BoardServices services);

}  // namespace calco::machine
