#include "devices/host/real_clock.h"

#include <sys/timerfd.h>
#include <time.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

namespace calco::devices {

namespace {

int64_t host_time() {
  timespec time{};
  clock_gettime(CLOCK_MONOTONIC, &time);
  return int64_t{time.tv_sec} * Clock::kSecond + time.tv_nsec;
}

}  // namespace

RealClock::RealClock() : offset_(host_time()), timer_(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC)) {
  if (!timer_.valid()) throw std::system_error(errno, std::generic_category(), "timerfd_create");
}

int64_t RealClock::now() const {
  const int64_t frozen = frozen_.load(std::memory_order_acquire);
  return frozen == kRunning ? host_time() - offset_.load(std::memory_order_relaxed) : frozen;
}

void RealClock::stop() {
  if (!running()) return;
  frozen_.store(now(), std::memory_order_release);
  std::lock_guard lock(program_mutex_);
  program_timer();
}

void RealClock::resume() {
  if (running()) return;
  offset_.store(host_time() - now(), std::memory_order_relaxed);
  frozen_.store(kRunning, std::memory_order_release);
  std::lock_guard lock(program_mutex_);
  program_timer();
}

void RealClock::set(int64_t nanoseconds) {
  if (!running()) frozen_.store(std::max<int64_t>(nanoseconds, 0), std::memory_order_release);
}

void RealClock::expire() {
  uint64_t expirations = 0;
  // Nothing to read is no error: the descriptor may have been set anew since it was reported.
  (void)!::read(timer_.get(), &expirations, sizeof(expirations));
  if (running()) run_expired();
  std::lock_guard lock(program_mutex_);
  program_timer();
}

void RealClock::earliest_deadline_changed() {
  std::lock_guard lock(program_mutex_);
  // A descriptor that fires too early costs one look at the queue; setting it costs a system call each time.
  if (!running() || next_deadline() >= programmed_) return;
  program_timer();
}

void RealClock::program_timer() {
  programmed_ = running() ? next_deadline() : kNever;
  itimerspec setting{};
  if (programmed_ != kNever) {
    // An absolute time of 0 would disarm; one in the past fires at once.
    const int64_t host = std::max<int64_t>(programmed_ + offset_.load(std::memory_order_relaxed), 1);
    setting.it_value = {.tv_sec = host / kSecond, .tv_nsec = host % kSecond};
  }
  timerfd_settime(timer_.get(), TFD_TIMER_ABSTIME, &setting, nullptr);
}

}  // namespace calco::devices
