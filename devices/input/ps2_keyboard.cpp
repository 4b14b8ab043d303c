#include "devices/input/ps2_keyboard.h"

#include "machine/core/archive.h"
#include "machine/core/log.h"

namespace calco::devices {

namespace {

// Commands from the host ("Commands from the system").
enum Command : uint8_t {
  kSetLights = 0xed,
  kEcho = 0xee,
  kScanCodeSet = 0xf0,
  kIdentify = 0xf2,
  kSetTypematic = 0xf3,
  kEnable = 0xf4,
  kDisable = 0xf5,
  kSetDefaults = 0xf6,
  kAllTypematic = 0xf7,
  kAllMakeBreak = 0xf8,
  kAllMake = 0xf9,
  kAllTypematicMakeBreak = 0xfa,
  kKeyTypematic = 0xfb,
  kKeyMakeBreak = 0xfc,
  kKeyMake = 0xfd,
  kResendLast = 0xfe,
  kReset = 0xff,
};
constexpr uint8_t kFirstCommand = kSetLights;

constexpr uint8_t kBreakPrefix = 0xf0;
constexpr uint8_t kOverrunSet1 = 0xff;
constexpr uint8_t kOverrunSet2 = 0x00;
constexpr uint8_t kLightBits = 0x07;
constexpr uint8_t kDefaultTypematic = 0x2b;  // 10.9 characters a second after 500 ms

// Types of keys in scan code set 3.
constexpr uint8_t kSendsBreak = 1;
constexpr uint8_t kRepeats = 2;

}  // namespace

Ps2Keyboard::Ps2Keyboard(Log& log) : log_(log) { reset(); }

void Ps2Keyboard::reset() {
  reset_link();
  restore_defaults();
  awaits_argument_ = 0;
  down_.reset();
  set_lights(0);
}

void Ps2Keyboard::restore_defaults() {
  scanning_ = true;
  scan_code_set_ = 2;
  typematic_ = kDefaultTypematic;
  set_defaults_of_set3();
}

// In set 3 most keys only make and repeat; shift, ctrl, alt and caps lock make and break.
void Ps2Keyboard::set_defaults_of_set3() {
  key_types_.fill(kRepeats);
  for (const KeyCode key : {KeyCode::Shift, KeyCode::ShiftRight, KeyCode::Ctrl, KeyCode::Alt, KeyCode::CapsLock}) {
    key_types_[scan_code_set3(key)] = kSendsBreak;
  }
}

// --- Commands --------------------------------------------------------------------------------------------------------

void Ps2Keyboard::receive_byte(uint8_t byte) {
  if (awaits_argument_ != 0) {
    const uint8_t command = std::exchange(awaits_argument_, 0);
    // A new command in place of the argument cancels the old one.
    if (byte < kFirstCommand) return receive_argument(command, byte);
  }
  switch (byte) {
    case kSetLights:
    case kScanCodeSet:
    case kSetTypematic:
    case kKeyTypematic:
    case kKeyMakeBreak:
    case kKeyMake:
      awaits_argument_ = byte;
      return answer({kAcknowledge});
    case kEcho:
      return answer({kEcho});
    case kIdentify:
      return answer({kAcknowledge, 0xab, 0x83});
    case kEnable:
      clear_output();
      scanning_ = true;
      return answer({kAcknowledge});
    case kDisable:
      clear_output();
      restore_defaults();
      scanning_ = false;
      return answer({kAcknowledge});
    case kSetDefaults:
      clear_output();
      restore_defaults();
      return answer({kAcknowledge});
    case kResendLast:
      return answer_again();
    case kReset:
      reset();
      return answer({kAcknowledge, kSelfTestPassed});
    default:
      if (change_key_types(byte)) return answer({kAcknowledge});
      log_.print(LogItem::GuestErrors, "ps2-keyboard: unknown command {:#04x}", byte);
      return answer({kResend});
  }
}

bool Ps2Keyboard::change_key_types(uint8_t command) {
  switch (command) {
    case kAllTypematic:
      key_types_.fill(kRepeats);
      return true;
    case kAllMakeBreak:
      key_types_.fill(kSendsBreak);
      return true;
    case kAllMake:
      key_types_.fill(0);
      return true;
    case kAllTypematicMakeBreak:
      key_types_.fill(kSendsBreak | kRepeats);
      return true;
    default:
      return false;
  }
}

void Ps2Keyboard::receive_argument(uint8_t command, uint8_t argument) {
  switch (command) {
    case kSetLights:
      set_lights(argument & kLightBits);
      break;
    case kScanCodeSet:
      return select_scan_code_set(argument);
    case kSetTypematic:
      typematic_ = argument & 0x7f;
      break;
    case kKeyTypematic:
      key_types_[argument] = kRepeats;
      break;
    case kKeyMakeBreak:
      key_types_[argument] = kSendsBreak;
      break;
    default:
      key_types_[argument] = 0;
      break;
  }
  answer({kAcknowledge});
}

void Ps2Keyboard::select_scan_code_set(uint8_t set) {
  if (set == 0) return answer({kAcknowledge, scan_code_set_});
  if (set > 3) return answer({kResend});
  clear_output();
  scan_code_set_ = set;
  answer({kAcknowledge});
}

void Ps2Keyboard::set_lights(uint8_t lights) {
  if (lights == lights_) return;
  lights_ = lights;
  if (lights_listener_) lights_listener_(lights_);
}

// --- Keys ------------------------------------------------------------------------------------------------------------

void Ps2Keyboard::press(KeyCode key) {
  const bool repeated = down(key);
  down_.set(static_cast<size_t>(key));
  send_key(key, true, repeated);
}

void Ps2Keyboard::release(KeyCode key) {
  if (!down(key)) return;
  down_.reset(static_cast<size_t>(key));
  send_key(key, false, false);
}

void Ps2Keyboard::send_key(KeyCode key, bool make, bool repeated) {
  if (!scanning_) return;
  if (scan_code_set_ == 3) return send_set3(scan_code_set3(key), make, repeated);
  if (key == KeyCode::Print) return send_print(make);
  if (key == KeyCode::Pause) {
    if (make && !repeated) send_pause();
    return;
  }
  Bytes bytes;
  append_code(bytes, scan_code_set2(key), make);
  send(bytes);
}

void Ps2Keyboard::send_set3(uint8_t code, bool make, bool repeated) {
  if (code == 0) return;
  if (make && (!repeated || (key_types_[code] & kRepeats) != 0)) send({code});
  if (!make && (key_types_[code] & kSendsBreak) != 0) send({kBreakPrefix, code});
}

// Print screen pretends a shift key, unless one (or ctrl) is down; with alt it is the key SysRq.
void Ps2Keyboard::send_print(bool make) {
  constexpr uint16_t kFakeShift = 0xe012;
  const uint16_t code = scan_code_set2(alternate() ? KeyCode::SysRq : KeyCode::Print);
  const bool fake_shift = !alternate() && !shifted() && !controlled();
  Bytes bytes;
  if (fake_shift && make) append_code(bytes, kFakeShift, true);
  append_code(bytes, code, make);
  if (fake_shift && !make) append_code(bytes, kFakeShift, false);
  send(bytes);
}

// Pause sends make and break at once and nothing on release; with ctrl it is the key Break.
void Ps2Keyboard::send_pause() {
  Bytes bytes;
  for (const bool make : {true, false}) {
    if (controlled()) {
      append_code(bytes, 0xe07e, make);
    } else {
      append_code(bytes, scan_code_set2(KeyCode::Pause), make);
      append_code(bytes, scan_code_set2(KeyCode::NumLock), make);
    }
  }
  send(bytes);
}

void Ps2Keyboard::append_code(Bytes& bytes, uint16_t set2, bool make) const {
  const auto code = static_cast<uint8_t>(set2);
  const auto prefix = static_cast<uint8_t>(set2 >> 8);
  if (prefix != 0) bytes.push_back(prefix);
  if (scan_code_set_ == 1) {
    bytes.push_back(translate_set2_to_set1(code) | (make ? 0 : 0x80));
    return;
  }
  if (!make) bytes.push_back(kBreakPrefix);
  bytes.push_back(code);
}

void Ps2Keyboard::send(const Bytes& bytes) {
  // The last place is kept for the overrun code, so that the guest learns of its loss.
  if (data_waiting() + bytes.size() < kDataSize && send_data(bytes)) return;
  const uint8_t overrun = scan_code_set_ == 1 ? kOverrunSet1 : kOverrunSet2;
  send_data({&overrun, 1});
}

void Ps2Keyboard::serialize(Archive& archive) {
  serialize_link(archive);
  archive.field("scanning", scanning_);
  archive.field("scan_code_set", scan_code_set_);
  const uint8_t lights = archive.exchange("lights", lights_);
  archive.field("typematic", typematic_);
  archive.field("awaits_argument", awaits_argument_);
  archive.field("key_types", key_types_);
  std::array<bool, static_cast<size_t>(KeyCode::Count)> down{};
  for (size_t key = 0; key < down.size(); ++key) down[key] = down_[key];
  archive.field("down", down);
  if (!archive.loading()) return;
  if (scan_code_set_ < 1 || scan_code_set_ > 3) throw ArchiveError("ps2-keyboard: unknown scan code set");
  for (size_t key = 0; key < down.size(); ++key) down_[key] = down[key];
  set_lights(lights);
}

}  // namespace calco::devices
