#include "devices/timer/hpet.h"

#include <algorithm>
#include <utility>

#include "machine/core/archive.h"
#include "machine/core/log.h"

namespace calco::devices {

namespace {

// Register offsets (IA-PC HPET 1.0a, 2.3.1).
constexpr uint64_t kCapabilities = 0x000;
constexpr uint64_t kGeneralConfiguration = 0x010;
constexpr uint64_t kInterruptStatus = 0x020;
constexpr uint64_t kMainCounter = 0x0f0;
constexpr uint64_t kFirstComparator = 0x100;
constexpr uint64_t kComparatorStride = 0x20;
constexpr uint64_t kComparatorConfiguration = 0x00;
constexpr uint64_t kComparatorValue = 0x08;

// Vendor 8086H, legacy replacement capable, 64-bit counter, last comparator 2, revision 1; the period in fs above.
constexpr uint64_t kCapabilitiesValue = 0x00989680'8086a201;

constexpr uint64_t kEnable = 1;
constexpr uint64_t kLegacyReplacement = 2;

// Comparator configuration.
constexpr uint64_t kLevel = 1u << 1;
constexpr uint64_t kInterruptEnable = 1u << 2;
constexpr uint64_t kPeriodic = 1u << 3;
constexpr uint64_t kPeriodicCapable = 1u << 4;
constexpr uint64_t k64BitCapable = 1u << 5;
constexpr uint64_t kSetValue = 1u << 6;
constexpr uint64_t k32BitMode = 1u << 8;
constexpr uint64_t kWritable = 0x3e00 | k32BitMode | kSetValue | kPeriodic | kInterruptEnable | kLevel;
constexpr uint64_t kFixed = kPeriodicCapable | k64BitCapable;

// Outputs: the I/O APIC's inputs, then the two legacy lines.
constexpr int kLegacyTimer = 32;
constexpr int kLegacyClock = 33;
constexpr int kOutputs = 34;

constexpr int route_of(uint64_t configuration) { return static_cast<int>(configuration >> 9 & 0x1f); }

// Matches further ahead (a century) need no timer.
constexpr uint64_t kFarthestMatch = uint64_t{1} << 58;

// Between edges that a late host makes up for, ns: time enough for a guest to acknowledge each.
constexpr int64_t kCatchUp = 170'000;

}  // namespace

Hpet::Hpet(Clock& clock, Outputs outputs, Log& log)
    : clock_(clock),
      outputs_(std::move(outputs)),
      log_(log),
      timers_{Timer(clock, [this] { on_timer(0); }), Timer(clock, [this] { on_timer(1); }),
              Timer(clock, [this] { on_timer(2); })},
      owed_timers_{Timer(clock, [this] { on_owed(0); }), Timer(clock, [this] { on_owed(1); }),
                   Timer(clock, [this] { on_owed(2); })} {
  set_power_on_state();
}

void Hpet::set_power_on_state() {
  general_configuration_ = interrupt_status_ = counter_base_ = 0;
  comparators_.fill(Comparator{.configuration = kFixed});
  expiries_.fill(Clock::kNever);
  owed_.fill(0);
}

void Hpet::reset() {
  set_power_on_state();
  update();
}

void Hpet::serialize(Archive& archive) {
  archive.section(name());
  archive.field("general_configuration", general_configuration_);
  archive.field("interrupt_status", interrupt_status_);
  archive.field("counter_base", counter_base_);
  archive.field("comparators", comparators_);
  archive.field("expiries", expiries_);
  archive.field("owed", owed_);
  if (!archive.loading()) return;
  for (int index = 0; index < kComparators; ++index) {
    // A match that was due but not yet seen happens after loading.
    if (expiries_[index] <= clock_.now()) {
      timers_[index].arm(expiries_[index]);
    } else {
      schedule(index, false);
    }
    arm_owed(index);
  }
  update_outputs();
}

bool Hpet::enabled() const { return (general_configuration_ & kEnable) != 0; }
bool Hpet::legacy_routing() const { return (general_configuration_ & kLegacyReplacement) != 0; }

uint64_t Hpet::width_mask(int index) const {
  return (comparators_[index].configuration & k32BitMode) != 0 ? 0xffffffff : ~uint64_t{0};
}

uint64_t Hpet::counter() const {
  return enabled() ? counter_base_ + static_cast<uint64_t>(clock_.now() / kTick) : counter_base_;
}

// --- Comparators
// ------------------------------------------------------------------------------------------------------

// Which output a comparator drives.
int Hpet::output_of(int index) const {
  if (legacy_routing() && index == 0) return kLegacyTimer;
  if (legacy_routing() && index == 1) return kLegacyClock;
  return route_of(comparators_[index].configuration);
}

void Hpet::set_output(int output, bool level) {
  if (output == kLegacyTimer) {
    outputs_.legacy_timer.set(level);
  } else if (output == kLegacyClock) {
    outputs_.legacy_clock.set(level);
  } else if ((outputs_.routes >> output & 1) != 0 && outputs_.io_apic) {
    outputs_.io_apic(output, level);
  }
}

// Drives what level-triggered comparators hold, and the line that cuts off the 8254 and the clock.
void Hpet::update_outputs() {
  uint64_t wanted = 0;
  for (int index = 0; index < kComparators; ++index) {
    const bool active = (comparators_[index].configuration & kInterruptEnable) != 0 && enabled() &&
                        (interrupt_status_ >> index & 1) != 0;
    if (active) wanted |= uint64_t{1} << output_of(index);
  }
  outputs_.legacy_replacement.set(legacy_routing());
  const uint64_t changed = wanted ^ std::exchange(asserted_, wanted);
  for (int output = 0; output < kOutputs; ++output) {
    if ((changed >> output & 1) != 0) set_output(output, (wanted >> output & 1) != 0);
  }
}

// The counter has reached the comparator.
void Hpet::match(int index) {
  Comparator& comparator = comparators_[index];
  if ((comparator.configuration & kLevel) != 0) {
    interrupt_status_ |= uint64_t{1} << index;
    return update_outputs();
  }
  const int output = output_of(index);
  const bool held = (asserted_ >> output & 1) != 0;
  if ((comparator.configuration & kInterruptEnable) == 0 || held) return;
  set_output(output, true);
  set_output(output, false);
}

void Hpet::on_timer(int index) {
  if (expiries_[index] > clock_.now()) return;
  Comparator& comparator = comparators_[index];
  if (is_periodic(index) && comparator.period != 0) {
    const uint64_t mask = width_mask(index);
    const uint64_t missed = ((counter() - comparator.value) & mask) / comparator.period;
    comparator.value = (comparator.value + (missed + 1) * comparator.period) & mask;
    owed_[index] += std::min(missed, most_owed(index));
  }
  match(index);
  schedule(index, true);
  arm_owed(index);
}

// What a late host may owe: edges, for a guest that counts them loses time otherwise (Linux refuses to boot when it
// sees too few: timer_irq_works()); no more than a second's; none where there would be no time to make up for them.
uint64_t Hpet::most_owed(int index) const {
  const Comparator& comparator = comparators_[index];
  const bool edges = (comparator.configuration & (kLevel | kInterruptEnable)) == kInterruptEnable;
  if (!enabled() || !edges || !is_periodic(index) || comparator.period < 2 * kCatchUp / kTick) return 0;
  return static_cast<uint64_t>(Clock::kSecond / kTick) / comparator.period;
}

void Hpet::arm_owed(int index) {
  owed_[index] = std::min(owed_[index], most_owed(index));
  if (owed_[index] == 0) return owed_timers_[index].cancel();
  owed_timers_[index].arm(clock_.now() + kCatchUp);
}

void Hpet::on_owed(int index) {
  if (owed_[index] == 0) return;
  --owed_[index];
  match(index);
  arm_owed(index);
}

// Arms the timer for the next match. `matched_now`: equality at this very tick has been dealt with.
void Hpet::schedule(int index, bool matched_now) {
  const uint64_t mask = width_mask(index);
  uint64_t distance = (comparators_[index].value - counter()) & mask;
  // The same value comes again when a 32-bit comparison has gone round; the 64-bit one never does.
  if (distance == 0 && matched_now) distance = std::max(mask, mask + 1);
  if (!enabled() || distance > kFarthestMatch) {
    expiries_[index] = Clock::kNever;
    return timers_[index].cancel();
  }
  expiries_[index] = (clock_.now() / kTick + static_cast<int64_t>(distance)) * kTick;
  timers_[index].arm(expiries_[index]);
}

void Hpet::update() {
  for (int index = 0; index < kComparators; ++index) {
    schedule(index, true);
    arm_owed(index);
  }
  update_outputs();
}

// --- Registers
// --------------------------------------------------------------------------------------------------------

uint64_t Hpet::read_register(uint64_t offset) const {
  switch (offset) {
    case kCapabilities:
      return kCapabilitiesValue;
    case kGeneralConfiguration:
      return general_configuration_;
    case kInterruptStatus:
      return interrupt_status_;
    case kMainCounter:
      return counter();
    default:
      break;
  }
  const uint64_t index = (offset - kFirstComparator) / kComparatorStride;
  if (offset < kFirstComparator || index >= kComparators) return 0;
  const Comparator& comparator = comparators_[index];
  switch (offset % kComparatorStride) {
    case kComparatorConfiguration:
      return comparator.configuration | uint64_t{outputs_.routes} << 32;
    case kComparatorValue:
      return comparator.value;
    default:
      return 0;
  }
}

uint64_t Hpet::read(uint64_t offset, unsigned size) {
  if (size < 4 || offset % size != 0) {
    log_.print(LogItem::GuestErrors, "hpet: {}-byte read of offset {:#x}", size, offset);
    return 0;
  }
  return read_register(offset & ~uint64_t{7}) >> (offset % 8 * 8) & floating_bus(size);
}

void Hpet::write(uint64_t offset, unsigned size, uint64_t value) {
  if (size < 4 || offset % size != 0) {
    log_.print(LogItem::GuestErrors, "hpet: {}-byte write of offset {:#x}", size, offset);
    return;
  }
  const auto shift = static_cast<unsigned>(offset % 8 * 8);
  write_register(offset & ~uint64_t{7}, (value & floating_bus(size)) << shift, floating_bus(size) << shift);
}

void Hpet::write_register(uint64_t offset, uint64_t value, uint64_t mask) {
  // Matches whose timers are late come before the change.
  for (int index = 0; index < kComparators; ++index) on_timer(index);
  const uint64_t merged = (read_register(offset) & ~mask) | value;
  switch (offset) {
    case kGeneralConfiguration:
      return write_general_configuration(merged);
    case kInterruptStatus:
      interrupt_status_ &= ~value;
      return update_outputs();
    case kMainCounter:
      // Only a halted counter may be written; a running one jumps.
      counter_base_ += merged - counter();
      return update();
    default:
      break;
  }
  const uint64_t index = (offset - kFirstComparator) / kComparatorStride;
  if (offset < kFirstComparator || index >= kComparators) return;
  if (offset % kComparatorStride == kComparatorConfiguration) {
    write_comparator_configuration(static_cast<int>(index), merged);
  } else if (offset % kComparatorStride == kComparatorValue) {
    write_comparator_value(static_cast<int>(index), value, mask);
  }
}

void Hpet::write_general_configuration(uint64_t value) {
  const uint64_t count = counter();
  general_configuration_ = value & (kEnable | kLegacyReplacement);
  counter_base_ += count - counter();
  for (int index = 0; index < kComparators; ++index) {
    schedule(index, false);
    arm_owed(index);
  }
  update_outputs();
}

void Hpet::write_comparator_configuration(int index, uint64_t value) {
  Comparator& comparator = comparators_[index];
  // "If the value is not supported, the value read back will not match": the route stays.
  const bool routable = (outputs_.routes >> route_of(value) & 1) != 0;
  if (!routable) value = (value & ~uint64_t{0x3e00}) | (comparator.configuration & 0x3e00);
  comparator.configuration = (value & kWritable) | kFixed;
  if ((comparator.configuration & k32BitMode) != 0) {
    comparator.value &= 0xffffffff;
    comparator.period &= 0xffffffff;
  }
  if ((comparator.configuration & kLevel) == 0) interrupt_status_ &= ~(uint64_t{1} << index);
  schedule(index, true);
  arm_owed(index);
  update_outputs();
}

// In periodic mode a write sets the period, and the comparator too where VAL_SET allows that one write (2.3.9.2.2).
void Hpet::write_comparator_value(int index, uint64_t value, uint64_t mask) {
  Comparator& comparator = comparators_[index];
  const uint64_t width = width_mask(index);
  if (!is_periodic(index) || (comparator.configuration & kSetValue) != 0) {
    comparator.value = ((comparator.value & ~mask) | value) & width;
  }
  if (is_periodic(index)) comparator.period = ((comparator.period & ~mask) | value) & width;
  comparator.configuration &= ~kSetValue;
  owed_[index] = 0;
  schedule(index, false);
  arm_owed(index);
}

}  // namespace calco::devices
