#include "machine/pc/builder.h"

#include <algorithm>
#include <cstring>
#include <string>
#include <utility>

#include "machine/current_processor.h"
#include "machine/disassembly.h"
#include "machine/firmware/firmware_contents.h"
#include "machine/pc/cmos_contents.h"

namespace calco::machine {

PcBoard::PcBoard(BoardServices board_services, uint64_t memory_capacity, cpu::CpuModel cpu_model)
    : services(std::move(board_services)),
      clock(services.loop.clock()),
      tsc(clock, services.tsc),
      memory(memory_capacity),
      map(memory, services.device_lock, services.log),
      ports(services.device_lock, services.log),
      pci_buses{ports, map},
      model(std::move(cpu_model)) {}

void PcBoard::reset() {
  for (Device* device : reset_order) device->reset();
  map.commit();
}

namespace {

constexpr uint64_t kLegacyVga = 0xA0000;
constexpr uint64_t kOneMib = 0x100000;
constexpr uint64_t kFirmwareShadow = 128 << 10;  // the last part of the firmware also shows below 1 MiB
constexpr unsigned kFirstFreePciSlot = 3;        // slot 2 is the display adapter's by custom

// The steps of building, in order. Each leaves the board consistent for the next.
class PcBuilder {
 public:
  PcBuilder(PcBoard& board, const PreparedPc& prepared)
      : board_(board), prepared_(prepared), config_(prepared.config), log_(board.services.log) {}

  void build() {
    add_memory();
    add_firmware();
    add_character_devices();
    add_interrupt_controllers();
    add_processors();
    add_pci();
    add_isa_chips();
    add_timers();
    add_keyboard_controller();
    add_serial_ports();
    add_debug_ports();
    add_test_devices();
    add_firmware_configuration();
    board_.reset();
  }

 private:
  // --- Memory --------------------------------------------------------------------------------------------------------

  // RAM below the VGA window, from 1 MiB to the PCI hole, and from 4 GiB. Between them the host bridge decides.
  void add_memory() {
    const MemoryLayout& layout = prepared_.memory;
    ram_offset_ = board_.memory.allocate(layout.low + layout.high);
    board_.map.add_memory("ram", 0, kLegacyVga, ram_offset_, true);
    board_.map.add_memory("ram", kOneMib, layout.low - kOneMib, ram_offset_ + kOneMib, true);
    if (layout.high != 0) {
      board_.map.add_memory("ram-above-4g", board::kFourGib, layout.high, ram_offset_ + layout.low, true);
    }
    board_.memory.set_code_observer(
        [this_group = &board_.group](uint64_t offset, uint64_t size) { this_group->code_changed(offset, size); });
    board_.map.add_listener([this_board = &board_] {
      for (const auto& processor : this_board->processors) processor->request(cpu::request::kFlushTlb);
      if (this_board->memory_listener) this_board->memory_listener();
    });
  }

  // The ROM ends at 4 GiB; its last part also shows at the end of the first megabyte.
  void add_firmware() {
    const std::vector<uint8_t>& image = prepared_.firmware;
    const uint64_t offset = board_.memory.allocate(image.size());
    std::memcpy(board_.memory.data() + offset, image.data(), image.size());
    board_.map.add_memory("firmware", board::kFourGib - image.size(), image.size(), offset, false);
    const uint64_t shadow = std::min<uint64_t>(image.size(), kFirmwareShadow);
    board_.map.add_memory("firmware-below-1m", kOneMib - shadow, shadow, offset + image.size() - shadow, false);
  }

  void add_character_devices() {
    board_.character_devices = std::make_unique<CharacterDevices>(board_.services.loop, config_.character_devices,
                                                                  [exit = board_.services.exit] { exit(0); });
  }

  // --- Interrupts and processors
  // ---------------------------------------------------------------------------------------

