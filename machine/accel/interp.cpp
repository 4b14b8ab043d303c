#include "machine/accel/interp.h"

namespace calco::machine {

cpu::RunExit InterpreterAccelerator::run(cpu::Cpu& cpu) { return cpu.run(); }

}  // namespace calco::machine
