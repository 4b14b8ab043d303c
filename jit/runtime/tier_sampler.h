// Where the processors' time goes, by looking a thousand times a second.
#pragma once

#include <array>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <thread>
#include <vector>

#include "cpu/exec/translation_counters.h"

namespace calco::jit {

// Has a thread of its own, which reads TranslationCounters::tier of each watched processor. The processors do nothing
// for it but to keep that byte.
//
// Threads: any.
class TierSampler {
 public:
  using Samples = std::array<uint64_t, static_cast<size_t>(cpu::ExecutionTier::Count)>;  // by ExecutionTier

  TierSampler();

  // Until forget(), which the counters must outlive.
  void watch(const cpu::TranslationCounters& processor);
  void forget(const cpu::TranslationCounters& processor);
  // Of all processors together.
  Samples samples() const;

 private:
  void work(const std::stop_token& stop);

  mutable std::mutex mutex_;
  std::condition_variable_any stopped_;
  std::vector<const cpu::TranslationCounters*> processors_;
  Samples samples_{};
  std::jthread thread_;  // last: it uses the rest
};

}  // namespace calco::jit
