// The wires between a processor and its interrupt controllers. Neither side sees the other's type.
#pragma once

#include <cstdint>

namespace calco {

// The pins of a processor core as a local APIC (or, without one, an 8259 and the chipset) drives them.
//
// Threads: any; each call takes effect at the processor's next instruction boundary that it can, and wakes a
// processor that sleeps in HLT.
class ProcessorPins {
 public:
  virtual ~ProcessorPins() = default;
  // INTR: a maskable interrupt waits, or no more. The vector is fetched later with LocalApicPort::acknowledge().
  virtual void set_interrupt_pending(bool pending) = 0;
  virtual void raise_nmi() = 0;
  virtual void raise_smi() = 0;
  // INIT#: reset to the wait-for-SIPI state (bootstrap processor: to the reset vector).
  virtual void raise_init() = 0;
  // Start-up IPI: begin at vector << 12 if waiting for it (SDM vol. 3, 9.4).
  virtual void start_up(uint8_t vector) = 0;
};

// What a processor asks of its local APIC outside of the memory-mapped registers.
//
// Threads: called by the vCPU's own thread; the APIC has a lock of its own.
class LocalApicPort {
 public:
  virtual ~LocalApicPort() = default;
  // Interrupt acknowledge cycle: the vector to deliver now, moved from requested to in service, or -1 where the
  // request has gone away. Covers external (8259) interrupts through LINT0 as well.
  virtual int acknowledge() = 0;
  // CR8: the upper four bits of the task priority register.
  virtual uint8_t task_priority_class() const = 0;
  virtual void set_task_priority_class(uint8_t priority) = 0;
  // IA32_APIC_BASE (MSR 1BH). The setter returns false where the write is a #GP(0) (reserved bits, or an illegal
  // change between disabled, xAPIC and x2APIC: SDM vol. 3, 11.12.5).
  virtual uint64_t base_register() const = 0;
  virtual bool set_base_register(uint64_t value) = 0;
  // x2APIC MSRs 800H to 8FFH; `index` is the MSR's low byte. False is a #GP(0).
  virtual bool read_x2apic(uint8_t index, uint64_t& value) = 0;
  virtual bool write_x2apic(uint8_t index, uint64_t value) = 0;
  // IA32_TSC_DEADLINE (MSR 6E0H), in TSC ticks; 0 disarms.
  virtual uint64_t tsc_deadline() const = 0;
  virtual void set_tsc_deadline(uint64_t ticks) = 0;
  // The processor came out of INIT or reset: registers to their reset values, the id and base address kept on INIT.
  virtual void init_reset() = 0;
};

}  // namespace calco
