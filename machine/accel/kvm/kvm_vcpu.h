// One processor under KVM.
#pragma once

#include <linux/kvm.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "cpu/exec/foreign_components.h"
#include "devices/host/file_descriptor.h"
#include "devices/irq/local_apic.h"
#include "machine/accel/accelerator.h"
#include "machine/accel/kvm/kvm_capabilities.h"
#include "machine/accel/kvm/kvm_msrs.h"
#include "machine/options/machine_config.h"

namespace calco::machine {

class TimeStampCounter;

// What a processor shares with the others. All outlives it.
struct KvmVcpuServices {
  int system = -1;   // /dev/kvm
  int machine = -1;  // the virtual machine
  KvmCapabilities capabilities;
  KernelIrqchip irqchip = KernelIrqchip::Off;
  const TimeStampCounter& tsc;
  // An end of interrupt that the kernel's local APIC passes on (kernel-irqchip=split). May be called from execution.
  std::function<void(uint8_t vector)> end_of_interrupt;
  // The guest can neither be executed nor interpreted: says so and stops the machine. May be called from execution.
  std::function<void(const std::string& dump)> give_up;
};

// What it did, for `info accel`.
struct KvmCounters {
  uint64_t entries = 0;  // calls of KVM_RUN
  uint64_t port_accesses = 0, memory_accesses = 0, msr_accesses = 0, halts = 0, injected = 0;
  uint64_t refused_states = 0;                        // control registers that KVM does not take
  uint64_t smm_instructions = 0;                      // interpreted because the processor was in SMM, or A20 was closed
  uint64_t interrupt_instructions = 0;                // interpreted because a software KVM would take an interrupt late
  std::map<std::string, uint64_t> not_emulated = {};  // by mnemonic: what KVM could not execute and Calco interpreted
};

// Executes with KVM_RUN. The state is in the kernel from load() to leave(); between them the processor may halt and go
// on without it being moved. What KVM does not do is interpreted on the CpuState, and KVM goes on behind it:
//
// - an instruction that KVM reports it cannot emulate;
// - system management mode, so that SMRAM, the state-save area and RSM are ours;
// - with our local APICs and a software KVM, what comes next while an interrupt waits: KVM would take it late;
// - everything while gate A20 is closed, or while a debugger has set breakpoints or watchpoints that the kernel's debug
//   registers cannot hold.
//
// INIT, start-up IPIs and SMIs are served by the interpreter's dispatch loop at the boundary where they are seen. An
// event that KVM had begun to deliver when it is left is delivered by the interpreter, so that none is ever in between.
//
// Threads: as Accelerator. kick() makes KVM_RUN return: it writes immediate_exit and then signals the thread, so that
// it works at any moment, also in front of the system call. Takes no lock but those of the devices it reaches and,
// while the guest executes, is counted in the ProcessorGroup.
class KvmVcpu final : public Accelerator {
 public:
  // The host's signal that ends KVM_RUN; its handler does nothing.
  static const int kKickSignal;

  // Creates the processor in the kernel. `cpu` has its reset state. Throws std::system_error.
  KvmVcpu(KvmVcpuServices services, cpu::Cpu& cpu);
  KvmVcpu(const KvmVcpu&) = delete;
  KvmVcpu& operator=(const KvmVcpu&) = delete;
  ~KvmVcpu() override;

  std::string_view name() const override { return "kvm"; }
  cpu::RunExit run(cpu::Cpu& cpu) override;
  void leave(cpu::Cpu& cpu) override;
  void kick() override;

  // Gives the kernel the state, as run() does when it has work. False where the kernel refuses it: run() interprets
  // then.
  bool load();

  // The kernel's local APIC, where it has one. While paused and left; any thread then. Its timer stands as it did when
  // the processor was left.
  devices::LocalApic::Registers local_apic() const;
  void load_local_apic(const devices::LocalApic::Registers& registers);
  // Guest time goes on after a stop: and so does the timer, from where it stood.
  void restart_local_apic_timer();

  int descriptor() const { return descriptor_.get(); }
  const KvmCounters& counters() const { return counters_; }

 private:
  using MaybeExit = std::optional<cpu::RunExit>;

  bool local_apic_in_kernel() const { return services_.irqchip != KernelIrqchip::Off; }

  // kvm_vcpu.cpp: the loop.
  MaybeExit serve_requests();
  bool interprets_for_debugger() const;
  bool interrupt_waits() const;
  bool interprets_for_interrupt() const;
  bool interpreter_needed() const;
  cpu::RunExit interpret();
  bool wakes_up();
  MaybeExit enter_guest();
  MaybeExit handle_exit();
  void complete_access();
  void inject_interrupt();
  void follow_local_apic();

  // kvm_debug.cpp: what the debugger wants to stop at.
  bool kernel_finds_stops() const;
  void load_debugger_stops();
  cpu::RunExit stop_for_debugger();

  // kvm_exits.cpp: what the guest is left for.
  void access_ports();
  void access_memory();
  void read_msr();
  void write_msr();
  cpu::RunExit halt();
  cpu::RunExit shut_down();
  cpu::RunExit internal_error();
  cpu::RunExit interpret_for_kvm();
  cpu::RunExit give_up(const std::string& reason);

  // kvm_state.cpp, as load(): the state's way there and back.
  void store();
  void load_activity();
  void store_activity();
  void load_extended_state();
  void store_extended_state();
  void read_xsave_area();
  void load_general_registers();
  kvm_regs general_registers() const;
  kvm_sregs2 special_registers() const;
  kvm_vcpu_events waiting_events() const;
  void load_tsc();
  void store_tsc();
  void take_smi(const kvm_vcpu_events& waiting);

  // kvm_local_apic.cpp: the kernel's local APIC.
  void keep_local_apic_timer();
  void take_timer_interrupt();
  void load_deadline();

  const KvmVcpuServices services_;
  cpu::Cpu& cpu_;
  devices::FileDescriptor descriptor_;
  size_t run_size_ = 0;
  kvm_run* run_ = nullptr;
  std::optional<KvmMsrs> msrs_;
  std::vector<uint8_t> xsave_;                 // as the kernel last had it
  cpu::ForeignComponents foreign_components_;  // what only `xsave_` has
  // Of the kernel's local APIC, where it has one: IA32_APIC_BASE and CR8 as last known; its timer when the processor
  // was left; a deadline that the kernel has to be told when it knows the TSC's offset.
  uint64_t apic_base_ = 0, cr8_ = 0;
  devices::LocalApicTimer::Registers left_timer_;
  std::optional<uint64_t> new_deadline_;
  kvm_guest_debug guest_debug_{};  // as the kernel has it
  uint64_t tsc_offset_ = 0;        // as the kernel has it
  bool tsc_offset_known_ = false;
  bool loaded_ = false;               // the kernel has the state
  bool access_incomplete_ = false;    // KVM_RUN must finish the instruction that accessed a port, memory or an MSR
  unsigned interrupt_patience_ = 0;   // instructions that will still be interpreted while an interrupt waits
  bool window_known_ = false;         // ready_for_interrupt_injection is about the state as it is
  bool registers_synced_ = false;     // the run page has what KVM_RUN ended with
  bool drop_invalid_opcode_ = false;  // KVM queued #UD for the instruction that it could not emulate
  std::atomic<bool> in_guest_{false};
  std::atomic<int> thread_{0};
  KvmCounters counters_;
};

}  // namespace calco::machine
