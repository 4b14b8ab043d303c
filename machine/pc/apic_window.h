// The page at which every processor finds its own local APIC.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "devices/irq/apic_bus.h"
#include "devices/irq/local_apic.h"
#include "machine/core/register_window.h"

namespace calco::machine {

// Sends an access on to the local APIC of the processor whose thread makes it. A store from anywhere else is that of a
// bus master: a message-signalled interrupt (SDM vol. 3, 11.11).
//
// Threads: any, without the device lock.
class ApicWindow final : public RegisterWindow {
 public:
  static constexpr uint64_t kSize = 4096;

  // The bus outlives the window.
  explicit ApicWindow(devices::ApicBus& bus) : bus_(bus) {}
  // Before the machine runs: in the order of the processors.
  void attach(devices::LocalApic& apic) { apics_.push_back(&apic); }

  uint64_t read(uint64_t offset, unsigned size) override;
  void write(uint64_t offset, unsigned size, uint64_t value) override;
  unsigned maximum_access_size() const override { return 4; }
  bool locks_itself() const override { return true; }

 private:
  devices::LocalApic* current() const;

  devices::ApicBus& bus_;
  std::vector<devices::LocalApic*> apics_;
};

}  // namespace calco::machine
