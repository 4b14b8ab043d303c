// Intel 82371SB (PIIX3) PCI-to-ISA bridge, as the function at 00:01.0 of the `pc` machine.
#pragma once

#include <array>
#include <cstdint>
#include <functional>

#include "devices/irq/wired_or.h"
#include "devices/member_window.h"
#include "devices/pci/pci_device.h"

namespace calco {
class Log;
}

namespace calco::devices {

// Routes the PCI interrupt pins to ISA interrupts and holds the reset control register. Its 8259s, 8254 and 8237s are
// chips of their own. Source: 82371SB data sheet (order number 290550), 3.1.
//
// Threads: everything with the device lock held.
class Piix3 final : public PciDevice {
 public:
  static constexpr unsigned kPirqCount = 4;
  static constexpr unsigned kIsaIrqCount = 16;
  // Reset control register: one port, to be attached after (above) PciHost's window.
  static constexpr uint16_t kResetControlPort = 0xCF9;

  // `isa_irqs[n]` is driven while a PIRQ# routed to ISA interrupt n is asserted; where ISA devices share n, the builder
  // joins the wires (WiredOr). `request_reset` asks for a hard reset of the machine.
  Piix3(const PciBuses& buses, std::array<IrqLine, kIsaIrqCount> isa_irqs, std::function<void()> request_reset,
        Log& log);

  // A new wire for the interrupt pin (1: INTA# to 4: INTD#) of a function in `slot`. The bridge outlives its users.
  IrqLine interrupt_line(unsigned slot, unsigned pin) { return pirqs_[pirq_of(slot, pin)].input(); }
  // Which of PIRQA# (0) to PIRQD# (3) the board connects that pin to: slot 1's INTA# to PIRQA#, rotating by slot.
  static unsigned pirq_of(unsigned slot, unsigned pin) { return (slot + pin + 2) % kPirqCount; }

  RegisterWindow& reset_control_window() { return reset_control_window_; }

  void reset() override;
  void serialize(Archive& archive) override;

 protected:
  void config_written(unsigned offset, unsigned size) override;

 private:
  uint64_t read_reset_control(uint64_t offset, unsigned size);
  void write_reset_control(uint64_t offset, unsigned size, uint64_t value);
  void drive_isa_irqs();
  IrqLine rerouting_line() {
    return IrqLine([this](bool) { drive_isa_irqs(); });
  }

  std::array<IrqLine, kIsaIrqCount> isa_irqs_;
  std::function<void()> request_reset_;
  Log& log_;
  std::array<WiredOr, kPirqCount> pirqs_{WiredOr(rerouting_line()), WiredOr(rerouting_line()),
                                         WiredOr(rerouting_line()), WiredOr(rerouting_line())};
  uint8_t reset_control_ = 0;
  MemberWindow<Piix3, &Piix3::read_reset_control, &Piix3::write_reset_control, 1> reset_control_window_{*this};
};

}  // namespace calco::devices
