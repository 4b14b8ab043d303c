// Several interrupt outputs tied to one wire.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <utility>

#include "machine/core/irq_line.h"

namespace calco::devices {

// A wire that is asserted while at least one of its inputs is: shared level-triggered interrupts (PCI's, or ISA
// interrupt 9 with the SCI). It has no state of its own: after a snapshot was loaded, the devices drive their inputs.
//
// Threads: as IrqLine.
class WiredOr {
 public:
  static constexpr unsigned kMaximumInputs = 64;

  explicit WiredOr(IrqLine output) : output_(std::move(output)) {}
  WiredOr(const WiredOr&) = delete;
  WiredOr& operator=(const WiredOr&) = delete;

  // A further input. Throws std::length_error beyond kMaximumInputs. This object outlives the input's users.
  IrqLine input() {
    if (inputs_ == kMaximumInputs) throw std::length_error("too many outputs on one interrupt wire");
    return IrqLine([this, bit = uint64_t{1} << inputs_++](bool level) {
      asserted_ = level ? asserted_ | bit : asserted_ & ~bit;
      output_.set(asserted_ != 0);
    });
  }
  bool level() const { return asserted_ != 0; }

 private:
  IrqLine output_;
  uint64_t asserted_ = 0;
  unsigned inputs_ = 0;
};

}  // namespace calco::devices
