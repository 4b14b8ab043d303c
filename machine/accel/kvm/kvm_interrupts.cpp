#include "machine/accel/kvm/kvm_interrupts.h"

#include <algorithm>
#include <array>

#include "machine/accel/kvm/kvm_call.h"
#include "machine/accel/kvm/kvm_interrupt_state.h"
#include "machine/accel/kvm/kvm_table.h"
#include "machine/pc/pc_board.h"

namespace calco::machine {

using devices::Pit8254;

namespace {

constexpr unsigned kIoApicPins = 24, kIsaLines = 16, kLinesOf8259 = 8;
// Lines of the kernel's that are not I/O APIC pins of their number: the board's timer at the 8259.
constexpr unsigned kPin2 = 2, kInterrupt0 = kIoApicPins;
// Keyboard and clock: edge triggered at the 8259 (82371SB, 4.1.5) and in every table that firmware has.
constexpr std::array<unsigned, 2> kAlwaysEdge = {1, 8};

void enable_split(int machine) {
  kvm_enable_cap request{};
  request.cap = KVM_CAP_SPLIT_IRQCHIP;
  request.args[0] = kIoApicPins;
  kvm_call(machine, KVM_ENABLE_CAP, static_cast<void*>(&request), "KVM_CAP_SPLIT_IRQCHIP");
}

kvm_irq_routing_entry chip_route(unsigned line, unsigned chip, unsigned pin) {
  kvm_irq_routing_entry route{};
  route.gsi = line;
  route.type = KVM_IRQ_ROUTING_IRQCHIP;
  route.u.irqchip.irqchip = chip;
  route.u.irqchip.pin = pin;
  return route;
}

void set_routes(int machine, std::span<const kvm_irq_routing_entry> routes) {
  KvmTable<kvm_irq_routing_entry> table(routes);
  kvm_call(machine, table_call::kSetGsiRouting, table.get(), "KVM_SET_GSI_ROUTING");
}

// The store to FEE00000H that a message is (SDM vol. 3, 11.11); eight bits of destination.
struct MessageStore {
  uint32_t address, data;
};
MessageStore store_of(const devices::InterruptMessage& message) {
  constexpr uint32_t kWindow = 0xFEE00000, kRedirectionHint = 1u << 3, kLogical = 1u << 2, kAssert = 1u << 14,
                     kLevel = 1u << 15;
  const bool lowest_priority = message.mode == devices::DeliveryMode::LowestPriority;
  return {kWindow | (message.destination & 0xFF) << 12 | (message.logical ? kLogical : 0) |
              (lowest_priority ? kRedirectionHint : 0),
          message.vector | static_cast<uint32_t>(message.mode) << 8 | (message.level_triggered ? kLevel | kAssert : 0)};
}

}  // namespace

KvmInterrupts::KvmInterrupts(int machine, KernelIrqchip mode, const KvmCapabilities& capabilities)
    : machine_(machine), mode_(mode) {
  if (mode_ == KernelIrqchip::Split) {
    enable_split(machine_);
    return;
  }
  kvm_call(machine_, KVM_CREATE_IRQCHIP, uint64_t{0}, "KVM_CREATE_IRQCHIP");
  if (capabilities.pit) pit_ = std::make_unique<KvmPit>(machine_);
  route_lines();
  if (!capabilities.interrupt_events) return;
  for (const unsigned line : kAlwaysEdge) events_.push_back(std::make_unique<KvmInterruptEvent>(machine_, line));
}

// As the board is wired: ISA interrupts to the 8259 and the I/O APIC pin of their number. Line 0 is the kernel's 8254;
// the board's interrupt 0 and its pin 2 are two lines, for the HPET drives the pin alone too. Line 0 comes last: of
// several routes to a pin the kernel tells the last line of the end of an interrupt, and its 8254 waits for that.
void KvmInterrupts::route_lines() {
  std::vector<kvm_irq_routing_entry> routes = {chip_route(kInterrupt0, KVM_IRQCHIP_PIC_MASTER, 0)};
  for (unsigned line = kIoApicPins; line-- > 0;) {
    if (line < kIsaLines && line != kPin2) {
      const bool slave = line >= kLinesOf8259;
      routes.push_back(chip_route(line, slave ? KVM_IRQCHIP_PIC_SLAVE : KVM_IRQCHIP_PIC_MASTER, line % kLinesOf8259));
    }
    routes.push_back(chip_route(line, KVM_IRQCHIP_IOAPIC, line == 0 ? kPin2 : line));
  }
  set_routes(machine_, routes);
}

void KvmInterrupts::attach(PcBoard& board) {
  board_ = &board;
  board.apic_bus.redirect(this);
  board.local_apics_in_kernel = true;
  if (mode_ != KernelIrqchip::On) return;
  board.line_listener = [this](unsigned number, bool level) { set_line(number, level); };
  board.pit_connection_listener = [this](bool connected) { connect_pit(connected); };
}

// The local APICs first: what the others send must arrive.
void KvmInterrupts::detach(PcBoard& board) {
  board.line_listener = {};
  board.pit_connection_listener = {};
  board.local_apics_in_kernel = false;
  board.apic_bus.redirect(nullptr);
  for (const auto& apic : board.local_apics) apic->isolate(devices::LocalApic::Isolation::None);
  if (pit_ != nullptr && controllers_read_ != 0) {
    Pit8254::Registers pit = pit_->registers(controllers_read_);
    pit.owed += board.pit->registers().owed;
    board.pit->set_registers(pit);
  }
  board.pit->isolate(false);
  board.pic->isolate(false);
  board.io_apic->isolate(false);
}

// --- The controllers' state ------------------------------------------------------------------------------------------

void KvmInterrupts::load_devices(PcBoard& board) {
  if (mode_ == KernelIrqchip::On) load_controllers(board);
  const bool external = mode_ == KernelIrqchip::Split;
  for (const auto& apic : board.local_apics) {
    apic->isolate(external ? devices::LocalApic::Isolation::ExternalInterrupts : devices::LocalApic::Isolation::Full);
  }
}

// The wires before the controllers, which then forget what the wires did to them.
void KvmInterrupts::load_controllers(PcBoard& board) {
  const devices::Pic8259::Registers master = board.pic->master().registers(), slave = board.pic->slave().registers();
  const Pit8254::Registers pit = board.pit->registers();
  if (pit_ != nullptr) board.pit->isolate(true);
  for (unsigned irq = 0; irq < PcBoard::kIsaInterrupts; ++irq) {
    if (irq != kPin2 && event_of(irq) == nullptr) drive(irq, board.isa_wires[irq]->level());
  }
  drive(kPin2, board.timer_wire->level());
  // A line that is high because of an event is low for the kernel: the next one is an edge.
  const auto pins_of = [&](unsigned first) {
    uint8_t pins = first == 0 ? board.pic->master().pins() : board.pic->slave().pins();
    for (const auto& event : events_) {
      if (event->line() - first < kLinesOf8259) pins &= static_cast<uint8_t>(~(1u << (event->line() - first)));
    }
    return pins;
  };
  for (const unsigned chip : {KVM_IRQCHIP_PIC_SLAVE, KVM_IRQCHIP_PIC_MASTER, KVM_IRQCHIP_IOAPIC}) {
    kvm_irqchip state{};
    state.chip_id = chip;
    if (chip == KVM_IRQCHIP_PIC_MASTER) {
      state.chip.pic = to_kvm_pic(master, pins_of(0), devices::PicPair::kMasterLevelSelectable);
    } else if (chip == KVM_IRQCHIP_PIC_SLAVE) {
      state.chip.pic = to_kvm_pic(slave, pins_of(kLinesOf8259), devices::PicPair::kSlaveLevelSelectable);
    } else {
      state.chip.ioapic = to_kvm_io_apic(board.io_apic->registers(), board.io_apic->pins());
    }
    kvm_call(machine_, KVM_SET_IRQCHIP, static_cast<void*>(&state), "KVM_SET_IRQCHIP");
  }
  if (pit_ != nullptr) pit_->load(pit);
  board.pic->isolate(true);
  board.io_apic->isolate(true);
}

void KvmInterrupts::store_devices(PcBoard& board) {
  if (mode_ != KernelIrqchip::On) return;
  for (const auto& event : events_) event->settle();
  const auto read = [this](unsigned chip) {
    kvm_irqchip state{};
    state.chip_id = chip;
    kvm_call(machine_, KVM_GET_IRQCHIP, static_cast<void*>(&state), "KVM_GET_IRQCHIP");
    return state;
  };
  board.pic->set_registers(from_kvm_pic(read(KVM_IRQCHIP_PIC_MASTER).chip.pic),
                           from_kvm_pic(read(KVM_IRQCHIP_PIC_SLAVE).chip.pic));
  board.io_apic->set_registers(from_kvm_io_apic(read(KVM_IRQCHIP_IOAPIC).chip.ioapic));
  controllers_read_ = monotonic_time();
  if (pit_ == nullptr) return;
  Pit8254::Registers pit = pit_->registers();
  pit.owed = board.pit->registers().owed;
  board.pit->set_registers(pit);
}

// --- The 8254 --------------------------------------------------------------------------------------------------------

void KvmInterrupts::reload_pit(const Pit8254::Registers& registers) {
  Pit8254::Registers own = registers;
  own.owed += board_->pit->registers().owed;
  board_->pit->set_registers(own);
  pit_->load(registers);
}

void KvmInterrupts::connect_pit(bool connected) {
  if (pit_ == nullptr) return;
  Pit8254::Registers pit = pit_->registers();
  pit.irq_connected = connected;
  reload_pit(pit);
}

void KvmInterrupts::time_stops() {
  if (pit_ != nullptr) pit_->stop();
}

void KvmInterrupts::time_goes_on() {
  if (pit_ != nullptr && pit_->stopped()) reload_pit(pit_->registers());
}

// --- Wires and messages ----------------------------------------------------------------------------------------------

void KvmInterrupts::set_line(unsigned number, bool level) {
  KvmInterruptEvent* event = event_of(number);
  if (event == nullptr) return drive(number, level);
  if (level) event->signal();
}

KvmInterruptEvent* KvmInterrupts::event_of(unsigned number) const {
  const auto found = std::ranges::find_if(events_, [number](const auto& event) { return event->line() == number; });
  return found == events_.end() ? nullptr : found->get();
}

void KvmInterrupts::drive(unsigned number, bool level) {
  kvm_irq_level line{};
  line.irq = number == 0 ? kInterrupt0 : number;
  line.level = level;
  kvm_try(machine_, KVM_IRQ_LINE, &line);
}

void KvmInterrupts::send(const devices::InterruptMessage& message) {
  const MessageStore store = store_of(message);
  if (message.level_triggered && mode_ == KernelIrqchip::Split) {
    kvm_irq_routing_entry route{};
    route.type = KVM_IRQ_ROUTING_MSI;
    route.u.msi.address_lo = store.address;
    route.u.msi.data = store.data;
    route_end_of_interrupt(route);
  }
  kvm_msi signal{};
  signal.address_lo = store.address;
  signal.data = store.data;
  // A destination that is not there is the guest's mistake.
  kvm_try(machine_, KVM_SIGNAL_MSI, &signal);
}

// The kernel watches for the ends of what the first 24 routes name. They are not used to send.
void KvmInterrupts::route_end_of_interrupt(const kvm_irq_routing_entry& route) {
  std::lock_guard lock(mutex_);
  const auto same = [&route](const kvm_irq_routing_entry& other) {
    return other.u.msi.address_lo == route.u.msi.address_lo && other.u.msi.data == route.u.msi.data;
  };
  if (std::ranges::any_of(level_routes_, same)) return;
  if (level_routes_.size() < kIoApicPins) {
    level_routes_.push_back(route);
    level_routes_.back().gsi = static_cast<uint32_t>(level_routes_.size() - 1);
  } else {
    kvm_irq_routing_entry& place = level_routes_[oldest_route_++ % kIoApicPins];
    const uint32_t number = place.gsi;
    place = route;
    place.gsi = number;
  }
  set_routes(machine_, level_routes_);
}

}  // namespace calco::machine
