// -accel interp: the reference interpreter.
#pragma once

#include "machine/accel/engine.h"

namespace calco::machine {

class InterpreterAccelerator final : public Accelerator {
 public:
  std::string_view name() const override { return "interp"; }
  cpu::RunExit run(cpu::Cpu& cpu) override;
};

class InterpreterEngine final : public Engine {
 public:
  std::string_view name() const override { return "interp"; }
  std::unique_ptr<Accelerator> make_accelerator(unsigned index) override;
  std::string describe() const override;
};

}  // namespace calco::machine
