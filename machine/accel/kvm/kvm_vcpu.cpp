#include "machine/accel/kvm/kvm_vcpu.h"

#include <cpuid.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstring>
#include <utility>

#include "cpu/exec/block_cache.h"
#include "cpu/system/processor_group.h"
#include "machine/accel/kvm/kvm_call.h"
#include "machine/accel/kvm/kvm_cpuid.h"
#include "machine/accel/kvm/kvm_table.h"

namespace calco::machine {

namespace {

using cpu::Activity;
using cpu::RunExit;
namespace request = cpu::request;

// Requests that the interpreter's dispatch loop serves.
constexpr uint32_t kForInterpreter = request::kSmi | request::kInit | request::kStartUp | request::kReset;
// Requests about caches that KVM does not have.
constexpr uint32_t kAboutCaches = request::kFlushTlb | request::kInvalidateCode | request::kExclusive |
                                  request::kSingleStep | request::kTrace | request::kDebugger;

constexpr unsigned kInterruptPatience = 10'000;  // instructions

// A handler must be there: the default would end the process. It is the same for all machines of the process.
void install_kick_handler(int signal) {
  struct sigaction action{};
  action.sa_handler = [](int) {};
  action.sa_flags = SA_RESTART;
  sigaction(signal, &action, nullptr);
}

void set_cpuid(int vcpu, const std::vector<kvm_cpuid_entry2>& entries) {
  KvmTable<kvm_cpuid_entry2> table{std::span(entries)};
  kvm_call(vcpu, table_call::kSetCpuid2, table.get(), "KVM_SET_CPUID2");
}

// The places of the host's state components, which are KVM's.
cpu::ForeignComponents find_foreign_components(std::span<uint8_t> area) {
  constexpr unsigned kExtendedState = 0xD;
  cpu::ForeignComponents components;
  components.area = area;
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  for (unsigned number = components.kFirst; number < components.kCount; ++number) {
    if (__get_cpuid_count(kExtendedState, number, &eax, &ebx, &ecx, &edx) == 0) break;
    const bool supervisor = (ecx & 1) != 0;
    if (eax == 0 || supervisor || uint64_t{eax} + ebx > std::min<uint64_t>(area.size(), components.kLargestArea))
      continue;
    components.mask |= uint64_t{1} << number;
    components.places[number] = {.offset = ebx, .size = eax, .aligned = (ecx & 2) != 0};
  }
  return components;
}

}  // namespace

const int KvmVcpu::kKickSignal = SIGUSR1;

KvmVcpu::KvmVcpu(KvmVcpuServices services, cpu::Cpu& cpu)
    : services_(std::move(services)), cpu_(cpu), xsave_(services_.capabilities.xsave_size) {
  install_kick_handler(kKickSignal);
  const uint64_t id = cpu.model().apic_id(cpu.environment().index);
  descriptor_.reset(kvm_call(services_.machine, KVM_CREATE_VCPU, id, "KVM_CREATE_VCPU"));
  run_size_ =
      static_cast<size_t>(kvm_call(services_.system, KVM_GET_VCPU_MMAP_SIZE, uint64_t{0}, "KVM_GET_VCPU_MMAP_SIZE"));
  void* page = ::mmap(nullptr, run_size_, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor_.get(), 0);
  if (page == MAP_FAILED) throw std::system_error(errno, std::generic_category(), "mapping kvm_run");
  run_ = static_cast<kvm_run*>(page);
  // Where the state is taken out often: KVM_RUN leaves a part of it in the run page each time.
  constexpr uint32_t kSynced = KVM_SYNC_X86_REGS | KVM_SYNC_X86_SREGS | KVM_SYNC_X86_EVENTS;
  const KvmCapabilities& has = services_.capabilities;
  const bool sync = !has.hardware && !local_apic_in_kernel() && (has.synced_registers & kSynced) == kSynced;
  run_->kvm_valid_regs = sync ? kSynced : 0;
  set_cpuid(descriptor_.get(), cpuid_entries(services_.system, cpu.model(), cpu));
  if (services_.capabilities.machine_check) {
    constexpr uint64_t kBanks = 10, kControlPresent = 1u << 8;
    uint64_t machine_check = kBanks | kControlPresent;
    kvm_try(descriptor_.get(), KVM_X86_SETUP_MCE, &machine_check);
  }
  msrs_.emplace(descriptor_.get());
  read_xsave_area();
  foreign_components_ = find_foreign_components(xsave_);
  cpu_.foreign_components = &foreign_components_;
}

KvmVcpu::~KvmVcpu() {
  cpu_.foreign_components = nullptr;
  if (run_ != nullptr) ::munmap(run_, run_size_);
}

// --- The loop --------------------------------------------------------------------------------------------------------

RunExit KvmVcpu::run(cpu::Cpu&) {
  thread_.store(static_cast<int>(::syscall(SYS_gettid)), std::memory_order_relaxed);
  for (;;) {
    if (const MaybeExit exit = serve_requests()) return *exit;
    if (!interrupt_waits()) interrupt_patience_ = kInterruptPatience;
    if (interpreter_needed()) return interpret();
    if (!local_apic_in_kernel() && cpu_.activity != Activity::Running && !wakes_up()) {
      return cpu_.activity == Activity::Shutdown ? RunExit::Shutdown : RunExit::Halted;
    }
    if (!load()) return interpret();
    // A processor that waits for its start-up IPI keeps an NMI; the kernel's local APIC knows by itself.
    const bool takes_nmi = local_apic_in_kernel() || cpu_.activity != Activity::WaitForStartUp;
    if (takes_nmi && cpu_.take_requests(request::kNmi) != 0) {
      kvm_call(descriptor_.get(), KVM_NMI, uint64_t{0}, "KVM_NMI");
    }
    inject_interrupt();
    if (const MaybeExit exit = enter_guest()) return *exit;
  }
}

// At an instruction boundary. What is left to do inside of KVM (NMI, INTR) stays.
KvmVcpu::MaybeExit KvmVcpu::serve_requests() {
  if (cpu_.exit_request.load(std::memory_order_seq_cst) == 0) return std::nullopt;
  if (cpu_.take_requests(request::kStop) != 0) return RunExit::Stopped;
  if ((cpu_.take_requests(kAboutCaches) & request::kInvalidateCode) != 0) cpu_.blocks().maintain();
  if ((cpu_.exit_request.load(std::memory_order_seq_cst) & kForInterpreter) == 0) return std::nullopt;
  leave(cpu_);
  // An interrupt shadow defers all of these to the end of the next instruction.
  return cpu_.run_uncached(cpu_.interrupt_shadow ? 1 : 0, false);
}

bool KvmVcpu::interprets_for_debugger() const {
  const cpu::DebuggerStops& stops = cpu_.debugger_stops();
  return !(stops.breakpoints.empty() && stops.watchpoints.empty()) && !kernel_finds_stops();
}

// A software KVM looks neither at the window for interrupts nor at CR8 while it executes kernel code: an interrupt that
// waits for a window of one instruction, or for a lower CR8, would miss it.
bool KvmVcpu::interrupt_waits() const {
  if (services_.capabilities.hardware || local_apic_in_kernel()) return false;
  return cpu_.interrupt_pending() || cpu_.environment().apic.task_priority_class() != 0;
}

// A guest that keeps interrupts out for long is KVM's again.
bool KvmVcpu::interprets_for_interrupt() const { return interrupt_waits() && interrupt_patience_ != 0; }

bool KvmVcpu::interpreter_needed() const {
  return cpu_.in_smm || interprets_for_interrupt() || !cpu_.mmu().a20_enabled() || interprets_for_debugger();
}

// Always ends with an exit, though often with nothing to do for the machine: a request to stop may have been among what
// was served.
RunExit KvmVcpu::interpret() {
  leave(cpu_);
  if (interprets_for_debugger()) return cpu_.run();
  if (interprets_for_interrupt()) {
    --interrupt_patience_;
    ++counters_.interrupt_instructions;
  } else if (interpreter_needed()) {
    ++counters_.smm_instructions;
  }
  // Interrupts that wait in the kernel's local APIC wait until KVM goes on.
  return cpu_.run_uncached(1, local_apic_in_kernel());
}

// A halted processor goes on with an interrupt or an NMI.
bool KvmVcpu::wakes_up() {
  if (cpu_.activity != Activity::Halted) return false;
  const bool interrupt = cpu_.interrupt_pending() && cpu_.interrupts_enabled();
  const bool nmi = (cpu_.exit_request.load(std::memory_order_seq_cst) & request::kNmi) != 0;
  if (interrupt || nmi) cpu_.activity = Activity::Running;
  return interrupt || nmi;
}

// With the local APIC in the kernel this is the 8259's way to it (ExtINT), else that of all interrupts.
void KvmVcpu::inject_interrupt() {
  cpu_.take_requests(request::kInterrupt);
  run_->request_interrupt_window = 0;
  if (services_.irqchip == KernelIrqchip::On) return;
  if (!local_apic_in_kernel()) run_->cr8 = cpu_.environment().apic.task_priority_class();
  if (!cpu_.interrupt_pending()) return;
  if (window_known_ && run_->ready_for_interrupt_injection) {
    const int vector = cpu_.environment().apic.acknowledge();
    if (vector >= 0) {
      kvm_interrupt interrupt{};
      interrupt.irq = static_cast<uint32_t>(vector);
      kvm_call(descriptor_.get(), KVM_INTERRUPT, static_cast<void*>(&interrupt), "KVM_INTERRUPT");
      ++counters_.injected;
    }
    window_known_ = false;
  }
  run_->request_interrupt_window = cpu_.interrupt_pending();
}

// --- KVM_RUN ---------------------------------------------------------------------------------------------------------

// Whoever sets a request reads in_guest_ afterwards, and here it is written before the requests are read: either the
// request is seen here, or the kick comes, and immediate_exit keeps it until the system call looks.
void KvmVcpu::kick() {
  if (!in_guest_.load(std::memory_order_seq_cst)) return;
  std::atomic_ref(run_->immediate_exit).store(1, std::memory_order_seq_cst);
  ::syscall(SYS_tgkill, ::getpid(), thread_.load(std::memory_order_relaxed), kKickSignal);
}

KvmVcpu::MaybeExit KvmVcpu::enter_guest() {
  constexpr uint32_t kKeeps = request::kNmi;  // waits for a start-up IPI with the processor
  cpu_.environment().group.enter();
  in_guest_.store(true, std::memory_order_seq_cst);
  const std::atomic_ref immediate_exit(run_->immediate_exit);
  immediate_exit.store(0, std::memory_order_seq_cst);
  if ((cpu_.exit_request.load(std::memory_order_seq_cst) & ~kKeeps) != 0) immediate_exit.store(1);
  const int result = kvm_try(descriptor_.get(), KVM_RUN);
  const int error = result < 0 ? errno : 0;
  registers_synced_ = run_->kvm_valid_regs != 0;
  in_guest_.store(false, std::memory_order_seq_cst);
  cpu_.environment().group.leave();

  ++counters_.entries;
  access_incomplete_ = false;
  window_known_ = true;
  if (!local_apic_in_kernel()) follow_local_apic();
  if ((run_->flags & KVM_RUN_X86_SMM) != 0) {
    return give_up("an SMI came through the kernel's local APIC and KVM entered its own SMM; use kernel-irqchip=off");
  }
  if (result < 0) {
    // EAGAIN: a processor in the kernel's wait for a start-up IPI was woken for something else.
    return error == EINTR || error == EAGAIN ? std::nullopt : MaybeExit(give_up(std::strerror(error)));
  }
  return handle_exit();
}

// KVM keeps copies of two registers of a local APIC that it does not have.
void KvmVcpu::follow_local_apic() {
  LocalApicPort& apic = cpu_.environment().apic;
  if (run_->cr8 != apic.task_priority_class()) {
    apic.set_task_priority_class(static_cast<uint8_t>(run_->cr8 & 0xF));
    interrupt_patience_ = kInterruptPatience;
  }
  if (run_->apic_base != apic.base_register()) apic.set_base_register(run_->apic_base);
}

KvmVcpu::MaybeExit KvmVcpu::handle_exit() {
  switch (run_->exit_reason) {
    case KVM_EXIT_IO:
      access_ports();
      return std::nullopt;
    case KVM_EXIT_MMIO:
      access_memory();
      return std::nullopt;
    case KVM_EXIT_X86_RDMSR:
      read_msr();
      return std::nullopt;
    case KVM_EXIT_X86_WRMSR:
      write_msr();
      return std::nullopt;
    case KVM_EXIT_IOAPIC_EOI:
      services_.end_of_interrupt(run_->eoi.vector);
      return std::nullopt;
    case KVM_EXIT_IRQ_WINDOW_OPEN:
    case KVM_EXIT_INTR:
    case KVM_EXIT_SET_TPR:
      return std::nullopt;
    case KVM_EXIT_HLT:
      return halt();
    case KVM_EXIT_DEBUG:
      return stop_for_debugger();
    case KVM_EXIT_SHUTDOWN:
      return shut_down();
    case KVM_EXIT_INTERNAL_ERROR:
      return internal_error();
    case KVM_EXIT_FAIL_ENTRY:
      return give_up(fmt::format("the host's processor refuses the guest's state (reason {:#x})",
                                 static_cast<uint64_t>(run_->fail_entry.hardware_entry_failure_reason)));
    default:
      return give_up(fmt::format("KVM_RUN ended for reason {}, which Calco does not know", run_->exit_reason));
  }
}

// Lets the kernel finish an instruction whose access was answered, and do nothing else.
void KvmVcpu::complete_access() {
  while (access_incomplete_) {
    access_incomplete_ = false;
    std::atomic_ref(run_->immediate_exit).store(1);
    const int result = kvm_try(descriptor_.get(), KVM_RUN);
    registers_synced_ = run_->kvm_valid_regs != 0;
    if (result < 0) return;
    // The rest of an access that crosses a page, or of a string instruction.
    handle_exit();
  }
}

}  // namespace calco::machine
