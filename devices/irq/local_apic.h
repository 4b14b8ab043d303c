// The local APIC of one processor, xAPIC and x2APIC.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "devices/irq/interrupt_message.h"
#include "devices/irq/local_apic_timer.h"
#include "devices/irq/vector_set.h"
#include "machine/core/device.h"
#include "machine/core/processor_port.h"
#include "machine/core/register_window.h"

namespace calco {
class Log;
}

namespace calco::devices {

class ApicBus;

// SDM vol. 3, chapter 11. Version 14H with six local vector table entries.
//
// Window: 4 KiB at the address in IA32_APIC_BASE; each processor sees its own. The machine routes the access and
// hears of a new address by `Connections::base_changed`.
//
// Threads: every call from any thread. Lock order: device lock, then this APIC's lock, then the clock's. The lock is
// never held while the bus, an I/O APIC, the 8259 or another APIC is called. ProcessorPins are driven with the lock
// held, so that set_interrupt_pending() calls keep their order: they must not call back nor take the device lock.
class LocalApic final : public Device, public RegisterWindow, public LocalApicPort {
 public:
  static constexpr uint64_t kDefaultBase = 0xfee00000;

  struct Options {
    uint32_t id = 0;
    bool bootstrap = false;
    unsigned physical_address_bits = 40;
  };
  struct Connections {
    ProcessorPins& pins;
    ApicBus& bus;
    // The acknowledge cycle of the 8259 pair: its vector, or -1 where there is none. Called on the vCPU's thread
    // without any lock; takes the device lock itself.
    std::function<int()> acknowledge_external;
    // IA32_APIC_BASE has changed to `value` (address, enable or x2APIC bit). On the vCPU's thread without any lock, or
    // from reset() and serialize() with the device lock held.
    std::function<void(uint64_t value)> base_changed;
  };

  // As another local APIC that does this one's work knows them (KVM's).
  struct Registers {
    uint64_t base = 0;
    VectorSet requested, in_service, level_triggered;
    uint32_t task_priority = 0, logical_destination = 0, destination_format = 0, spurious_vector = 0, error_status = 0;
    uint64_t command = 0;
    std::array<uint32_t, 6> local_vectors{};
    LocalApicTimer::Registers timer;
    bool operator==(const Registers&) const = default;
  };

  LocalApic(const Options& options, Clock& clock, TscClock tsc, Connections connections, Log& log);

  // --- Device ------------------------------------------------------------------------------------------------------
  std::string_view name() const override { return name_; }
  void reset() override;
  void serialize(Archive& archive) override;

  // --- RegisterWindow ----------------------------------------------------------------------------------------------
  uint64_t read(uint64_t offset, unsigned size) override;
  void write(uint64_t offset, unsigned size, uint64_t value) override;
  unsigned maximum_access_size() const override { return 4; }
  bool locks_itself() const override { return true; }

  // --- LocalApicPort -----------------------------------------------------------------------------------------------
  int acknowledge() override;
  uint8_t task_priority_class() const override;
  void set_task_priority_class(uint8_t priority) override;
  uint64_t base_register() const override;
  bool set_base_register(uint64_t value) override;
  bool read_x2apic(uint8_t index, uint64_t& value) override;
  bool write_x2apic(uint8_t index, uint64_t value) override;
  uint64_t tsc_deadline() const override;
  void set_tsc_deadline(uint64_t ticks) override;
  void init_reset() override;

  // --- For another local APIC that does this one's work
  // ---------------------------------------------------------------
  enum class Isolation : uint8_t {
    None,
    ExternalInterrupts,  // it does nothing but lead the 8259's INTR to the processor
    Full,
  };
  // While isolated, it holds registers and hears its pins. set_registers() shows what the other has, and after
  // Isolation::None it goes on with that. With the device lock held.
  void isolate(Isolation isolation);
  Registers registers() const;
  void set_registers(const Registers& registers);

