// Far jumps, calls and returns (SDM vol. 2, JMP, CALL, RET, IRET; vol. 3, 5.8).
#pragma once

#include <cstdint>

#include "cpu/cpu.h"

namespace calco::cpu {

// Each checks everything, then changes CS:RIP and what goes with it. `size`: operand size in bytes, 2, 4 or 8;
// `next`: address of the following instruction; `release`: bytes of parameters that RET n drops.
void far_jump(Cpu& cpu, uint16_t selector, uint64_t offset, unsigned size, uint64_t next);
void far_call(Cpu& cpu, uint16_t selector, uint64_t offset, unsigned size, uint64_t next);
void far_return(Cpu& cpu, unsigned size, uint16_t release);
void interrupt_return(Cpu& cpu, unsigned size, uint64_t next);

}  // namespace calco::cpu
