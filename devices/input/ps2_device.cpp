#include "devices/input/ps2_device.h"

#include "machine/core/archive.h"

namespace calco::devices {

uint8_t Ps2Device::take_byte() {
  last_sent_ = answers_.empty() ? data_.pop() : answers_.pop();
  const uint8_t byte = last_sent_;
  // What the device adds now the controller finds when the link is free again; a signal would call it from within
  // itself.
  taking_ = true;
  if (data_.empty()) data_drained();
  taking_ = false;
  return byte;
}

void Ps2Device::signal_byte_available() {
  if (byte_available_ && !taking_) byte_available_();
}

void Ps2Device::answer(std::initializer_list<uint8_t> bytes) {
  for (const uint8_t byte : bytes) {
    // A host that sends commands without reading answers loses the answers.
    if (!answers_.full()) answers_.push(byte);
  }
  signal_byte_available();
}

bool Ps2Device::send_data(std::span<const uint8_t> bytes) {
  if (bytes.size() > data_.room()) return false;
  for (const uint8_t byte : bytes) data_.push(byte);
  signal_byte_available();
  return true;
}

void Ps2Device::clear_output() {
  answers_.clear();
  data_.clear();
}

void Ps2Device::reset_link() {
  clear_output();
  last_sent_ = 0;
}

void Ps2Device::serialize_link(Archive& archive) {
  archive.field("answers", answers_);
  archive.field("data", data_);
  archive.field("last_sent", last_sent_);
  if (!answers_.valid() || !data_.valid()) throw ArchiveError("PS/2 device: queue position out of range");
}

}  // namespace calco::devices
