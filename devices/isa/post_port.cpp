#include "devices/isa/post_port.h"

#include "machine/core/archive.h"

namespace calco::devices {

void PostPort::serialize(Archive& archive) {
  archive.section(name());
  archive.field("code", code_);
}

uint64_t PostPort::read([[maybe_unused]] uint64_t offset, [[maybe_unused]] unsigned size) { return code_; }

void PostPort::write([[maybe_unused]] uint64_t offset, [[maybe_unused]] unsigned size, uint64_t value) {
  code_ = static_cast<uint8_t>(value);
  if (sink_) sink_(code_);
}

}  // namespace calco::devices
