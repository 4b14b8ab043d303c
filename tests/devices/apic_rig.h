// Processors with local APICs on one bus, for the tests of the interrupt controllers.
#pragma once

#include <array>
#include <memory>
#include <vector>

#include "devices/irq/apic_bus.h"
#include "devices/irq/ioapic.h"
#include "devices/irq/local_apic.h"
#include "machine/core/clock.h"
#include "machine/core/log.h"
#include "tests/devices/device_suite.h"

namespace calco::devices {

struct RecordingPins final : ProcessorPins {
  bool interrupt = false;
  int nmi = 0, smi = 0, init = 0;
  std::vector<uint8_t> start_vectors;
  void set_interrupt_pending(bool pending) override { interrupt = pending; }
  void raise_nmi() override { ++nmi; }
  void raise_smi() override { ++smi; }
  void raise_init() override { ++init; }
  void start_up(uint8_t vector) override { start_vectors.push_back(vector); }
};

// The TSC of the rig runs at 2 GHz.
inline TscClock two_gigahertz(Clock& clock) {
  return {.ticks_now = [&clock] { return static_cast<uint64_t>(clock.now()) * 2; },
          .time_of = [](uint64_t ticks) { return static_cast<int64_t>((ticks + 1) / 2); }};
}

struct ApicRig {
  static constexpr int kProcessors = 3;

  ManualClock clock;
  Log log;
  ApicBus bus;
  IoApic ioapic{bus, log};
  std::array<RecordingPins, kProcessors> pins;
  std::array<std::unique_ptr<LocalApic>, kProcessors> apics;
  int external_vector = -1;
  uint64_t reported_base = 0;

  ApicRig() {
    bus.attach(ioapic);
    for (uint32_t id = 0; id < kProcessors; ++id) {
      apics[id] =
          std::make_unique<LocalApic>(LocalApic::Options{.id = id, .bootstrap = id == 0}, clock, two_gigahertz(clock),
                                      LocalApic::Connections{.pins = pins[id],
                                                             .bus = bus,
                                                             .acknowledge_external = [this] { return external_vector; },
                                                             .base_changed = [this](uint64_t b) { reported_base = b; }},
                                      log);
      bus.attach(*apics[id]);
    }
  }
  Device& device() { return *apics[0]; }
  std::vector<WindowUnderTest> windows() { return {{apics[0].get(), 4096}}; }

  void write(int cpu, uint64_t offset, uint32_t value) { apics[cpu]->write(offset, 4, value); }
  uint64_t read(int cpu, uint64_t offset) { return apics[cpu]->read(offset, 4); }
  // Software enable with spurious vector FFH, flat logical id 1 << cpu.
  void enable_all() {
    for (int cpu = 0; cpu < kProcessors; ++cpu) {
      write(cpu, 0xf0, 0x1ff);
      write(cpu, 0xd0, 0x01000000u << cpu);
    }
  }
  void enable_x2apic() {
    for (auto& apic : apics) {
      apic->set_base_register(apic->base_register() | 0xc00);
      apic->write_x2apic(0x0f, 0x1ff);
    }
  }
  void send_command(int cpu, uint8_t destination, uint32_t low) {
    write(cpu, 0x310, uint32_t{destination} << 24);
    write(cpu, 0x300, low);
  }
  void write_entry(int pin, uint64_t entry) {
    write_ioapic(0x11 + 2 * pin, static_cast<uint32_t>(entry >> 32));
    write_ioapic(0x10 + 2 * pin, static_cast<uint32_t>(entry));
  }
  void write_ioapic(int index, uint32_t value) {
    ioapic.write(0x00, 4, static_cast<uint32_t>(index));
    ioapic.write(0x10, 4, value);
  }
  uint32_t read_ioapic(int index) {
    ioapic.write(0x00, 4, static_cast<uint32_t>(index));
    return static_cast<uint32_t>(ioapic.read(0x10, 4));
  }
};

}  // namespace calco::devices
