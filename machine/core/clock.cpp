#include "machine/core/clock.h"

#include <algorithm>

namespace calco {

void Timer::arm(int64_t deadline) {
  bool earliest = false;
  {
    std::lock_guard lock(clock_.mutex_);
    if (armed_) clock_.queue_.erase({deadline_, this});
    deadline_ = deadline;
    armed_ = true;
    auto [position, inserted] = clock_.queue_.emplace(deadline, this);
    earliest = position == clock_.queue_.begin();
  }
  if (earliest) clock_.earliest_deadline_changed();
}

void Timer::cancel() {
  std::lock_guard lock(clock_.mutex_);
  if (armed_) clock_.queue_.erase({deadline_, this});
  armed_ = false;
}

bool Timer::armed() const {
  std::lock_guard lock(clock_.mutex_);
  return armed_;
}

int64_t Timer::deadline() const {
  std::lock_guard lock(clock_.mutex_);
  return deadline_;
}

int64_t Clock::next_deadline() const {
  std::lock_guard lock(mutex_);
  return queue_.empty() ? kNever : queue_.begin()->first;
}

void Clock::run_expired() {
  // A bounded number of callbacks a call: a periodic timer that is hopelessly late must not starve the event loop.
  for (int count = 0; count < 1000; ++count) {
    Timer* timer = nullptr;
    {
      std::lock_guard lock(mutex_);
      if (queue_.empty() || queue_.begin()->first > now()) return;
      timer = queue_.begin()->second;
      queue_.erase(queue_.begin());
      timer->armed_ = false;
    }
    timer->callback_();
  }
}

void ManualClock::advance(int64_t nanoseconds) {
  const int64_t target = now_ + nanoseconds;
  while (next_deadline() <= target) {
    now_ = std::max(now_, next_deadline());
    run_expired();
  }
  now_ = target;
}

}  // namespace calco
