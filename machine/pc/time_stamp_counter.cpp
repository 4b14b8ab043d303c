#include "machine/pc/time_stamp_counter.h"

#include <algorithm>

#if defined(__x86_64__)
#include <x86intrin.h>
#endif

namespace calco::machine {

TimeStampCounter::TimeStampCounter(const Clock& clock, Options options)
    : clock_(clock), options_(options), offset_(options.host_value ? 0 : 0 - host_counter()) {}

uint64_t TimeStampCounter::host_counter() {
#if defined(__x86_64__)
  return __rdtsc();
#else
  return 0;
#endif
}

uint64_t TimeStampCounter::now() const {
  if (options_.source == Source::Clock) {
    return multiply_divide(static_cast<uint64_t>(clock_.now()), options_.frequency, Clock::kSecond);
  }
  return running_.load(std::memory_order_acquire) ? host_counter() + host_offset()
                                                  : stopped_.load(std::memory_order_relaxed);
}

int64_t TimeStampCounter::time_of(uint64_t ticks) const {
  if (options_.source == Source::Clock && options_.frequency == Clock::kSecond) {
    return static_cast<int64_t>(std::min<uint64_t>(ticks, INT64_MAX));
  }
  const uint64_t ahead = ticks - std::min(ticks, now());
  const unsigned __int128 wait =
      (static_cast<unsigned __int128>(ahead) * Clock::kSecond + options_.frequency - 1) / options_.frequency;
  const int64_t begin = clock_.now();
  return wait > static_cast<uint64_t>(INT64_MAX - begin) ? INT64_MAX : begin + static_cast<int64_t>(wait);
}

void TimeStampCounter::stop() {
  if (!running_.load()) return;
  stopped_.store(now(), std::memory_order_relaxed);
  running_.store(false, std::memory_order_release);
}

void TimeStampCounter::resume() {
  if (running_.load()) return;
  offset_.store(stopped_.load() - host_counter(), std::memory_order_relaxed);
  running_.store(true, std::memory_order_release);
}

}  // namespace calco::machine
