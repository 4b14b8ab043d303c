#include "machine/accel/kvm/kvm_engine.h"

#include <fmt/format.h>
#include <linux/kvm.h>

#include <array>
#include <utility>

#include "machine/accel/kvm/kvm_call.h"
#include "machine/accel/kvm/kvm_cpuid.h"
#include "machine/core/option_error.h"
#include "machine/pc/pc_board.h"

namespace calco::machine {

namespace {

devices::FileDescriptor create_machine(const KvmSystem& system) {
  return devices::FileDescriptor(kvm_call(system.descriptor.get(), KVM_CREATE_VM, uint64_t{0}, "KVM_CREATE_VM"));
}

// Hz. A processor of a machine for the question alone: processors cannot be taken away again.
uint64_t guest_tsc_frequency(const KvmSystem& system) {
  constexpr uint64_t kKilo = 1000;
  const devices::FileDescriptor machine = create_machine(system);
  const devices::FileDescriptor vcpu(kvm_call(machine.get(), KVM_CREATE_VCPU, uint64_t{0}, "KVM_CREATE_VCPU"));
  return static_cast<uint64_t>(kvm_call(vcpu.get(), KVM_GET_TSC_KHZ, uint64_t{0}, "KVM_GET_TSC_KHZ")) * kKilo;
}

std::string_view name_of(KernelIrqchip irqchip) {
  switch (irqchip) {
    case KernelIrqchip::On:
      return "on";
    case KernelIrqchip::Split:
      return "split";
    default:
      return "off";
  }
}

}  // namespace

KvmEngine::KvmEngine(KvmSystem system, KernelIrqchip irqchip, Log& log, std::function<void(const std::string&)> give_up)
    : system_(std::move(system)),
      irqchip_(irqchip),
      log_(log),
      give_up_(std::move(give_up)),
      machine_(create_machine(system_)),
      tsc_frequency_(guest_tsc_frequency(system_)) {
  place_tss();
  enable(KVM_CAP_X86_USER_SPACE_MSR, KVM_MSR_EXIT_REASON_UNKNOWN | KVM_MSR_EXIT_REASON_INVAL | KVM_MSR_EXIT_REASON_FILTER,
         "KVM_CAP_X86_USER_SPACE_MSR");
  if (system_.capabilities.exit_on_emulation_failure) {
    enable(KVM_CAP_EXIT_ON_EMULATION_FAILURE, 1, "KVM_CAP_EXIT_ON_EMULATION_FAILURE");
  }
  if (irqchip_ == KernelIrqchip::Off) filter_msrs();
}

KvmEngine::~KvmEngine() = default;

void KvmEngine::enable(uint32_t capability, uint64_t argument, const char* name) {
  kvm_enable_cap request{};
  request.cap = capability;
  request.args[0] = argument;
  kvm_call(machine_.get(), KVM_ENABLE_CAP, static_cast<void*>(&request), name);
}

// Intel processors that cannot execute real mode as a guest need four pages for it, where nothing else is: below the
// firmware's ROM.
void KvmEngine::place_tss() {
  uint64_t identity_map = 0xFEFFC000;
  constexpr uint64_t kTss = 0xFEFFD000;
  kvm_call(machine_.get(), KVM_SET_IDENTITY_MAP_ADDR, static_cast<void*>(&identity_map), "KVM_SET_IDENTITY_MAP_ADDR");
  kvm_call(machine_.get(), KVM_SET_TSS_ADDR, kTss, "KVM_SET_TSS_ADDR");
}

// The kernel swallows the deadline of a local APIC that it does not have.
void KvmEngine::filter_msrs() {
  constexpr uint32_t kTscDeadline = 0x6E0;
  uint8_t nothing_allowed = 0;
  kvm_msr_filter filter{};
  filter.flags = KVM_MSR_FILTER_DEFAULT_ALLOW;
  filter.ranges[0].flags = KVM_MSR_FILTER_READ | KVM_MSR_FILTER_WRITE;
  filter.ranges[0].base = kTscDeadline;
  filter.ranges[0].nmsrs = 1;
  filter.ranges[0].bitmap = &nothing_allowed;
  kvm_call(machine_.get(), KVM_X86_SET_MSR_FILTER, static_cast<void*>(&filter), "KVM_X86_SET_MSR_FILTER");
}

void KvmEngine::adapt(cpu::CpuModel& model) {
  std::string lost;
  for (const std::string& name : adapt_model_to_kvm(system_.descriptor.get(), model)) lost += ' ' + name;
  if (!lost.empty()) log_.print(LogItem::Accel, "-cpu {}: KVM lacks, and the guest does not see:{}", model.name(), lost);
}

TimeStampCounter::Options KvmEngine::time_stamp_counter() const {
  return {tsc_frequency_, TimeStampCounter::Source::HostCounter};
}

void KvmEngine::attach(PcBoard& board) {
  board_ = &board;
  memory_ = std::make_unique<KvmMemory>(machine_.get(), board.map, system_.capabilities.read_only_memory);
  board.map.add_listener([memory = memory_.get()] { memory->update(); });
}

std::unique_ptr<Accelerator> KvmEngine::make_accelerator(unsigned index) {
  KvmVcpuServices services{.system = system_.descriptor.get(),
                           .machine = machine_.get(),
                           .capabilities = system_.capabilities,
                           .irqchip = irqchip_,
                           .tsc = board_->tsc,
                           .end_of_interrupt = [bus = &board_->apic_bus](uint8_t vector) { bus->end_of_interrupt(vector); },
                           .give_up = give_up_};
  auto processor = std::make_unique<KvmVcpu>(std::move(services), *board_->processors[index]);
  processors_.push_back(processor.get());
  return processor;
}

// --- kvm-clock -------------------------------------------------------------------------------------------------------

void KvmEngine::time_stops() {
  kvm_clock_data clock{};
  kvm_call(machine_.get(), KVM_GET_CLOCK, static_cast<void*>(&clock), "KVM_GET_CLOCK");
  stopped_clock_ = clock.clock;
}

void KvmEngine::time_goes_on() {
  kvm_clock_data clock{};
  clock.clock = stopped_clock_;
  kvm_call(machine_.get(), KVM_SET_CLOCK, static_cast<void*>(&clock), "KVM_SET_CLOCK");
}

std::string KvmEngine::describe() const {
  std::string text = fmt::format("kernel-irqchip={}, {} memory slots, TSC {} MHz\n", name_of(irqchip_),
                                 memory_->slot_count(), tsc_frequency_ / 1'000'000);
  for (size_t index = 0; index < processors_.size(); ++index) {
    const KvmCounters& counters = processors_[index]->counters();
    text += fmt::format("CPU #{}: {} entries; port {}, memory {}, MSR {}, halt {}, interrupts {}\n", index,
                        counters.entries, counters.port_accesses, counters.memory_accesses, counters.msr_accesses,
                        counters.halts, counters.injected);
    if (counters.smm_instructions != 0) {
      text += fmt::format("  interpreted in SMM or with A20 closed: {} instructions\n", counters.smm_instructions);
    }
    for (const auto& [name, count] : counters.not_emulated) {
      text += fmt::format("  interpreted because KVM cannot: {} {}\n", name, count);
    }
  }
  return text;
}

}  // namespace calco::machine
