// Whether /dev/kvm is there, and what it can do.
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "devices/host/file_descriptor.h"

namespace calco::machine {

// What is good to have; what Calco cannot do without is checked by open_kvm().
struct KvmCapabilities {
  size_t xsave_size = 4096;  // bytes of an XSAVE area (KVM_CAP_XSAVE2)
  bool read_only_memory = false;
  bool irqchip = false;        // 8259s, I/O APIC and local APICs (kernel-irqchip=on)
  bool split_irqchip = false;  // local APICs only (kernel-irqchip=split)
  bool pit = false;
  bool interrupt_events = false;  // KVM_IRQFD
  bool exit_on_emulation_failure = false;
  bool machine_check = false;
  bool guest_debug = false;
  uint32_t synced_registers = 0;  // KVM_CAP_SYNC_REGS: what the run page can carry
  bool hardware = false;          // see host_virtualizes()
};

// /dev/kvm, opened.
struct KvmSystem {
  devices::FileDescriptor descriptor;
  KvmCapabilities capabilities;
};

// Null and the reason, with what to do about it, where KVM cannot be used.
std::optional<KvmSystem> open_kvm(std::string& reason, const char* path = "/dev/kvm");

// Why a KVM will not do whose answers to KVM_CHECK_EXTENSION `check` gives, in one line; empty: it will.
std::string missing_capability(const std::function<int(int number)>& check);

// True where the processor says in /proc/cpuinfo that it can virtualize (vmx, svm). Without either, /dev/kvm is a
// software one: it exists inside of some virtual machines and executes kernel code by an emulator.
bool host_virtualizes(const char* path = "/proc/cpuinfo");

// Runs a guest of three instructions; false and the reason where it does not do what it should.
bool probe_guest_runs(const KvmSystem& kvm, std::string& reason);

}  // namespace calco::machine
