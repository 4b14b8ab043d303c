// Delivery of exceptions and interrupts through the IVT or IDT (SDM vol. 3, chapter 6; INT n in vol. 2).
#pragma once

#include <cstdint>

#include "cpu/cpu.h"
#include "cpu/system/event.h"

namespace calco::cpu {

// A fault that an instruction, or the delivery of an earlier event, raised: RIP is at the faulting instruction. Makes
// double faults of what cannot be handled in series; a triple fault shuts the processor down. May itself raise.
void handle_fault(Cpu& cpu, Vector vector, bool has_error, uint32_t error);

// Delivers an exception found by the processor, with the current RIP as return address. May raise.
void deliver_exception(Cpu& cpu, Vector vector, bool has_error = false, uint32_t error = 0);

// Delivers an interrupt. Software interrupts (called by the instruction) return to the next instruction, all others to
// the current RIP. May raise; everything that can fault precedes the first change of state, but for task gates.
void deliver_interrupt(Cpu& cpu, uint8_t vector, InterruptSource source);

}  // namespace calco::cpu
