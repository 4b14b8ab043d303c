// What CPUID tells a guest under KVM.
#pragma once

#include <linux/kvm.h>

#include <string>
#include <vector>

#include "cpu/cpu.h"
#include "cpu/system/cpu_model.h"

namespace calco::machine {

// Cuts the model down to what the kernel can give (KVM_GET_SUPPORTED_CPUID), or makes it the host's processor
// (`-cpu host`), and offers KVM's paravirtual clock. What the interpreter executes for KVM is not cut: processors
// execute what they have whatever CPUID says, and a software KVM may show the guest the host's CPUID. The names of the
// features that were lost.
std::vector<std::string> adapt_model_to_kvm(int system, cpu::CpuModel& model);

// The features of a model that a guest has seen and would miss under KVM. Instructions that need no state of their own
// and that the host's processor executes are none of them, although a software KVM does not report them.
std::vector<std::string> features_missing_in_kvm(int system, cpu::CpuModel model);

// The processor's answers as KVM_SET_CPUID2 takes them.
std::vector<kvm_cpuid_entry2> cpuid_entries(int system, const cpu::CpuModel& model, const cpu::Cpu& cpu);

}  // namespace calco::machine
