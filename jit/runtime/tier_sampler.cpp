#include "jit/runtime/tier_sampler.h"

#include <chrono>

namespace calco::jit {

namespace {

// Not a whole millisecond, so as not to keep step with the guest's timer.
constexpr std::chrono::microseconds kInterval{997};

}  // namespace

TierSampler::TierSampler() : thread_([this](const std::stop_token& stop) { work(stop); }) {}

void TierSampler::watch(const cpu::TranslationCounters& processor) {
  std::lock_guard lock(mutex_);
  processors_.push_back(&processor);
}

void TierSampler::forget(const cpu::TranslationCounters& processor) {
  std::lock_guard lock(mutex_);
  std::erase(processors_, &processor);
}

TierSampler::Samples TierSampler::samples() const {
  std::lock_guard lock(mutex_);
  return samples_;
}

void TierSampler::work(const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  while (!stopped_.wait_for(lock, stop, kInterval, [&stop] { return stop.stop_requested(); })) {
    for (const cpu::TranslationCounters* processor : processors_) {
      ++samples_[processor->tier.load(std::memory_order_relaxed)];
    }
  }
}

}  // namespace calco::jit
