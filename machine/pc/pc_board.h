// The `pc` machine's board: every chip, and the wires between them.
#pragma once

#include <array>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "cpu/cpu.h"
#include "cpu/system/cpu_model.h"
#include "cpu/system/processor_group.h"
#include "devices/host/event_loop.h"
#include "devices/input/i8042.h"
#include "devices/input/ps2_keyboard.h"
#include "devices/input/ps2_mouse.h"
#include "devices/irq/apic_bus.h"
#include "devices/irq/ioapic.h"
#include "devices/irq/local_apic.h"
#include "devices/irq/pic8259.h"
#include "devices/irq/wired_or.h"
#include "devices/isa/coprocessor_port.h"
#include "devices/isa/debug_console.h"
#include "devices/isa/debug_exit.h"
#include "devices/isa/dma8237.h"
#include "devices/isa/fw_cfg.h"
#include "devices/isa/pc_testdev.h"
#include "devices/isa/port92.h"
#include "devices/isa/post_port.h"
#include "devices/pci/i440fx.h"
#include "devices/pci/pci_host.h"
#include "devices/pci/pci_testdev.h"
#include "devices/pci/piix3.h"
#include "devices/pci/piix4_pm.h"
#include "devices/serial/uart16550.h"
#include "devices/timer/cmos_rtc.h"
#include "devices/timer/hpet.h"
#include "devices/timer/pit8254.h"
#include "machine/core/guest_memory.h"
#include "machine/core/memory_map.h"
#include "machine/core/port_bus.h"
#include "machine/pc/apic_window.h"
#include "machine/pc/character_devices.h"
#include "machine/pc/time_stamp_counter.h"

namespace calco::machine {

// What the board stands on and asks for. All outlives it. The functions are called with the device lock held, or from
// a vCPU's execution, and must only post a request.
struct BoardServices {
  std::recursive_mutex& device_lock;
  devices::EventLoop& loop;
  Log& log;
  std::function<void()> request_reset;
  std::function<void()> power_off;
  std::function<void(int status)> exit;  // isa-debug-exit, Ctrl-A x
  std::function<void(bool open)> set_a20;
  TimeStampCounter::Options tsc = {};
  // Cuts the processor model to what its engine has; may be empty.
  std::function<void(cpu::CpuModel& model)> adapt_model = {};
};

// The processor socket: local APIC and processor need each other; the socket is there before both.
class ProcessorSocket final : public ProcessorPins {
 public:
  void plug(ProcessorPins& processor) { processor_ = &processor; }

  void set_interrupt_pending(bool pending) override {
    if (processor_ != nullptr) processor_->set_interrupt_pending(pending);
  }
  void raise_nmi() override { processor_->raise_nmi(); }
  void raise_smi() override { processor_->raise_smi(); }
  void raise_init() override { processor_->raise_init(); }
  void start_up(uint8_t vector) override { processor_->start_up(vector); }

 private:
  ProcessorPins* processor_ = nullptr;
};

// Members are in the order of construction; the builder fills the pointers in.
struct PcBoard {
  static constexpr unsigned kIsaInterrupts = 16;
  PcBoard(BoardServices services, uint64_t memory_capacity, cpu::CpuModel model);
  PcBoard(const PcBoard&) = delete;
  PcBoard& operator=(const PcBoard&) = delete;

  // RESET#: every chip but the processors, in the order of `reset_order`. Processors paused, device lock held.
  void reset();

  BoardServices services;
  Clock& clock;
  TimeStampCounter tsc;
  GuestMemory memory;
  MemoryMap map;
  PortBus ports;
  devices::PciBuses pci_buses;
  cpu::CpuModel model;
  cpu::ProcessorGroup group;
  std::unique_ptr<CharacterDevices> character_devices;

  // Interrupts: ISA wires end at the 8259s and the I/O APIC.
  devices::ApicBus apic_bus;
  ApicWindow apic_window{apic_bus};
  MemoryMap::RegionId apic_region = 0;
  std::unique_ptr<devices::PicPair> pic;
  std::unique_ptr<devices::IoApic> io_apic;
  std::unique_ptr<devices::WiredOr> timer_wire;  // I/O APIC pin 2: ISA interrupt 0, or the HPET
  std::array<std::unique_ptr<devices::WiredOr>, kIsaInterrupts> isa_wires;
  std::unique_ptr<devices::CoprocessorPort> coprocessor_port;
  // For an engine that has interrupt controllers of its own (KVM). Changed while nothing runs; may be empty. Called
  // with the device lock held: an ISA wire's level, by its number, where 2 is the timer's wire to the I/O APIC; whether
  // the 8254's interrupt is connected.
  std::function<void(unsigned irq, bool level)> line_listener;
  std::function<void(bool connected)> pit_connection_listener;
  bool local_apics_in_kernel = false;
  // For an engine that follows the memory map; may be empty. Called after each of its commits, device lock held.
  std::function<void()> memory_listener;

  std::vector<std::unique_ptr<ProcessorSocket>> sockets;
  std::vector<std::unique_ptr<devices::LocalApic>> local_apics;
  std::vector<std::unique_ptr<cpu::Cpu>> processors;

  // Chipset.
  std::unique_ptr<devices::PciHost> pci_host;
  std::unique_ptr<devices::I440fx> host_bridge;
  std::unique_ptr<devices::Piix3> isa_bridge;
  std::unique_ptr<devices::Piix4Pm> power_management;
  std::unique_ptr<devices::Dma8237> dma_master;
  std::unique_ptr<devices::Dma8237> dma_slave;
  std::unique_ptr<devices::DmaPages> dma_pages;
  std::unique_ptr<devices::PostPort> post_port;
  std::unique_ptr<devices::Port92> port_92;
  std::unique_ptr<devices::FwCfg> fw_cfg;

  // Time.
  std::unique_ptr<devices::Pit8254> pit;
  std::unique_ptr<devices::CmosRtc> rtc;
  std::unique_ptr<devices::Hpet> hpet;

  // Input, serial lines, test devices.
  std::unique_ptr<devices::Ps2Keyboard> keyboard;
  std::unique_ptr<devices::Ps2Mouse> mouse;
  std::unique_ptr<devices::I8042> keyboard_controller;
  std::vector<std::unique_ptr<devices::Uart16550>> serial_ports;
  std::unique_ptr<devices::DebugConsole> debug_console;
  std::unique_ptr<devices::DebugExit> debug_exit;
  std::unique_ptr<devices::PcTestdev> pc_test_device;
  std::vector<std::unique_ptr<devices::PciTestdev>> pci_test_devices;

  std::vector<Device*> reset_order;
};

}  // namespace calco::machine
