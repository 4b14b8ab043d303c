// The PS/2 keyboard and mouse controller of the PC.
// Source: IBM PS/2 Hardware Interface Technical Reference, "Keyboard and auxiliary device controller"; Intel UPI-41/42
// data sheet.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <string_view>

#include "devices/fifo.h"
#include "devices/input/ps2_device.h"
#include "machine/core/clock.h"
#include "machine/core/device.h"
#include "machine/core/irq_line.h"
#include "machine/core/register_window.h"

namespace calco {
class Log;
}

namespace calco::devices {

// Two byte-wide ports, mapped at 0x60 and 0x64. Commands are carried out at once, so the input buffer is never seen
// full. Between two bytes of a device passes the time that the serial link takes: an interrupt handler that reads the
// data port twice finds the same byte, as old handlers that chain to the BIOS expect.
//
// Threads: everything with the device lock held.
class I8042 final : public Device {
 public:
  // What leaves the chip.
  struct Outputs {
    IrqLine keyboard_interrupt;           // IRQ 1
    IrqLine mouse_interrupt;              // IRQ 12
    std::function<void(bool)> set_a20;    // gate A20: true lets address bit 20 pass
    std::function<void()> request_reset;  // the reset line was pulsed; called within a port write, so only ask for it
  };

  // Both devices outlive the controller, which takes their byte-available signal.
  I8042(Clock& clock, Ps2Device& keyboard, Ps2Device& mouse, Outputs outputs, Log& log);
  ~I8042() override;

  RegisterWindow& data_port() { return data_port_; }        // 0x60
  RegisterWindow& command_port() { return command_port_; }  // 0x64

  std::string_view name() const override { return "i8042"; }
  void reset() override;
  void serialize(Archive& archive) override;

 private:
  class Port final : public RegisterWindow {
   public:
    Port(I8042& owner, bool command) : owner_(owner), command_(command) {}
    uint64_t read(uint64_t offset, unsigned size) override;
    void write(uint64_t offset, unsigned size, uint64_t value) override;
    unsigned maximum_access_size() const override { return 1; }

   private:
    I8042& owner_;
    bool command_;
  };
  // A byte for the host that the controller itself made.
  struct Response {
    uint8_t value = 0;
    bool from_mouse = false;
  };

  uint8_t read_data();
  uint8_t read_status() const;
  void write_data(uint8_t value);
  void write_command(uint8_t command);
  bool write_ram_command(uint8_t command);
  void write_argument(uint8_t command, uint8_t argument);
  void write_command_byte(uint8_t value);
  void set_port_enabled(uint8_t disable_bit, bool enabled);
  void write_output_port(uint8_t value);
  void self_test();

  void respond(uint8_t value, bool from_mouse = false);
  void fill_output_buffer();
  bool fill_from_keyboard();
  void load_output(uint8_t value, bool from_mouse);
  void update_interrupts();
  void restore_reset_state();
  uint8_t& command_byte() { return ram_[0]; }
  uint8_t command_byte() const { return ram_[0]; }

  Ps2Device& keyboard_;
  Ps2Device& mouse_;
  Outputs outputs_;
  Log& log_;
  Clock& clock_;
  Timer link_timer_;  // armed while the serial link carries the next byte
  Port data_port_{*this, false};
  Port command_port_{*this, true};

  static constexpr size_t kRamSize = 32;
  std::array<uint8_t, kRamSize> ram_{};  // [0] is the controller command byte
  uint8_t output_port_ = 0;
  uint8_t output_buffer_ = 0;
  bool output_full_ = false;
  bool output_from_mouse_ = false;
  bool output_from_device_ = false;  // over the serial link, not made by the controller
  bool last_write_was_command_ = false;
  uint8_t awaits_argument_ = 0;     // the command that does, or 0
  bool break_prefix_seen_ = false;  // translation: the next code is a key going up
  Fifo<Response, 8> responses_;
};

}  // namespace calco::devices
