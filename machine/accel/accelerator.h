// What executes a processor's guest code.
#pragma once

#include <string_view>

#include "cpu/cpu.h"

namespace calco::machine {

// One engine's part for one processor. Engines are exchangeable while the guest runs, because the architectural state
// is whole in the CpuState between leave() and the next run().
//
// Threads: one accelerator a vCPU, called on its thread only, but for kick().
class Accelerator {
 public:
  virtual ~Accelerator() = default;
  virtual std::string_view name() const = 0;
  // Executes until the processor needs the machine: a stop was requested, it halts, or it shut down. Takes over the
  // CpuState as it finds it, unless it has not been left since the last call.
  virtual cpu::RunExit run(cpu::Cpu& cpu) = 0;
  // Makes the CpuState whole: others may read and change it until the next run(). An engine that keeps state elsewhere
  // while the processor merely halts brings it back here; until then `activity` and RFLAGS.IF are right.
  virtual void leave(cpu::Cpu& /*cpu*/) {}
  // A bit of Cpu::exit_request was set: run(), if it is under way, must look at it soon. Any thread, under any lock.
  virtual void kick() {}
};

}  // namespace calco::machine
