// The string comparisons in software (SDM vol. 2, 4.1.1 to 4.1.8).
#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

#include "cpu/exec/vector/host_portable.h"

namespace calco::cpu::vector::host {

namespace {

// The fields of the control byte.
constexpr unsigned kWords = 1, kSigned = 2, kOperationShift = 2, kNegative = 1u << 4, kMaskedNegative = 1u << 5,
                   kMostSignificant = 1u << 6;
enum class Operation : uint8_t { EqualAny, Ranges, EqualEach, EqualOrdered };

constexpr int kBytes = 16;

class Comparison128 {
 public:
  Comparison128(unsigned control, StringLengths lengths, const Strings& strings)
      : control_(control), count_((control & kWords) != 0 ? kBytes / 2 : kBytes) {
    read(strings.first, first_);
    read(strings.second, second_);
    const bool explicit_lengths = lengths == StringLengths::Explicit;
    first_length_ = explicit_lengths ? clamped(strings.first_length) : up_to_zero(first_);
    second_length_ = explicit_lengths ? clamped(strings.second_length) : up_to_zero(second_);
  }

  void run(StringResult& result) const {
    const unsigned all = (1u << count_) - 1;
    unsigned bits = 0;
    for (int j = 0; j < count_; ++j) bits |= static_cast<unsigned>(matches(j)) << j;
    if ((control_ & kNegative) != 0) {
      bits ^= (control_ & kMaskedNegative) != 0 ? (1u << second_length_) - 1 : all;
    }
    result.carry = bits != 0;
    result.zero = second_length_ < count_;
    result.sign = first_length_ < count_;
    result.overflow = (bits & 1) != 0;
    const bool last = (control_ & kMostSignificant) != 0;
    result.index = static_cast<uint32_t>(bits == 0 ? count_ : last ? std::bit_width(bits) - 1 : std::countr_zero(bits));
    result.mask = last ? elements(bits) : low_bits(bits);
  }

 private:
  using Values = std::array<int, kBytes>;

  void read(Xmm vector, Values& values) const {
    for (int i = 0; i < count_; ++i) {
      if ((control_ & kWords) != 0) {
        values[static_cast<size_t>(i)] = element<uint16_t, int16_t>(vector, i);
      } else {
        values[static_cast<size_t>(i)] = element<uint8_t, int8_t>(vector, i);
      }
    }
  }
  template <typename Unsigned, typename Signed>
  int element(Xmm vector, int number) const {
    Unsigned value;
    std::memcpy(&value, reinterpret_cast<const char*>(&vector) + static_cast<size_t>(number) * sizeof value,
                sizeof value);
    return (control_ & kSigned) != 0 ? static_cast<Signed>(value) : value;
  }
  int clamped(int32_t length) const { return std::min(std::abs(length), count_); }
  int up_to_zero(const Values& values) const {
    return static_cast<int>(std::find(values.begin(), values.begin() + count_, 0) - values.begin());
  }

  int first(int i) const { return first_[static_cast<size_t>(i)]; }
  int second(int j) const { return second_[static_cast<size_t>(j)]; }
  // What element `j` of the second operand contributes to the intermediate result.
  bool matches(int j) const {
    switch (static_cast<Operation>(control_ >> kOperationShift & 3)) {
      case Operation::EqualAny:
        if (j >= second_length_) return false;
        return std::find(first_.begin(), first_.begin() + first_length_, second(j)) != first_.begin() + first_length_;
      case Operation::Ranges:
        return j < second_length_ && is_in_range(second(j));
      case Operation::EqualEach:
        if (j >= first_length_ || j >= second_length_) return j >= first_length_ && j >= second_length_;
        return first(j) == second(j);
      default:
        return begins_at(j);
    }
  }
  bool is_in_range(int value) const {
    for (int i = 0; i + 1 < first_length_; i += 2) {
      if (first(i) <= value && value <= first(i + 1)) return true;
    }
    return false;
  }
  // The first string, as far as the second reaches.
  bool begins_at(int j) const {
    for (int i = 0; i < first_length_ && i + j < count_; ++i) {
      if (i + j >= second_length_ || first(i) != second(i + j)) return false;
    }
    return true;
  }

  static Xmm low_bits(unsigned bits) {
    const std::array<uint64_t, 2> halves = {bits, 0};
    Xmm mask;
    std::memcpy(&mask, halves.data(), sizeof mask);
    return mask;
  }
  Xmm elements(unsigned bits) const {
    const int size = kBytes / count_;
    std::array<uint8_t, kBytes> bytes;
    for (int i = 0; i < kBytes; ++i) bytes[static_cast<size_t>(i)] = (bits >> i / size & 1) != 0 ? 0xFF : 0;
    Xmm mask;
    std::memcpy(&mask, bytes.data(), sizeof mask);
    return mask;
  }

  const unsigned control_;
  const int count_;
  Values first_{}, second_{};
  int first_length_, second_length_;
};

}  // namespace

void compare_strings(unsigned control, StringLengths lengths, const Strings& strings, StringResult& result) {
  Comparison128(control, lengths, strings).run(result);
}

}  // namespace calco::cpu::vector::host
