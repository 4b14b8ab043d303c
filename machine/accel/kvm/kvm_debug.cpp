// The debugger's breakpoints and watchpoints in debug registers that only the kernel sees (KVM_SET_GUEST_DEBUG).
#include <linux/kvm.h>

#include <algorithm>
#include <bit>
#include <cstring>

#include "machine/accel/kvm/kvm_call.h"
#include "machine/accel/kvm/kvm_vcpu.h"

namespace calco::machine {

namespace {

using cpu::DebuggerStops;

constexpr size_t kRegisters = 4, kControl = 7;
constexpr uint64_t kWhenWritten = 1, kWhenAccessed = 3, kReserved = 1u << 10;

// A field of DR7 for a register (SDM vol. 3, 18.2.4): enabled globally, condition and length.
uint64_t control_of(size_t number, uint64_t condition, uint64_t length_code) {
  return uint64_t{2} << (2 * number) | condition << (16 + 4 * number) | length_code << (18 + 4 * number);
}

// No register stops at reads alone, nor at what is not aligned.
bool fits_register(const DebuggerStops::Watchpoint& watchpoint) {
  const bool size_possible = std::has_single_bit(watchpoint.size) && watchpoint.size <= 8;
  return size_possible && watchpoint.linear % watchpoint.size == 0 && watchpoint.kind != DebuggerStops::Hit::Kind::Read;
}

uint64_t length_code(uint64_t size) { return size == 8 ? 2 : size - 1; }

kvm_guest_debug registers_for(const DebuggerStops& stops) {
  kvm_guest_debug debug{};
  if (stops.breakpoints.empty() && stops.watchpoints.empty()) return debug;
  debug.control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_HW_BP;
  size_t number = 0;
  uint64_t control = kReserved;
  for (const DebuggerStops::Watchpoint& watchpoint : stops.watchpoints) {
    debug.arch.debugreg[number] = watchpoint.linear;
    const bool written = watchpoint.kind == DebuggerStops::Hit::Kind::Write;
    control |= control_of(number++, written ? kWhenWritten : kWhenAccessed, length_code(watchpoint.size));
  }
  for (const uint64_t linear : stops.breakpoints) {
    debug.arch.debugreg[number] = linear;
    control |= control_of(number++, 0, 0);
  }
  debug.arch.debugreg[kControl] = control;
  return debug;
}

}  // namespace

// While the kernel uses the registers, the guest's own breakpoints do nothing: where it has some, the interpreter does
// both. A software KVM looks only at instructions, and of privilege level 3 at none: but those are not in the upper
// half of the address space.
bool KvmVcpu::kernel_finds_stops() const {
  constexpr uint64_t kEnabled = 0xFF;
  const DebuggerStops& stops = cpu_.debugger_stops();
  if (!services_.capabilities.guest_debug || (cpu_.dr[kControl] & kEnabled) != 0) return false;
  if (stops.breakpoints.size() + stops.watchpoints.size() > kRegisters) return false;
  const auto in_upper_half = [](uint64_t linear) { return linear >> 63 != 0; };
  const bool only_kernel = stops.watchpoints.empty() && std::ranges::all_of(stops.breakpoints, in_upper_half);
  if (!services_.capabilities.hardware && !only_kernel) return false;
  return std::ranges::all_of(stops.watchpoints, fits_register);
}

void KvmVcpu::load_debugger_stops() {
  kvm_guest_debug wanted = registers_for(cpu_.debugger_stops());
  if (std::memcmp(&wanted, &guest_debug_, sizeof(wanted)) == 0) return;
  kvm_call(descriptor_.get(), KVM_SET_GUEST_DEBUG, static_cast<void*>(&wanted), "KVM_SET_GUEST_DEBUG");
  guest_debug_ = wanted;
}

// In front of an instruction with a breakpoint, or behind one that met a watchpoint.
cpu::RunExit KvmVcpu::stop_for_debugger() {
  const uint64_t status = run_->debug.arch.dr6;
  leave(cpu_);
  if (!cpu_.stop_at_debugger_breakpoint()) {
    const auto& watchpoints = cpu_.debugger_stops().watchpoints;
    for (size_t number = 0; number < watchpoints.size(); ++number) {
      const DebuggerStops::Watchpoint watchpoint = watchpoints[number];
      if ((status >> number & 1) != 0) cpu_.note_data_access(watchpoint.linear, 1, true);
    }
  }
  if (cpu_.take_requests(cpu::request::kDebugger) != 0) return cpu::RunExit::Debugger;
  // Not one of the debugger's: it must not be met for ever.
  return cpu_.run_uncached(1, local_apic_in_kernel());
}

}  // namespace calco::machine
