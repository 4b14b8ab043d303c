// Random numbers and interesting values. The same seed gives the same tests everywhere.
#pragma once

#include <cstdint>

#include "tests/oracle/machine_image.h"

namespace calco::oracle {

class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}

  // SplitMix64 (Steele, Lea, Flood 2014).
  uint64_t next() {
    uint64_t z = state_ += 0x9E3779B97F4A7C15;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9;
    z = (z ^ z >> 27) * 0x94D049BB133111EB;
    return z ^ z >> 31;
  }
  unsigned below(unsigned limit) { return static_cast<unsigned>((next() >> 32) * limit >> 32); }
  // True in `percent` of 100 cases.
  bool percent(unsigned percent) { return below(100) < percent; }
  template <typename T, size_t N>
  T pick(const T (&values)[N]) {
    return values[below(N)];
  }

  // 0, 1, -1, smallest and largest of each size, powers of two and their neighbours, or any number.
  uint64_t integer();
  // Zeros, ones, denormals, infinities, NaNs, neighbours of integer limits, or any number.
  uint32_t single();
  uint64_t double_precision();
  X87Slot extended();
  // Lanes of one of these kinds.
  VectorSlot vector();
  // Eight bytes of data of any of these kinds.
  uint64_t memory_word();

 private:
  uint64_t state_;
};

}  // namespace calco::oracle
