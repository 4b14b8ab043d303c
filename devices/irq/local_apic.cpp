#include "devices/irq/local_apic.h"

#include <fmt/format.h>

#include "devices/irq/apic_bus.h"
#include "machine/core/archive.h"
#include "machine/core/log.h"

namespace calco::devices {

namespace {

// Register offsets divided by 16, which are also the low bytes of the x2APIC MSRs (SDM vol. 3, tables 11-1 and 11-6).
enum Register : unsigned {
  kId = 0x02,
  kVersion = 0x03,
  kTaskPriority = 0x08,
  kArbitrationPriority = 0x09,
  kProcessorPriority = 0x0a,
  kEndOfInterrupt = 0x0b,
  kRemoteRead = 0x0c,
  kLogicalDestination = 0x0d,
  kDestinationFormat = 0x0e,
  kSpuriousVector = 0x0f,
  kInService = 0x10,
  kTriggerMode = 0x18,
  kRequest = 0x20,
  kErrorStatus = 0x28,
  kCommandLow = 0x30,
  kCommandHigh = 0x31,
  kLocalVectorTable = 0x32,
  kInitialCount = 0x38,
  kCurrentCount = 0x39,
  kDivideConfiguration = 0x3e,
  kSelfInterrupt = 0x3f,
};

// IA32_APIC_BASE.
constexpr uint64_t kBaseBootstrap = 1u << 8;
constexpr uint64_t kBaseX2apic = 1u << 10;
constexpr uint64_t kBaseEnable = 1u << 11;
constexpr uint64_t kBaseAddress = ~uint64_t{0xfff};

constexpr uint32_t kVersionValue = 0x14 | 5 << 16;  // six LVT entries
constexpr uint32_t kSoftwareEnable = 1u << 8;
constexpr uint32_t kSpuriousVectorWritable = 0x3ff;
constexpr uint32_t kFlatFormat = 0xffffffff;

// Local vector table entries and the interrupt command register share these bits.
constexpr uint32_t kLogical = 1u << 11;
constexpr uint32_t kRemoteIrr = 1u << 14;
constexpr uint32_t kAssert = 1u << 14;
constexpr uint32_t kLevel = 1u << 15;
constexpr uint32_t kMasked = 1u << 16;
constexpr uint32_t kCommandWritable = 0x000ccfff;
constexpr std::array<uint32_t, 6> kLocalVectorWritable = {0x700ff, 0x107ff, 0x107ff, 0x1a7ff, 0x1a7ff, 0x100ff};

// Error status register.
constexpr uint32_t kSendIllegalVector = 1u << 5;
constexpr uint32_t kReceiveIllegalVector = 1u << 6;
constexpr uint32_t kIllegalRegister = 1u << 7;

constexpr unsigned kFirstLegalVector = 16;

DeliveryMode delivery_mode(uint32_t value) { return static_cast<DeliveryMode>(value >> 8 & 7); }

constexpr bool in_range(unsigned index, unsigned first, unsigned count) { return index - first < count; }

}  // namespace

LocalApic::LocalApic(const Options& options, Clock& clock, TscClock tsc, Connections connections, Log& log)
    : id_(options.id),
      bootstrap_(options.bootstrap),
      physical_address_bits_(options.physical_address_bits),
      name_(fmt::format("apic{}", options.id)),
      connections_(std::move(connections)),
      log_(log),
      base_(kDefaultBase | kBaseEnable | (options.bootstrap ? kBaseBootstrap : 0)),
      timer_(clock, std::move(tsc), [this] { on_alarm(); }) {
  std::lock_guard lock(mutex_);
  reset_registers();
}

bool LocalApic::globally_enabled() const { return (base_ & kBaseEnable) != 0; }
bool LocalApic::x2apic_mode() const { return (base_ & kBaseX2apic) != 0; }
bool LocalApic::software_enabled() const { return (spurious_vector_ & kSoftwareEnable) != 0; }

// --- Reset, snapshots ------------------------------------------------------------------------------------------------

void LocalApic::reset() {
  uint64_t base = 0;
  {
    std::lock_guard lock(mutex_);
    base = base_ = kDefaultBase | kBaseEnable | (bootstrap_ ? kBaseBootstrap : 0);
    reset_registers();
  }
  if (connections_.base_changed) connections_.base_changed(base);
}

void LocalApic::init_reset() {
  std::lock_guard lock(mutex_);
  reset_registers();
}

// SDM vol. 3, 11.4.7.1. The levels of the pins are the board's.
void LocalApic::reset_registers() {
  requested_ = in_service_ = level_triggered_ = {};
  task_priority_ = logical_destination_ = 0;
  destination_format_ = kFlatFormat;
  spurious_vector_ = 0xff;
  error_status_ = new_errors_ = 0;
  command_ = 0;
  local_vectors_.fill(kMasked);
  external_latched_ = false;
  timer_.reset();
  held_timer_ = {};
  publish_address();
  update();
}

void LocalApic::serialize(Archive& archive) {
  uint64_t base = 0;
  {
    std::lock_guard lock(mutex_);
    archive.section(name_);
    archive.field("base", base_);
    archive.field("requested", requested_);
    archive.field("in_service", in_service_);
    archive.field("level_triggered", level_triggered_);
    archive.field("task_priority", task_priority_);
    archive.field("logical_destination", logical_destination_);
    archive.field("destination_format", destination_format_);
    archive.field("spurious_vector", spurious_vector_);
    archive.field("error_status", error_status_);
    archive.field("new_errors", new_errors_);
    archive.field("command", command_);
    archive.field("local_vectors", local_vectors_);
    archive.field("pin_levels", pin_levels_);
    archive.field("external_latched", external_latched_);
    timer_.serialize(archive);
    base = base_;
    if (archive.loading()) {
      publish_address();
      update();
      connections_.pins.set_interrupt_pending(pending_shown_);
    }
  }
  if (archive.loading() && connections_.base_changed) connections_.base_changed(base);
}

// --- Another's work -------------------------------------------------------------------------------------------------

LocalApic::Registers LocalApic::registers() const {
  std::lock_guard lock(mutex_);
  return {.base = base_,
          .requested = requested_,
          .in_service = in_service_,
          .level_triggered = level_triggered_,
          .task_priority = task_priority_,
          .logical_destination = logical_destination_,
          .destination_format = destination_format_,
          .spurious_vector = spurious_vector_,
          .error_status = error_status_,
          .command = command_,
          .local_vectors = local_vectors_,
          .timer = isolation_ == Isolation::None ? timer_.registers() : held_timer_};
}

void LocalApic::set_registers(const Registers& registers) {
  bool base_changed = false;
  {
    std::lock_guard lock(mutex_);
    base_changed = base_ != registers.base;
    base_ = registers.base;
    requested_ = registers.requested;
    in_service_ = registers.in_service;
    level_triggered_ = registers.level_triggered;
    task_priority_ = registers.task_priority & 0xff;
    logical_destination_ = registers.logical_destination;
    destination_format_ = registers.destination_format;
    spurious_vector_ = registers.spurious_vector & kSpuriousVectorWritable;
    error_status_ = registers.error_status;
    new_errors_ = 0;
    command_ = registers.command;
    for (unsigned entry = 0; entry < kLocalVectors; ++entry) {
      local_vectors_[entry] = registers.local_vectors[entry] & (kLocalVectorWritable[entry] | kRemoteIrr);
    }
    external_latched_ = false;
    set_timer(registers.timer);
    publish_address();
    update();
  }
  if (base_changed && connections_.base_changed) connections_.base_changed(registers.base);
}

// The timer begins or ceases to be this one's.
void LocalApic::isolate(Isolation isolation) {
  std::lock_guard lock(mutex_);
  const LocalApicTimer::Registers timer = isolation_ == Isolation::None ? timer_.registers() : held_timer_;
  isolation_ = isolation;
  set_timer(timer);
  update();
}

void LocalApic::set_timer(const LocalApicTimer::Registers& registers) {
  held_timer_ = registers;
  const bool silent = isolation_ != Isolation::None || (local_vectors_[kTimer] & kMasked) != 0;
  if (timer_.set_registers(timer_mode(), silent, registers) && !silent) deliver_local(kTimer);
}

// --- Priorities and the INTR pin ----------------------------------------------------------------------------------

// SDM vol. 3, 11.8.3.1.
uint8_t LocalApic::compute_processor_priority() const {
  const int serviced = in_service_.highest();
  const unsigned service_class = serviced < 0 ? 0 : static_cast<unsigned>(serviced) & 0xf0;
  return static_cast<uint8_t>((task_priority_ & 0xf0) >= service_class ? task_priority_ : service_class);
}

// The vector that may interrupt the processor now, or -1.
int LocalApic::deliverable_vector() const {
  if (!globally_enabled() || isolation_ != Isolation::None) return -1;
  const int vector = requested_.highest();
  return vector >> 4 > compute_processor_priority() >> 4 ? vector : -1;
}

// Whether the 8259's INTR reaches the processor: in PIC mode and before the APIC is enabled directly, later through
// LINT0 programmed as virtual wire (MultiProcessor Specification 1.4, 3.6.2).
bool LocalApic::external_interrupt_waits() const {
  if (isolation_ != Isolation::None) return isolation_ == Isolation::ExternalInterrupts && pin_levels_[0] && bootstrap_;
  if (external_latched_) return true;
  if (!pin_levels_[0]) return false;
  if (!globally_enabled() || !software_enabled()) return bootstrap_;
  const uint32_t entry = local_vectors_[kLint0];
  return (entry & kMasked) == 0 && delivery_mode(entry) == DeliveryMode::ExternalInterrupt;
}

void LocalApic::update() {
  published_priority_.store(compute_processor_priority(), std::memory_order_relaxed);
  const bool pending = external_interrupt_waits() || deliverable_vector() >= 0;
  if (pending == pending_shown_) return;
  pending_shown_ = pending;
  connections_.pins.set_interrupt_pending(pending);
}

int LocalApic::acknowledge() {
  std::unique_lock lock(mutex_);
  if (external_interrupt_waits()) {
    external_latched_ = false;
    update();
    lock.unlock();
    const int vector = connections_.acknowledge_external ? connections_.acknowledge_external() : -1;
    if (vector >= 0) return vector;
    lock.lock();
  }
  const int vector = deliverable_vector();
  if (vector >= 0) {
    requested_.erase(static_cast<uint8_t>(vector));
    in_service_.insert(static_cast<uint8_t>(vector));
  }
  update();
  return vector;
}

uint8_t LocalApic::task_priority_class() const {
  std::lock_guard lock(mutex_);
  return static_cast<uint8_t>(task_priority_ >> 4);
}

void LocalApic::set_task_priority_class(uint8_t priority) {
  std::lock_guard lock(mutex_);
  task_priority_ = (priority & 0xfu) << 4;
  update();
}

// --- Arriving interrupts ------------------------------------------------------------------------------------------

void LocalApic::publish_address() {
  // In x2APIC mode the logical id follows from the id (SDM vol. 3, 11.12.10.2).
  if (x2apic_mode()) logical_destination_ = id_ >> 4 << 16 | 1u << (id_ & 0xf);
  const bool flat = destination_format_ >> 28 == 0xf;
  published_logical_.store(logical_destination_, std::memory_order_relaxed);
  accepts_interrupts_.store(globally_enabled() && software_enabled(), std::memory_order_relaxed);
  addressing_.store(!globally_enabled() ? Addressing::Disabled
                    : x2apic_mode()     ? Addressing::X2apic
                    : flat              ? Addressing::Flat
                                        : Addressing::Cluster,
                    std::memory_order_relaxed);
}

// SDM vol. 3, 11.6.2 and 11.12.10.2.
bool LocalApic::is_destination(const InterruptMessage& message) const {
  const Addressing addressing = addressing_.load(std::memory_order_relaxed);
  const uint32_t destination = message.destination;
  if (addressing == Addressing::Disabled) return false;
  if (destination == InterruptMessage::kBroadcast) return true;
  if (!message.logical) return destination == id_;
  const uint32_t own = published_logical_.load(std::memory_order_relaxed);
  if (addressing == Addressing::X2apic) return destination >> 16 == own >> 16 && (destination & own & 0xffff) != 0;
  if (destination > 0xff) return false;
  const uint32_t own_byte = own >> 24;
  if (addressing == Addressing::Flat) return (destination & own_byte) != 0;
  const bool cluster_matches = destination >> 4 == 0xf || destination >> 4 == own_byte >> 4;
  return cluster_matches && (destination & own_byte & 0xf) != 0;
}

void LocalApic::deliver(const InterruptMessage& message) {
  std::lock_guard lock(mutex_);
  if (!globally_enabled()) return;
  switch (message.mode) {
    case DeliveryMode::Fixed:
    case DeliveryMode::LowestPriority:
      if (software_enabled()) accept(message.vector, message.level_triggered);
      break;
    case DeliveryMode::Smi:
      connections_.pins.raise_smi();
      break;
    case DeliveryMode::Nmi:
      connections_.pins.raise_nmi();
      break;
    case DeliveryMode::Init:
      connections_.pins.raise_init();
      break;
    case DeliveryMode::StartUp:
      connections_.pins.start_up(message.vector);
      break;
    case DeliveryMode::ExternalInterrupt:
      external_latched_ = software_enabled();
      break;
    case DeliveryMode::Reserved:
      log_.print(LogItem::GuestErrors, "{}: message of the reserved delivery mode", name_);
      break;
  }
  update();
}

void LocalApic::accept(uint8_t vector, bool level_triggered) {
  if (vector < kFirstLegalVector) return record_error(kReceiveIllegalVector);
  requested_.insert(vector);
  level_triggered_.assign(vector, level_triggered);
}

void LocalApic::record_error(uint32_t error) {
  new_errors_ |= error;
  log_.print(LogItem::GuestErrors, "{}: error status {:#x}", name_, new_errors_);
  const uint32_t entry = local_vectors_[kError];
  const uint8_t vector = static_cast<uint8_t>(entry);
  if ((entry & kMasked) != 0) return;
  if (vector < kFirstLegalVector) {
    new_errors_ |= kReceiveIllegalVector;
    return;
  }
  accept(vector, false);
}

void LocalApic::set_local_pin(unsigned pin, bool level) {
  std::lock_guard lock(mutex_);
  const bool rising = level && !pin_levels_[pin];
  pin_levels_[pin] = level;
  if (globally_enabled()) {
    service_local_pin(pin, rising);
  } else if (pin == 1 && rising && bootstrap_) {
    connections_.pins.raise_nmi();
  }
  update();
}

void LocalApic::service_local_pin(unsigned pin, bool rising) {
  if (isolation_ != Isolation::None) return;
  const auto entry = static_cast<LocalVector>(kLint0 + pin);
  const uint32_t value = local_vectors_[entry];
  // "The trigger mode is used only when the delivery mode is fixed"; ExtINT is level triggered by itself.
  const bool level_mode = (value & kLevel) != 0 && delivery_mode(value) == DeliveryMode::Fixed;
  const bool active = level_mode ? pin_levels_[pin] && (value & kRemoteIrr) == 0 : rising;
  if (!active || (value & kMasked) != 0) return;
  if (level_mode) local_vectors_[entry] |= kRemoteIrr;
  deliver_local(entry);
}

void LocalApic::deliver_local(LocalVector entry) {
  const uint32_t value = local_vectors_[entry];
  if ((value & kMasked) != 0) return;
  const bool has_mode = entry != kTimer && entry != kError;
  switch (has_mode ? delivery_mode(value) : DeliveryMode::Fixed) {
    case DeliveryMode::Fixed:
      accept(static_cast<uint8_t>(value), (value & kRemoteIrr) != 0);
      break;
    case DeliveryMode::Smi:
      connections_.pins.raise_smi();
      break;
    case DeliveryMode::Nmi:
      connections_.pins.raise_nmi();
      break;
    case DeliveryMode::Init:
      connections_.pins.raise_init();
      break;
    default:  // ExtINT is a level: see external_interrupt_waits(). The others are reserved.
      break;
  }
}

// --- The timer ----------------------------------------------------------------------------------------------------

LocalApicTimer::Mode LocalApic::timer_mode() const {
  using Mode = LocalApicTimer::Mode;
  const unsigned mode = local_vectors_[kTimer] >> 17 & 3;
  return mode == 1 ? Mode::Periodic : mode == 2 ? Mode::TscDeadline : Mode::OneShot;
}

void LocalApic::configure_timer() { timer_.configure(timer_mode(), (local_vectors_[kTimer] & kMasked) != 0); }

void LocalApic::on_alarm() {
  std::lock_guard lock(mutex_);
  if (!timer_.take_expiry()) return;
  deliver_local(kTimer);
  update();
}

uint64_t LocalApic::tsc_deadline() const {
  std::lock_guard lock(mutex_);
  return timer_.tsc_deadline();
}

void LocalApic::set_tsc_deadline(uint64_t ticks) {
  std::lock_guard lock(mutex_);
  if (!timer_.set_tsc_deadline(ticks)) return;
  deliver_local(kTimer);
  update();
}

// --- Registers ----------------------------------------------------------------------------------------------------

std::optional<uint32_t> LocalApic::read_register(unsigned index) const {
  if (in_range(index, kInService, 8)) return in_service_.register_value(static_cast<int>(index - kInService));
  if (in_range(index, kTriggerMode, 8)) return level_triggered_.register_value(static_cast<int>(index - kTriggerMode));
  if (in_range(index, kRequest, 8)) return requested_.register_value(static_cast<int>(index - kRequest));
  if (in_range(index, kLocalVectorTable, kLocalVectors)) return local_vectors_[index - kLocalVectorTable];
  switch (index) {
    case kId:
      return x2apic_mode() ? id_ : id_ << 24;
    case kVersion:
      return kVersionValue;
    case kTaskPriority:
      return task_priority_;
    case kArbitrationPriority:
    case kProcessorPriority:
      return compute_processor_priority();
    case kEndOfInterrupt:
    case kRemoteRead:
      return 0;
    case kLogicalDestination:
      return logical_destination_;
    case kDestinationFormat:
      return destination_format_;
    case kSpuriousVector:
      return spurious_vector_;
    case kErrorStatus:
      return error_status_;
    case kCommandLow:
      return static_cast<uint32_t>(command_);
    case kCommandHigh:
      return static_cast<uint32_t>(command_ >> 32);
    case kInitialCount:
      return timer_.initial_count();
    case kCurrentCount:
      return timer_.current_count();
    case kDivideConfiguration:
      return timer_.divide_configuration();
    default:
      return std::nullopt;
  }
}

bool LocalApic::write_register(unsigned index, uint32_t value, Outgoing& outgoing) {
  if (in_range(index, kLocalVectorTable, kLocalVectors)) return write_local_vector(index - kLocalVectorTable, value);
  switch (index) {
    case kTaskPriority:
      task_priority_ = value & 0xff;
      break;
    case kEndOfInterrupt:
      end_of_interrupt(outgoing);
      break;
    case kLogicalDestination:
      logical_destination_ = value & 0xff000000;
      publish_address();
      break;
    case kDestinationFormat:
      destination_format_ = value | 0x0fffffff;
      publish_address();
      break;
    case kSpuriousVector:
      write_spurious_vector(value);
      break;
    case kErrorStatus:
      write_error_status();
      break;
    case kCommandLow:
      command_ = (command_ & 0xffffffff'00000000) | (value & kCommandWritable);
      write_command(value, wide_destination(static_cast<uint8_t>(command_ >> 56)), outgoing);
      break;
    case kCommandHigh:
      command_ = (command_ & 0xffffffff) | uint64_t{value & 0xff000000} << 32;
      break;
    case kInitialCount:
      timer_.set_initial_count(value);
      break;
    case kDivideConfiguration:
      timer_.set_divide_configuration(value);
      break;
    default:
      return false;
  }
  return true;
}

bool LocalApic::write_local_vector(unsigned entry, uint32_t value) {
  uint32_t& vector = local_vectors_[entry];
  const uint32_t remote_irr = (value & kLevel) != 0 ? vector & kRemoteIrr : 0;
  vector = (value & kLocalVectorWritable[entry]) | remote_irr;
  // "Attempts to unlock the mask bits are ignored" while the APIC is disabled by software.
  if (!software_enabled()) vector |= kMasked;
  if (entry == kTimer) configure_timer();
  if (entry == kLint0 || entry == kLint1) service_local_pin(entry - kLint0, false);
  return true;
}

void LocalApic::write_spurious_vector(uint32_t value) {
  spurious_vector_ = value & kSpuriousVectorWritable;
  if (!software_enabled()) {
    for (uint32_t& entry : local_vectors_) entry |= kMasked;
    configure_timer();
  }
  publish_address();
}

// "Before reading the ESR, software should write to it": the write shows what was logged since the last one.
void LocalApic::write_error_status() {
  error_status_ = new_errors_;
  new_errors_ = 0;
}

void LocalApic::end_of_interrupt(Outgoing& outgoing) {
  const int highest = in_service_.highest();
  if (highest < 0) return;
  const auto vector = static_cast<uint8_t>(highest);
  in_service_.erase(vector);
  if (!level_triggered_.contains(vector)) return;
  end_local_level(vector);
  outgoing.ended_vector = vector;
}

void LocalApic::end_local_level(uint8_t vector) {
  for (unsigned pin = 0; pin < pin_levels_.size(); ++pin) {
    uint32_t& entry = local_vectors_[kLint0 + pin];
    if ((entry & kRemoteIrr) == 0 || static_cast<uint8_t>(entry) != vector) continue;
    entry &= ~kRemoteIrr;
    service_local_pin(pin, false);
  }
}

// The interrupt command register (SDM vol. 3, 11.6.1).
void LocalApic::write_command(uint32_t low, uint32_t destination, Outgoing& outgoing) {
  enum Shorthand { kNone, kSelf, kAllIncludingSelf, kAllExcludingSelf };
  const unsigned shorthand = low >> 18 & 3;
  const auto vector = static_cast<uint8_t>(low);
  const DeliveryMode mode = delivery_mode(low);
  const bool has_vector = mode == DeliveryMode::Fixed || mode == DeliveryMode::LowestPriority;
  if (mode == DeliveryMode::Reserved || mode == DeliveryMode::ExternalInterrupt) {
    log_.print(LogItem::GuestErrors, "{}: command {:#x} has a reserved delivery mode", name_, low);
    return;
  }
  if (has_vector && vector < kFirstLegalVector) return record_error(kSendIllegalVector);
  // INIT level de-assert only synchronizes the arbitration ids of ancient processors.
  if (mode == DeliveryMode::Init && (low & kLevel) != 0 && (low & kAssert) == 0) return;
  if (shorthand == kSelf) {
    if (has_vector && software_enabled()) accept(vector, false);
    return;
  }
  // IPIs are edge triggered whatever the trigger mode bit says.
  outgoing.message =
      InterruptMessage{.destination = destination, .logical = (low & kLogical) != 0, .mode = mode, .vector = vector};
  outgoing.to_all = shorthand != kNone;
  outgoing.to_self = shorthand == kAllIncludingSelf;
}

void LocalApic::finish(const Outgoing& outgoing) {
  if (outgoing.ended_vector >= 0) connections_.bus.end_of_interrupt(static_cast<uint8_t>(outgoing.ended_vector));
  if (!outgoing.message) return;
  if (outgoing.to_all) {
    connections_.bus.send_to_all(*outgoing.message, outgoing.to_self ? nullptr : this);
  } else {
    connections_.bus.send(*outgoing.message);
  }
}

// --- The memory-mapped page -----------------------------------------------------------------------------------------

uint64_t LocalApic::read(uint64_t offset, unsigned size) {
  std::lock_guard lock(mutex_);
  if (!globally_enabled() || x2apic_mode()) return floating_bus(size);
  // Registers are the first 4 bytes of each 16; narrower reads of them are undefined and give their part here.
  const std::optional<uint32_t> value = read_register(static_cast<unsigned>(offset >> 4));
  if (!value) {
    record_error(kIllegalRegister);
    update();
  }
  const unsigned byte = offset & 0xf;
  return value && byte < 4 ? *value >> (byte * 8) & floating_bus(size) : 0;
}

void LocalApic::write(uint64_t offset, unsigned size, uint64_t value) {
  Outgoing outgoing;
  {
    std::lock_guard lock(mutex_);
    if (!globally_enabled() || x2apic_mode()) return;
    if ((offset & 0xf) != 0 || size != 4) {
      log_.print(LogItem::GuestErrors, "{}: {}-byte write of offset {:#x}", name_, size, offset);
      return;
    }
    const auto index = static_cast<unsigned>(offset >> 4);
    const bool known = write_register(index, static_cast<uint32_t>(value), outgoing);
    if (!known && !read_register(index)) record_error(kIllegalRegister);
    update();
  }
  finish(outgoing);
}

// --- MSRs ---------------------------------------------------------------------------------------------------------

uint64_t LocalApic::base_register() const {
  std::lock_guard lock(mutex_);
  return base_;
}

// SDM vol. 3, figure 11-27: the only ways are disabled to xAPIC to x2APIC, and back to disabled from both.
bool LocalApic::legal_base(uint64_t value) const {
  const uint64_t address_limit = uint64_t{1} << physical_address_bits_;
  const uint64_t defined = kBaseBootstrap | kBaseX2apic | kBaseEnable | (kBaseAddress & (address_limit - 1));
  if ((value & ~defined) != 0) return false;
  const bool enable = (value & kBaseEnable) != 0;
  const bool x2apic = (value & kBaseX2apic) != 0;
  if (x2apic && !enable) return false;
  if (x2apic && !globally_enabled()) return false;
  return x2apic || !enable || !x2apic_mode();
}

bool LocalApic::set_base_register(uint64_t value) {
  {
    std::lock_guard lock(mutex_);
    if (!legal_base(value)) return false;
    value = (value & ~kBaseBootstrap) | (base_ & kBaseBootstrap);
    const uint64_t changed = value ^ base_;
    if (changed == 0) return true;
    base_ = value;
    // What a disabled APIC knew is lost (SDM vol. 3, 11.4.3).
    if ((changed & kBaseEnable) != 0) reset_registers();
    if ((changed & kBaseX2apic) != 0 && x2apic_mode()) command_ &= 0xffffffff;
    publish_address();
    update();
  }
  if (connections_.base_changed) connections_.base_changed(value);
  return true;
}

bool LocalApic::read_x2apic(uint8_t index, uint64_t& value) {
  std::lock_guard lock(mutex_);
  if (!x2apic_mode()) return false;
  const bool absent = index == kArbitrationPriority || index == kEndOfInterrupt || index == kRemoteRead ||
                      index == kDestinationFormat || index == kCommandHigh || index == kSelfInterrupt;
  const std::optional<uint32_t> low = read_register(index);
  if (absent || !low) return false;
  value = index == kCommandLow ? command_ : *low;
  return true;
}

// Reserved bits that are set are a #GP (SDM vol. 3, 11.12.1.2 and table 11-6).
bool LocalApic::legal_x2apic_write(unsigned index, uint64_t value) const {
  if (in_range(index, kLocalVectorTable, kLocalVectors)) {
    const uint64_t read_only = 1u << 12 | kRemoteIrr;
    return (value & ~(kLocalVectorWritable[index - kLocalVectorTable] | read_only)) == 0;
  }
  switch (index) {
    case kTaskPriority:
    case kSelfInterrupt:
      return value <= 0xff;
    case kEndOfInterrupt:
    case kErrorStatus:
      return value == 0;
    case kSpuriousVector:
      return (value & ~uint64_t{kSpuriousVectorWritable}) == 0;
    case kCommandLow:
      return (value & 0xffffffff & ~uint64_t{kCommandWritable | 1u << 12}) == 0;
    case kInitialCount:
      return value <= 0xffffffff;
    case kDivideConfiguration:
      return (value & ~uint64_t{0xb}) == 0;
    default:
      return false;
  }
}

bool LocalApic::write_x2apic(uint8_t index, uint64_t value) {
  Outgoing outgoing;
  {
    std::lock_guard lock(mutex_);
    if (!x2apic_mode() || !legal_x2apic_write(index, value)) return false;
    const auto low = static_cast<uint32_t>(value);
    if (index == kCommandLow) {
      command_ = value & (0xffffffff'00000000 | kCommandWritable);
      write_command(low, static_cast<uint32_t>(value >> 32), outgoing);
    } else if (index == kSelfInterrupt) {
      if (software_enabled()) accept(static_cast<uint8_t>(low), false);
    } else {
      write_register(index, low, outgoing);
    }
    update();
  }
  finish(outgoing);
  return true;
}

// --- The monitor -----------------------------------------------------------------------------------------------------

std::string LocalApic::describe() const {
  constexpr std::array<std::string_view, kLocalVectors> kNames = {"timer", "thermal", "performance",
                                                                  "LINT0", "LINT1",   "error"};
  const auto members = [](const VectorSet& set) {
    std::string text;
    for (unsigned vector = 0; vector < 256; ++vector) {
      if (set.contains(static_cast<uint8_t>(vector))) text += fmt::format(" {}", vector);
    }
    return text.empty() ? " (none)" : text;
  };
  std::lock_guard lock(mutex_);
  std::string text =
      fmt::format("{}: id={} base={:#x}{} tpr={:02x} svr={:03x} ldr={:08x} dfr={:08x} esr={:02x} icr={:x}\n", name_,
                  id_, base_, globally_enabled() ? (x2apic_mode() ? " x2APIC" : " xAPIC") : " off", task_priority_,
                  spurious_vector_, logical_destination_, destination_format_, error_status_, command_);
  for (unsigned entry = 0; entry < kLocalVectors; ++entry) {
    const uint32_t value = local_vectors_[entry];
    text += fmt::format("  {:<12} {:08x} vector {}{}\n", kNames[entry], value, value & 0xff,
                        (value & kMasked) != 0 ? " masked" : "");
  }
  return text + fmt::format("  requested:{}\n  in service:{}\n", members(requested_), members(in_service_));
}

}  // namespace calco::devices
