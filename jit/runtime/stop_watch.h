// Measures the translators' own time.
#pragma once

#include <chrono>
#include <cstdint>

namespace calco::jit {

class StopWatch {
 public:
  // Nanoseconds since it was made or lap() was called last.
  uint64_t elapsed() const { return static_cast<uint64_t>((Clock::now() - begin_) / std::chrono::nanoseconds(1)); }
  uint64_t lap() {
    const uint64_t time = elapsed();
    begin_ += std::chrono::nanoseconds(time);
    return time;
  }

 private:
  using Clock = std::chrono::steady_clock;
  Clock::time_point begin_ = Clock::now();
};

}  // namespace calco::jit
