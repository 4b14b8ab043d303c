// A register window whose accesses are member functions of the chip it belongs to.
#pragma once

#include <cstdint>

#include "machine/core/register_window.h"

namespace calco::devices {

// For chips with several windows: one of these per window, as a member of the chip.
//
//   MemberWindow<Piix3, &Piix3::read_reset_control, &Piix3::write_reset_control, 1> reset_control_window_{*this};
//
// `kMaximumSize` is the widest access, in bytes, that the member functions take.
template <typename Chip, uint64_t (Chip::*kRead)(uint64_t offset, unsigned size),
          void (Chip::*kWrite)(uint64_t offset, unsigned size, uint64_t value), unsigned kMaximumSize>
class MemberWindow final : public RegisterWindow {
 public:
  explicit MemberWindow(Chip& chip) : chip_(chip) {}
  uint64_t read(uint64_t offset, unsigned size) override { return (chip_.*kRead)(offset, size); }
  void write(uint64_t offset, unsigned size, uint64_t value) override { (chip_.*kWrite)(offset, size, value); }
  unsigned maximum_access_size() const override { return kMaximumSize; }

 private:
  Chip& chip_;
};

}  // namespace calco::devices
