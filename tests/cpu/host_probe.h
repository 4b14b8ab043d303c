// Asks the host CPU what it makes of some bytes: invalid opcode, or an instruction of which length.
#pragma once

#include <csignal>
#include <cstdint>
#include <span>
#include <vector>

#include "cpu/decode/instruction.h"

namespace calco::decode {

// Executes single instructions natively, in 16-, 32- and 64-bit code, with all general registers zero (RAX all ones, so
// that a system call is none), at the end of a page before one that cannot be executed: as long as the fetch
// faults on the second page the instruction is longer than what stands on the first. Uses the process's signal handlers
// while it lives; one at a time, from one thread.
class HostProbe {
 public:
  struct Verdict {
    bool valid = false;
    unsigned length = 0;  // bytes the host looked at before it decided
    bool operator==(const Verdict&) const = default;
  };

  HostProbe();
  ~HostProbe();
  HostProbe(const HostProbe&) = delete;
  HostProbe& operator=(const HostProbe&) = delete;

  // False where the kernel does not let us: nothing may be asked then.
  bool usable() const { return usable_; }
  Verdict ask(std::span<const uint8_t> bytes, CodeSize code_size);

 private:
  void execute(std::span<const uint8_t> bytes, CodeSize code_size);

  bool usable_ = false;
  uint8_t* writable_ = nullptr;  // the first page, to write the instruction
  uint64_t executable_ = 0;      // the same page at an address below 4 GiB, then the forbidden page
  std::vector<uint8_t> signal_stack_;
  struct sigaction previous_[5] = {};
};

}  // namespace calco::decode
