// The engine that executes a processor's guest code.
#pragma once

#include <string_view>

#include "cpu/cpu.h"

namespace calco::machine {

// Interpreter, translator, KVM: exchangeable while the guest runs, because the architectural state is whole in the
// CpuState whenever run() has returned.
//
// Threads: one accelerator a vCPU, called on its thread only.
class Accelerator {
 public:
  virtual ~Accelerator() = default;
  virtual std::string_view name() const = 0;
  // Executes until the processor needs the machine: a stop was requested, it halts, or it shut down.
  virtual cpu::RunExit run(cpu::Cpu& cpu) = 0;
};

}  // namespace calco::machine