  // An ISA wire reaches the 8259 input of its number and the I/O APIC pin of its number; the timer's reaches pin 2,
  // and wire 2, the cascade, none.
  void add_interrupt_controllers() {
    board_.pic =
        std::make_unique<devices::PicPair>(IrqLine([bus = &board_.apic_bus](bool level) { bus->set_lint0(level); }));
    board_.io_apic = std::make_unique<devices::IoApic>(board_.apic_bus, log_);
    board_.apic_bus.attach(*board_.io_apic);
    board_.timer_wire =
        std::make_unique<devices::WiredOr>(IrqLine([board = &board_, chip = board_.io_apic.get()](bool level) {
          chip->set_input(2, level);
          if (board->line_listener) board->line_listener(2, level);
        }));
    for (unsigned irq = 0; irq < PcBoard::kIsaInterrupts; ++irq) {
      board_.isa_wires[irq] = std::make_unique<devices::WiredOr>(IrqLine(isa_wire_end(irq)));
    }
    attach(0x20, 2, board_.pic->master());
    attach(0xA0, 2, board_.pic->slave());
    attach(0x4D0, 2, board_.pic->edge_level_control());
    board_.map.add_window("ioapic", board::kIoApic, 4096, *board_.io_apic);
    board_.apic_region = board_.map.add_window("local-apic", board::kLocalApic, ApicWindow::kSize, board_.apic_window);
    board_.coprocessor_port = std::make_unique<devices::CoprocessorPort>(isa_irq(13));
    attach(devices::CoprocessorPort::kPort, devices::CoprocessorPort::kPortCount, *board_.coprocessor_port);
    in_reset_order(*board_.pic);
    in_reset_order(*board_.io_apic);
    in_reset_order(*board_.coprocessor_port);
  }

  IrqLine::Sink isa_wire_end(unsigned irq) {
    devices::PicPair* pic = board_.pic.get();
    if (irq == 2) return [](bool) {};
    if (irq == 0) {
      return [board = &board_, pic, timer = board_.timer_wire->input()](bool level) mutable {
        pic->set_input(0, level);
        timer.set(level);
        if (board->line_listener) board->line_listener(0, level);
      };
    }
    return [board = &board_, pic, io_apic = board_.io_apic.get(), irq](bool level) {
      pic->set_input(static_cast<int>(irq), level);
      io_apic->set_input(static_cast<int>(irq), level);
      if (board->line_listener) board->line_listener(irq, level);
    };
  }

  void add_processors() {
    if (board_.services.adapt_model) board_.services.adapt_model(board_.model);
    board_.model.set_tsc_frequency(board_.tsc.frequency());
    for (unsigned index = 0; index < config_.topology.processors; ++index) add_processor(index);
  }

  void add_processor(unsigned index) {
    ProcessorSocket& socket = *board_.sockets.emplace_back(std::make_unique<ProcessorSocket>());
    devices::LocalApic::Options options;
    options.id = board_.model.apic_id(index);
    options.bootstrap = index == 0;
    board_.local_apics.push_back(std::make_unique<devices::LocalApic>(
        options, board_.clock, tsc_clock(),
        devices::LocalApic::Connections{socket, board_.apic_bus, external_interrupts(), apic_mover()}, log_));
    devices::LocalApic& apic = *board_.local_apics.back();
    board_.processors.push_back(std::make_unique<cpu::Cpu>(environment(apic, index)));
    socket.plug(*board_.processors.back());
    board_.apic_bus.attach(apic);
    board_.apic_window.attach(apic);
    in_reset_order(apic);
  }

  cpu::Environment environment(devices::LocalApic& apic, unsigned index) {
    return {.memory_map = board_.map,
            .ports = board_.ports,
            .apic = apic,
            .log = log_,
            .model = board_.model,
            .group = board_.group,
            .tsc = [tsc = &board_.tsc] { return tsc->now(); },
            .tsc_frequency = board_.tsc.frequency(),
            .triple_fault = board_.services.request_reset,
            .index = index,
            .x87_error = index == 0 ? x87_error() : std::function<bool(bool)>(),
            .disassemble = disassemble};
  }

