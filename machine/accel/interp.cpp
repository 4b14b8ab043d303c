#include "machine/accel/interp.h"

namespace calco::machine {

cpu::RunExit InterpreterAccelerator::run(cpu::Cpu& cpu) { return cpu.run(); }

std::unique_ptr<Accelerator> InterpreterEngine::make_accelerator(unsigned) {
  return std::make_unique<InterpreterAccelerator>();
}

std::string InterpreterEngine::describe() const { return "guest code is interpreted\n"; }

}  // namespace calco::machine
