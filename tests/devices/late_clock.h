// A clock whose timers run late, as on a busy host.
#pragma once

#include "machine/core/clock.h"

namespace calco {

class LateClock final : public Clock {
 public:
  int64_t now() const override { return now_; }
  // Time passes without any timer being served; run_expired() serves them.
  void pass(int64_t nanoseconds) { now_ += nanoseconds; }

 private:
  int64_t now_ = 0;
};

}  // namespace calco
