// Power management function of the Intel 82371AB (PIIX4), as the function at 00:01.3 of the `pc` machine.
#pragma once

#include <cstdint>
#include <functional>

#include "devices/member_window.h"
#include "devices/pci/pci_device.h"
#include "devices/pci/piix4_smbus.h"
#include "machine/core/clock.h"

namespace calco {
class Log;
}

namespace calco::devices {

// ACPI registers (PM1 event and control block, PM timer, general purpose events), the APM ports that firmware uses to
// enter system management mode, and an SMBus host without devices. Sources: 82371AB data sheet (order number 290562),
// chapter 7; ACPI 6.4, 4.8; placement, sleep types and APM commands as QEMU's FADT and DSDT tell the guest.
//
// Threads: everything with the device lock held.
class Piix4Pm final : public PciDevice {
 public:
  static constexpr uint64_t kTimerHz = 3'579'545;
  static constexpr uint32_t kTimerMask = 0xFFFFFF;  // the timer counts 24 bits
  static constexpr uint16_t kApmPort = 0xB2;        // two ports: control and status
  static constexpr uint16_t kGpePort = 0xAFE0;      // GPE0: two bytes of status, two of enables
  static constexpr uint32_t kGpePortCount = 4;
  static constexpr uint16_t kSmbusPort = 0xB100;

  // What the machine does for the guest. Called with the device lock held, by the vCPU that wrote the register.
  struct Actions {
    std::function<void()> power_off;  // sleep type 0 (S5), or 2 (S4)
    std::function<void()> suspend;    // sleep type 1 (S3)
    std::function<void()> raise_smi;  // SMI# to the processor that wrote the APM control port
  };

  // `sci` is the wire to ISA interrupt 9. Without `smm` firmware is told that system management mode is set up
  // already, so that it does not wait for an SMI that never comes (accelerators that have no SMM).
  Piix4Pm(const PciBuses& buses, Clock& clock, IrqLine sci, Actions actions, bool smm, Log& log);
  ~Piix4Pm() override;

  // The APM control and status ports, for kApmPort.
  RegisterWindow& apm_window() { return apm_window_; }
  // The general purpose event block, for kGpePort.
  RegisterWindow& gpe_window() { return gpe_window_; }

  // The power button was pressed and let go.
  void press_power_button();
  // The machine leaves S3 after a reset: tells the guest that it was woken.
  void wake_up();
  // General purpose event `event` (0 to 15) happened: hot plug and the like.
  void raise_general_event(unsigned event);

  void reset() override;
  void serialize(Archive& archive) override;

 protected:
  void config_written(unsigned offset, unsigned size) override;

 private:
  uint64_t read_io(uint64_t offset, unsigned size);
  void write_io(uint64_t offset, unsigned size, uint64_t value);
  uint64_t read_apm(uint64_t offset, unsigned size);
  void write_apm(uint64_t offset, unsigned size, uint64_t value);
  uint64_t read_gpe(uint64_t offset, unsigned size);
  void write_gpe(uint64_t offset, unsigned size, uint64_t value);

  uint32_t read_register(unsigned index);
  void write_register(unsigned index, uint32_t value, uint32_t byte_mask);
  void write_control(uint32_t value, uint32_t byte_mask);
  void sleep(unsigned type);

  uint64_t timer_ticks() const;
  void schedule_timer_overflow();
  void update_timer_status();
  void update_sci();
  void update_io_mapping();

  Clock& clock_;
  IrqLine sci_;
  Actions actions_;
  Log& log_;

  uint16_t status_ = 0;          // PM1_STS
  uint16_t enable_ = 0;          // PM1_EN
  uint16_t control_ = 0;         // PM1_CNT
  uint32_t global_control_ = 0;  // GLBCTL
  uint64_t overflow_ticks_ = 0;  // timer count at which TMR_STS is set next
  uint16_t general_status_ = 0;  // GPE0_STS
  uint16_t general_enable_ = 0;  // GPE0_EN
  uint8_t apm_control_ = 0;
  uint8_t apm_status_ = 0;
  uint64_t io_address_ = kUnmapped;
  uint64_t smbus_address_ = kUnmapped;

  Timer overflow_timer_;
  Piix4Smbus smbus_;
  MemberWindow<Piix4Pm, &Piix4Pm::read_io, &Piix4Pm::write_io, 4> io_window_{*this};
  MemberWindow<Piix4Pm, &Piix4Pm::read_apm, &Piix4Pm::write_apm, 1> apm_window_{*this};
  MemberWindow<Piix4Pm, &Piix4Pm::read_gpe, &Piix4Pm::write_gpe, 1> gpe_window_{*this};
};

}  // namespace calco::devices
