// The registers of interrupt controllers and of the 8254 in KVM's structures, both ways.
#pragma once

#include <linux/kvm.h>

#include <cstdint>

#include "devices/irq/ioapic.h"
#include "devices/irq/local_apic.h"
#include "devices/irq/pic8259.h"
#include "devices/timer/pit8254.h"

namespace calco::machine {

// Pure functions; exact both ways, but for what is said.

// `pins` are the levels of the inputs: KVM sees an edge where one rises.
kvm_pic_state to_kvm_pic(const devices::Pic8259::Registers& registers, uint8_t pins, uint8_t level_selectable);
devices::Pic8259::Registers from_kvm_pic(const kvm_pic_state& state);

// Asserted level-triggered inputs among `pins` are requests in KVM.
kvm_ioapic_state to_kvm_io_apic(const devices::IoApic::Registers& registers, uint32_t pins);
devices::IoApic::Registers from_kvm_io_apic(const kvm_ioapic_state& state);

// KVM counts on from now: what a periodic counter had counted of its cycle is lost on the way there, and of counter 0
// on the way back. `now`: CLOCK_MONOTONIC, ns.
kvm_pit_state2 to_kvm_pit(const devices::Pit8254::Registers& registers, int64_t now);
devices::Pit8254::Registers from_kvm_pit(const kvm_pit_state2& state, int64_t now);

// `state` is the kernel's, of which only what Calco knows is replaced. IA32_APIC_BASE and the TSC deadline are MSRs.
void to_kvm_local_apic(const devices::LocalApic::Registers& registers, kvm_lapic_state& state);
devices::LocalApic::Registers from_kvm_local_apic(const kvm_lapic_state& state, uint64_t base, uint64_t tsc_deadline);
// The timer's counts alone.
void to_kvm_local_apic_timer(const devices::LocalApicTimer::Registers& timer, kvm_lapic_state& state);

}  // namespace calco::machine
