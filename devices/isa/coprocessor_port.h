// The PC's way of reporting x87 errors: FERR#, IRQ13, IGNNE# and port F0.
#pragma once

#include <cstdint>
#include <string_view>
#include <utility>

#include "machine/core/device.h"
#include "machine/core/irq_line.h"
#include "machine/core/register_window.h"

namespace calco::devices {

// For software that leaves CR0.NE clear: an x87 error raises IRQ13, and the handler's write to port F0 takes the
// interrupt back and lets the processor go on although the error is pending. Source: 82371SB data sheet (order number
// 290550), 4.1.7 "Coprocessor error register"; SDM vol. 1, appendix D.2.
//
// Window: the two ports F0H and F1H. Threads: everything with the device lock held.
class CoprocessorPort final : public Device, public RegisterWindow {
 public:
  static constexpr uint16_t kPort = 0xF0;
  static constexpr uint32_t kPortCount = 2;

  explicit CoprocessorPort(IrqLine irq13) : irq13_(std::move(irq13)) {}

  // FERR#: an unmasked error is pending and an instruction waits for its handling, or none is pending any more.
  // Returns the level of IGNNE#: whether the instruction goes on regardless.
  bool set_error(bool pending);

  std::string_view name() const override { return "coprocessor-port"; }
  void reset() override;
  void serialize(Archive& archive) override;

  uint64_t read(uint64_t offset, unsigned size) override;
  void write(uint64_t offset, unsigned size, uint64_t value) override;
  unsigned maximum_access_size() const override { return 1; }

 private:
  IrqLine irq13_;
  bool error_ = false;
  bool interrupt_ = false;
  bool ignore_ = false;
};

}  // namespace calco::devices
