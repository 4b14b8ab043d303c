// Snapshot archive: one function per device both saves and loads.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace calco {

// A snapshot that cannot be loaded: truncated, or its fields are not those that the device expects.
class ArchiveError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// A sequence of named fields, written in little-endian order. Loading checks each name and size, so a snapshot of
// another layout is refused with the name of the field instead of being misread.
//
//   void Pit::serialize(Archive& archive) {
//     archive.field("latched", latched_);
//     if (archive.loading()) restart_timer();
//   }
//
// Threads: none of its own; see Device::serialize.
class Archive {
 public:
  // An empty archive to save into.
  Archive() = default;
  // An archive to load from; takes a copy of the bytes.
  explicit Archive(std::span<const uint8_t> bytes) : bytes_(bytes.begin(), bytes.end()), loading_(true) {}

  bool loading() const { return loading_; }
  const std::vector<uint8_t>& bytes() const { return bytes_; }

  // Starts a group of fields (a device, an array element). Purely a checked marker.
  void section(std::string_view name) { header(name, 0); }

  // Integers, enums, bool, and plain structs or arrays of them without pointers or padding.
  template <typename T>
    requires std::is_trivially_copyable_v<T>
  void field(std::string_view name, T& value) {
    header(name, sizeof(T));
    raw(&value, sizeof(T));
  }

  void field(std::string_view name, std::vector<uint8_t>& value);
  void field(std::string_view name, std::string& value);
  // A field that the owner restores through a setter: `value` is what to save, the result what was loaded (or the
  // same).
  template <typename T>
    requires std::is_trivially_copyable_v<T>
  T exchange(std::string_view name, T value) {
    field(name, value);
    return value;
  }

 private:
  void header(std::string_view name, uint32_t size);
  void raw(void* data, size_t size);

  std::vector<uint8_t> bytes_;
  size_t position_ = 0;
  bool loading_ = false;
};

}  // namespace calco
