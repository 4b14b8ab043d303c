#include "devices/isa/dma8237.h"

#include "machine/core/archive.h"

namespace calco::devices {

namespace {

constexpr unsigned kFirstControlRegister = 8;
enum ControlRegister : uint8_t {
  kCommandOrStatus = 8,
  kRequest = 9,
  kSingleMask = 10,
  kMode = 11,
  kClearFlipFlop = 12,
  kMasterClearOrTemporary = 13,
  kClearMask = 14,
  kAllMask = 15,
};

constexpr uint8_t kChannelMask = 0x03;
constexpr uint8_t kSetBit = 0x04;  // in the request and single mask registers: set or clear the channel's bit
constexpr uint8_t kAllChannels = 0x0F;

uint8_t change_channel_bit(uint8_t bits, uint8_t value) {
  const unsigned bit = 1u << (value & kChannelMask);
  return static_cast<uint8_t>((value & kSetBit) != 0 ? bits | bit : bits & ~bit);
}

uint16_t replace_half(uint16_t word, bool high, uint8_t byte) {
  return static_cast<uint16_t>(high ? (word & 0x00FF) | byte << 8 : (word & 0xFF00) | byte);
}

}  // namespace

void Dma8237::reset() {
  channels_ = {};
  modes_ = {};
  master_clear();
}

void Dma8237::master_clear() {
  command_ = status_ = requests_ = 0;
  mask_ = kAllChannels;
  high_byte_next_ = false;
}

void Dma8237::serialize(Archive& archive) {
  archive.section(name_);
  archive.field("channels", channels_);
  archive.field("modes", modes_);
  archive.field("command", command_);
  archive.field("status", status_);
  archive.field("requests", requests_);
  archive.field("mask", mask_);
  archive.field("high byte next", high_byte_next_);
}

uint64_t Dma8237::read(uint64_t offset, [[maybe_unused]] unsigned size) {
  if (offset % stride_ != 0) return floating_bus(1);
  const auto index = static_cast<unsigned>(offset / stride_);
  if (index < kFirstControlRegister) return read_channel(index);
  switch (index) {
    case kCommandOrStatus:
      // Reading clears the terminal counts.
      return std::exchange(status_, uint8_t{0}) | uint64_t{requests_} << 4;
    case kMasterClearOrTemporary:
      return 0;  // only memory-to-memory transfers fill the temporary register
    case kAllMask:
      return mask_;
    default:
      return floating_bus(1);
  }
}

void Dma8237::write(uint64_t offset, [[maybe_unused]] unsigned size, uint64_t value) {
  if (offset % stride_ != 0) return;
  const auto index = static_cast<unsigned>(offset / stride_);
  if (index < kFirstControlRegister) {
    write_channel(index, static_cast<uint8_t>(value));
  } else {
    write_control(index, static_cast<uint8_t>(value));
  }
}

uint8_t Dma8237::read_channel(unsigned index) {
  const Channel& channel = channels_[index / 2];
  const uint16_t word = index % 2 == 0 ? channel.current_address : channel.current_count;
  const bool high = std::exchange(high_byte_next_, !high_byte_next_);
  return static_cast<uint8_t>(high ? word >> 8 : word);
}

void Dma8237::write_channel(unsigned index, uint8_t value) {
  Channel& channel = channels_[index / 2];
  const bool high = std::exchange(high_byte_next_, !high_byte_next_);
  uint16_t& base = index % 2 == 0 ? channel.base_address : channel.base_count;
  uint16_t& current = index % 2 == 0 ? channel.current_address : channel.current_count;
  base = replace_half(base, high, value);
  current = replace_half(current, high, value);
}

void Dma8237::write_control(unsigned index, uint8_t value) {
  switch (index) {
    case kCommandOrStatus:
      command_ = value;
      break;
    case kRequest:
      requests_ = change_channel_bit(requests_, value);
      break;
    case kSingleMask:
      mask_ = change_channel_bit(mask_, value);
      break;
    case kMode:
      modes_[value & kChannelMask] = static_cast<uint8_t>(value & ~kChannelMask);
      break;
    case kClearFlipFlop:
      high_byte_next_ = false;
      break;
    case kMasterClearOrTemporary:
      master_clear();
      break;
    case kClearMask:
      mask_ = 0;
      break;
    case kAllMask:
      mask_ = value & kAllChannels;
      break;
    default:
      break;
  }
}

void DmaPages::serialize(Archive& archive) {
  archive.section(name());
  archive.field("pages", pages_);
}

}  // namespace calco::devices
