// Interrupt controllers in the kernel, and the board's wires to them.
#pragma once

#include <linux/kvm.h>

#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "devices/irq/interrupt_message.h"
#include "machine/accel/kvm/kvm_capabilities.h"
#include "machine/accel/kvm/kvm_interrupt_event.h"
#include "machine/accel/kvm/kvm_pit.h"
#include "machine/options/machine_config.h"

namespace calco::machine {

struct PcBoard;

// kernel-irqchip=split: the local APICs are the kernel's; I/O APIC, 8259s and 8254 are ours. The I/O APIC's messages go
// to the kernel (KVM_SIGNAL_MSI), which hands back the ends of level-triggered interrupts.
// kernel-irqchip=on: all of them are the kernel's; ISA and I/O APIC wires lead there (KVM_IRQ_LINE). Ours stay on the
// board, isolated: they hear the wires, and have the kernel's registers while the guest stands still.
//
// Threads: send() and set_line() from any thread; the own lock is a leaf. The rest with every processor paused.
class KvmInterrupts final : public devices::InterruptMessageSink {
 public:
  // Creates the controllers of a machine that has no processors yet. Throws std::system_error.
  KvmInterrupts(int machine, KernelIrqchip mode, const KvmCapabilities& capabilities);

  // Leads the board's wires and messages to the kernel, and back to the board's own chips, which go on with what they
  // have. The board outlives the use of its wires.
  void attach(PcBoard& board);
  void detach(PcBoard& board);
  // From the board's chips to the kernel's; the board's are isolated from then on.
  void load_devices(PcBoard& board);
  // From the kernel's chips to the board's, but for the local APICs.
  void store_devices(PcBoard& board);
  // Guest time stands still from now on, and goes on.
  void time_stops();
  void time_goes_on();

  // A wire of the board: ISA interrupt 0 to 15, but 2 is the timer at the I/O APIC; or I/O APIC pin 16 to 23.
  void set_line(unsigned number, bool level);
  void send(const devices::InterruptMessage& message) override;

 private:
  void route_lines();
  void load_controllers(PcBoard& board);
  void drive(unsigned number, bool level);
  KvmInterruptEvent* event_of(unsigned number) const;
  void route_end_of_interrupt(const kvm_irq_routing_entry& route);
  // The 8254's interrupt is cut off while the HPET takes its place.
  void connect_pit(bool connected);
  // What the kernel's 8254 owes, the board's pays.
  void reload_pit(const devices::Pit8254::Registers& registers);

  const int machine_;
  const KernelIrqchip mode_;
  std::unique_ptr<KvmPit> pit_;  // null where it is the board's
  PcBoard* board_ = nullptr;
  int64_t controllers_read_ = 0;  // by store_devices(): CLOCK_MONOTONIC, ns
  // For lines that are always edge triggered; the others' levels mean something.
  std::vector<std::unique_ptr<KvmInterruptEvent>> events_;
  std::mutex mutex_;
  // split: where level-triggered messages went. The kernel reports the ends of these only.
  std::vector<kvm_irq_routing_entry> level_routes_;
  size_t oldest_route_ = 0;
};

}  // namespace calco::machine
