// A virtual machine in the kernel, before it has memory and processors.
#pragma once

#include <cstdint>

#include "devices/host/file_descriptor.h"
#include "machine/accel/kvm/kvm_capabilities.h"
#include "machine/options/machine_config.h"
#include "machine/pc/time_stamp_counter.h"

namespace calco::machine {

// Creates it as Calco wants it: MSRs that the kernel does not know, and instructions that it cannot emulate, come back.
// Throws std::system_error.
devices::FileDescriptor create_kvm_machine(const KvmSystem& system, KernelIrqchip irqchip);

// The frequency at which guests see the time-stamp counter count, which is the host's. Hz. Throws std::system_error.
uint64_t kvm_tsc_frequency(const KvmSystem& system);

// How the time-stamp counter of a machine has to count so that KVM can show it. A software KVM ignores the offset to
// the host's.
inline TimeStampCounter::Options kvm_time_stamp_counter(uint64_t frequency) {
  return {frequency, TimeStampCounter::Source::HostCounter, !host_virtualizes()};
}

}  // namespace calco::machine
