#include "devices/timer/cmos_rtc.h"

#include <algorithm>
#include <chrono>

#include "machine/core/archive.h"

namespace calco::devices {

namespace {

enum Index : uint8_t {
  kSeconds = 0x00,
  kSecondsAlarm = 0x01,
  kMinutes = 0x02,
  kMinutesAlarm = 0x03,
  kHours = 0x04,
  kHoursAlarm = 0x05,
  kWeekday = 0x06,
  kDay = 0x07,
  kMonth = 0x08,
  kYear = 0x09,
  kRegisterA = 0x0a,
  kRegisterB = 0x0b,
  kRegisterC = 0x0c,
  kRegisterD = 0x0d,
  kCentury = 0x32,
};

constexpr uint8_t kUpdateInProgress = 0x80;  // register A
constexpr uint8_t kDividerReset = 0x60;
constexpr uint8_t kRateMask = 0x0f;

constexpr uint8_t kSet = 0x80;  // register B
constexpr uint8_t kPeriodicEnable = 0x40;
constexpr uint8_t kAlarmEnable = 0x20;
constexpr uint8_t kUpdateEnable = 0x10;
constexpr uint8_t kSquareWaveEnable = 0x08;
constexpr uint8_t kBinary = 0x04;
constexpr uint8_t k24Hours = 0x02;

constexpr uint8_t kInterrupt = 0x80;  // register C; the flags stand where register B has their enables
constexpr uint8_t kPeriodicFlag = kPeriodicEnable;
constexpr uint8_t kAlarmFlag = kAlarmEnable;
constexpr uint8_t kUpdateFlag = kUpdateEnable;

constexpr uint8_t kValidRamAndTime = 0x80;  // register D
constexpr uint8_t kAfternoon = 0x80;        // hours in 12-hour mode
constexpr uint8_t kWildcard = 0xc0;         // alarms: "any value from C0 to FF"

// "UIP goes high 244 us before the update" of 1,984 us, with the 32.768 kHz time base.
constexpr int64_t kUpdateWindow = 244'000 + 1'984'000;
constexpr int64_t kSecondsADay = 86'400;

bool is_time_byte(uint8_t index) {
  return index == kSeconds || index == kMinutes || index == kHours || (index >= kWeekday && index <= kYear) ||
         index == kCentury;
}

int64_t positive_modulo(int64_t value, int64_t modulus) { return ((value % modulus) + modulus) % modulus; }

int weekday_of(std::chrono::sys_days day) { return static_cast<int>(std::chrono::weekday(day).c_encoding()); }

}  // namespace

CmosRtc::CmosRtc(Clock& clock, const std::function<int64_t()>& start_time, IrqLine irq8)
    : clock_(clock), irq8_(std::move(irq8)), timer_(clock, [this] { on_timer(); }), collected_at_(clock.now()) {
  bytes_[kRegisterA] = 0x26;  // 32.768 kHz, 1,024 Hz
  bytes_[kRegisterB] = k24Hours;
  bytes_[kRegisterD] = kValidRamAndTime;
  base_seconds_ = start_time() - chain(clock.now()) / Clock::kSecond;
}

// The RESET pin clears interrupt enables and flags, nothing else.
void CmosRtc::reset() {
  collect_flags(clock_.now());
  bytes_[kRegisterB] &= static_cast<uint8_t>(~(kPeriodicEnable | kAlarmEnable | kUpdateEnable | kSquareWaveEnable));
  bytes_[kRegisterC] = 0;
  index_ = 0;
  nmi_masked_ = false;
  update_irq(clock_.now());
}

void CmosRtc::serialize(Archive& archive) {
  archive.section(name());
  archive.field("bytes", bytes_);
  archive.field("index", index_);
  archive.field("nmi_masked", nmi_masked_);
  archive.field("irq_connected", irq_connected_);
  archive.field("base_seconds", base_seconds_);
  archive.field("phase", phase_);
  archive.field("weekday_shift", weekday_shift_);
  archive.field("collected_at", collected_at_);
  if (!archive.loading()) return;
  constexpr int64_t kFarthest = int64_t{1} << 40;
  const bool sane = index_ < kBytes && phase_ >= 0 && phase_ < Clock::kSecond && weekday_shift_ >= 0 &&
                    weekday_shift_ < 7 && base_seconds_ > -kFarthest && base_seconds_ < kFarthest && collected_at_ >= 0;
  if (!sane) throw ArchiveError("mc146818: state out of range");
  collected_at_ = std::min(collected_at_, clock_.now());
  update_irq(clock_.now());
  irq8_.repeat();
}

// --- Time of day
// ------------------------------------------------------------------------------------------------------

bool CmosRtc::divider_runs() const { return (bytes_[kRegisterA] & kDividerReset) != kDividerReset; }

bool CmosRtc::updates() const { return divider_runs() && (bytes_[kRegisterB] & kSet) == 0; }

bool CmosRtc::update_in_progress(int64_t now) const {
  return updates() && chain(now) % Clock::kSecond >= Clock::kSecond - kUpdateWindow;
}

uint8_t CmosRtc::encode(unsigned value) const {
  if ((bytes_[kRegisterB] & kBinary) != 0) return static_cast<uint8_t>(value);
  return static_cast<uint8_t>(value / 10 % 10 << 4 | value % 10);
}

unsigned CmosRtc::decode(uint8_t byte) const {
  return (bytes_[kRegisterB] & kBinary) != 0 ? byte : (byte >> 4) * 10u + (byte & 15);
}

unsigned CmosRtc::decode_hour(uint8_t byte) const {
  if ((bytes_[kRegisterB] & k24Hours) != 0) return decode(byte);
  const unsigned hour = decode(byte & 0x7f);
  if (hour < 1 || hour > 12) return 24;  // no such hour
  return hour % 12 + ((byte & kAfternoon) != 0 ? 12 : 0);
}

// Writes the time of day to the time bytes.
void CmosRtc::store_time(int64_t now) {
  const int64_t total = seconds(now);
  const auto of_day = static_cast<unsigned>(positive_modulo(total, kSecondsADay));
  const std::chrono::sys_days day{std::chrono::days((total - of_day) / kSecondsADay)};
  const std::chrono::year_month_day date(day);
  const unsigned hour = of_day / 3600;
  const auto year = static_cast<unsigned>(std::max(0, static_cast<int>(date.year())));
  bytes_[kSeconds] = encode(of_day % 60);
  bytes_[kMinutes] = encode(of_day / 60 % 60);
  if ((bytes_[kRegisterB] & k24Hours) != 0) {
    bytes_[kHours] = encode(hour);
  } else {
    bytes_[kHours] = static_cast<uint8_t>(encode((hour + 11) % 12 + 1) | (hour >= 12 ? kAfternoon : 0));
  }
  bytes_[kWeekday] = encode(static_cast<unsigned>((weekday_of(day) + weekday_shift_) % 7 + 1));
  bytes_[kDay] = encode(static_cast<unsigned>(date.day()));
  bytes_[kMonth] = encode(static_cast<unsigned>(date.month()));
  bytes_[kYear] = encode(year % 100);
  bytes_[kCentury] = encode(year / 100);
}

// The reverse. Fields out of range carry over as a counter that was set too high would.
void CmosRtc::take_time(int64_t now) {
  const unsigned year = decode(bytes_[kCentury]) * 100 + decode(bytes_[kYear]);
  const unsigned month = std::clamp(decode(bytes_[kMonth]), 1u, 12u);
  const std::chrono::sys_days first_of_month =
      std::chrono::year(static_cast<int>(year)) / std::chrono::month(month) / std::chrono::day(1);
  const std::chrono::sys_days day = first_of_month + std::chrono::days(decode(bytes_[kDay])) - std::chrono::days(1);
  const int64_t total = day.time_since_epoch().count() * kSecondsADay + decode_hour(bytes_[kHours]) * 3600 +
                        decode(bytes_[kMinutes]) * 60 + decode(bytes_[kSeconds]);
  base_seconds_ = total - chain(now) / Clock::kSecond;
  const int weekday = static_cast<int>(decode(bytes_[kWeekday])) - 1;
  weekday_shift_ = static_cast<int32_t>(positive_modulo(weekday - weekday_of(day), 7));
}

// --- Flags and the interrupt
// ------------------------------------------------------------------------------------------

// Hz of the periodic interrupt, or 0 (data sheet, table 5).
unsigned CmosRtc::periodic_rate() const {
  const unsigned select = bytes_[kRegisterA] & kRateMask;
  if (select == 0 || !divider_runs()) return 0;
  return 32768u >> (select <= 2 ? select + 6 : select - 1);
}

bool CmosRtc::alarm_matches(unsigned value, uint8_t alarm_byte, bool hour) const {
  if (alarm_byte >= kWildcard) return true;
  return value == (hour ? decode_hour(alarm_byte) : decode(alarm_byte));
}

// The first second after `after` at which the alarm goes off, or kNever.
int64_t CmosRtc::next_alarm(int64_t after) const {
  const auto matches = [&](int64_t total, Index index, int64_t unit, int64_t modulus) {
    const auto value = static_cast<unsigned>(positive_modulo(total, kSecondsADay) / unit % modulus);
    return alarm_matches(value, bytes_[index], index == kHoursAlarm);
  };
  const auto start_of_next = [](int64_t total, int64_t unit) { return total - positive_modulo(total, unit) + unit; };
  const bool seconds_possible = bytes_[kSecondsAlarm] >= kWildcard || decode(bytes_[kSecondsAlarm]) < 60;
  if (!seconds_possible) return Clock::kNever;
  int64_t candidate = after + 1;
  while (candidate <= after + kSecondsADay) {
    if (!matches(candidate, kHoursAlarm, 3600, 24)) {
      candidate = start_of_next(candidate, 3600);
    } else if (!matches(candidate, kMinutesAlarm, 60, 60)) {
      candidate = start_of_next(candidate, 60);
    } else if (!matches(candidate, kSecondsAlarm, 1, 60)) {
      ++candidate;
    } else {
      return candidate;
    }
  }
  return Clock::kNever;
}

// Sets the flags of what happened since the last call.
void CmosRtc::collect_flags(int64_t now) {
  uint8_t& flags = bytes_[kRegisterC];
  if (updates() && seconds(now) > seconds(collected_at_)) {
    flags |= kUpdateFlag;
    if ((flags & kAlarmFlag) == 0 && next_alarm(seconds(collected_at_)) <= seconds(now)) flags |= kAlarmFlag;
  }
  if (const unsigned rate = periodic_rate(); rate != 0) {
    const auto ticks = [&](int64_t time) {
      return multiply_divide(static_cast<uint64_t>(chain(time)), rate, static_cast<uint64_t>(Clock::kSecond));
    };
    if (ticks(now) > ticks(collected_at_)) flags |= kPeriodicFlag;
  }
  collected_at_ = now;
}

// Guest time of the next event that raises the interrupt, or kNever.
int64_t CmosRtc::next_event(int64_t now) const {
  const auto waiting = static_cast<uint8_t>(bytes_[kRegisterB] & ~bytes_[kRegisterC]);
  int64_t event = Clock::kNever;
  const auto time_of_second = [&](int64_t second) { return (second - base_seconds_) * Clock::kSecond - phase_; };
  if (updates() && (waiting & kUpdateEnable) != 0) event = time_of_second(seconds(now) + 1);
  if (updates() && (waiting & kAlarmEnable) != 0) {
    const int64_t alarm = next_alarm(seconds(now));
    if (alarm != Clock::kNever) event = std::min(event, time_of_second(alarm));
  }
  const unsigned rate = periodic_rate();
  if (rate != 0 && (waiting & kPeriodicEnable) != 0) {
    const auto second = static_cast<uint64_t>(Clock::kSecond);
    const uint64_t tick = multiply_divide(static_cast<uint64_t>(chain(now)), rate, second) + 1;
    // Rounded up, so that the tick has come when the timer fires.
    event = std::min(event, static_cast<int64_t>((multiply_divide(tick, second, rate) + 1)) - phase_);
  }
  return event;
}

void CmosRtc::update_irq(int64_t now) {
  uint8_t& flags = bytes_[kRegisterC];
  const bool interrupt = (flags & bytes_[kRegisterB] & (kPeriodicFlag | kAlarmFlag | kUpdateFlag)) != 0;
  flags = static_cast<uint8_t>(interrupt ? flags | kInterrupt : flags & ~kInterrupt);
  irq8_.set(interrupt && irq_connected_);
  // While the line is high, further events add nothing.
  const int64_t event = interrupt || !irq_connected_ ? Clock::kNever : next_event(now);
  if (event == Clock::kNever) {
    timer_.cancel();
  } else {
    timer_.arm(event);
  }
}

void CmosRtc::on_timer() {
  const int64_t now = clock_.now();
  collect_flags(now);
  update_irq(now);
}

void CmosRtc::set_irq_connected(bool connected) {
  irq_connected_ = connected;
  on_timer();
}

// --- Ports
// ------------------------------------------------------------------------------------------------------------

uint64_t CmosRtc::read(uint64_t offset, unsigned size) {
  // The index register is write-only.
  return (offset & 1) == 0 ? floating_bus(size) : read_data();
}

void CmosRtc::write(uint64_t offset, unsigned, uint64_t value) {
  if ((offset & 1) != 0) return write_data(static_cast<uint8_t>(value));
  index_ = value & 0x7f;
  nmi_masked_ = (value & 0x80) != 0;
}

uint8_t CmosRtc::read_data() {
  const int64_t now = clock_.now();
  if (index_ == kRegisterA) {
    return static_cast<uint8_t>(bytes_[kRegisterA] | (update_in_progress(now) ? kUpdateInProgress : 0));
  }
  if (index_ == kRegisterC) {
    collect_flags(now);
    update_irq(now);
    const uint8_t flags = bytes_[kRegisterC];
    bytes_[kRegisterC] = 0;
    update_irq(now);
    return flags;
  }
  if (is_time_byte(index_) && updates()) store_time(now);
  return bytes_[index_];
}

void CmosRtc::write_data(uint8_t value) {
  const int64_t now = clock_.now();
  collect_flags(now);
  if (index_ == kRegisterA) {
    write_register_a(value);
  } else if (index_ == kRegisterB) {
    write_register_b(value);
  } else if (index_ == kRegisterC || index_ == kRegisterD) {
    return;  // read-only
  } else if (is_time_byte(index_) && updates()) {
    store_time(now);
    bytes_[index_] = value;
    take_time(now);
  } else {
    bytes_[index_] = value;
  }
  update_irq(now);
}

void CmosRtc::write_register_a(uint8_t value) {
  const int64_t now = clock_.now();
  const bool updated = updates();
  const bool ran = divider_runs();
  if (updated) store_time(now);
  bytes_[kRegisterA] = value & 0x7f;
  // "The first update cycle begins one-half second later" when the divider chain is released.
  if (!ran && divider_runs()) phase_ = positive_modulo(Clock::kSecond / 2 - now, Clock::kSecond);
  if (updates()) take_time(now);
}

void CmosRtc::write_register_b(uint8_t value) {
  const int64_t now = clock_.now();
  const bool updated = updates();
  if (updated) store_time(now);
  // "Setting SET clears UIE."
  if ((value & kSet) != 0) value &= static_cast<uint8_t>(~kUpdateEnable);
  bytes_[kRegisterB] = value;
  if (!updated && updates()) take_time(now);
}

}  // namespace calco::devices
