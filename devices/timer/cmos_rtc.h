// Motorola MC146818 real-time clock with the PC's CMOS memory.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <string_view>

#include "machine/core/clock.h"
#include "machine/core/device.h"
#include "machine/core/irq_line.h"
#include "machine/core/register_window.h"

namespace calco::devices {

// MC146818 (Motorola ADI-856) with 128 bytes and the century in byte 32H. The time of day follows guest time, starting
// from the injected start time; flags are computed when somebody looks, and a host timer runs only while an enabled
// interrupt is to come. Battery-backed: reset() keeps time and memory.
//
// Window: 2 byte ports at 70H (index and NMI mask, data). Threads: every call with the device lock held.
class CmosRtc final : public Device, public RegisterWindow {
 public:
  static constexpr uint8_t kBytes = 128;

  // `start_time` gives the seconds since 1970-01-01 00:00 UTC at which the machine is built; called once.
  CmosRtc(Clock& clock, const std::function<int64_t()>& start_time, IrqLine irq8);

  std::string_view name() const override { return "mc146818"; }
  void reset() override;
  void serialize(Archive& archive) override;
  uint64_t read(uint64_t offset, unsigned size) override;
  void write(uint64_t offset, unsigned size, uint64_t value) override;
  unsigned maximum_access_size() const override { return 1; }

  // The firmware's configuration bytes (memory size, boot order), index 0EH to 7FH.
  void set_byte(uint8_t index, uint8_t value) { bytes_[index % kBytes] = value; }
  uint8_t byte(uint8_t index) const { return bytes_[index % kBytes]; }
  // Bit 7 of port 70H: NMI does not reach the processor.
  bool nmi_masked() const { return nmi_masked_; }
  // False while the HPET's legacy replacement cuts IRQ8 off. Flags go on.
  void set_irq_connected(bool connected);

 private:
  uint8_t read_data();
  void write_data(uint8_t value);
  void write_register_a(uint8_t value);
  void write_register_b(uint8_t value);

  bool divider_runs() const;
  bool updates() const;
  unsigned periodic_rate() const;
  // ns of the divider chain; its full seconds are the updates.
  int64_t chain(int64_t now) const { return now + phase_; }
  int64_t seconds(int64_t now) const { return base_seconds_ + chain(now) / Clock::kSecond; }
  bool update_in_progress(int64_t now) const;

  uint8_t encode(unsigned value) const;
  unsigned decode(uint8_t byte) const;
  unsigned decode_hour(uint8_t byte) const;
  void store_time(int64_t now);
  void take_time(int64_t now);

  bool alarm_matches(unsigned value, uint8_t alarm_byte, bool hour) const;
  int64_t next_alarm(int64_t after) const;
  void collect_flags(int64_t now);
  void update_irq(int64_t now);
  int64_t next_event(int64_t now) const;
  void on_timer();

  Clock& clock_;
  IrqLine irq8_;
  Timer timer_;
  bool irq_connected_ = true;
  std::array<uint8_t, kBytes> bytes_{};  // time bytes are valid only while updates are off
  uint8_t index_ = 0;
  bool nmi_masked_ = false;
  int64_t base_seconds_ = 0;   // since 1970, when the chain was 0
  int64_t phase_ = 0;          // ns, 0 to 999,999,999
  int32_t weekday_shift_ = 0;  // what the guest set the day of the week off by
  int64_t collected_at_ = 0;   // guest time up to which the flags are collected
};

}  // namespace calco::devices
