// The 16550A universal asynchronous receiver/transmitter with FIFOs.
// Source: National Semiconductor PC16550D data sheet (June 1995); wiring of OUT2 as in the IBM PC AT.
#pragma once

#include <cstdint>
#include <span>

#include "devices/fifo.h"
#include "devices/host/character_backend.h"
#include "machine/core/clock.h"
#include "machine/core/device.h"
#include "machine/core/irq_line.h"
#include "machine/core/register_window.h"

namespace calco {
class Log;
}

namespace calco::devices {

// Eight byte-wide registers. Characters leave as fast as the back end takes them, not at the programmed speed; the
// speed counts for the character timeout only. Input waits in the back end while the receiver has no room, so that an
// overrun is possible only in loopback mode.
//
// The modem inputs show a null-modem cable to a machine that is always ready: CTS, DSR and DCD on, RI off.
//
// Threads: everything with the device lock held.
class Uart16550 final : public Device, public RegisterWindow, private CharacterFrontEnd {
 public:
  // Bits of the modem status register's upper half, for set_modem_inputs().
  static constexpr uint8_t kClearToSend = 0x10;
  static constexpr uint8_t kDataSetReady = 0x20;
  static constexpr uint8_t kRingIndicator = 0x40;
  static constexpr uint8_t kCarrierDetect = 0x80;
  static constexpr uint32_t kRegisters = 8;

  // Becomes the front end of `backend`, which outlives the UART.
  Uart16550(Clock& clock, IrqLine interrupt, CharacterBackend& backend, Log& log);
  ~Uart16550() override;

  std::string_view name() const override { return "uart16550"; }
  void reset() override;
  void serialize(Archive& archive) override;

  uint64_t read(uint64_t offset, unsigned size) override;
  void write(uint64_t offset, unsigned size, uint64_t value) override;
  unsigned maximum_access_size() const override { return 1; }

  // The state of the modem's wires: a set of the four bits above.
  void set_modem_inputs(uint8_t inputs);

 private:
  static constexpr size_t kFifoSize = 16;

  // A character and the line status bits that came with it.
  struct Character {
    uint8_t data = 0;
    uint8_t errors = 0;
  };
  size_t can_receive() override;
  void receive(std::span<const uint8_t> bytes) override;
  void backend_event(CharacterEvent event) override;
  void writable() override;

  bool fifos_enabled() const;
  bool loopback() const;
  size_t capacity() const { return fifos_enabled() ? kFifoSize : 1; }
  size_t trigger_level() const;
  bool received_data_interrupt() const;

  void receive_character(Character character);
  void reveal_front_errors();
  uint8_t read_receiver_buffer();
  uint8_t read_interrupt_identification();
  uint8_t line_status() const;
  uint8_t read_line_status();
  uint8_t read_modem_status();

  void transmit(uint8_t data);
  void drain_transmitter();
  void transmitter_became_empty();
  void write_interrupt_enable(uint8_t value);
  void write_fifo_control(uint8_t value);
  void write_modem_control(uint8_t value);
  void update_modem_status();

  int64_t character_time() const;
  void restart_timeout();
  uint8_t interrupt_identification() const;
  void update_interrupt();

  Clock& clock_;
  IrqLine interrupt_;
  CharacterBackend& backend_;
  Log& log_;
  Timer timeout_timer_;

  uint16_t divisor_ = 0;
  uint8_t interrupt_enable_ = 0;
  uint8_t fifo_control_ = 0;
  uint8_t line_control_ = 0;
  uint8_t modem_control_ = 0;
  uint8_t line_errors_ = 0;  // overrun, parity, framing, break: latched until LSR is read
  uint8_t modem_status_ = 0;
  uint8_t scratch_ = 0;
  uint8_t modem_inputs_ = kClearToSend | kDataSetReady | kCarrierDetect;
  bool transmitter_interrupt_ = false;  // "THR empty" not yet seen by the driver
  bool timeout_interrupt_ = false;
  Fifo<Character, kFifoSize> receive_fifo_;
  Fifo<uint8_t, kFifoSize> transmit_fifo_;
};

}  // namespace calco::devices