  // Only the bootstrap processor's FERR# is wired.
  std::function<bool(bool)> x87_error() const {
    return [lock = &board_.services.device_lock, port = board_.coprocessor_port.get()](bool pending) {
      std::lock_guard guard(*lock);
      return port->set_error(pending);
    };
  }

  devices::TscClock tsc_clock() const {
    return {.ticks_now = [tsc = &board_.tsc] { return tsc->now(); },
            .time_of = [tsc = &board_.tsc](uint64_t ticks) { return tsc->time_of(ticks); }};
  }

  std::function<int()> external_interrupts() const {
    return [lock = &board_.services.device_lock, pic = board_.pic.get()] {
      std::lock_guard guard(*lock);
      return pic->interrupt_pending() ? pic->acknowledge() : -1;
    };
  }

  // All processors' APICs are expected at one address; the one that moved last decides.
  std::function<void(uint64_t)> apic_mover() {
    return [board = &board_](uint64_t base_register) {
      std::lock_guard guard(board->services.device_lock);
      board->map.set_address(board->apic_region, base_register & ~uint64_t{0xFFF} & ((uint64_t{1} << 52) - 1));
      board->map.commit();
    };
  }

  // --- Chipset -------------------------------------------------------------------------------------------------------

  void add_pci() {
    board_.pci_host = std::make_unique<devices::PciHost>();
    attach(devices::PciHost::kPort, devices::PciHost::kPortCount, *board_.pci_host);
    board_.host_bridge = std::make_unique<devices::I440fx>(board_.pci_buses, ram_offset_, config_.memory_size, log_);
    std::array<IrqLine, devices::Piix3::kIsaIrqCount> wires;
    for (unsigned irq = 0; irq < wires.size(); ++irq) wires[irq] = isa_irq(irq);
    board_.isa_bridge =
        std::make_unique<devices::Piix3>(board_.pci_buses, std::move(wires), board_.services.request_reset, log_);
    attach(devices::Piix3::kResetControlPort, 1, board_.isa_bridge->reset_control_window());
    board_.power_management = std::make_unique<devices::Piix4Pm>(
        board_.pci_buses, board_.clock, isa_irq(board::kSciInterrupt), power_actions(), config_.smm, log_);
    attach(devices::Piix4Pm::kApmPort, 2, board_.power_management->apm_window());
    attach(devices::Piix4Pm::kGpePort, devices::Piix4Pm::kGpePortCount, board_.power_management->gpe_window());

    board_.pci_host->attach(0, 0, *board_.host_bridge);
    board_.pci_host->attach(1, 0, *board_.isa_bridge);
    board_.pci_host->attach(1, 3, *board_.power_management);
    in_reset_order(*board_.pci_host);
    in_reset_order(*board_.host_bridge);
    in_reset_order(*board_.isa_bridge);
    in_reset_order(*board_.power_management);
  }

  // S3 is not offered to the guest; one that insists is powered off.
  devices::Piix4Pm::Actions power_actions() {
    return {.power_off = board_.services.power_off,
            .suspend = board_.services.power_off,
            .raise_smi = [board = &board_] { board->processors[current_processor().value_or(0)]->raise_smi(); }};
  }

  void add_isa_chips() {
    board_.dma_master = std::make_unique<devices::Dma8237>("i8237-master", 1);
    board_.dma_slave = std::make_unique<devices::Dma8237>("i8237-slave", 2);
    board_.dma_pages = std::make_unique<devices::DmaPages>();
    board_.post_port = std::make_unique<devices::PostPort>();
    board_.port_92 = std::make_unique<devices::Port92>(board_.services.set_a20, board_.services.request_reset);
    attach(devices::Dma8237::kMasterPort, board_.dma_master->port_count(), *board_.dma_master);
    attach(devices::Dma8237::kSlavePort, board_.dma_slave->port_count(), *board_.dma_slave);
    attach(devices::DmaPages::kPort, devices::DmaPages::kPortCount, *board_.dma_pages);
    attach(devices::PostPort::kPort, 1, *board_.post_port);
    attach(devices::Port92::kPort, 1, *board_.port_92);
    in_reset_order(*board_.dma_master);
    in_reset_order(*board_.dma_slave);
    in_reset_order(*board_.dma_pages);
    in_reset_order(*board_.post_port);
  }

