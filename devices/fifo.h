// A small ring of values, as chips have them.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace calco::devices {

// Up to `Size` entries. Trivially copyable, so that it goes into an archive as one field; check valid() after loading.
// push() wants room, pop(), front() and back() an entry: the caller looks first.
template <typename T, size_t Size>
class Fifo {
 public:
  static_assert(Size <= UINT16_MAX);

  size_t count() const { return count_; }
  bool empty() const { return count_ == 0; }
  bool full() const { return count_ == Size; }
  size_t room() const { return Size - count_; }
  bool valid() const { return first_ < Size && count_ <= Size; }

  void push(T entry) { entries_[(first_ + count_++) % Size] = entry; }
  T pop() {
    const T entry = entries_[first_];
    first_ = static_cast<uint16_t>((first_ + 1) % Size);
    --count_;
    return entry;
  }
  T& front() { return entries_[first_]; }
  T& back() { return entries_[(first_ + count_ - 1u) % Size]; }
  const T& operator[](size_t index) const { return entries_[(first_ + index) % Size]; }
  // How many entries from front() on lie side by side in memory.
  size_t contiguous() const { return count_ < Size - first_ ? count_ : Size - first_; }
  void clear() { *this = Fifo(); }

 private:
  std::array<T, Size> entries_{};
  uint16_t first_ = 0;
  uint16_t count_ = 0;
};

}  // namespace calco::devices
