#include "devices/irq/apic_bus.h"

#include "devices/irq/local_apic.h"

namespace calco::devices {

void ApicBus::send(const InterruptMessage& message) {
  if (redirection_ != nullptr) return redirection_->send(message);
  if (message.mode == DeliveryMode::LowestPriority) return send_to_lowest_priority(message);
  const bool one_destination = !message.logical && message.destination != InterruptMessage::kBroadcast;
  for (LocalApic* apic : apics_) {
    if (!apic->is_destination(message)) continue;
    apic->deliver(message);
    if (one_destination) return;
  }
}

void ApicBus::send_to_all(const InterruptMessage& message, const LocalApic* except) {
  for (LocalApic* apic : apics_) {
    if (apic != except) apic->deliver(message);
  }
}

// "The processor with the lowest priority"; the manual leaves ties to the implementation, here they go round.
void ApicBus::send_to_lowest_priority(const InterruptMessage& message) {
  const size_t first = next_arbitration_.fetch_add(1, std::memory_order_relaxed);
  LocalApic* winner = nullptr;
  for (size_t step = 0; step < apics_.size(); ++step) {
    LocalApic* apic = apics_[(first + step) % apics_.size()];
    if (!apic->is_destination(message) || !apic->accepts_interrupts()) continue;
    if (winner == nullptr || apic->processor_priority() < winner->processor_priority()) winner = apic;
  }
  if (winner != nullptr) winner->deliver(message);
}

void ApicBus::end_of_interrupt(uint8_t vector) {
  for (EndOfInterruptObserver* observer : observers_) observer->end_of_interrupt(vector);
}

void ApicBus::set_lint0(bool level) {
  for (LocalApic* apic : apics_) apic->set_lint0(level);
}

void ApicBus::set_lint1(bool level) {
  for (LocalApic* apic : apics_) apic->set_lint1(level);
}

}  // namespace calco::devices
