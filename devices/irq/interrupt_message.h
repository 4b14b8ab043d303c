// Interrupts as messages: what I/O APICs, MSI devices and local APICs send each other.
#pragma once

#include <cstdint>

namespace calco::devices {

// Encodings of the interrupt command register and of the redirection entries (SDM vol. 3, 11.6.1).
enum class DeliveryMode : uint8_t {
  Fixed = 0,
  LowestPriority = 1,
  Smi = 2,
  Reserved = 3,
  Nmi = 4,
  Init = 5,
  StartUp = 6,
  ExternalInterrupt = 7,
};

struct InterruptMessage {
  static constexpr uint32_t kBroadcast = 0xffffffff;

  // APIC id, or message destination address in logical mode; 8-bit senders widen theirs with wide_destination().
  uint32_t destination = 0;
  bool logical = false;
  DeliveryMode mode = DeliveryMode::Fixed;
  uint8_t vector = 0;
  bool level_triggered = false;
};

// The destination field of an 8-bit sender (xAPIC, I/O APIC, MSI), where FFH means everybody.
constexpr uint32_t wide_destination(uint8_t destination) {
  return destination == 0xff ? InterruptMessage::kBroadcast : destination;
}

// The interrupt that a store of `data` to `address` in FEE00000H-FEEFFFFFH means (SDM vol. 3, 11.11).
constexpr InterruptMessage message_from_msi(uint64_t address, uint32_t data) {
  return {.destination = wide_destination(static_cast<uint8_t>(address >> 12)),
          .logical = (address & 4) != 0,
          .mode = static_cast<DeliveryMode>(data >> 8 & 7),
          .vector = static_cast<uint8_t>(data),
          .level_triggered = (data & 0x8000) != 0};
}

// Takes interrupt messages: the APIC bus, or a recorder in tests.
//
// Threads: any, with or without the device lock; the caller holds no lock of an interrupt controller.
class InterruptMessageSink {
 public:
  virtual ~InterruptMessageSink() = default;
  virtual void send(const InterruptMessage& message) = 0;
};

// Hears of the end of level-triggered interrupts: an I/O APIC. Threads: as for InterruptMessageSink.
class EndOfInterruptObserver {
 public:
  virtual ~EndOfInterruptObserver() = default;
  virtual void end_of_interrupt(uint8_t vector) = 0;
};

}  // namespace calco::devices
