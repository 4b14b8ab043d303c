// Intel 8254 programmable interval timer and system control port B.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

#include "machine/core/clock.h"
#include "machine/core/device.h"
#include "machine/core/irq_line.h"
#include "machine/core/register_window.h"

namespace calco::devices {

// One counter. All times are ticks of the 1.193182 MHz input since guest time 0; calls come in order of time.
//
// Threads: the chip's.
class PitCounter {
 public:
  static constexpr int64_t kNoEdge = INT64_MAX;

  // What a counter is made of that only counts whole cycles (KVM's tells no more).
  struct Registers {
    uint8_t control = 0x30;  // bits 5:0 of the control word
    bool counting = false;   // a count was written, and triggered where the mode wants that
    uint16_t count = 0;      // as written
    int64_t elapsed = 0;     // ticks since it was loaded
    bool gate = true;
    bool expects_high_write = false;
    uint8_t written_low = 0;
    bool reads_high_next = false;
    std::optional<uint16_t> latched_count;
    std::optional<uint8_t> latched_status;
    bool operator==(const Registers&) const = default;
  };

  void serialize(Archive& archive, int64_t now);
  Registers registers(int64_t now) const;
  void set_registers(const Registers& registers, int64_t now);

  // Control word: access, mode and BCD bits.
  void write_control(uint8_t control);
  void write_byte(uint8_t value, int64_t now);
  uint8_t read_byte(int64_t now);
  // Counter latch and read-back commands; a second latch before the first was read is ignored.
  void latch_count(int64_t now);
  void latch_status(int64_t now);
  void set_gate(bool level, int64_t now);
  bool gate() const { return gate_; }

  bool output(int64_t now);
  // The first tick after `now` at which the output changes if nobody interferes.
  int64_t next_edge(int64_t now);
  // Ticks between two rising edges of a counter that runs in mode 2 or 3; else 0.
  int64_t period() const { return is_periodic() && started_ ? active_count_ : 0; }

 private:
  enum class Access : uint8_t { Low = 1, High = 2, Both = 3 };

  unsigned mode() const;
  Access access() const { return static_cast<Access>(control_ >> 4 & 3); }
  bool counts_in_bcd() const { return (control_ & 1) != 0; }
  bool is_periodic() const { return mode() == 2 || mode() == 3; }
  bool is_triggered() const { return mode() == 1 || mode() == 5; }
  int64_t modulus() const { return counts_in_bcd() ? 10000 : 65536; }
  int64_t decode(uint16_t written) const;
  uint16_t encode(int64_t count) const;
  void load(uint16_t written, int64_t now);
  void settle(int64_t now);
  int64_t elapsed(int64_t now) const;
  int64_t high_half() const { return (active_count_ + 1) / 2; }
  uint16_t current_count(int64_t now) const;
  uint8_t status(int64_t now);

  uint8_t control_ = 0x30;  // bits 5:0 of the control word
  bool gate_ = true;
  bool loaded_ = false;         // a count was written since the control word
  bool started_ = false;        // counting: loaded, and triggered where the mode wants that
  bool pending_ = false;        // modes 2 and 3: a new count waits for the end of the (half) cycle
  bool stopped_ = false;        // modes 0 and 4: counting is disabled by the gate or by half a count
  int64_t register_count_ = 1;  // count register
  int64_t active_count_ = 1;    // what the counting element was loaded with
  int64_t start_ = 0;           // tick at which it was loaded
  int64_t stopped_at_ = 0;      // elapsed ticks while stopped
  int64_t switch_at_ = 0;       // tick at which the pending count is loaded

  uint8_t written_low_ = 0;
  bool expects_high_write_ = false;
  bool reads_high_next_ = false;
  uint16_t latched_count_ = 0;
  bool count_latched_ = false;
  uint8_t latched_status_ = 0;
  bool status_latched_ = false;
};

// The chip with counter 0 on an interrupt line, counter 1 as refresh request and counter 2 on the speaker, as the PC
// wires it (Intel order number 231164; port 61H: 82371SB, 4.1.6). Counts derive from absolute guest time, so they do
// not drift; host timers run only while counter 0's output has edges to come and its line is connected.
//
// Windows: 4 byte ports at 40H; port_61(), 1 byte. Threads: every call with the device lock held.
class Pit8254 final : public Device, public RegisterWindow {
 public:
  static constexpr uint64_t kFrequency = 1'193'182;  // Hz

  Pit8254(Clock& clock, IrqLine irq0) : clock_(clock), irq0_(std::move(irq0)), timer_(clock, [this] { on_edge(); }) {
    set_power_on_state();
  }

  std::string_view name() const override { return "i8254"; }
  void reset() override;
  void serialize(Archive& archive) override;
  uint64_t read(uint64_t offset, unsigned size) override;
  void write(uint64_t offset, unsigned size, uint64_t value) override;
  unsigned maximum_access_size() const override { return 1; }

  RegisterWindow& port_61() { return port_61_; }
  // The whole chip.
  struct Registers {
    std::array<PitCounter::Registers, 3> counters;
    uint8_t control_port_b = 0;  // bits 3:0 of port 61H
    bool irq_connected = true;
    int64_t owed = 0;  // edges of counter 0 that came too late to be told one by one
    bool operator==(const Registers&) const = default;
  };
  // While isolated, it holds registers and drives no interrupt but for those that it owes: another chip does its work
  // (KVM's). What that one has is shown by set_registers(), and gone on with after isolate(false).
  void isolate(bool isolated);
  Registers registers() const;
  void set_registers(const Registers& registers);
  // False while the HPET's legacy replacement cuts IRQ0 off.
  void set_irq_connected(bool connected);

 private:
  // System control port B.
  class Port61 final : public RegisterWindow {
   public:
    explicit Port61(Pit8254& pit) : pit_(pit) {}
    uint64_t read(uint64_t offset, unsigned size) override;
    void write(uint64_t offset, unsigned size, uint64_t value) override;
    unsigned maximum_access_size() const override { return 1; }

   private:
    Pit8254& pit_;
  };

  int64_t tick_now() const;
  void set_power_on_state();
  void write_control(uint8_t value);
  void read_back(uint8_t command);
  void on_edge();
  int64_t most_missed() const;
  void note_missed(int64_t edge, int64_t now);
  bool in_pulse(int64_t now);
  void update_irq(int64_t now);

  Clock& clock_;
  IrqLine irq0_;
  Timer timer_;
  bool irq_connected_ = true;
  bool isolated_ = false;
  int64_t edge_ = PitCounter::kNoEdge;  // tick of the next edge
  int64_t missed_ = 0;                  // rising edges that a late host owes the guest
  std::array<PitCounter, 3> counters_;
  uint8_t control_port_b_ = 0;  // bits 3:0 of port 61H
  Port61 port_61_{*this};
};

}  // namespace calco::devices
