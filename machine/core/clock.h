// Guest time and the timers that run on it.
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <mutex>
#include <set>
#include <utility>

namespace calco {

class Clock;

// A one-shot timer. Periodic devices arm it again from the callback, relative to the deadline that passed, so that
// no tick is lost. Destroying it cancels it.
//
// Threads: arm() and cancel() from any thread. The callback runs on the thread that calls Clock::run_expired() (the
// event loop) with the device lock held. Do not destroy a timer from a thread that lacks the device lock.
class Timer {
 public:
  Timer(Clock& clock, std::function<void()> callback) : clock_(clock), callback_(std::move(callback)) {}
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;
  ~Timer() { cancel(); }

  // Fires once at the absolute guest time `deadline` (ns); a deadline that has passed fires as soon as possible.
  void arm(int64_t deadline);
  void cancel();
  bool armed() const;
  // The absolute guest time (ns) at which an armed timer fires.
  int64_t deadline() const;

 private:
  friend class Clock;
  Clock& clock_;
  std::function<void()> callback_;
  int64_t deadline_ = 0;
  bool armed_ = false;
};

// Guest time in nanoseconds: monotonic, stands still while the machine is stopped. Also the queue of armed timers.
class Clock {
 public:
  static constexpr int64_t kNever = std::numeric_limits<int64_t>::max();
  static constexpr int64_t kSecond = 1'000'000'000;

  virtual ~Clock() = default;

  // Guest time in ns since the machine was built. Any thread.
  virtual int64_t now() const = 0;

  // Deadline of the next timer to fire, or kNever. Any thread.
  int64_t next_deadline() const;
  // Runs the callbacks of all timers whose deadline is not after now(), earliest first. Caller holds the device lock.
  void run_expired();

 protected:
  // The earliest deadline moved to an earlier time: whoever sleeps on it must be woken. Any thread, clock lock not
  // held.
  virtual void earliest_deadline_changed() {}

 private:
  friend class Timer;
  mutable std::mutex mutex_;  // leaf lock: nothing else is taken while it is held
  std::set<std::pair<int64_t, Timer*>> queue_;
};

// Time that moves only when a test says so.
class ManualClock final : public Clock {
 public:
  int64_t now() const override { return now_; }
  // Moves time forward to now() + `nanoseconds`, stopping at each deadline on the way to run its timers.
  void advance(int64_t nanoseconds);

 private:
  int64_t now_ = 0;
};

// (a * b) / c without overflow of the product; c must not be 0. For tick arithmetic between clock domains.
constexpr uint64_t multiply_divide(uint64_t a, uint64_t b, uint64_t c) {
  return static_cast<uint64_t>(static_cast<unsigned __int128>(a) * b / c);
}

}  // namespace calco
