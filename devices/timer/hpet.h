// High precision event timers.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <string_view>

#include "machine/core/clock.h"
#include "machine/core/device.h"
#include "machine/core/irq_line.h"
#include "machine/core/register_window.h"

namespace calco {
class Log;
}

namespace calco::devices {

// One block of three comparators (IA-PC HPET Specification 1.0a): 64-bit counter at 100 MHz, every comparator periodic
// capable, no FSB delivery.
//
// Window: 1 KiB of 32 and 64-bit registers, on the PC at FED00000H. Threads: every call with the device lock held.
class Hpet final : public Device, public RegisterWindow {
 public:
  static constexpr int kComparators = 3;
  static constexpr int64_t kTick = 10;  // ns

  struct Outputs {
    IrqLine legacy_timer{};  // comparator 0 as IRQ0
    IrqLine legacy_clock{};  // comparator 1 as IRQ8
    // High while legacy replacement cuts the 8254 off IRQ0 and the real-time clock off IRQ8.
    IrqLine legacy_replacement{};
    // Drives an I/O APIC input, 0 to 31, that is in `routes`.
    std::function<void(int pin, bool level)> io_apic{};
    uint32_t routes = 0x4;  // Tn_INT_ROUTE_CAP: a bit for each input that a comparator may be routed to
  };

  Hpet(Clock& clock, Outputs outputs, Log& log);

  std::string_view name() const override { return "hpet"; }
  void reset() override;
  void serialize(Archive& archive) override;
  uint64_t read(uint64_t offset, unsigned size) override;
  void write(uint64_t offset, unsigned size, uint64_t value) override;

 private:
  struct Comparator {
    uint64_t configuration = 0;  // bits 15:0 of the register
    uint64_t value = ~uint64_t{0};
    uint64_t period = 0;
  };

  bool enabled() const;
  bool legacy_routing() const;
  bool is_periodic(int index) const { return (comparators_[index].configuration & 0x8) != 0; }
  uint64_t width_mask(int index) const;
  uint64_t counter() const;

  void set_power_on_state();
  uint64_t read_register(uint64_t offset) const;
  // `mask` has ones where the access writes; `value` is in place and zero elsewhere.
  void write_register(uint64_t offset, uint64_t value, uint64_t mask);
  void write_general_configuration(uint64_t value);
  void write_comparator_configuration(int index, uint64_t value);
  void write_comparator_value(int index, uint64_t value, uint64_t mask);

  int output_of(int index) const;
  void set_output(int output, bool level);
  void on_timer(int index);
  void on_owed(int index);
  uint64_t most_owed(int index) const;
  void arm_owed(int index);
  void match(int index);
  void schedule(int index, bool matched_now);
  void update();
  void update_outputs();

  Clock& clock_;
  Outputs outputs_;
  Log& log_;
  uint64_t general_configuration_ = 0;
  uint64_t interrupt_status_ = 0;
  // The main counter: its value while halted, else what to add to the ticks of guest time.
  uint64_t counter_base_ = 0;
  uint64_t asserted_ = 0;  // outputs that level-triggered comparators hold high
  std::array<Comparator, kComparators> comparators_;
  std::array<int64_t, kComparators> expiries_;  // guest time of the next match, or kNever
  std::array<Timer, kComparators> timers_;
  // Edges of periodic comparators that a late host owes the guest, and when the next of them is made up for.
  std::array<uint64_t, kComparators> owed_{};
  std::array<Timer, kComparators> owed_timers_;
};

}  // namespace calco::devices
