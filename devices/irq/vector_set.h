// A set of interrupt vectors: the IRR, ISR and TMR of a local APIC.
#pragma once

#include <array>
#include <bit>
#include <cstdint>

namespace calco::devices {

// 256 bits. Threads: none of its own.
class VectorSet {
 public:
  void insert(uint8_t vector) { words_[vector / 64] |= uint64_t{1} << (vector % 64); }
  void erase(uint8_t vector) { words_[vector / 64] &= ~(uint64_t{1} << (vector % 64)); }
  void assign(uint8_t vector, bool member) { member ? insert(vector) : erase(vector); }
  bool contains(uint8_t vector) const { return (words_[vector / 64] >> (vector % 64) & 1) != 0; }
  // The highest member, or -1.
  int highest() const {
    for (int word = 3; word >= 0; --word) {
      if (words_[word] != 0) return word * 64 + 63 - std::countl_zero(words_[word]);
    }
    return -1;
  }
  // Vectors 32 * index to 32 * index + 31, as the APIC's registers show them; `index` is 0 to 7.
  uint32_t register_value(int index) const { return static_cast<uint32_t>(words_[index / 2] >> (index % 2 * 32)); }
  void set_register_value(int index, uint32_t value) {
    const int shift = index % 2 * 32;
    words_[index / 2] = (words_[index / 2] & ~(uint64_t{0xffffffff} << shift)) | uint64_t{value} << shift;
  }
  bool operator==(const VectorSet&) const = default;

 private:
  std::array<uint64_t, 4> words_{};
};

}  // namespace calco::devices
