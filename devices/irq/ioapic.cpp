#include "devices/irq/ioapic.h"

#include <fmt/format.h>

#include "machine/core/archive.h"
#include "machine/core/log.h"

namespace calco::devices {

namespace {

// Windows of the register page (82093AA, 3.1; EOI: 82801BA, 5.8).
constexpr uint64_t kRegisterSelect = 0x00;
constexpr uint64_t kRegisterWindow = 0x10;
constexpr uint64_t kEndOfInterrupt = 0x40;

constexpr uint8_t kIndexId = 0;
constexpr uint8_t kIndexVersion = 1;
constexpr uint8_t kIndexArbitration = 2;
constexpr uint8_t kIndexFirstEntry = 0x10;

constexpr uint32_t kVersion = 0x20;
constexpr uint32_t kIdMask = 0x0f000000;

// Redirection entry (82093AA, 3.2.4).
constexpr uint64_t kLogical = 1u << 11;
constexpr uint64_t kDeliveryStatus = 1u << 12;
constexpr uint64_t kRemoteIrr = 1u << 14;
constexpr uint64_t kLevel = 1u << 15;
constexpr uint64_t kMasked = 1u << 16;
constexpr uint64_t kReadOnly = kDeliveryStatus | kRemoteIrr;
constexpr uint64_t kDefined = 0xff00'0000'0001'ffff;

uint8_t vector_of(uint64_t entry) { return static_cast<uint8_t>(entry); }

InterruptMessage message_of(uint64_t entry) {
  return {.destination = wide_destination(static_cast<uint8_t>(entry >> 56)),
          .logical = (entry & kLogical) != 0,
          .mode = static_cast<DeliveryMode>(entry >> 8 & 7),
          .vector = vector_of(entry),
          .level_triggered = (entry & kLevel) != 0};
}

}  // namespace

IoApic::IoApic(InterruptMessageSink& bus, Log& log) : bus_(bus), log_(log) { set_power_on_state(); }

void IoApic::set_power_on_state() {
  id_ = 0;
  index_ = 0;
  entries_.fill(kMasked);
}

void IoApic::reset() {
  std::lock_guard lock(mutex_);
  set_power_on_state();
}

void IoApic::serialize(Archive& archive) {
  std::lock_guard lock(mutex_);
  archive.section(name());
  archive.field("pins", pins_);
  archive.field("id", id_);
  archive.field("index", index_);
  archive.field("entries", entries_);
}

// Levels that nobody has been told of are told now.
void IoApic::isolate(bool isolated) {
  Outbox outbox;
  {
    std::lock_guard lock(mutex_);
    isolated_ = isolated;
    for (int pin = 0; pin < kPins; ++pin) {
      if ((entries_[pin] & kLevel) != 0) service(pin, outbox);
    }
  }
  send(outbox);
}

IoApic::Registers IoApic::registers() const {
  std::lock_guard lock(mutex_);
  return {.id = id_, .index = index_, .entries = entries_};
}

void IoApic::set_registers(const Registers& registers) {
  std::lock_guard lock(mutex_);
  id_ = registers.id & kIdMask;
  index_ = registers.index;
  for (size_t pin = 0; pin < entries_.size(); ++pin) entries_[pin] = registers.entries[pin] & (kDefined | kReadOnly);
}

uint32_t IoApic::pins() const {
  std::lock_guard lock(mutex_);
  return pins_;
}

uint64_t IoApic::read(uint64_t offset, unsigned size) {
  std::lock_guard lock(mutex_);
  if (offset == kRegisterSelect) return index_;
  if (offset == kRegisterWindow) return read_register();
  log_.print(LogItem::GuestErrors, "ioapic: {}-byte read of offset {:#x}", size, offset);
  return 0;
}

void IoApic::write(uint64_t offset, unsigned size, uint64_t value) {
  Outbox outbox;
  {
    std::lock_guard lock(mutex_);
    if (offset == kRegisterSelect) {
      index_ = static_cast<uint8_t>(value);
    } else if (offset == kRegisterWindow && size == 4) {
      write_register(static_cast<uint32_t>(value), outbox);
    } else if (offset == kEndOfInterrupt) {
      end_locked(static_cast<uint8_t>(value), outbox);
    } else {
      log_.print(LogItem::GuestErrors, "ioapic: {}-byte write of offset {:#x}", size, offset);
    }
  }
  send(outbox);
}

uint32_t IoApic::read_register() const {
  switch (index_) {
    case kIndexId:
    case kIndexArbitration:
      return id_;
    case kIndexVersion:
      return kVersion | (kPins - 1) << 16;
    default:
      break;
  }
  const int pin = (index_ - kIndexFirstEntry) / 2;
  if (index_ < kIndexFirstEntry || pin >= kPins) return 0;
  return static_cast<uint32_t>(entries_[pin] >> ((index_ & 1) != 0 ? 32 : 0));
}

void IoApic::write_register(uint32_t value, Outbox& outbox) {
  const int pin = (index_ - kIndexFirstEntry) / 2;
  if (index_ == kIndexId) {
    id_ = value & kIdMask;
  } else if (index_ >= kIndexFirstEntry && pin < kPins) {
    write_entry(pin, (index_ & 1) != 0, value, outbox);
  } else {
    log_.print(LogItem::GuestErrors, "ioapic: write of {:#x} to read-only register {:#x}", value, index_);
  }
}

void IoApic::write_entry(int pin, bool high_half, uint32_t value, Outbox& outbox) {
  uint64_t& entry = entries_[pin];
  if (high_half) {
    entry = (entry & 0xffffffff) | uint64_t{value} << 32;
  } else {
    entry = (entry & (0xffffffff'00000000 | kReadOnly)) | (value & ~kReadOnly);
  }
  entry &= kDefined;
  // Remote IRR means nothing for edge-triggered interrupts; drivers of old versions clear it by that switch.
  if ((entry & kLevel) == 0) entry &= ~kRemoteIrr;
  // An edge that came while the pin was masked is lost, a level is not.
  if ((entry & kLevel) != 0) service(pin, outbox);
}

void IoApic::set_input(int pin, bool level) {
  Outbox outbox;
  {
    std::lock_guard lock(mutex_);
    const uint32_t mask = 1u << pin;
    const bool rising = level && (pins_ & mask) == 0;
    pins_ = level ? pins_ | mask : pins_ & ~mask;
    if (rising) service(pin, outbox);
  }
  send(outbox);
}

// Sends the message of an asserted pin where its entry lets it pass.
void IoApic::service(int pin, Outbox& outbox) {
  uint64_t& entry = entries_[pin];
  if (isolated_ || (pins_ & 1u << pin) == 0 || (entry & (kMasked | kRemoteIrr)) != 0) return;
  InterruptMessage message = message_of(entry);
  const bool has_end = message.mode == DeliveryMode::Fixed || message.mode == DeliveryMode::LowestPriority;
  // SMI, NMI, INIT and ExtINT are edge triggered however the entry is programmed: nobody sends an EOI for them.
  message.level_triggered = message.level_triggered && has_end;
  if (message.level_triggered) entry |= kRemoteIrr;
  outbox.messages[outbox.count++] = message;
}

void IoApic::end_of_interrupt(uint8_t vector) {
  Outbox outbox;
  {
    std::lock_guard lock(mutex_);
    end_locked(vector, outbox);
  }
  send(outbox);
}

void IoApic::end_locked(uint8_t vector, Outbox& outbox) {
  for (int pin = 0; pin < kPins; ++pin) {
    uint64_t& entry = entries_[pin];
    if (vector_of(entry) != vector || (entry & kRemoteIrr) == 0) continue;
    entry &= ~kRemoteIrr;
    service(pin, outbox);
  }
}

void IoApic::send(const Outbox& outbox) {
  for (int index = 0; index < outbox.count; ++index) bus_.send(outbox.messages[index]);
}

std::string IoApic::describe() const {
  std::lock_guard lock(mutex_);
  std::string text = fmt::format("ioapic: id={:x} select={:02x}\n", id_ >> 24, index_);
  for (unsigned pin = 0; pin < entries_.size(); ++pin) {
    const uint64_t entry = entries_[pin];
    text += fmt::format("  pin {:<2} {:016x} vector {}{}{}{}{}\n", pin, entry, entry & 0xff,
                        (entry & kLevel) != 0 ? " level" : " edge", (entry & kMasked) != 0 ? " masked" : "",
                        (entry & kRemoteIrr) != 0 ? " in service" : "", (pins_ >> pin & 1) != 0 ? " asserted" : "");
  }
  return text;
}

}  // namespace calco::devices
