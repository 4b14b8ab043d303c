#include "machine/pc/apic_window.h"

#include "machine/current_processor.h"

namespace calco::machine {

devices::LocalApic* ApicWindow::current() const {
  const std::optional<unsigned> index = current_processor();
  return index && *index < apics_.size() ? apics_[*index] : nullptr;
}

uint64_t ApicWindow::read(uint64_t offset, unsigned size) {
  devices::LocalApic* apic = current();
  return apic != nullptr ? apic->read(offset, size) : floating_bus(size);
}

void ApicWindow::write(uint64_t offset, unsigned size, uint64_t value) {
  if (devices::LocalApic* apic = current()) {
    apic->write(offset, size, value);
  } else {
    bus_.send(devices::message_from_msi(devices::LocalApic::kDefaultBase + offset, static_cast<uint32_t>(value)));
  }
}

}  // namespace calco::machine
