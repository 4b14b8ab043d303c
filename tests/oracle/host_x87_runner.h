// Executes single x87 instructions of the IR on the host.
#pragma once

#include <cstdint>

#include "cpu/state.h"
#include "jit/ir/ir.h"
#include "tests/oracle/code_page.h"

namespace calco::oracle {

class HostX87Runner {
 public:
  // `instruction` is a HostX87 of `block`; registers[kRip] is the page of the block. Returns the instruction's result.
  uint64_t run(cpu::CpuState& state, const jit::ir::Block& block, const jit::ir::Instruction& instruction,
               uint64_t argument, uint64_t effective_address);

 private:
  CodePage code_;
};

}  // namespace calco::oracle