  // --- Time
  // ------------------------------------------------------------------------------------------------------------

  void add_timers() {
    board_.pit = std::make_unique<devices::Pit8254>(board_.clock, isa_irq(0));
    attach(0x40, 4, *board_.pit);
    attach(0x61, 1, board_.pit->port_61());
    in_reset_order(*board_.pit);
    board_.rtc = std::make_unique<devices::CmosRtc>(
        board_.clock, [config = &config_] { return rtc_start_time(*config); }, isa_irq(8));
    fill_cmos(*board_.rtc, config_, prepared_.memory);
    attach(0x70, 2, *board_.rtc);
    in_reset_order(*board_.rtc);
    if (config_.hpet) add_hpet();
  }

  void add_hpet() {
    devices::Hpet::Outputs outputs;
    outputs.legacy_timer = isa_irq(0);
    outputs.legacy_clock = isa_irq(8);
    outputs.legacy_replacement = IrqLine([board = &board_](bool replaced) {
      board->pit->set_irq_connected(!replaced);
      board->rtc->set_irq_connected(!replaced);
      if (board->pit_connection_listener) board->pit_connection_listener(!replaced);
    });
    // Comparators can be routed to pin 2 only.
    outputs.io_apic = [pin = board_.timer_wire->input()](int, bool level) mutable { pin.set(level); };
    board_.hpet = std::make_unique<devices::Hpet>(board_.clock, std::move(outputs), log_);
    board_.map.add_window("hpet", board::kHpet, 0x400, *board_.hpet);
    in_reset_order(*board_.hpet);
  }

  // --- Input, serial lines, test devices
  // -------------------------------------------------------------------------------

  void add_keyboard_controller() {
    board_.keyboard = std::make_unique<devices::Ps2Keyboard>(log_);
    board_.mouse = std::make_unique<devices::Ps2Mouse>(log_);
    board_.keyboard_controller = std::make_unique<devices::I8042>(
        board_.clock, *board_.keyboard, *board_.mouse,
        devices::I8042::Outputs{isa_irq(1), isa_irq(12), board_.services.set_a20, board_.services.request_reset}, log_);
    attach(0x60, 1, board_.keyboard_controller->data_port());
    attach(0x64, 1, board_.keyboard_controller->command_port());
    in_reset_order(*board_.keyboard);
    in_reset_order(*board_.mouse);
    in_reset_order(*board_.keyboard_controller);
    // Port 92 speaks last about A20 at reset: open, as firmware finds it.
    in_reset_order(*board_.port_92);
  }

  void add_serial_ports() {
    for (unsigned number = 1; number <= config_.serial.size(); ++number) {
      const std::string label = "serial" + std::to_string(number - 1);
      devices::CharacterBackend* backend =
          board_.character_devices->connect("-serial", config_.serial[number - 1], label);
      if (backend == nullptr) continue;
      const SerialPortPlace place = serial_port_place(number);
      devices::Uart16550& uart = *board_.serial_ports.emplace_back(
          std::make_unique<devices::Uart16550>(board_.clock, isa_irq(place.irq), *backend, log_));
      attach(place.port, devices::Uart16550::kRegisters, uart);
      in_reset_order(uart);
      com_ports_.push_back(number);
    }
  }

