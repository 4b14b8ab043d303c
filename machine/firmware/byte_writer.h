// Little-endian tables, field after field.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

namespace calco::machine {

// Appends fields in the order of their table's specification; each returns the writer, so that a table reads as one
// list.
class ByteWriter {
 public:
  ByteWriter& u8(uint64_t value) { return number(value, 1); }
  ByteWriter& u16(uint64_t value) { return number(value, 2); }
  ByteWriter& u32(uint64_t value) { return number(value, 4); }
  ByteWriter& u64(uint64_t value) { return number(value, 8); }
  ByteWriter& bytes(std::span<const uint8_t> data) {
    bytes_.insert(bytes_.end(), data.begin(), data.end());
    return *this;
  }
  ByteWriter& zeros(size_t count) {
    bytes_.resize(bytes_.size() + count);
    return *this;
  }
  // `text` cut or filled to `size` bytes.
  ByteWriter& text(std::string_view text, size_t size, char fill = '\0') {
    for (size_t i = 0; i < size; ++i) u8(static_cast<uint8_t>(i < text.size() ? text[i] : fill));
    return *this;
  }
  ByteWriter& align(size_t alignment) { return zeros((alignment - bytes_.size() % alignment) % alignment); }

  size_t size() const { return bytes_.size(); }
  const std::vector<uint8_t>& data() const { return bytes_; }
  std::vector<uint8_t> take() { return std::move(bytes_); }

 private:
  ByteWriter& number(uint64_t value, unsigned size) {
    for (unsigned i = 0; i < size; ++i) bytes_.push_back(static_cast<uint8_t>(value >> (8 * i)));
    return *this;
  }

  std::vector<uint8_t> bytes_;
};

// The byte that makes the sum of `bytes` zero when its own place holds 0.
inline uint8_t checksum(std::span<const uint8_t> bytes) {
  uint8_t sum = 0;
  for (uint8_t byte : bytes) sum = static_cast<uint8_t>(sum + byte);
  return static_cast<uint8_t>(-sum);
}

}  // namespace calco::machine
