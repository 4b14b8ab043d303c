// The model-specific registers that KVM keeps.
#pragma once

#include <cstdint>
#include <vector>

#include "cpu/state.h"

namespace calco::machine {

// Moves the MSRs of one processor between its CpuState and the kernel. The time-stamp counter is KvmVcpu's; EFER and
// IA32_APIC_BASE travel with the special registers.
//
// Threads: the vCPU's.
class KvmMsrs {
 public:
  // `vcpu` is its descriptor. Finds out which registers this kernel knows; others stay in the CpuState.
  explicit KvmMsrs(int vcpu);

  void store(cpu::CpuState& state);
  // Writes what differs from what the kernel was last known to have: some registers do something when they are
  // written.
  void load(const cpu::CpuState& state);

 private:
  struct Entry {
    uint32_t index;
    uint64_t known;  // the kernel's value
  };

  const int vcpu_;
  std::vector<Entry> entries_;
};

}  // namespace calco::machine
