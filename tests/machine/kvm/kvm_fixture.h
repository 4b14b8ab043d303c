// A processor under KVM with memory, and nothing else of a machine.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "machine/accel/kvm/kvm_capabilities.h"
#include "machine/accel/kvm/kvm_machine.h"
#include "machine/accel/kvm/kvm_memory.h"
#include "machine/accel/kvm/kvm_vcpu.h"
#include "machine/pc/time_stamp_counter.h"
#include "tests/cpu/system_fixture.h"

namespace calco::machine {

// Where there is no /dev/kvm that works, tests say so and end.
inline bool kvm_is_there() {
  std::string reason;
  const std::optional<KvmSystem> system = open_kvm(reason);
  return system && probe_guest_runs(*system, reason);
}

#define CALCO_NEEDS_KVM() \
  if (!kvm_is_there()) GTEST_SKIP() << "skipped: no /dev/kvm"

// The processor of SystemFixture, and the accelerator that executes it.
struct KvmRig {
  explicit KvmRig(std::string_view model = "qemu64") : fixture(model) {
    std::string reason;
    system = open_kvm(reason);
    descriptor = create_kvm_machine(*system, KernelIrqchip::Off);
    memory = std::make_unique<KvmMemory>(descriptor.get(), fixture.map, system->capabilities.read_only_memory);
    fixture.map.add_listener([this] { memory->update(); });
    vcpu = std::make_unique<KvmVcpu>(KvmVcpuServices{.system = system->descriptor.get(),
                                                     .machine = descriptor.get(),
                                                     .capabilities = system->capabilities,
                                                     .irqchip = KernelIrqchip::Off,
                                                     .tsc = tsc,
                                                     .end_of_interrupt = [](uint8_t) {},
                                                     .give_up = [this](const std::string& dump) { dumps += dump; }},
                                     *fixture.cpu);
    fixture.cpu->set_waker([this] { vcpu->kick(); });
  }
  ~KvmRig() { fixture.cpu->set_waker({}); }

  cpu::Cpu& cpu() { return *fixture.cpu; }

  // Runs until the processor halts or shuts down, and brings its state back.
  cpu::RunExit run() {
    cpu::RunExit exit = cpu::RunExit::Stopped;
    for (int i = 0; i < 1000 && exit == cpu::RunExit::Stopped; ++i) exit = vcpu->run(cpu());
    vcpu->leave(cpu());
    return exit;
  }

  ManualClock clock;
  TimeStampCounter tsc{clock, {1'000'000'000, TimeStampCounter::Source::HostCounter}};
  cpu::SystemFixture fixture;
  std::optional<KvmSystem> system;
  devices::FileDescriptor descriptor;
  std::unique_ptr<KvmMemory> memory;
  std::unique_ptr<KvmVcpu> vcpu;
  std::string dumps;
};

}  // namespace calco::machine
