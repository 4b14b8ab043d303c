#include "machine/accel/kvm/kvm_interrupt_state.h"

#include <algorithm>
#include <cstring>

namespace calco::machine {

using devices::IoApic;
using devices::LocalApic;
using devices::LocalApicTimer;
using devices::Pic8259;

// --- 8259 ------------------------------------------------------------------------------------------------------------

// KVM numbers the steps of an initialization in the order of Pic8259::Initialization, and the highest priority's input
// instead of the lowest's.
kvm_pic_state to_kvm_pic(const Pic8259::Registers& registers, uint8_t pins, uint8_t level_selectable) {
  kvm_pic_state state{};
  state.last_irr = pins;
  state.irr = registers.requests;
  state.imr = registers.mask;
  state.isr = registers.in_service;
  state.priority_add = (registers.lowest_priority + 1) & 7;
  state.irq_base = registers.vector_base;
  state.read_reg_select = registers.read_in_service;
  state.poll = registers.poll;
  state.special_mask = registers.special_mask;
  state.init_state = static_cast<uint8_t>(registers.initialization);
  state.auto_eoi = registers.auto_end_of_interrupt;
  state.rotate_on_auto_eoi = registers.rotate_on_auto_end;
  state.special_fully_nested_mode = registers.special_fully_nested;
  state.init4 = registers.expects_icw4;
  state.elcr = registers.level_triggered;
  state.elcr_mask = level_selectable;
  return state;
}

Pic8259::Registers from_kvm_pic(const kvm_pic_state& state) {
  return {.requests = state.irr,
          .in_service = state.isr,
          .mask = state.imr,
          .level_triggered = state.elcr,
          .vector_base = state.irq_base,
          .lowest_priority = static_cast<uint8_t>((state.priority_add + 7) & 7),
          .initialization = static_cast<Pic8259::Initialization>(state.init_state & 3),
          .expects_icw4 = state.init4 != 0,
          .single = false,
          .read_in_service = state.read_reg_select != 0,
          .poll = state.poll != 0,
          .special_mask = state.special_mask != 0,
          .special_fully_nested = state.special_fully_nested_mode != 0,
          .auto_end_of_interrupt = state.auto_eoi != 0,
          .rotate_on_auto_end = state.rotate_on_auto_eoi != 0};
}

// --- I/O APIC --------------------------------------------------------------------------------------------------------

namespace {

constexpr uint64_t kIoApicBase = 0xFEC00000, kEntryLevel = 1u << 15;
constexpr unsigned kIoApicIdShift = 24;

}  // namespace

kvm_ioapic_state to_kvm_io_apic(const IoApic::Registers& registers, uint32_t pins) {
  kvm_ioapic_state state{};
  state.base_address = kIoApicBase;
  state.ioregsel = registers.index;
  state.id = registers.id >> kIoApicIdShift;
  for (unsigned pin = 0; pin < registers.entries.size(); ++pin) {
    state.redirtbl[pin].bits = registers.entries[pin];
    // An edge-triggered input that is high has been served: as a request it would be so again.
    if ((registers.entries[pin] & kEntryLevel) != 0) state.irr |= pins & 1u << pin;
  }
  return state;
}

IoApic::Registers from_kvm_io_apic(const kvm_ioapic_state& state) {
  IoApic::Registers registers;
  registers.index = static_cast<uint8_t>(state.ioregsel);
  registers.id = state.id << kIoApicIdShift;
  for (unsigned pin = 0; pin < registers.entries.size(); ++pin) registers.entries[pin] = state.redirtbl[pin].bits;
  return registers;
}

// --- Local APIC ------------------------------------------------------------------------------------------------------

namespace {

// Offsets of registers (SDM vol. 3, table 11-1).
constexpr size_t kTaskPriority = 0x80, kLogicalDestination = 0xD0, kDestinationFormat = 0xE0, kSpuriousVector = 0xF0,
                 kInService = 0x100, kTriggerMode = 0x180, kRequest = 0x200, kErrorStatus = 0x280, kCommandLow = 0x300,
                 kCommandHigh = 0x310, kLocalVectorTable = 0x320, kLocalVectorLint0 = 0x350, kInitialCount = 0x380,
                 kCurrentCount = 0x390, kDivideConfiguration = 0x3E0;
constexpr size_t kStep = 0x10;
constexpr int kVectorRegisters = 8;
constexpr uint32_t kTimerModes = 3u << 17, kMasked = 1u << 16, kExternalInterrupt = 7u << 8, kSoftwareEnable = 1u << 8;
constexpr uint64_t kBootstrap = 1u << 8;

uint32_t get(const kvm_lapic_state& state, size_t offset) {
  uint32_t value;
  std::memcpy(&value, state.regs + offset, sizeof(value));
  return value;
}

void put(kvm_lapic_state& state, size_t offset, uint32_t value) {
  std::memcpy(state.regs + offset, &value, sizeof(value));
}

devices::VectorSet get_vectors(const kvm_lapic_state& state, size_t offset) {
  devices::VectorSet set;
  for (int i = 0; i < kVectorRegisters; ++i) {
    set.set_register_value(i, get(state, offset + static_cast<size_t>(i) * kStep));
  }
  return set;
}

void put_vectors(kvm_lapic_state& state, size_t offset, const devices::VectorSet& set) {
  for (int i = 0; i < kVectorRegisters; ++i) {
    put(state, offset + static_cast<size_t>(i) * kStep, set.register_value(i));
  }
}

}  // namespace

// KVM takes a count of zero for a one-shot timer that expires now; one that has expired has no initial count there.
void to_kvm_local_apic_timer(const LocalApicTimer::Registers& timer, kvm_lapic_state& state) {
  const bool one_shot = (get(state, kLocalVectorTable) & kTimerModes) == 0;
  const bool expired = one_shot && timer.current_count == 0;
  put(state, kDivideConfiguration, timer.divide_configuration);
  put(state, kInitialCount, expired ? 0 : timer.initial_count);
  put(state, kCurrentCount, timer.current_count);
}

void to_kvm_local_apic(const LocalApic::Registers& registers, kvm_lapic_state& state) {
  put(state, kTaskPriority, registers.task_priority);
  put(state, kLogicalDestination, registers.logical_destination);
  put(state, kDestinationFormat, registers.destination_format);
  put(state, kSpuriousVector, registers.spurious_vector);
  put_vectors(state, kInService, registers.in_service);
  put_vectors(state, kTriggerMode, registers.level_triggered);
  put_vectors(state, kRequest, registers.requested);
  put(state, kErrorStatus, registers.error_status);
  put(state, kCommandLow, static_cast<uint32_t>(registers.command));
  put(state, kCommandHigh, static_cast<uint32_t>(registers.command >> 32));
  for (size_t i = 0; i < registers.local_vectors.size(); ++i) {
    put(state, kLocalVectorTable + i * kStep, registers.local_vectors[i]);
  }
  // While the APIC is disabled by software, the bootstrap processor's LINT0 is its INTR. KVM has the entry say so.
  const bool enabled = (registers.spurious_vector & kSoftwareEnable) != 0;
  if (!enabled && (registers.base & kBootstrap) != 0) put(state, kLocalVectorLint0, kExternalInterrupt);
  to_kvm_local_apic_timer(registers.timer, state);
}

LocalApic::Registers from_kvm_local_apic(const kvm_lapic_state& state, uint64_t base, uint64_t tsc_deadline) {
  LocalApic::Registers registers;
  registers.base = base;
  registers.requested = get_vectors(state, kRequest);
  registers.in_service = get_vectors(state, kInService);
  registers.level_triggered = get_vectors(state, kTriggerMode);
  registers.task_priority = get(state, kTaskPriority);
  registers.logical_destination = get(state, kLogicalDestination);
  registers.destination_format = get(state, kDestinationFormat);
  registers.spurious_vector = get(state, kSpuriousVector);
  registers.error_status = get(state, kErrorStatus);
  registers.command = uint64_t{get(state, kCommandHigh)} << 32 | get(state, kCommandLow);
  for (size_t i = 0; i < registers.local_vectors.size(); ++i) {
    registers.local_vectors[i] = get(state, kLocalVectorTable + i * kStep);
  }
  uint32_t& lint0 = registers.local_vectors[(kLocalVectorLint0 - kLocalVectorTable) / kStep];
  if ((registers.spurious_vector & kSoftwareEnable) == 0 && lint0 == kExternalInterrupt) lint0 = kMasked;
  registers.timer = {.initial_count = get(state, kInitialCount),
                     .current_count = get(state, kCurrentCount),
                     .divide_configuration = get(state, kDivideConfiguration),
                     .tsc_deadline = tsc_deadline};
  return registers;
}

}  // namespace calco::machine
