// The registers of a processor in KVM's structures, both ways.
#pragma once

#include <linux/kvm.h>

#include <cstdint>
#include <optional>
#include <span>

#include "cpu/state.h"
#include "cpu/system/event.h"

namespace calco::machine {

// Each pair is exact both ways, but for what is said. Pure functions.

kvm_regs to_kvm_registers(const cpu::CpuState& state);
void from_kvm_registers(const kvm_regs& registers, cpu::CpuState& state);

// Segments with their hidden parts, tables, control registers, EFER, the PDPTEs of PAE paging. CR8 and IA32_APIC_BASE
// are the local APIC's; the caller fills them in. The privilege level is derived on the way back.
kvm_sregs2 to_kvm_special_registers(const cpu::CpuState& state);
void from_kvm_special_registers(const kvm_sregs2& registers, cpu::CpuState& state);

kvm_debugregs to_kvm_debug_registers(const cpu::CpuState& state);
void from_kvm_debug_registers(const kvm_debugregs& registers, cpu::CpuState& state);

// x87, MXCSR, XMM and YMM in an XSAVE area of the standard format (SDM vol. 1, 13.4). Other components of `area` stay
// as they are as far as XCR0 has them: no other engine knows them.
void to_xsave_area(const cpu::CpuState& state, std::span<uint8_t> area);
void from_xsave_area(std::span<const uint8_t> area, cpu::CpuState& state);

// Interrupt shadow and NMI blocking. On the way back also the event that KVM had begun to deliver: it is to be
// delivered before anything else, unless the instruction that caused it will do so again.
kvm_vcpu_events to_kvm_events(const cpu::CpuState& state);
struct KvmPendingEvents {
  std::optional<cpu::UndeliveredEvent> undelivered;
  bool nmi_pending = false;
};
KvmPendingEvents from_kvm_events(const kvm_vcpu_events& events, cpu::CpuState& state);

}  // namespace calco::machine
