// -accel kvm: the guest executes on the host's processor, through /dev/kvm.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "devices/host/file_descriptor.h"
#include "machine/accel/engine.h"
#include "machine/accel/kvm/kvm_capabilities.h"
#include "machine/accel/kvm/kvm_interrupts.h"
#include "machine/accel/kvm/kvm_memory.h"
#include "machine/accel/kvm/kvm_vcpu.h"
#include "machine/options/machine_config.h"

namespace calco::machine {

// The virtual machine of one Machine: memory slots, clock, interrupt controllers in the kernel, processors.
//
// Threads: as Engine. The accelerators outlive the engine's other parts only with the descriptor of the machine, so
// destroy them first.
class KvmEngine final : public Engine {
 public:
  // `give_up` is told when the guest cannot go on (any vCPU thread). Throws OptionError where the kernel lacks what
  // `irqchip` asks for, std::system_error.
  KvmEngine(KvmSystem system, KernelIrqchip irqchip, Log& log, std::function<void(const std::string&)> give_up);
  ~KvmEngine() override;

  std::string_view name() const override { return "kvm"; }
  void adapt(cpu::CpuModel& model) override;
  TimeStampCounter::Options time_stamp_counter() const override;
  void attach(PcBoard& board) override;
  void detach(PcBoard& board) override;
  std::string refusal(const PcBoard& board) const override;
  std::unique_ptr<Accelerator> make_accelerator(unsigned index) override;
  void load_devices() override;
  void store_devices() override;
  void time_stops() override;
  void time_goes_on() override;
  std::string describe() const override;

  KvmMemory& memory() { return *memory_; }

 private:
  void begin_clock();

  const KvmSystem system_;
  const KernelIrqchip irqchip_;
  Log& log_;
  const std::function<void(const std::string&)> give_up_;
  devices::FileDescriptor machine_;
  uint64_t tsc_frequency_ = 0;  // Hz
  uint64_t stopped_clock_ = 0;  // ns of kvm-clock while time stands still
  bool time_stopped_ = false;
  PcBoard* board_ = nullptr;
  std::unique_ptr<KvmInterrupts> interrupts_;  // null with kernel-irqchip=off
  std::unique_ptr<KvmMemory> memory_;
  std::vector<KvmVcpu*> processors_;  // owned by the vCPU threads
};

}  // namespace calco::machine
