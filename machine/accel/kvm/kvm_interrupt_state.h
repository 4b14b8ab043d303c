// The registers of interrupt controllers in KVM's structures, both ways.
#pragma once

#include <linux/kvm.h>

#include <cstdint>

#include "devices/irq/ioapic.h"
#include "devices/irq/local_apic.h"
#include "devices/irq/pic8259.h"

namespace calco::machine {

// Pure functions; exact both ways, but for what is said.

// `pins` are the levels of the inputs: KVM sees an edge where one rises.
kvm_pic_state to_kvm_pic(const devices::Pic8259::Registers& registers, uint8_t pins, uint8_t level_selectable);
devices::Pic8259::Registers from_kvm_pic(const kvm_pic_state& state);

// Asserted level-triggered inputs among `pins` are requests in KVM.
kvm_ioapic_state to_kvm_io_apic(const devices::IoApic::Registers& registers, uint32_t pins);
devices::IoApic::Registers from_kvm_io_apic(const kvm_ioapic_state& state);

// `state` is the kernel's, of which only what Calco knows is replaced. IA32_APIC_BASE and the TSC deadline are MSRs.
void to_kvm_local_apic(const devices::LocalApic::Registers& registers, kvm_lapic_state& state);
devices::LocalApic::Registers from_kvm_local_apic(const kvm_lapic_state& state, uint64_t base, uint64_t tsc_deadline);
// The timer's counts alone.
void to_kvm_local_apic_timer(const devices::LocalApicTimer::Registers& timer, kvm_lapic_state& state);

}  // namespace calco::machine
