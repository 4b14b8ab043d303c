// The time-stamp counter that all processors of a machine share.
#pragma once

#include <atomic>
#include <cstdint>

#include "machine/core/clock.h"

namespace calco::machine {

// Counts with guest time and stands still with it. Each processor adds an offset of its own (CpuState::tsc_offset).
//
// Where KVM may execute the guest, its processors read the host's counter plus an offset, which no clock follows
// exactly; the counter is then the host's as well, so that an exchange of engines shows no step.
//
// Threads: now() and the conversions from any thread. stop() and resume() with every processor paused.
class TimeStampCounter {
 public:
  enum class Source : uint8_t { Clock, HostCounter };
  struct Options {
    uint64_t frequency = 1'000'000'000;  // Hz; with Source::HostCounter that of the host's
    Source source = Source::Clock;
    bool host_value = false;  // Source::HostCounter: begins at the host's value instead of 0
    bool operator==(const Options&) const = default;
  };

  // Begins running, at 0 unless the options say otherwise. `clock` outlives it.
  TimeStampCounter(const Clock& clock, Options options);

  const Options& options() const { return options_; }
  uint64_t frequency() const { return options_.frequency; }
  uint64_t now() const;
  // What is to be added to the host's counter to get this one; for Source::HostCounter, while running.
  uint64_t host_offset() const { return offset_.load(std::memory_order_acquire); }
  // The guest time (ns) at which the counter reaches `ticks`, rounded up; for the near future.
  int64_t time_of(uint64_t ticks) const;

  void stop();
  void resume();

 private:
  static uint64_t host_counter();

  const Clock& clock_;
  const Options options_;
  std::atomic<uint64_t> offset_ = 0;   // HostCounter: to be added to the host's counter while it runs
  std::atomic<uint64_t> stopped_ = 0;  // value while stopped
  std::atomic<bool> running_ = true;
};

}  // namespace calco::machine