  // --- What the bus and the board ask ------------------------------------------------------------------------------
  uint32_t id() const { return id_; }
  // Several lines for the monitor.
  std::string describe() const;
  // Lock-free: whether `message.destination` names this APIC; whether it is enabled; its processor priority.
  bool is_destination(const InterruptMessage& message) const;
  bool accepts_interrupts() const { return accepts_interrupts_.load(std::memory_order_relaxed); }
  uint8_t processor_priority() const { return published_priority_.load(std::memory_order_relaxed); }
  void deliver(const InterruptMessage& message);
  // The local interrupt pins. While the APIC is disabled, LINT0 is the bootstrap processor's INTR and LINT1 its NMI.
  void set_lint0(bool level) { set_local_pin(0, level); }
  void set_lint1(bool level) { set_local_pin(1, level); }

 private:
  // What remains to be done when the lock has been released.
  struct Outgoing {
    std::optional<InterruptMessage> message;
    bool to_all = false;  // a shorthand: everybody ...
    bool to_self = false;
    int ended_vector = -1;
  };
  enum LocalVector { kTimer, kThermal, kPerformance, kLint0, kLint1, kError, kLocalVectors };

  bool globally_enabled() const;
  bool x2apic_mode() const;
  bool software_enabled() const;

  // The rest is called with the lock held, but for finish().
  void reset_registers();
  void finish(const Outgoing& outgoing);
  std::optional<uint32_t> read_register(unsigned index) const;
  // False where no such register can be written.
  bool write_register(unsigned index, uint32_t value, Outgoing& outgoing);
  bool write_local_vector(unsigned entry, uint32_t value);
  void write_spurious_vector(uint32_t value);
  void write_error_status();
  void write_command(uint32_t low, uint32_t destination, Outgoing& outgoing);
  void end_of_interrupt(Outgoing& outgoing);
  void end_local_level(uint8_t vector);
  bool legal_x2apic_write(unsigned index, uint64_t value) const;
  bool legal_base(uint64_t value) const;

  void configure_timer();
  void on_alarm();
  void set_local_pin(unsigned pin, bool level);
  void service_local_pin(unsigned pin, bool rising);
  void deliver_local(LocalVector entry);
  void accept(uint8_t vector, bool level_triggered);
  void record_error(uint32_t error);

  uint8_t compute_processor_priority() const;
  bool external_interrupt_waits() const;
  int deliverable_vector() const;
  // Brings INTR and the lock-free copies up to date; ends every change of state.
  void update();
  void publish_address();

  LocalApicTimer::Mode timer_mode() const;
  void set_timer(const LocalApicTimer::Registers& registers);

  const uint32_t id_;
  const bool bootstrap_;
  const unsigned physical_address_bits_;
  const std::string name_;
  const Connections connections_;
  Log& log_;

  mutable std::mutex mutex_;
  Isolation isolation_ = Isolation::None;
  uint64_t base_;
  VectorSet requested_;        // IRR
  VectorSet in_service_;       // ISR
  VectorSet level_triggered_;  // TMR
  uint32_t task_priority_ = 0;
  uint32_t logical_destination_ = 0;
  uint32_t destination_format_ = 0;
  uint32_t spurious_vector_ = 0;
  uint32_t error_status_ = 0;
  uint32_t new_errors_ = 0;
  uint64_t command_ = 0;
  std::array<uint32_t, kLocalVectors> local_vectors_{};
  std::array<bool, 2> pin_levels_{};
  bool external_latched_ = false;  // an ExtINT message waits for its acknowledge cycle
  bool pending_shown_ = false;     // what the processor's INTR pin was last told
  LocalApicTimer timer_;
  LocalApicTimer::Registers held_timer_;  // while isolated: does not count

  // Copies for the bus, which asks without the lock.
  enum class Addressing : uint8_t { Disabled, Flat, Cluster, X2apic };
  std::atomic<Addressing> addressing_ = Addressing::Disabled;
  std::atomic<uint32_t> published_logical_ = 0;
  std::atomic<bool> accepts_interrupts_ = false;
  std::atomic<uint8_t> published_priority_ = 0;
};

}  // namespace calco::devices
