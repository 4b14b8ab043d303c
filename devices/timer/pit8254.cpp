#include "devices/timer/pit8254.h"

#include <algorithm>

#include "machine/core/archive.h"

namespace calco::devices {

namespace {

constexpr uint64_t kControlPort = 3;
constexpr uint8_t kModeMask = 0x3f;
// Read-back command.
constexpr uint8_t kReadBackKeepCount = 0x20;
constexpr uint8_t kReadBackKeepStatus = 0x10;
// Status byte.
constexpr uint8_t kStatusOutput = 0x80;
constexpr uint8_t kStatusNullCount = 0x40;
// Port 61H.
constexpr uint8_t kGate2 = 0x01;
constexpr uint8_t kPort61Writable = 0x0f;
constexpr uint8_t kRefreshToggle = 0x10;
constexpr uint8_t kOutput2 = 0x20;
constexpr int64_t kRefreshPeriod = 15'085;  // ns: counter 1 divides by 18

}  // namespace

// --- Counter
// ----------------------------------------------------------------------------------------------------------

void PitCounter::serialize(Archive& archive, int64_t now) {
  archive.field("control", control_);
  archive.field("gate", gate_);
  archive.field("loaded", loaded_);
  archive.field("started", started_);
  archive.field("pending", pending_);
  archive.field("stopped", stopped_);
  archive.field("register_count", register_count_);
  archive.field("active_count", active_count_);
  archive.field("start", start_);
  archive.field("stopped_at", stopped_at_);
  archive.field("switch_at", switch_at_);
  archive.field("written_low", written_low_);
  archive.field("expects_high_write", expects_high_write_);
  archive.field("reads_high_next", reads_high_next_);
  archive.field("latched_count", latched_count_);
  archive.field("count_latched", count_latched_);
  archive.field("latched_status", latched_status_);
  archive.field("status_latched", status_latched_);
  if (!archive.loading()) return;
  const bool counts_are_sane = register_count_ > 0 && register_count_ <= 65536 && active_count_ > 0 &&
                               active_count_ <= 65536 && stopped_at_ >= 0 && stopped_at_ <= now + 1;
  const bool times_are_sane = start_ >= -65536 && start_ <= now + 65536 && switch_at_ >= 0;
  if (!counts_are_sane || !times_are_sane) throw ArchiveError("8254: counter state out of range");
}

// A count that waits for the end of a cycle is taken for the present one.
PitCounter::Registers PitCounter::registers(int64_t now) const {
  Registers registers{.control = control_,
                      .counting = loaded_ && started_,
                      .count = encode(register_count_ % modulus()),
                      .elapsed = elapsed(now),
                      .gate = gate_,
                      .expects_high_write = expects_high_write_,
                      .written_low = written_low_,
                      .reads_high_next = reads_high_next_,
                      .latched_count = {},
                      .latched_status = {}};
  if (count_latched_) registers.latched_count = latched_count_;
  if (status_latched_) registers.latched_status = latched_status_;
  return registers;
}

void PitCounter::set_registers(const Registers& registers, int64_t now) {
  control_ = registers.control & kModeMask;
  gate_ = registers.gate;
  loaded_ = started_ = registers.counting;
  pending_ = false;
  register_count_ = active_count_ = decode(registers.count);
  stopped_ = loaded_ && !gate_ && !is_triggered();
  stopped_at_ = std::max<int64_t>(0, registers.elapsed);
  start_ = now - stopped_at_;
  expects_high_write_ = registers.expects_high_write;
  written_low_ = registers.written_low;
  reads_high_next_ = registers.reads_high_next;
  count_latched_ = registers.latched_count.has_value();
  latched_count_ = registers.latched_count.value_or(0);
  status_latched_ = registers.latched_status.has_value();
  latched_status_ = registers.latched_status.value_or(0);
}

// Modes 6 and 7 are other names of 2 and 3.
unsigned PitCounter::mode() const {
  const unsigned bits = control_ >> 1 & 7;
  return bits > 5 ? bits - 4 : bits;
}

int64_t PitCounter::decode(uint16_t written) const {
  if (!counts_in_bcd()) return written == 0 ? 65536 : written;
  const int64_t value = (written >> 12) * 1000 + (written >> 8 & 15) * 100 + (written >> 4 & 15) * 10 + (written & 15);
  return value == 0 ? 10000 : value;
}

uint16_t PitCounter::encode(int64_t count) const {
  if (!counts_in_bcd()) return static_cast<uint16_t>(count);
  const auto digits = static_cast<unsigned>(count % 10000);
  return static_cast<uint16_t>(digits / 1000 << 12 | digits / 100 % 10 << 8 | digits / 10 % 10 << 4 | digits % 10);
}

void PitCounter::write_control(uint8_t control) {
  control_ = control & kModeMask;
  loaded_ = started_ = pending_ = stopped_ = false;
  expects_high_write_ = reads_high_next_ = false;
  count_latched_ = status_latched_ = false;
}

// Ticks since the counting element was loaded, which happens one clock pulse after the write or trigger.
int64_t PitCounter::elapsed(int64_t now) const { return stopped_ ? stopped_at_ : std::max<int64_t>(0, now - start_); }

// Lets a count that waited for the end of the cycle take effect.
void PitCounter::settle(int64_t now) {
  if (!pending_ || now < switch_at_) return;
  pending_ = false;
  const bool high_half_ended = mode() == 3 && (switch_at_ - start_) % active_count_ == high_half();
  active_count_ = register_count_;
  start_ = high_half_ended ? switch_at_ - high_half() : switch_at_;
}

void PitCounter::load(uint16_t written, int64_t now) {
  settle(now);
  register_count_ = decode(written);
  const bool counting = loaded_ && started_;
  loaded_ = true;
  // Modes 1 and 5 wait for a trigger, and a running one keeps its count until the next.
  if (is_triggered()) return;
  if (is_periodic() && counting && gate_) {
    const int64_t phase = elapsed(now) % active_count_;
    const int64_t end = mode() == 3 && phase < high_half() ? high_half() : active_count_;
    pending_ = true;
    switch_at_ = std::max(now, start_) - phase + end;
    return;
  }
  active_count_ = register_count_;
  start_ = now + 1;
  started_ = true;
  stopped_ = !gate_;
  stopped_at_ = 0;
}

void PitCounter::write_byte(uint8_t value, int64_t now) {
  switch (access()) {
    case Access::Low:
      return load(value, now);
    case Access::High:
      return load(static_cast<uint16_t>(value << 8), now);
    default:
      break;
  }
  if (expects_high_write_) {
    expects_high_write_ = false;
    return load(static_cast<uint16_t>(value << 8 | written_low_), now);
  }
  written_low_ = value;
  expects_high_write_ = true;
  // "Writing the first byte disables counting. OUT is set low immediately" (mode 0).
  if (mode() == 0) loaded_ = started_ = false;
}

void PitCounter::set_gate(bool level, int64_t now) {
  settle(now);
  const bool rising = level && !gate_;
  const bool falling = !level && gate_;
  if (falling) {
    stopped_at_ = elapsed(now);
    stopped_ = !is_triggered();
  }
  gate_ = level;
  if (!rising) return;
  stopped_ = false;
  if (!loaded_) return;
  if (is_triggered() || is_periodic()) {
    active_count_ = register_count_;
    pending_ = false;
    start_ = now + 1;
    started_ = true;
  } else {
    start_ = now - stopped_at_;
  }
}

bool PitCounter::output(int64_t now) {
  settle(now);
  if (!loaded_ || !started_) return mode() != 0;
  const int64_t ticks = elapsed(now);
  switch (mode()) {
    case 0:
      return ticks >= active_count_;
    case 1:
      return now < start_ || ticks >= active_count_;
    case 2:
      return !gate_ || active_count_ == 1 || ticks % active_count_ != active_count_ - 1;
    case 3:
      return !gate_ || ticks % active_count_ < high_half();
    default:  // 4 and 5: a strobe of one clock
      return ticks != active_count_;
  }
}

int64_t PitCounter::next_edge(int64_t now) {
  settle(now);
  if (!loaded_ || !started_ || stopped_) return kNoEdge;
  const int64_t ticks = elapsed(now);
  const int64_t origin = std::max(now, start_) - ticks;
  const int64_t cycle = origin + ticks / active_count_ * active_count_;
  const int64_t phase = ticks % active_count_;
  switch (mode()) {
    case 0:
    case 1:
      if (mode() == 1 && now < start_) return start_;
      return ticks < active_count_ ? origin + active_count_ : kNoEdge;
    case 2:
      if (active_count_ == 1) return kNoEdge;
      return cycle + (phase < active_count_ - 1 ? active_count_ - 1 : active_count_);
    case 3:
      if (active_count_ == 1) return kNoEdge;
      return cycle + (phase < high_half() ? high_half() : active_count_);
    default:
      if (ticks < active_count_) return origin + active_count_;
      return ticks == active_count_ ? origin + active_count_ + 1 : kNoEdge;
  }
}

uint16_t PitCounter::current_count(int64_t now) const {
  if (!loaded_ || !started_) return encode(register_count_ % modulus());
  const int64_t ticks = elapsed(now);
  const int64_t phase = ticks % active_count_;
  int64_t count = 0;
  if (mode() == 2) {
    count = active_count_ - phase;
  } else if (mode() == 3) {
    // The counting element goes down by two in either half; an odd count starts one lower.
    const int64_t half_phase = phase < high_half() ? phase : phase - high_half();
    count = (active_count_ & ~int64_t{1}) - 2 * half_phase;
  } else {
    count = active_count_ - ticks % modulus();
  }
  return encode((count + modulus()) % modulus());
}

uint8_t PitCounter::status(int64_t now) {
  const bool null_count = !loaded_ || pending_ || (started_ && !stopped_ && now < start_);
  const int out = output(now) ? kStatusOutput : 0;
  return static_cast<uint8_t>(out | (null_count ? kStatusNullCount : 0) | control_);
}

void PitCounter::latch_count(int64_t now) {
  settle(now);
  if (count_latched_) return;
  latched_count_ = current_count(now);
  count_latched_ = true;
}

void PitCounter::latch_status(int64_t now) {
  settle(now);
  if (status_latched_) return;
  latched_status_ = status(now);
  status_latched_ = true;
}

uint8_t PitCounter::read_byte(int64_t now) {
  settle(now);
  if (status_latched_) {
    status_latched_ = false;
    return latched_status_;
  }
  const uint16_t count = count_latched_ ? latched_count_ : current_count(now);
  const bool both = access() != Access::Low && access() != Access::High;
  const bool high = access() == Access::High || (both && reads_high_next_);
  if (both) reads_high_next_ = !reads_high_next_;
  if (!both || high) count_latched_ = false;
  return static_cast<uint8_t>(high ? count >> 8 : count);
}

namespace {

// Ticks (168 us) between those that a late host makes up for: time enough for a guest to acknowledge each. Guests that
// count ticks lose time otherwise, and Linux refuses to boot when it sees too few of them (timer_irq_works()).
constexpr int64_t kCatchUp = 200;

}  // namespace

// --- Chip
// -------------------------------------------------------------------------------------------------------------

int64_t Pit8254::tick_now() const {
  return static_cast<int64_t>(
      multiply_divide(static_cast<uint64_t>(clock_.now()), kFrequency, static_cast<uint64_t>(Clock::kSecond)));
}

// The chip has no reset and wakes up undefined; here all counters wait for a count in mode 0.
void Pit8254::set_power_on_state() {
  counters_.fill(PitCounter());
  control_port_b_ = 0;
  counters_[2].set_gate(false, 0);
}

void Pit8254::reset() {
  set_power_on_state();
  update_irq(tick_now());
}

void Pit8254::serialize(Archive& archive) {
  archive.section(name());
  const int64_t now = tick_now();
  for (PitCounter& counter : counters_) counter.serialize(archive, now);
  archive.field("control_port_b", control_port_b_);
  archive.field("irq_connected", irq_connected_);
  if (!archive.loading()) return;
  update_irq(now);
  irq0_.repeat();
}

void Pit8254::isolate(bool isolated) {
  isolated_ = isolated;
  update_irq(tick_now());
}

Pit8254::Registers Pit8254::registers() const {
  Registers registers{
      .counters = {}, .control_port_b = control_port_b_, .irq_connected = irq_connected_, .owed = missed_};
  const int64_t now = tick_now();
  for (size_t i = 0; i < counters_.size(); ++i) registers.counters[i] = counters_[i].registers(now);
  return registers;
}

void Pit8254::set_registers(const Registers& registers) {
  const int64_t now = tick_now();
  for (size_t i = 0; i < counters_.size(); ++i) counters_[i].set_registers(registers.counters[i], now);
  control_port_b_ = registers.control_port_b & kPort61Writable;
  irq_connected_ = registers.irq_connected;
  missed_ = std::clamp<int64_t>(registers.owed, 0, most_missed());
  update_irq(now);
}

uint64_t Pit8254::read(uint64_t offset, unsigned size) {
  if (offset >= kControlPort) return floating_bus(size);
  return counters_[offset].read_byte(tick_now());
}

void Pit8254::write(uint64_t offset, unsigned, uint64_t value) {
  const auto byte = static_cast<uint8_t>(value);
  // An edge whose timer is late must not be lost to the write.
  if (edge_ <= tick_now()) on_edge();
  if (offset >= kControlPort) {
    write_control(byte);
  } else {
    if (offset == 0) missed_ = 0;
    counters_[offset].write_byte(byte, tick_now());
  }
  update_irq(tick_now());
}

void Pit8254::write_control(uint8_t value) {
  const unsigned select = value >> 6;
  if (select == 3) {
    read_back(value);
  } else if ((value & 0x30) == 0) {
    counters_[select].latch_count(tick_now());
  } else {
    if (select == 0) missed_ = 0;
    counters_[select].write_control(value);
  }
}

void Pit8254::read_back(uint8_t command) {
  const int64_t now = tick_now();
  for (unsigned index = 0; index < counters_.size(); ++index) {
    if ((command & (2u << index)) == 0) continue;
    if ((command & kReadBackKeepCount) == 0) counters_[index].latch_count(now);
    if ((command & kReadBackKeepStatus) == 0) counters_[index].latch_status(now);
  }
}

void Pit8254::set_irq_connected(bool connected) {
  irq_connected_ = connected;
  update_irq(tick_now());
}

void Pit8254::on_edge() {
  const int64_t edge = edge_;
  const int64_t now = tick_now();
  PitCounter& counter = counters_[0];
  bool rises = false;
  if (edge <= now) {
    rises = counter.output(edge) || counter.next_edge(edge) <= now;
    note_missed(edge, now);
  } else if (missed_ > 0) {
    rises = true;
    --missed_;
  } else {
    return;
  }
  irq0_.set(false);
  irq0_.set(rises);
  update_irq(now);
}

// A second's; none where there would be no time to catch up in.
int64_t Pit8254::most_missed() const {
  const int64_t period = counters_[0].period();
  return period < 2 * kCatchUp ? 0 : static_cast<int64_t>(kFrequency) / period;
}

void Pit8254::note_missed(int64_t edge, int64_t now) {
  const int64_t most = most_missed();
  if (most != 0) missed_ = std::min(missed_ + (now - edge) / counters_[0].period(), most);
}

// Low for one tick (modes 2, 4 and 5). Host timers are late by more than that, and while the line is low the interrupt
// controller takes a request back that nobody has acknowledged yet. So for the line the whole pulse is at its end.
bool Pit8254::in_pulse(int64_t now) {
  PitCounter& counter = counters_[0];
  return !counter.output(now) && counter.next_edge(now) == now + 1;
}

// Drives the line and arms the timer for the next edge.
void Pit8254::update_irq(int64_t now) {
  const bool drives = irq_connected_ && !isolated_;
  edge_ = drives ? counters_[0].next_edge(now) : PitCounter::kNoEdge;
  irq0_.set(drives && (counters_[0].output(now) || in_pulse(now)));
  const bool owes = missed_ > 0 && irq_connected_;
  if (edge_ == PitCounter::kNoEdge && !owes) return timer_.cancel();
  if (edge_ != PitCounter::kNoEdge && in_pulse(edge_)) ++edge_;
  const int64_t deadline = owes ? std::min(edge_, now + kCatchUp) : edge_;
  // Rounded up, so that the tick has come when the timer fires.
  timer_.arm(static_cast<int64_t>(
                 multiply_divide(static_cast<uint64_t>(deadline), static_cast<uint64_t>(Clock::kSecond), kFrequency)) +
             1);
}

uint64_t Pit8254::Port61::read(uint64_t, unsigned) {
  const bool refresh = (pit_.clock_.now() / kRefreshPeriod & 1) != 0;
  const bool output2 = pit_.counters_[2].output(pit_.tick_now());
  return static_cast<uint64_t>(pit_.control_port_b_ | (refresh ? kRefreshToggle : 0) | (output2 ? kOutput2 : 0));
}

void Pit8254::Port61::write(uint64_t, unsigned, uint64_t value) {
  pit_.control_port_b_ = value & kPort61Writable;
  pit_.counters_[2].set_gate((value & kGate2) != 0, pit_.tick_now());
}

}  // namespace calco::devices
