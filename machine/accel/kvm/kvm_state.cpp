// The state of a processor on its way to the kernel and back.
#include <linux/kvm.h>

#include <cstddef>
#include <cstring>

#include "cpu/system/cpu_model.h"
#include "machine/accel/kvm/kvm_call.h"
#include "machine/accel/kvm/kvm_registers.h"
#include "machine/accel/kvm/kvm_table.h"
#include "machine/accel/kvm/kvm_vcpu.h"
#include "machine/pc/time_stamp_counter.h"

namespace calco::machine {

using cpu::Activity;

// False where the kernel does not take the state: it is then the interpreter's.
bool KvmVcpu::load() {
  if (loaded_) return true;
  // A debug trap that waits for the boundary is delivered first: KVM has no word for it.
  while (cpu_.pending_debug_trap && cpu_.activity == Activity::Running) cpu_.run_uncached(1, true);

  const int vcpu = descriptor_.get();
  kvm_sregs2 special = to_kvm_special_registers(cpu_);
  special.cr8 = local_apic_in_kernel() ? cr8_ : cpu_.environment().apic.task_priority_class();
  special.apic_base = local_apic_in_kernel() ? apic_base_ : cpu_.environment().apic.base_register();
  if (kvm_try(vcpu, KVM_SET_SREGS2, &special) < 0) {
    if (++counters_.refused_states == 1) {
      cpu_.log().print(LogItem::Accel, "CPU {}: KVM refuses the control registers; interpreted",
                       cpu_.environment().index);
    }
    return false;
  }
  run_->apic_base = special.apic_base;
  load_general_registers();
  load_extended_state();
  msrs_->load(cpu_);
  load_tsc();
  if (local_apic_in_kernel()) load_deadline();
  load_debugger_stops();
  kvm_debugregs debug = to_kvm_debug_registers(cpu_);
  kvm_call(vcpu, KVM_SET_DEBUGREGS, static_cast<void*>(&debug), "KVM_SET_DEBUGREGS");
  kvm_vcpu_events events = to_kvm_events(cpu_);
  kvm_call(vcpu, KVM_SET_VCPU_EVENTS, static_cast<void*>(&events), "KVM_SET_VCPU_EVENTS");
  load_activity();
  loaded_ = true;
  registers_synced_ = false;
  window_known_ = false;
  return true;
}

void KvmVcpu::leave(cpu::Cpu&) {
  if (!loaded_) return;
  complete_access();
  if (local_apic_in_kernel()) keep_local_apic_timer();
  store();
}

void KvmVcpu::store() {
  const int vcpu = descriptor_.get();
  // First: the question makes the kernel take INIT and start-up IPIs that wait, which changes the registers.
  store_activity();
  from_kvm_registers(general_registers(), cpu_);
  const kvm_sregs2 special = special_registers();
  from_kvm_special_registers(special, cpu_);
  apic_base_ = special.apic_base;
  cr8_ = special.cr8;
  store_extended_state();
  msrs_->store(cpu_);
  store_tsc();
  kvm_debugregs debug{};
  kvm_call(vcpu, KVM_GET_DEBUGREGS, static_cast<void*>(&debug), "KVM_GET_DEBUGREGS");
  from_kvm_debug_registers(debug, cpu_);
  kvm_vcpu_events events = waiting_events();
  if (drop_invalid_opcode_ && events.exception.nr == cpu::kInvalidOpcode) events.exception.injected = 0;
  const KvmPendingEvents pending = from_kvm_events(events, cpu_);
  loaded_ = false;
  cpu_.state_replaced();
  if (pending.nmi_pending) cpu_.raise_nmi();
  if (events.smi.pending) take_smi(events);
  if (pending.undelivered) cpu_.deliver(*pending.undelivered);
}

// An SMI that came through the kernel's local APIC becomes a request, and the kernel's no more.
void KvmVcpu::take_smi(const kvm_vcpu_events& waiting) {
  kvm_vcpu_events rest = to_kvm_events(cpu_);
  rest.flags |= KVM_VCPUEVENT_VALID_SMM;
  rest.smi.latched_init = waiting.smi.latched_init;
  kvm_call(descriptor_.get(), KVM_SET_VCPU_EVENTS, static_cast<void*>(&rest), "KVM_SET_VCPU_EVENTS");
  cpu_.raise_smi();
}

// --- What the run page carries --------------------------------------------------------------------------------------

void KvmVcpu::load_general_registers() {
  kvm_regs general = to_kvm_registers(cpu_);
  if (run_->kvm_valid_regs == 0) {
    kvm_call(descriptor_.get(), KVM_SET_REGS, static_cast<void*>(&general), "KVM_SET_REGS");
    return;
  }
  run_->s.regs.regs = general;
  run_->kvm_dirty_regs = KVM_SYNC_X86_REGS;
}

kvm_regs KvmVcpu::general_registers() const {
  // Not yet fetched by KVM_RUN, or left by it.
  if (run_->kvm_dirty_regs != 0 || registers_synced_) return run_->s.regs.regs;
  kvm_regs general{};
  kvm_call(descriptor_.get(), KVM_GET_REGS, static_cast<void*>(&general), "KVM_GET_REGS");
  return general;
}

// The PDPTEs are not in the page.
kvm_sregs2 KvmVcpu::special_registers() const {
  kvm_sregs2 special{};
  const kvm_sregs& synced = run_->s.regs.sregs;
  const bool pae = (synced.cr4 & cpu::cr4::kPae) != 0 && (synced.efer & cpu::efer::kLma) == 0;
  if (registers_synced_ && !pae) {
    static_assert(offsetof(kvm_sregs2, flags) == offsetof(kvm_sregs, interrupt_bitmap));
    std::memcpy(&special, &synced, offsetof(kvm_sregs2, flags));
  } else {
    kvm_call(descriptor_.get(), KVM_GET_SREGS2, static_cast<void*>(&special), "KVM_GET_SREGS2");
  }
  return special;
}

kvm_vcpu_events KvmVcpu::waiting_events() const {
  if (registers_synced_) return run_->s.regs.events;
  kvm_vcpu_events events{};
  kvm_call(descriptor_.get(), KVM_GET_VCPU_EVENTS, static_cast<void*>(&events), "KVM_GET_VCPU_EVENTS");
  return events;
}

// --- Activity --------------------------------------------------------------------------------------------------------

// Without a local APIC in the kernel every processor that executes is runnable, and halting is ours.
void KvmVcpu::load_activity() {
  if (!local_apic_in_kernel()) return;
  kvm_mp_state state{};
  switch (cpu_.activity) {
    case Activity::Halted:
      state.mp_state = KVM_MP_STATE_HALTED;
      break;
    case Activity::WaitForStartUp:
      // Not "uninitialized", in which the kernel expects an INIT before the start-up IPI.
      state.mp_state = KVM_MP_STATE_INIT_RECEIVED;
      break;
    default:
      state.mp_state = KVM_MP_STATE_RUNNABLE;
      break;
  }
  kvm_call(descriptor_.get(), KVM_SET_MP_STATE, static_cast<void*>(&state), "KVM_SET_MP_STATE");
}

void KvmVcpu::store_activity() {
  if (!local_apic_in_kernel()) return;
  kvm_mp_state state{};
  kvm_call(descriptor_.get(), KVM_GET_MP_STATE, static_cast<void*>(&state), "KVM_GET_MP_STATE");
  switch (state.mp_state) {
    case KVM_MP_STATE_HALTED:
      cpu_.activity = Activity::Halted;
      break;
    case KVM_MP_STATE_UNINITIALIZED:
    case KVM_MP_STATE_INIT_RECEIVED:
      cpu_.activity = Activity::WaitForStartUp;
      break;
    default:
      cpu_.activity = Activity::Running;
      break;
  }
}

// --- x87 and vectors -------------------------------------------------------------------------------------------------

void KvmVcpu::load_extended_state() {
  kvm_xcrs xcrs{};
  xcrs.nr_xcrs = 1;
  xcrs.xcrs[0].value = cpu_.xcr0;
  // Refused where KVM does not offer XSAVE; XCR0 is then 1 for ever.
  kvm_try(descriptor_.get(), KVM_SET_XCRS, &xcrs);
  to_xsave_area(cpu_, xsave_);
  kvm_call(descriptor_.get(), table_call::kSetXsave, static_cast<void*>(xsave_.data()), "KVM_SET_XSAVE");
}

void KvmVcpu::read_xsave_area() {
  const bool large = xsave_.size() > table_call::kXsaveBytes;
  kvm_call(descriptor_.get(), large ? table_call::kGetXsave2 : table_call::kGetXsave, static_cast<void*>(xsave_.data()),
           "KVM_GET_XSAVE");
}

void KvmVcpu::store_extended_state() {
  read_xsave_area();
  from_xsave_area(xsave_, cpu_);
  kvm_xcrs xcrs{};
  if (kvm_try(descriptor_.get(), KVM_GET_XCRS, &xcrs) == 0 && xcrs.nr_xcrs != 0) cpu_.xcr0 = xcrs.xcrs[0].value;
}

// --- The time-stamp counter ------------------------------------------------------------------------------------------

// The guest reads the host's counter plus an offset. The part of it that all processors share is the machine's, the
// rest is what this processor wrote.
void KvmVcpu::load_tsc() {
  uint64_t offset = services_.tsc.host_offset() + cpu_.tsc_offset;
  if (tsc_offset_known_ && offset == tsc_offset_) return;
  kvm_device_attr attribute{};
  attribute.group = KVM_VCPU_TSC_CTRL;
  attribute.attr = KVM_VCPU_TSC_OFFSET;
  attribute.addr = reinterpret_cast<uint64_t>(&offset);
  kvm_call(descriptor_.get(), KVM_SET_DEVICE_ATTR, static_cast<void*>(&attribute), "KVM_VCPU_TSC_OFFSET");
  tsc_offset_ = offset;
  tsc_offset_known_ = true;
}

void KvmVcpu::store_tsc() {
  kvm_device_attr attribute{};
  attribute.group = KVM_VCPU_TSC_CTRL;
  attribute.attr = KVM_VCPU_TSC_OFFSET;
  attribute.addr = reinterpret_cast<uint64_t>(&tsc_offset_);
  kvm_call(descriptor_.get(), KVM_GET_DEVICE_ATTR, static_cast<void*>(&attribute), "KVM_VCPU_TSC_OFFSET");
  cpu_.tsc_offset = tsc_offset_ - services_.tsc.host_offset();
}

}  // namespace calco::machine
