// The host has no x87 unit: x87 instructions are the interpreter's.
#include "jit/runtime/x87_unit.h"

namespace calco::jit {

bool enter_x87(cpu::CpuState&) { return false; }
void leave_x87(cpu::CpuState&) {}

}  // namespace calco::jit
