// The bus between local APICs, I/O APICs and everything that sends message-signalled interrupts.
#pragma once

#include <atomic>
#include <cstdint>
#include <vector>

#include "devices/irq/interrupt_message.h"

namespace calco::devices {

class LocalApic;

// Finds the local APICs that a message is for (SDM vol. 3, 11.6.2) and gives it to them.
//
// Threads: the builder attaches everything before the first vCPU runs; from then on the lists are constant and all
// calls are free of locks but those of the APIC that a message reaches. Nobody calls with an APIC's lock held.
class ApicBus final : public InterruptMessageSink {
 public:
  // Both outlive the bus's use.
  void attach(LocalApic& apic) { apics_.push_back(&apic); }
  void attach(EndOfInterruptObserver& observer) { observers_.push_back(&observer); }

  // The local APICs are elsewhere: messages go to `sink` from now on; null: they are here again. While no processor
  // runs, with the device lock held.
  void redirect(InterruptMessageSink* sink) { redirection_ = sink; }

  // By destination; lowest-priority messages go to one of the destinations.
  void send(const InterruptMessage& message) override;
  // To everybody, or everybody but `except`, whatever the destination says.
  void send_to_all(const InterruptMessage& message, const LocalApic* except);
  // A local APIC ended a level-triggered interrupt.
  void end_of_interrupt(uint8_t vector);
  // All PCs wire the 8259's INTR to LINT0 and NMI to LINT1 of every processor.
  void set_lint0(bool level);
  void set_lint1(bool level);

 private:
  void send_to_lowest_priority(const InterruptMessage& message);

  std::vector<LocalApic*> apics_;
  std::vector<EndOfInterruptObserver*> observers_;
  InterruptMessageSink* redirection_ = nullptr;
  std::atomic<uint32_t> next_arbitration_ = 0;  // who wins among equals
};

}  // namespace calco::devices
