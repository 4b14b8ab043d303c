// -accel interp: the reference interpreter.
#pragma once

#include "machine/accel/accelerator.h"

namespace calco::machine {

class InterpreterAccelerator final : public Accelerator {
 public:
  std::string_view name() const override { return "interp"; }
  cpu::RunExit run(cpu::Cpu& cpu) override;
};

}  // namespace calco::machine
