#include "devices/irq/local_apic_timer.h"

#include <algorithm>

#include "machine/core/archive.h"

namespace calco::devices {

namespace {

// Deadlines further ahead are as good as never (a dozen years), and would overflow the conversion to time.
constexpr uint64_t kFarthestDeadline = uint64_t{1} << 60;
// In ns, at the slowest count.
constexpr int64_t kLongestPeriod = int64_t{128} << 32;

}  // namespace

void LocalApicTimer::reset() {
  mode_ = Mode::OneShot;
  masked_ = true;
  initial_count_ = divide_configuration_ = 0;
  start_ = 0;
  tsc_deadline_ = 0;
  disarm();
}

void LocalApicTimer::serialize(Archive& archive) {
  archive.field("timer_mode", mode_);
  archive.field("timer_masked", masked_);
  archive.field("timer_initial_count", initial_count_);
  archive.field("timer_divide_configuration", divide_configuration_);
  archive.field("timer_start", start_);
  archive.field("tsc_deadline", tsc_deadline_);
  const int64_t expiry = archive.exchange("timer_expiry", expiry_);
  if (!archive.loading()) return;
  start_ = std::clamp(start_, -kLongestPeriod, clock_.now());
  disarm();
  if (expiry != Clock::kNever) arm(expiry);
}

void LocalApicTimer::arm(int64_t expiry) {
  expiry_ = expiry;
  timer_.arm(expiry);
}

void LocalApicTimer::disarm() {
  if (expiry_ == Clock::kNever) return;
  expiry_ = Clock::kNever;
  timer_.cancel();
}

// Divide configuration: bits 3, 1 and 0 give 2, 4, ... 128, and 111 gives 1 (SDM vol. 3, figure 11-10).
int64_t LocalApicTimer::divisor() const {
  const unsigned code = (divide_configuration_ & 3) | (divide_configuration_ >> 1 & 4);
  return int64_t{1} << ((code + 1) & 7);
}

uint64_t LocalApicTimer::elapsed_counts() const {
  return static_cast<uint64_t>(clock_.now() - start_) / static_cast<uint64_t>(divisor());
}

// Arms the alarm for the next expiry that is still to come.
void LocalApicTimer::schedule() {
  if (masked_) return disarm();
  if (mode_ == Mode::TscDeadline) {
    const uint64_t now = tsc_.ticks_now();
    // A deadline that passed while the entry was masked has been spent.
    if (tsc_deadline_ <= now || tsc_deadline_ - now > kFarthestDeadline) return disarm();
    return arm(tsc_.time_of(tsc_deadline_));
  }
  if (initial_count_ == 0) return disarm();
  const uint64_t elapsed = elapsed_counts();
  if (mode_ == Mode::OneShot && elapsed >= initial_count_) return disarm();
  const uint64_t periods = elapsed / initial_count_ + 1;
  arm(start_ + static_cast<int64_t>(periods * initial_count_) * divisor());
}

void LocalApicTimer::configure(Mode mode, bool masked) {
  if (mode == mode_ && masked == masked_) return;
  // A change to or from TSC-deadline mode disarms the timer (SDM vol. 3, 11.5.4.1).
  if (mode != mode_ && (mode == Mode::TscDeadline || mode_ == Mode::TscDeadline)) {
    initial_count_ = 0;
    tsc_deadline_ = 0;
  }
  mode_ = mode;
  masked_ = masked;
  schedule();
}

void LocalApicTimer::set_initial_count(uint32_t count) {
  // "In TSC-deadline mode, writes to the initial-count register are ignored."
  if (mode_ == Mode::TscDeadline) return;
  initial_count_ = count;
  start_ = clock_.now();
  if (masked_ || count == 0) return disarm();
  // From the start, not from a second look at the clock: a short count may be over by then and must still fire.
  arm(start_ + int64_t{count} * divisor());
}

uint32_t LocalApicTimer::current_count() const {
  if (mode_ == Mode::TscDeadline || initial_count_ == 0) return 0;
  const uint64_t elapsed = elapsed_counts();
  if (mode_ == Mode::Periodic) return initial_count_ - static_cast<uint32_t>(elapsed % initial_count_);
  return elapsed >= initial_count_ ? 0 : initial_count_ - static_cast<uint32_t>(elapsed);
}

void LocalApicTimer::set_divide_configuration(uint32_t value) {
  const uint32_t count = current_count();
  divide_configuration_ = value & 0xb;
  // The count goes on from where it is, at the new rate.
  if (count != 0) start_ = clock_.now() - int64_t{initial_count_ - count} * divisor();
  schedule();
}

uint64_t LocalApicTimer::tsc_deadline() const {
  return tsc_deadline_ == 0 || tsc_.ticks_now() >= tsc_deadline_ ? 0 : tsc_deadline_;
}

bool LocalApicTimer::set_tsc_deadline(uint64_t ticks) {
  if (mode_ != Mode::TscDeadline) return false;
  tsc_deadline_ = ticks;
  const uint64_t now = tsc_.ticks_now();
  const bool due = ticks != 0 && ticks <= now;
  if (due) tsc_deadline_ = 0;
  if (masked_ || tsc_deadline_ == 0 || tsc_deadline_ - now > kFarthestDeadline) {
    disarm();
  } else {
    // Without a second look at the counter: a deadline that passes meanwhile must still fire.
    arm(tsc_.time_of(tsc_deadline_));
  }
  return due;
}

// A count that is over and whose alarm is still on its way has one to go.
LocalApicTimer::Registers LocalApicTimer::registers() const {
  const uint32_t left = expiry_ != Clock::kNever && mode_ != Mode::TscDeadline ? 1 : 0;
  return {.initial_count = initial_count_,
          .current_count = std::max(current_count(), left),
          .divide_configuration = divide_configuration_,
          .tsc_deadline = tsc_deadline_};
}

bool LocalApicTimer::set_registers(Mode mode, bool masked, const Registers& registers) {
  mode_ = mode;
  masked_ = masked;
  divide_configuration_ = registers.divide_configuration & 0xb;
  initial_count_ = registers.initial_count;
  tsc_deadline_ = 0;
  const uint32_t left = std::min(initial_count_, registers.current_count);
  start_ = clock_.now() - int64_t{initial_count_ - left} * divisor();
  if (mode == Mode::TscDeadline) return set_tsc_deadline(registers.tsc_deadline);
  if (masked_ || left == 0) {
    schedule();
  } else {
    // Without a second look at the clock, as in set_initial_count().
    arm(start_ + int64_t{initial_count_} * divisor());
  }
  return false;
}

bool LocalApicTimer::take_expiry() {
  // The alarm may have been on its way while the guest changed the timer.
  if (expiry_ == Clock::kNever || clock_.now() < expiry_) return false;
  expiry_ = Clock::kNever;
  if (mode_ == Mode::TscDeadline) {
    tsc_deadline_ = 0;
  } else {
    schedule();
  }
  return true;
}

}  // namespace calco::devices
