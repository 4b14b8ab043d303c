// Guest time that follows the host's monotonic clock while the machine runs.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>

#include "devices/host/file_descriptor.h"
#include "machine/core/clock.h"

namespace calco::devices {

// Counts from 0 at construction and begins to run at once. A timer file descriptor becomes readable when the earliest
// timer is due; the event loop then calls expire().
//
// Threads: now() from any thread without a lock. stop(), resume() and set() from one thread at a time, with every vCPU
// paused: a vCPU that ran meanwhile could see time step back.
class RealClock final : public Clock {
 public:
  // Throws std::system_error where the host has no timer file descriptors left.
  RealClock();

  int64_t now() const override;
  bool running() const { return frozen_.load(std::memory_order_acquire) == kRunning; }

  // Guest time stands still from now on, and no timer fires.
  void stop();
  // Guest time goes on from where it stood.
  void resume();
  // Puts the guest time of a stopped clock to `nanoseconds` (a snapshot was loaded).
  void set(int64_t nanoseconds);

  int timer_descriptor() const { return timer_.get(); }
  // Runs the timers that are due and sets the file descriptor for the next. Event loop only, device lock held.
  void expire();

 protected:
  void earliest_deadline_changed() override;

 private:
  static constexpr int64_t kRunning = -1;

  void program_timer();

  std::atomic<int64_t> offset_;            // host time minus guest time, while running
  std::atomic<int64_t> frozen_{kRunning};  // guest time while stopped
  FileDescriptor timer_;
  std::mutex program_mutex_;  // held around "find the deadline, set the descriptor"; the clock's lock nests in it
  int64_t programmed_ = kNever;
};

}  // namespace calco::devices
