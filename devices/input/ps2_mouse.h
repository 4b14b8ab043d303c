// A PS/2 mouse that also speaks the protocols of Microsoft's IntelliMouse (wheel) and IntelliMouse Explorer (five
// buttons). Source: IBM PS/2 Hardware Interface Technical Reference, "Auxiliary device"; Microsoft, "IntelliMouse
// protocol".
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "devices/input/ps2_device.h"

namespace calco {
class Log;
}

namespace calco::devices {

// Movements add up until the guest has taken the packet before; so a slow guest sees few large steps.
//
// Threads: everything with the device lock held.
class Ps2Mouse final : public Ps2Device {
 public:
  static constexpr uint8_t kLeft = 0x01;
  static constexpr uint8_t kRight = 0x02;
  static constexpr uint8_t kMiddle = 0x04;
  static constexpr uint8_t kSide = 0x08;
  static constexpr uint8_t kExtra = 0x10;

  explicit Ps2Mouse(Log& log);

  // By `right` and `down` steps, as on a screen; the wheel by `wheel` notches towards the user.
  void move(int right, int down, int wheel = 0);
  // The buttons that are down: a set of the bits above.
  void set_buttons(uint8_t buttons);

  std::string_view name() const override { return "ps2-mouse"; }
  void reset() override;
  void serialize(Archive& archive) override;
  void receive_byte(uint8_t byte) override;

 private:
  enum class Mode : uint8_t { Stream, Remote };

  void restore_defaults();
  void receive_command(uint8_t command);
  void receive_argument(uint8_t command, uint8_t argument);
  void set_sample_rate(uint8_t rate);
  void answer_status();
  bool something_to_report() const;
  void report_if_due();
  void send_packet();
  void data_drained() override { report_if_due(); }

  Log& log_;
  Mode mode_ = Mode::Stream;
  bool wrap_ = false;  // echoes what it receives
  bool reporting_ = false;
  bool double_scaling_ = false;
  uint8_t resolution_ = 2;
  uint8_t sample_rate_ = 100;
  std::array<uint8_t, 3> last_rates_{};  // the knock that opens the newer protocols
  uint8_t identity_ = 0;                 // 0 standard, 3 with wheel, 4 with five buttons
  uint8_t awaits_argument_ = 0;          // the command that does, or 0
  uint8_t buttons_ = 0;
  uint8_t reported_buttons_ = 0;
  int32_t right_ = 0;
  int32_t up_ = 0;
  int32_t wheel_ = 0;
};

}  // namespace calco::devices
