// System management mode (APM vol. 2, chapter 10: the state-save area of 64-bit processors; SDM vol. 3, chapter 31).
#pragma once

#include <cstdint>

#include "cpu/cpu.h"

namespace calco::cpu {

// Saves the state at SMBASE + FE00H and enters the handler at SMBASE + 8000H. At an instruction boundary.
void enter_smm(Cpu& cpu);
// RSM: the state that the handler left in the save area. Shuts the processor down where it makes no sense.
void leave_smm(Cpu& cpu);

}  // namespace calco::cpu
