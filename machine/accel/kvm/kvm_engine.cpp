#include "machine/accel/kvm/kvm_engine.h"

#include <fmt/format.h>
#include <linux/kvm.h>

#include <algorithm>
#include <utility>

#include "cpu/system/paravirtual_clock.h"
#include "machine/accel/kvm/kvm_call.h"
#include "machine/accel/kvm/kvm_cpuid.h"
#include "machine/accel/kvm/kvm_machine.h"
#include "machine/core/option_error.h"
#include "machine/pc/pc_board.h"

namespace calco::machine {

namespace {

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
      machine_(create_kvm_machine(system_, irqchip)),
      tsc_frequency_(kvm_tsc_frequency(system_)) {
  const KvmCapabilities& has = system_.capabilities;
  if ((irqchip == KernelIrqchip::On && !has.irqchip) || (irqchip == KernelIrqchip::Split && !has.split_irqchip)) {
    throw OptionError("-accel", fmt::format("kvm,kernel-irqchip={}: the host's KVM has none; use kernel-irqchip=off",
                                            name_of(irqchip)));
  }
  if (irqchip != KernelIrqchip::Off) interrupts_ = std::make_unique<KvmInterrupts>(machine_.get(), irqchip, has);
}

KvmEngine::~KvmEngine() = default;

void KvmEngine::adapt(cpu::CpuModel& model) {
  std::string lost;
  for (const std::string& name : adapt_model_to_kvm(system_.descriptor.get(), model)) lost += ' ' + name;
  if (!lost.empty())
    log_.print(LogItem::Accel, "-cpu {}: KVM lacks, and the guest does not see:{}", model.name(), lost);
}

TimeStampCounter::Options KvmEngine::time_stamp_counter() const { return kvm_time_stamp_counter(tsc_frequency_); }

void KvmEngine::attach(PcBoard& board) {
  board_ = &board;
  if (interrupts_ != nullptr) interrupts_->attach(board);
  memory_ = std::make_unique<KvmMemory>(machine_.get(), board.map, system_.capabilities.read_only_memory);
  board.memory_listener = [memory = memory_.get()] { memory->update(); };
  // Of an exchange: until now the guest was executed by its model.
  board.model.execute_everything();
  begin_clock();
}

void KvmEngine::detach(PcBoard& board) {
  board.memory_listener = {};
  processors_.clear();
  if (interrupts_ != nullptr) interrupts_->detach(board);
}

std::string KvmEngine::refusal(const PcBoard& board) const {
  if (board.tsc.options() != time_stamp_counter()) {
    return "the guest's time-stamp counter does not count as KVM's; KVM must be usable when the machine is started";
  }
  const std::vector<std::string> missing = features_missing_in_kvm(system_.descriptor.get(), board.model);
  if (missing.empty()) return {};
  return fmt::format("the guest was shown features that KVM lacks here; start with -cpu {},-{}", board.model.name(),
                     fmt::join(missing, ",-"));
}

std::unique_ptr<Accelerator> KvmEngine::make_accelerator(unsigned index) {
  KvmVcpuServices services{
      .system = system_.descriptor.get(),
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

// The local APICs before the controllers, whose interrupts they accept.
void KvmEngine::load_devices() {
  if (interrupts_ == nullptr) return;
  for (size_t index = 0; index < processors_.size(); ++index) {
    processors_[index]->load_local_apic(board_->local_apics[index]->registers());
  }
  interrupts_->load_devices(*board_);
}

void KvmEngine::store_devices() {
  if (interrupts_ == nullptr) return;
  for (size_t index = 0; index < processors_.size(); ++index) {
    board_->local_apics[index]->set_registers(processors_[index]->local_apic());
  }
  interrupts_->store_devices(*board_);
}

// --- kvm-clock -------------------------------------------------------------------------------------------------------

// Goes on where another engine, or KVM before it, has brought the guest's clock; else at the time-stamp counter's.
void KvmEngine::begin_clock() {
  constexpr uint64_t kNanoseconds = 1'000'000'000;
  stopped_clock_ =
      static_cast<uint64_t>(static_cast<unsigned __int128>(board_->tsc.now()) * kNanoseconds / tsc_frequency_);
  for (const auto& processor : board_->processors) {
    stopped_clock_ = std::max(stopped_clock_, cpu::paravirtual_time(*processor));
  }
  time_goes_on();
}

void KvmEngine::time_stops() {
  kvm_clock_data clock{};
  kvm_call(machine_.get(), KVM_GET_CLOCK, static_cast<void*>(&clock), "KVM_GET_CLOCK");
  stopped_clock_ = clock.clock;
  time_stopped_ = true;
  if (interrupts_ != nullptr) interrupts_->time_stops();
}

void KvmEngine::time_goes_on() {
  kvm_clock_data clock{};
  clock.clock = stopped_clock_;
  kvm_call(machine_.get(), KVM_SET_CLOCK, static_cast<void*>(&clock), "KVM_SET_CLOCK");
  if (!time_stopped_) return;
  time_stopped_ = false;
  if (interrupts_ == nullptr) return;
  interrupts_->time_goes_on();
  for (KvmVcpu* processor : processors_) processor->restart_local_apic_timer();
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
    if (counters.interrupt_instructions != 0) {
      text +=
          fmt::format("  interpreted while an interrupt waited: {} instructions\n", counters.interrupt_instructions);
    }
    if (counters.refused_states != 0) {
      text += fmt::format("  interpreted because KVM refuses the state: {} instructions\n", counters.refused_states);
    }
    for (const auto& [name, count] : counters.not_emulated) {
      text += fmt::format("  interpreted because KVM cannot: {} {}\n", name, count);
    }
  }
  return text;
}

}  // namespace calco::machine
