#include "devices/input/ps2_mouse.h"

#include <algorithm>
#include <cstdlib>
#include <utility>
#include <vector>

#include "machine/core/archive.h"
#include "machine/core/log.h"

namespace calco::devices {

namespace {

enum Command : uint8_t {
  kSetScaling1 = 0xe6,
  kSetScaling2 = 0xe7,
  kSetResolution = 0xe8,
  kStatusRequest = 0xe9,
  kSetStreamMode = 0xea,
  kReadData = 0xeb,
  kResetWrapMode = 0xec,
  kSetWrapMode = 0xee,
  kSetRemoteMode = 0xf0,
  kReadDeviceType = 0xf2,
  kSetSampleRate = 0xf3,
  kEnable = 0xf4,
  kDisable = 0xf5,
  kSetDefaults = 0xf6,
  kResendLast = 0xfe,
  kReset = 0xff,
};

constexpr uint8_t kStandard = 0;
constexpr uint8_t kWithWheel = 3;
constexpr uint8_t kWithFiveButtons = 4;
constexpr std::array<uint8_t, 3> kWheelKnock{200, 100, 80};
constexpr std::array<uint8_t, 3> kFiveButtonsKnock{200, 200, 80};

constexpr uint8_t kStandardButtons = 0x07;
constexpr uint8_t kAllButtons = 0x1f;

// What piled up while nobody reads is bounded, so that sums do not overflow.
constexpr int32_t kMaximumPending = 1 << 20;

int32_t add_bounded(int32_t sum, int step) {
  const int64_t result = int64_t{sum} + step;
  return static_cast<int32_t>(std::clamp<int64_t>(result, -kMaximumPending, kMaximumPending));
}

// Scaling 2:1, which counts in stream mode only.
int32_t scale(int32_t steps) {
  constexpr std::array<int32_t, 6> kCurve{0, 1, 1, 3, 6, 9};
  const auto size = static_cast<size_t>(std::abs(steps));
  const int32_t scaled = size < kCurve.size() ? kCurve[size] : std::abs(steps) * 2;
  return steps < 0 ? -scaled : scaled;
}

// Takes what fits into one packet out of a sum.
int32_t take(int32_t& sum, int32_t low, int32_t high) {
  const int32_t part = std::clamp(sum, low, high);
  sum -= part;
  return part;
}

}  // namespace

Ps2Mouse::Ps2Mouse(Log& log) : log_(log) { reset(); }

void Ps2Mouse::reset() {
  reset_link();
  restore_defaults();
  wrap_ = false;
  mode_ = Mode::Stream;
  last_rates_ = {};
  identity_ = kStandard;
  awaits_argument_ = 0;
  buttons_ = 0;
  reported_buttons_ = 0;
}

void Ps2Mouse::restore_defaults() {
  mode_ = Mode::Stream;
  reporting_ = false;
  double_scaling_ = false;
  resolution_ = 2;
  sample_rate_ = 100;
  right_ = 0;
  up_ = 0;
  wheel_ = 0;
}

// --- Commands --------------------------------------------------------------------------------------------------------

void Ps2Mouse::receive_byte(uint8_t byte) {
  if (wrap_ && byte != kReset && byte != kResetWrapMode) return answer({byte});
  if (awaits_argument_ != 0) return receive_argument(std::exchange(awaits_argument_, 0), byte);
  receive_command(byte);
}

void Ps2Mouse::receive_command(uint8_t command) {
  // Every valid command stops the packet that is under way.
  if (command != kResendLast) clear_output();
  switch (command) {
    case kSetScaling1:
    case kSetScaling2:
      double_scaling_ = command == kSetScaling2;
      return answer({kAcknowledge});
    case kSetResolution:
    case kSetSampleRate:
      awaits_argument_ = command;
      return answer({kAcknowledge});
    case kStatusRequest:
      return answer_status();
    case kSetStreamMode:
    case kSetRemoteMode:
      mode_ = command == kSetRemoteMode ? Mode::Remote : Mode::Stream;
      return answer({kAcknowledge});
    case kReadData:
      answer({kAcknowledge});
      return send_packet();
    case kResetWrapMode:
    case kSetWrapMode:
      wrap_ = command == kSetWrapMode;
      return answer({kAcknowledge});
    case kReadDeviceType:
      return answer({kAcknowledge, identity_});
    case kEnable:
    case kDisable:
      reporting_ = command == kEnable;
      return answer({kAcknowledge});
    case kSetDefaults:
      restore_defaults();
      return answer({kAcknowledge});
    case kResendLast:
      return answer_again();
    case kReset: {
      // The hand on the mouse knows nothing of the reset.
      const uint8_t buttons = buttons_;
      reset();
      buttons_ = buttons;
      reported_buttons_ = buttons;
      return answer({kAcknowledge, kSelfTestPassed, kStandard});
    }
    default:
      log_.print(LogItem::GuestErrors, "ps2-mouse: unknown command {:#04x}", command);
      return answer({kResend});
  }
}

void Ps2Mouse::receive_argument(uint8_t command, uint8_t argument) {
  if (command == kSetResolution) {
    resolution_ = argument & 0x03;
  } else {
    set_sample_rate(argument);
  }
  answer({kAcknowledge});
}

void Ps2Mouse::set_sample_rate(uint8_t rate) {
  sample_rate_ = rate;
  last_rates_ = {last_rates_[1], last_rates_[2], rate};
  if (last_rates_ == kWheelKnock && identity_ == kStandard) identity_ = kWithWheel;
  if (last_rates_ == kFiveButtonsKnock) identity_ = kWithFiveButtons;
}

void Ps2Mouse::answer_status() {
  uint8_t status = 0;
  if ((buttons_ & kRight) != 0) status |= 0x01;
  if ((buttons_ & kMiddle) != 0) status |= 0x02;
  if ((buttons_ & kLeft) != 0) status |= 0x04;
  if (double_scaling_) status |= 0x10;
  if (reporting_) status |= 0x20;
  if (mode_ == Mode::Remote) status |= 0x40;
  answer({kAcknowledge, status, resolution_, sample_rate_});
}

// --- Movement --------------------------------------------------------------------------------------------------------

void Ps2Mouse::move(int right, int down, int wheel) {
  if (!reporting_ && mode_ == Mode::Stream) return;
  right_ = add_bounded(right_, right);
  up_ = add_bounded(up_, -std::max(down, -kMaximumPending));
  wheel_ = add_bounded(wheel_, wheel);
  report_if_due();
}

void Ps2Mouse::set_buttons(uint8_t buttons) {
  buttons_ = buttons & kAllButtons;
  report_if_due();
}

bool Ps2Mouse::something_to_report() const {
  const uint8_t visible = identity_ == kWithFiveButtons ? kAllButtons : kStandardButtons;
  const bool turned = identity_ != kStandard && wheel_ != 0;
  return right_ != 0 || up_ != 0 || turned || ((buttons_ ^ reported_buttons_) & visible) != 0;
}

void Ps2Mouse::report_if_due() {
  if (mode_ != Mode::Stream || !reporting_ || wrap_ || awaits_argument_ != 0 || data_waiting() != 0) return;
  if (something_to_report()) send_packet();
}

void Ps2Mouse::send_packet() {
  int32_t right = take(right_, -255, 255);
  int32_t up = take(up_, -255, 255);
  if (double_scaling_ && mode_ == Mode::Stream) {
    right = std::clamp(scale(right), -255, 255);
    up = std::clamp(scale(up), -255, 255);
  }
  const auto signs = static_cast<uint8_t>((right < 0 ? 0x10 : 0) | (up < 0 ? 0x20 : 0));
  std::vector<uint8_t> packet{static_cast<uint8_t>(0x08 | signs | (buttons_ & kStandardButtons)),
                              static_cast<uint8_t>(right), static_cast<uint8_t>(up)};
  if (identity_ == kStandard) {
    wheel_ = 0;
  } else {
    const auto notches = static_cast<uint8_t>(take(wheel_, -8, 7));
    const auto high_buttons = static_cast<uint8_t>((buttons_ & (kSide | kExtra)) << 1);
    packet.push_back(identity_ == kWithWheel ? notches : static_cast<uint8_t>((notches & 0x0f) | high_buttons));
  }
  reported_buttons_ = buttons_;
  send_data(packet);
}

void Ps2Mouse::serialize(Archive& archive) {
  serialize_link(archive);
  archive.field("mode", mode_);
  archive.field("wrap", wrap_);
  archive.field("reporting", reporting_);
  archive.field("double_scaling", double_scaling_);
  archive.field("resolution", resolution_);
  archive.field("sample_rate", sample_rate_);
  archive.field("last_rates", last_rates_);
  archive.field("identity", identity_);
  archive.field("awaits_argument", awaits_argument_);
  archive.field("buttons", buttons_);
  archive.field("reported_buttons", reported_buttons_);
  archive.field("right", right_);
  archive.field("up", up_);
  archive.field("wheel", wheel_);
  if (!archive.loading()) return;
  for (int32_t* sum : {&right_, &up_, &wheel_}) *sum = std::clamp(*sum, -kMaximumPending, kMaximumPending);
}

}  // namespace calco::devices
