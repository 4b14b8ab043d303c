// A processor's local APIC in the kernel: its state, its timer.
#include <linux/kvm.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstring>
#include <thread>

#include "machine/accel/kvm/kvm_call.h"
#include "machine/accel/kvm/kvm_interrupt_state.h"
#include "machine/accel/kvm/kvm_table.h"
#include "machine/accel/kvm/kvm_vcpu.h"

namespace calco::machine {

using devices::LocalApic;

namespace {

constexpr uint32_t kTscDeadline = 0x6E0;

kvm_lapic_state read_local_apic(int vcpu) {
  kvm_lapic_state state{};
  kvm_call(vcpu, KVM_GET_LAPIC, static_cast<void*>(&state), "KVM_GET_LAPIC");
  return state;
}

void write_local_apic(int vcpu, kvm_lapic_state& state) {
  kvm_call(vcpu, KVM_SET_LAPIC, static_cast<void*>(&state), "KVM_SET_LAPIC");
}

kvm_sregs2 read_special_registers(int vcpu) {
  kvm_sregs2 special{};
  kvm_call(vcpu, KVM_GET_SREGS2, static_cast<void*>(&special), "KVM_GET_SREGS2");
  return special;
}

// 0 where the timer has none, or the kernel no such register.
uint64_t read_deadline(int vcpu) {
  KvmTable<kvm_msr_entry> table(1);
  table.header().count = 1;
  table.entries()[0].index = kTscDeadline;
  return kvm_try(vcpu, table_call::kGetMsrs, table.get()) == 1 ? table.entries()[0].data : 0;
}

void write_deadline(int vcpu, uint64_t deadline) {
  KvmTable<kvm_msr_entry> table(1);
  table.header().count = 1;
  table.entries()[0].index = kTscDeadline;
  table.entries()[0].data = deadline;
  kvm_try(vcpu, table_call::kSetMsrs, table.get());
}

// And nobody has been told of it, as far as one can see.
bool one_shot_has_expired(const LocalApic::Registers& registers) {
  constexpr uint32_t kMaskedOrOtherMode = 7u << 16;
  const uint32_t entry = registers.local_vectors[0];
  const auto vector = static_cast<uint8_t>(entry);
  const bool told = registers.requested.contains(vector) || registers.in_service.contains(vector);
  return (entry & kMaskedOrOtherMode) == 0 && registers.timer.initial_count != 0 &&
         registers.timer.current_count == 0 && !told;
}

}  // namespace

LocalApic::Registers KvmVcpu::local_apic() const {
  const int vcpu = descriptor_.get();
  LocalApic::Registers registers =
      from_kvm_local_apic(read_local_apic(vcpu), read_special_registers(vcpu).apic_base, 0);
  registers.timer = left_timer_;
  return registers;
}

// IA32_APIC_BASE says in which mode the registers are to be understood.
void KvmVcpu::load_local_apic(const LocalApic::Registers& registers) {
  constexpr unsigned kPriorityShift = 4;
  const int vcpu = descriptor_.get();
  apic_base_ = registers.base;
  cr8_ = registers.task_priority >> kPriorityShift;
  left_timer_ = registers.timer;
  new_deadline_ = registers.timer.tsc_deadline;
  kvm_sregs2 special = read_special_registers(vcpu);
  special.apic_base = apic_base_;
  special.cr8 = cr8_;
  kvm_call(vcpu, KVM_SET_SREGS2, static_cast<void*>(&special), "KVM_SET_SREGS2");
  kvm_lapic_state state = read_local_apic(vcpu);
  to_kvm_local_apic(registers, state);
  write_local_apic(vcpu, state);
}

// An expiry of which KVM keeps a note becomes a request: nobody is told of the note, and a timer that is started by its
// own interrupt would never be again. KVM_RUN does it before it looks for signals, of which one waits already.
void KvmVcpu::take_timer_interrupt() {
  struct SignalMask {
    uint32_t length;
    uint8_t set[8];
  } mask{sizeof(mask.set), {}};
  sigset_t kick, before;
  sigemptyset(&kick);
  sigaddset(&kick, kKickSignal);
  pthread_sigmask(SIG_BLOCK, &kick, &before);
  std::memcpy(mask.set, &before, sizeof(mask.set));
  kvm_call(descriptor_.get(), table_call::kSetSignalMask, static_cast<void*>(&mask), "KVM_SET_SIGNAL_MASK");
  ::syscall(SYS_tgkill, ::getpid(), thread_.load(std::memory_order_relaxed), kKickSignal);
  std::atomic_ref(run_->immediate_exit).store(0);
  kvm_try(descriptor_.get(), KVM_RUN);
  kvm_call(descriptor_.get(), table_call::kSetSignalMask, static_cast<void*>(nullptr), "KVM_SET_SIGNAL_MASK");
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

// The timer as it stands now. A one-shot timer that expires at this moment is waited for: the host's timer may be late.
void KvmVcpu::keep_local_apic_timer() {
  constexpr auto kLateness = std::chrono::milliseconds(1);
  const int vcpu = descriptor_.get();
  take_timer_interrupt();
  LocalApic::Registers registers = from_kvm_local_apic(read_local_apic(vcpu), 0, read_deadline(vcpu));
  if (one_shot_has_expired(registers)) {
    std::this_thread::sleep_for(kLateness);
    take_timer_interrupt();
  }
  left_timer_ = registers.timer;
}

void KvmVcpu::restart_local_apic_timer() {
  const int vcpu = descriptor_.get();
  kvm_lapic_state state = read_local_apic(vcpu);
  to_kvm_local_apic_timer(left_timer_, state);
  write_local_apic(vcpu, state);
  new_deadline_ = left_timer_.tsc_deadline;
}

void KvmVcpu::load_deadline() {
  if (new_deadline_ && *new_deadline_ != 0) write_deadline(descriptor_.get(), *new_deadline_);
  new_deadline_.reset();
}

}  // namespace calco::machine
