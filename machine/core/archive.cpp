#include "machine/core/archive.h"

#include <fmt/format.h>

namespace calco {

namespace {

constexpr size_t kMaximumName = 255;

}  // namespace

void Archive::raw(void* data, size_t size) {
  if (!loading_) {
    const auto* source = static_cast<const uint8_t*>(data);
    bytes_.insert(bytes_.end(), source, source + size);
    return;
  }
  if (bytes_.size() - position_ < size) throw ArchiveError("snapshot is truncated");
  if (size != 0) std::memcpy(data, bytes_.data() + position_, size);
  position_ += size;
}

void Archive::header(std::string_view name, uint32_t size) {
  if (name.size() > kMaximumName) throw ArchiveError("field name too long");
  uint8_t length = static_cast<uint8_t>(name.size());
  uint32_t stored_size = size;
  std::string stored_name(name);
  raw(&length, sizeof(length));
  stored_name.resize(length);
  raw(stored_name.data(), length);
  raw(&stored_size, sizeof(stored_size));
  if (stored_name != name || stored_size != size) {
    throw ArchiveError(fmt::format("snapshot has '{}' ({} bytes) where '{}' ({} bytes) was expected", stored_name,
                                   stored_size, name, size));
  }
}

void Archive::field(std::string_view name, std::vector<uint8_t>& value) {
  uint64_t size = value.size();
  field(name, size);
  if (loading_) {
    if (bytes_.size() - position_ < size) throw ArchiveError("snapshot is truncated");
    value.resize(size);
  }
  raw(value.data(), size);
}

void Archive::field(std::string_view name, std::string& value) {
  std::vector<uint8_t> bytes(value.begin(), value.end());
  field(name, bytes);
  value.assign(bytes.begin(), bytes.end());
}

}  // namespace calco
