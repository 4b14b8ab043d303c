#include "devices/isa/port92.h"

#include "machine/core/archive.h"

namespace calco::devices {

void Port92::reset() {
  value_ = kA20Open;
  set_a20_(true);
}

void Port92::serialize(Archive& archive) {
  archive.section(name());
  archive.field("value", value_);
  if (archive.loading()) set_a20_((value_ & kA20Open) != 0);
}

uint64_t Port92::read([[maybe_unused]] uint64_t offset, [[maybe_unused]] unsigned size) { return value_; }

void Port92::write([[maybe_unused]] uint64_t offset, [[maybe_unused]] unsigned size, uint64_t value) {
  const bool reset_rises = (value & ~uint64_t{value_} & kFastReset) != 0;
  value_ = static_cast<uint8_t>(value);
  set_a20_((value_ & kA20Open) != 0);
  if (reset_rises) request_reset_();
}

}  // namespace calco::devices
