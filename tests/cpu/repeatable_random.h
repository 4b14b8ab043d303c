// Random operands, always in the same sequence, so that a failure can be had again.
#pragma once

#include <cstddef>
#include <cstdint>
#include <random>

namespace calco::cpu::test {

class RepeatableRandom {
 public:
  explicit RepeatableRandom(uint64_t seed) : engine_(seed) {}

  uint64_t random() { return engine_(); }
  unsigned below(unsigned limit) { return static_cast<unsigned>(engine_() % limit); }
  template <typename T, size_t kCount>
  T one_of(const T (&values)[kCount]) {
    return values[below(kCount)];
  }

 private:
  std::mt19937_64 engine_;
};

}  // namespace calco::cpu::test
