// Intel 82093AA I/O APIC.
#pragma once

#include <array>
#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>

#include "devices/irq/interrupt_message.h"
#include "machine/core/device.h"
#include "machine/core/register_window.h"

namespace calco {
class Log;
}

namespace calco::devices {

// 24 inputs turned into interrupt messages (Intel order number 290566), with the EOI register of version 20H
// (82801 and later). Inputs are given by their asserted state; the polarity bit is stored but pins are not inverted,
// as boards match the two.
//
// Window: 4 KiB of 32-bit registers, usually at FEC00000H. Threads: all calls from any thread; a lock of its own,
// taken after the device lock where that is held, and released before a message is sent.
class IoApic final : public Device, public RegisterWindow, public EndOfInterruptObserver {
 public:
  static constexpr int kPins = 24;

  // Everything but the levels of the inputs, which are the board's.
  struct Registers {
    uint32_t id = 0;    // register 0
    uint8_t index = 0;  // IOREGSEL
    std::array<uint64_t, kPins> entries{};
    bool operator==(const Registers&) const = default;
  };

  IoApic(InterruptMessageSink& bus, Log& log);

  std::string_view name() const override { return "ioapic"; }
  void reset() override;
  void serialize(Archive& archive) override;
  uint64_t read(uint64_t offset, unsigned size) override;
  void write(uint64_t offset, unsigned size, uint64_t value) override;
  unsigned maximum_access_size() const override { return 4; }
  bool locks_itself() const override { return true; }

  // Asserts or releases input `pin`, 0 to 23.
  void set_input(int pin, bool level);
  void end_of_interrupt(uint8_t vector) override;
  // While isolated, it hears its inputs and holds registers, but sends nothing: another chip does its work (KVM's).
  // What that one has is shown by set_registers(), and gone on with after isolate(false).
  void isolate(bool isolated);
  Registers registers() const;
  void set_registers(const Registers& registers);
  // Asserted inputs, a bit each.
  uint32_t pins() const;
  // One line a pin for the monitor.
  std::string describe() const;

 private:
  // Messages that wait for the lock to be released; at most one a pin.
  struct Outbox {
    std::array<InterruptMessage, kPins> messages;
    int count = 0;
  };

  void set_power_on_state();
  uint32_t read_register() const;
  void write_register(uint32_t value, Outbox& outbox);
  void write_entry(int pin, bool high_half, uint32_t value, Outbox& outbox);
  void end_locked(uint8_t vector, Outbox& outbox);
  void service(int pin, Outbox& outbox);
  void send(const Outbox& outbox);

  InterruptMessageSink& bus_;
  Log& log_;
  mutable std::mutex mutex_;
  bool isolated_ = false;
  uint32_t pins_ = 0;  // asserted inputs
  uint32_t id_ = 0;    // register 0
  uint8_t index_ = 0;  // IOREGSEL
  std::array<uint64_t, kPins> entries_{};
};

}  // namespace calco::devices
