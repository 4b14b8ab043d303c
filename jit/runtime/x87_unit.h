// Moves the guest's x87 registers into the host's x87 unit, where translated code works on them, and back.
//
// While they are there (CpuState::x87_residence.in_host), nothing but translated code may run that uses the unit, which
// all C++ may: whoever calls C++ from translated code takes them back first (entries.cpp). All exceptions are masked as
// long.
#pragma once

#include <cstdint>

#include "cpu/state.h"

namespace calco::jit {

// False, with nothing done, where an exception is unmasked or pending: x87 instructions are then the interpreter's.
bool enter_x87(cpu::CpuState& state);
// Leaves the host's unit as C++ expects it. Only while it holds the guest's registers.
void leave_x87(cpu::CpuState& state);

}  // namespace calco::jit
