#include "devices/isa/fw_cfg.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <iterator>
#include <stdexcept>
#include <utility>

#include "machine/core/archive.h"
#include "machine/core/log.h"
#include "machine/core/memory_map.h"

namespace calco::devices {

namespace {

constexpr uint64_t kSelectorOffset = 0;
constexpr uint64_t kDataOffset = 1;
constexpr uint64_t kDmaOffset = 4;
constexpr uint64_t kDmaLowOffset = 8;

constexpr uint32_t kVersionTraditional = 1u << 0;
constexpr uint32_t kVersionDma = 1u << 1;
constexpr std::string_view kDmaSignature = "QEMU CFG";

// Bits of a DMA descriptor's control field; the key to select is in the upper half.
constexpr uint32_t kDmaError = 1u << 0;
constexpr uint32_t kDmaRead = 1u << 1;
constexpr uint32_t kDmaSkip = 1u << 2;
constexpr uint32_t kDmaSelect = 1u << 3;
constexpr uint32_t kDmaWrite = 1u << 4;

void append_big_endian(std::vector<uint8_t>& bytes, uint64_t value, unsigned size) {
  for (unsigned i = size; i-- > 0;) bytes.push_back(static_cast<uint8_t>(value >> (i * 8)));
}

std::vector<uint8_t> little_endian(uint64_t value, unsigned size) {
  std::vector<uint8_t> bytes(size);
  for (unsigned i = 0; i < size; ++i) bytes[i] = static_cast<uint8_t>(value >> (i * 8));
  return bytes;
}

}  // namespace

FwCfg::FwCfg(MemoryMap& memory, Log& log) : memory_(memory), log_(log) {
  add_bytes(kSignature, {'Q', 'E', 'M', 'U'});
  add_u32(kInterfaceVersion, kVersionTraditional | kVersionDma);
}

void FwCfg::add_bytes(uint16_t key, std::vector<uint8_t> bytes) { items_[key].bytes = std::move(bytes); }

void FwCfg::add_u16(uint16_t key, uint16_t value) { add_bytes(key, little_endian(value, 2)); }

void FwCfg::add_u32(uint16_t key, uint32_t value) { add_bytes(key, little_endian(value, 4)); }

void FwCfg::add_u64(uint16_t key, uint64_t value) { add_bytes(key, little_endian(value, 8)); }

void FwCfg::add_string(uint16_t key, std::string_view text) {
  std::vector<uint8_t> bytes(text.begin(), text.end());
  bytes.push_back(0);
  add_bytes(key, std::move(bytes));
}

void FwCfg::add_file(const std::string& name, std::vector<uint8_t> bytes, FileOptions options) {
  if (name.empty() || name.size() > kMaximumNameLength) throw std::invalid_argument("fw_cfg: bad name: " + name);
  if (files_.size() == kMaximumFiles) throw std::invalid_argument("fw_cfg: no room for " + name);
  if (!files_.try_emplace(name, Item{std::move(bytes), std::move(options)}).second) {
    throw std::invalid_argument("fw_cfg: added twice: " + name);
  }
}

void FwCfg::replace_file(const std::string& name, std::vector<uint8_t> bytes) {
  files_.at(name).bytes = std::move(bytes);
}

void FwCfg::reset() {
  selected_ = kSignature;
  position_ = 0;
  dma_address_ = 0;
}

void FwCfg::serialize(Archive& archive) {
  archive.section(name());
  archive.field("selected", selected_);
  archive.field("position", position_);
  archive.field("dma address", dma_address_);
  for (auto& [file_name, item] : files_) {
    if (item.options.writable) archive.field(file_name, item.bytes);
  }
  if (archive.loading() && selected_ == kFileDirectory) items_[kFileDirectory].bytes = directory();
}

FwCfg::Item* FwCfg::find(uint16_t key) {
  if (key >= kFirstFile && key < kFirstFile + files_.size())
    return &std::next(files_.begin(), key - kFirstFile)->second;
  const auto item = items_.find(key);
  return item == items_.end() ? nullptr : &item->second;
}

void FwCfg::select(uint16_t key) {
  selected_ = key;
  position_ = 0;
  if (key == kFileDirectory) items_[key].bytes = directory();
  const Item* item = find(key);
  if (item != nullptr && item->options.selected) item->options.selected();
}

// All numbers in the directory are big-endian: count, then size, key, two reserved bytes and 56 of name per file.
std::vector<uint8_t> FwCfg::directory() const {
  std::vector<uint8_t> bytes;
  append_big_endian(bytes, files_.size(), 4);
  uint16_t key = kFirstFile;
  for (const auto& [file_name, item] : files_) {
    append_big_endian(bytes, item.bytes.size(), 4);
    append_big_endian(bytes, key++, 2);
    append_big_endian(bytes, 0, 2);
    bytes.insert(bytes.end(), file_name.begin(), file_name.end());
    bytes.resize(bytes.size() + kMaximumNameLength + 1 - file_name.size());
  }
  return bytes;
}

uint8_t FwCfg::read_data() {
  const Item* item = find(selected_);
  return item == nullptr || position_ >= item->bytes.size() ? uint8_t{0} : item->bytes[position_++];
}

uint64_t FwCfg::read(uint64_t offset, unsigned size) {
  if (offset == kDataOffset && size == 1) return read_data();
  if (offset < kDmaOffset || offset + size > kPortCount) return 0;
  uint64_t value = 0;
  std::memcpy(&value, kDmaSignature.data() + (offset - kDmaOffset), size);
  return value;
}

void FwCfg::write(uint64_t offset, unsigned size, uint64_t value) {
  if (offset == kSelectorOffset && size == 2) {
    select(static_cast<uint16_t>(value));
  } else if (offset == kDmaOffset && size == 4) {
    dma_address_ = uint64_t{__builtin_bswap32(static_cast<uint32_t>(value))} << 32;
  } else if (offset == kDmaLowOffset && size == 4) {
    transfer(std::exchange(dma_address_, 0) | __builtin_bswap32(static_cast<uint32_t>(value)));
  } else {
    log_.print(LogItem::GuestErrors, "fw_cfg: write of {} bytes at offset {}", size, offset);
  }
}

// A descriptor is 16 big-endian bytes: control, length, address. The control field is overwritten by the result.
void FwCfg::transfer(uint64_t descriptor) {
  std::array<uint32_t, 4> fields{};
  const bool readable = memory_.read(descriptor, fields.data(), sizeof(fields));
  for (uint32_t& field : fields) field = __builtin_bswap32(field);
  const auto [control, length, address_high, address_low] = fields;
  const uint64_t address = uint64_t{address_high} << 32 | address_low;

  if (readable && (control & kDmaSelect) != 0) select(static_cast<uint16_t>(control >> 16));
  const bool done = readable && transfer_item(control, address, length);
  if (!done) log_.print(LogItem::GuestErrors, "fw_cfg: DMA failed, descriptor at {:#x}", descriptor);
  memory_.write_value<uint32_t>(descriptor, done ? 0 : __builtin_bswap32(kDmaError));
}

// Reads beyond the item's end give zeros, writes there are an error.
bool FwCfg::transfer_item(uint32_t control, uint64_t address, uint32_t length) {
  if ((control & (kDmaRead | kDmaSkip | kDmaWrite)) == 0) return true;
  Item* item = find(selected_);
  const uint64_t end = item == nullptr ? 0 : item->bytes.size();
  const auto inside = static_cast<uint32_t>(std::min<uint64_t>(length, end - std::min<uint64_t>(position_, end)));
  const uint32_t start = position_;
  position_ += inside;
  if ((control & kDmaRead) != 0) {
    if (inside != 0 && !memory_.write(address, item->bytes.data() + start, inside)) return false;
    return fill_with_zeros(address + inside, length - inside);
  }
  if ((control & kDmaWrite) != 0) {
    if (length == 0) return true;
    if (inside != length || !item->options.writable) return false;
    if (!memory_.read(address, item->bytes.data() + start, length)) return false;
    if (item->options.written) item->options.written(item->bytes);
  }
  return true;
}

bool FwCfg::fill_with_zeros(uint64_t address, uint64_t length) {
  static constexpr std::array<uint8_t, kPageSize> kZeros{};
  while (length != 0) {
    const uint64_t part = std::min<uint64_t>(length, kZeros.size());
    if (!memory_.write(address, kZeros.data(), part)) return false;
    address += part;
    length -= part;
  }
  return true;
}

}  // namespace calco::devices
