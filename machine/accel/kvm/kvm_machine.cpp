#include "machine/accel/kvm/kvm_machine.h"

#include <linux/kvm.h>

#include "machine/accel/kvm/kvm_call.h"

namespace calco::machine {

namespace {

void enable(int machine, uint32_t capability, uint64_t argument, const char* name) {
  kvm_enable_cap request{};
  request.cap = capability;
  request.args[0] = argument;
  kvm_call(machine, KVM_ENABLE_CAP, static_cast<void*>(&request), name);
}

// Intel processors that cannot execute real mode as a guest need four pages for it, where nothing else is: below the
// firmware's ROM.
void place_tss(int machine) {
  uint64_t identity_map = 0xFEFFC000;
  constexpr uint64_t kTss = 0xFEFFD000;
  kvm_call(machine, KVM_SET_IDENTITY_MAP_ADDR, static_cast<void*>(&identity_map), "KVM_SET_IDENTITY_MAP_ADDR");
  kvm_call(machine, KVM_SET_TSS_ADDR, kTss, "KVM_SET_TSS_ADDR");
}

// The kernel swallows the deadline of a local APIC that it does not have.
void claim_tsc_deadline(int machine) {
  constexpr uint32_t kTscDeadline = 0x6E0;
  uint8_t nothing_allowed = 0;
  kvm_msr_filter filter{};
  filter.flags = KVM_MSR_FILTER_DEFAULT_ALLOW;
  filter.ranges[0].flags = KVM_MSR_FILTER_READ | KVM_MSR_FILTER_WRITE;
  filter.ranges[0].base = kTscDeadline;
  filter.ranges[0].nmsrs = 1;
  filter.ranges[0].bitmap = &nothing_allowed;
  kvm_call(machine, KVM_X86_SET_MSR_FILTER, static_cast<void*>(&filter), "KVM_X86_SET_MSR_FILTER");
}

}  // namespace

devices::FileDescriptor create_kvm_machine(const KvmSystem& system, KernelIrqchip irqchip) {
  devices::FileDescriptor machine(kvm_call(system.descriptor.get(), KVM_CREATE_VM, uint64_t{0}, "KVM_CREATE_VM"));
  place_tss(machine.get());
  enable(machine.get(), KVM_CAP_X86_USER_SPACE_MSR,
         KVM_MSR_EXIT_REASON_UNKNOWN | KVM_MSR_EXIT_REASON_INVAL | KVM_MSR_EXIT_REASON_FILTER,
         "KVM_CAP_X86_USER_SPACE_MSR");
  if (system.capabilities.exit_on_emulation_failure) {
    enable(machine.get(), KVM_CAP_EXIT_ON_EMULATION_FAILURE, 1, "KVM_CAP_EXIT_ON_EMULATION_FAILURE");
  }
  if (irqchip == KernelIrqchip::Off) claim_tsc_deadline(machine.get());
  return machine;
}

// A machine with a processor for the question alone: processors cannot be taken away again.
uint64_t kvm_tsc_frequency(const KvmSystem& system) {
  constexpr uint64_t kKilo = 1000;
  const devices::FileDescriptor machine(kvm_call(system.descriptor.get(), KVM_CREATE_VM, uint64_t{0}, "KVM_CREATE_VM"));
  const devices::FileDescriptor vcpu(kvm_call(machine.get(), KVM_CREATE_VCPU, uint64_t{0}, "KVM_CREATE_VCPU"));
  return static_cast<uint64_t>(kvm_call(vcpu.get(), KVM_GET_TSC_KHZ, uint64_t{0}, "KVM_GET_TSC_KHZ")) * kKilo;
}

}  // namespace calco::machine
