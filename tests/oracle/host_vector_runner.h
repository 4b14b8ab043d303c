// Executes single vector instructions of the IR on the host.
#pragma once

#include <cstdint>

#include "cpu/state.h"
#include "jit/ir/host_vector.h"
#include "tests/oracle/code_page.h"

namespace calco::oracle {

class HostVectorRunner {
 public:
  // Reads and writes the registers that the instruction names (the others hold rubbish while it runs) and MXCSR, whose
  // exceptions are masked. `argument`: general register source or host address. Returns the general register result, or
  // the arithmetic flags.
  uint64_t run(cpu::CpuState& state, const jit::ir::HostVectorInstruction& instruction, uint64_t argument);

 private:
  class Encoder;
  CodePage code_;
};

}  // namespace calco::oracle
