// KVM's paravirtual clock, for a guest that was offered it and is executed by another engine.
#pragma once

#include <cstdint>

#include "cpu/cpu.h"

namespace calco::cpu {

// The MSRs 4B564D00H (wall clock) and 4B564D01H (system time) of Documentation/virt/kvm/x86/msr.rst, where the CPU
// model offers them. The guest reads the clock from its own memory: a time, the TSC at that time, and the TSC's rate.
// As the TSC goes on whatever the engine, what is written once stays right.
//
// Both return false where there is no such register.
bool read_paravirtual_clock(const Cpu& cpu, uint32_t index, uint64_t& value);
bool write_paravirtual_clock(Cpu& cpu, uint32_t index, uint64_t value);

// What the guest computes from its page of the processor's clock now, in ns; 0 where it has none.
uint64_t paravirtual_time(Cpu& cpu);

}  // namespace calco::cpu
