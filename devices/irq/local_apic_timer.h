// The timer of a local APIC.
#pragma once

#include <cstdint>
#include <functional>
#include <utility>

#include "machine/core/clock.h"

namespace calco {
class Archive;
}

namespace calco::devices {

// How TSC ticks and guest time convert. Both functions are called from any thread with an APIC's lock held and take
// no lock.
struct TscClock {
  // The processor's TSC now.
  std::function<uint64_t()> ticks_now;
  // The earliest guest time (ns) at which the TSC has reached `ticks`, rounded up; asked for the near future only.
  std::function<int64_t(uint64_t ticks)> time_of;
};

// One-shot, periodic and TSC-deadline modes (SDM vol. 3, 11.5.4). The count runs at 1 GHz before the divider.
//
// Threads: the owner's lock guards all calls. `alarm` is called without it on the event loop's thread; the owner then
// takes its lock and asks take_expiry().
class LocalApicTimer {
 public:
  enum class Mode : uint8_t { OneShot, Periodic, TscDeadline };

  LocalApicTimer(Clock& clock, TscClock tsc, std::function<void()> alarm)
      : clock_(clock), tsc_(std::move(tsc)), timer_(clock, std::move(alarm)) {}

  void reset();
  void serialize(Archive& archive);

  // Mode and mask bit of the LVT entry. A masked timer counts on but needs no alarm.
  void configure(Mode mode, bool masked);
  Mode mode() const { return mode_; }

  uint32_t initial_count() const { return initial_count_; }
  void set_initial_count(uint32_t count);
  uint32_t current_count() const;
  uint32_t divide_configuration() const { return divide_configuration_; }
  void set_divide_configuration(uint32_t value);

  // IA32_TSC_DEADLINE. The setter returns true where the deadline has already passed: the interrupt is due now.
  uint64_t tsc_deadline() const;
  bool set_tsc_deadline(uint64_t ticks);

  // For another timer that does this one's work: what it counts from and what is left. `set_registers` says whether an
  // interrupt is due at once: the deadline has passed.
  struct Registers {
    uint32_t initial_count = 0, current_count = 0, divide_configuration = 0;
    uint64_t tsc_deadline = 0;
    bool operator==(const Registers&) const = default;
  };
  Registers registers() const;
  bool set_registers(Mode mode, bool masked, const Registers& registers);

  // True where the alarm's time has come; a periodic timer is armed for its next period.
  bool take_expiry();

 private:
  int64_t divisor() const;
  uint64_t elapsed_counts() const;
  void schedule();
  void arm(int64_t expiry);
  void disarm();

  Clock& clock_;
  const TscClock tsc_;
  Mode mode_ = Mode::OneShot;
  bool masked_ = true;
  uint32_t initial_count_ = 0;
  uint32_t divide_configuration_ = 0;
  int64_t start_ = 0;          // guest time at which the count was `initial_count_`
  uint64_t tsc_deadline_ = 0;  // 0: none
  int64_t expiry_ = Clock::kNever;
  Timer timer_;
};

}  // namespace calco::devices