  void add_debug_ports() {
    if (config_.debug_console) {
      devices::CharacterBackend* backend =
          board_.character_devices->connect("-debugcon", config_.debug_console->backend, "debugcon");
      board_.debug_console =
          std::make_unique<devices::DebugConsole>([backend](uint8_t byte) { backend->write(std::span(&byte, 1)); });
      for (uint16_t port : config_.debug_console->ports) attach(port, 1, *board_.debug_console);
      in_reset_order(*board_.debug_console);
    }
    if (config_.debug_exit) {
      board_.debug_exit = std::make_unique<devices::DebugExit>(board_.services.exit);
      attach(config_.debug_exit->base, config_.debug_exit->size, *board_.debug_exit);
      in_reset_order(*board_.debug_exit);
    }
  }

  void add_test_devices() {
    if (config_.pc_test_device) add_pc_test_device();
    unsigned slot = kFirstFreePciSlot;
    for (size_t i = 0; i < config_.pci_test_devices.size(); ++i) {
      devices::PciTestdev& device =
          *board_.pci_test_devices.emplace_back(std::make_unique<devices::PciTestdev>(board_.pci_buses));
      board_.pci_host->attach(slot++, 0, device);
      in_reset_order(device);
    }
  }

  void add_pc_test_device() {
    using devices::PcTestdev;
    std::array<IrqLine, PcTestdev::kIrqCount> wires;
    for (unsigned pin = 0; pin < wires.size(); ++pin) {
      wires[pin] =
          pin < PcBoard::kIsaInterrupts ? isa_irq(pin) : IrqLine([chip = board_.io_apic.get(), pin](bool level) {
            chip->set_input(static_cast<int>(pin), level);
          });
    }
    board_.pc_test_device = std::make_unique<PcTestdev>(std::move(wires));
    PcTestdev& device = *board_.pc_test_device;
    attach(PcTestdev::kLoopbackPort, PcTestdev::kLoopbackPortCount, device.loopback_window());
    attach(PcTestdev::kFlushPort, PcTestdev::kFlushPortCount, device.flush_window());
    attach(PcTestdev::kIrqPort, PcTestdev::kIrqCount, device.irq_window());
    board_.map.add_window("pc-testdev", PcTestdev::kMemoryAddress, PcTestdev::kMemorySize, device.memory_window());
    in_reset_order(device);
  }

  // --- What the firmware is told
  // ---------------------------------------------------------------------------------------

  void add_firmware_configuration() {
    board_.fw_cfg = std::make_unique<devices::FwCfg>(board_.map, log_);
    attach(devices::FwCfg::kPort, devices::FwCfg::kPortCount, *board_.fw_cfg);
    in_reset_order(*board_.fw_cfg);
    Platform platform;
    platform.memory = prepared_.memory;
    platform.hpet = config_.hpet;
    platform.serial_ports = com_ports_;
    platform.sockets = config_.topology.sockets;
    platform.cores = config_.topology.cores;
    platform.threads = config_.topology.threads;
    for (const auto& apic : board_.local_apics) platform.apic_ids.push_back(apic->id());
    fill_fw_cfg(*board_.fw_cfg, config_, platform, prepared_.boot, prepared_.firmware_files);
  }

  // --- Wiring
  // ----------------------------------------------------------------------------------------------------------

  void attach(uint16_t port, uint32_t count, RegisterWindow& window) { board_.ports.attach(port, count, window); }
  void in_reset_order(Device& device) { board_.reset_order.push_back(&device); }
  IrqLine isa_irq(unsigned irq) { return board_.isa_wires[irq]->input(); }

  PcBoard& board_;
  const PreparedPc& prepared_;
  const MachineConfig& config_;
  Log& log_;
  uint64_t ram_offset_ = 0;
  std::vector<unsigned> com_ports_;
};

}  // namespace

std::unique_ptr<PcBoard> build_pc(const PreparedPc& prepared, BoardServices services) {
  const uint64_t capacity = prepared.memory.low + prepared.memory.high + prepared.firmware.size() + 2 * kPageSize;
  auto board = std::make_unique<PcBoard>(std::move(services), capacity, prepared.model);
  PcBuilder(*board, prepared).build();
  return board;
}

}  // namespace calco::machine
