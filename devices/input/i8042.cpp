#include "devices/input/i8042.h"

#include <utility>

#include "devices/input/key_codes.h"
#include "machine/core/archive.h"
#include "machine/core/log.h"

namespace calco::devices {

namespace {

// Status register.
constexpr uint8_t kOutputFull = 0x01;
constexpr uint8_t kSystemFlag = 0x04;
constexpr uint8_t kCommandWritten = 0x08;
constexpr uint8_t kNotInhibited = 0x10;
constexpr uint8_t kMouseOutputFull = 0x20;

// Controller command byte.
constexpr uint8_t kKeyboardInterrupt = 0x01;
constexpr uint8_t kMouseInterrupt = 0x02;
constexpr uint8_t kDisableKeyboard = 0x10;
constexpr uint8_t kDisableMouse = 0x20;
constexpr uint8_t kTranslate = 0x40;

// Output port.
constexpr uint8_t kNoReset = 0x01;
constexpr uint8_t kA20 = 0x02;
constexpr uint8_t kPortKeyboardFull = 0x10;
constexpr uint8_t kPortMouseFull = 0x20;

enum Command : uint8_t {
  kReadRam = 0x20,   // to 0x3f
  kWriteRam = 0x60,  // to 0x7f
  kTestPassword = 0xa4,
  kDisableMousePort = 0xa7,
  kEnableMousePort = 0xa8,
  kTestMousePort = 0xa9,
  kSelfTest = 0xaa,
  kTestKeyboardPort = 0xab,
  kDisableKeyboardPort = 0xad,
  kEnableKeyboardPort = 0xae,
  kReadInputPort = 0xc0,
  kReadOutputPort = 0xd0,
  kWriteOutputPort = 0xd1,
  kWriteKeyboardOutput = 0xd2,
  kWriteMouseOutput = 0xd3,
  kWriteMouse = 0xd4,
  kDisableA20 = 0xdd,
  kEnableA20 = 0xdf,
  kReadTestInputs = 0xe0,
  kPulseOutputPort = 0xf0,  // to 0xff: bits that are 0 pulse low
};

constexpr uint8_t kSelfTestPassed = 0x55;
constexpr uint8_t kPortTestPassed = 0x00;
constexpr uint8_t kNoPassword = 0xf1;
constexpr uint8_t kInputPort = 0xb0;  // keyboard not locked, manufacturing jumper absent
constexpr uint8_t kBreakPrefix = 0xf0;
constexpr uint8_t kBreakBit = 0x80;

// Eleven bits at the slowest clock of the link would take 1.1 ms; a quarter of that serves guests well.
constexpr int64_t kLinkTime = 250'000;

}  // namespace

uint64_t I8042::Port::read(uint64_t, unsigned) { return command_ ? owner_.read_status() : owner_.read_data(); }

void I8042::Port::write(uint64_t, unsigned, uint64_t value) {
  const auto byte = static_cast<uint8_t>(value);
  owner_.last_write_was_command_ = command_;
  command_ ? owner_.write_command(byte) : owner_.write_data(byte);
}

I8042::I8042(Clock& clock, Ps2Device& keyboard, Ps2Device& mouse, Outputs outputs, Log& log)
    : keyboard_(keyboard),
      mouse_(mouse),
      outputs_(std::move(outputs)),
      log_(log),
      clock_(clock),
      link_timer_(clock, [this] { fill_output_buffer(); }) {
  restore_reset_state();
  keyboard_.set_byte_available([this] { fill_output_buffer(); });
  mouse_.set_byte_available([this] { fill_output_buffer(); });
}

I8042::~I8042() {
  keyboard_.set_byte_available(nullptr);
  mouse_.set_byte_available(nullptr);
}

void I8042::restore_reset_state() {
  ram_ = {};
  command_byte() = kKeyboardInterrupt | kMouseInterrupt;
  output_port_ = kNoReset | kA20;
  output_buffer_ = 0;
  output_full_ = false;
  output_from_mouse_ = false;
  output_from_device_ = false;
  last_write_was_command_ = false;
  awaits_argument_ = 0;
  break_prefix_seen_ = false;
  responses_.clear();
  link_timer_.cancel();
}

void I8042::reset() {
  restore_reset_state();
  update_interrupts();
  if (outputs_.set_a20) outputs_.set_a20(true);
}

// --- Ports -----------------------------------------------------------------------------------------------------------

uint8_t I8042::read_status() const {
  uint8_t status = kNotInhibited | (command_byte() & kSystemFlag);
  if (last_write_was_command_) status |= kCommandWritten;
  if (output_full_) status |= kOutputFull | (output_from_mouse_ ? kMouseOutputFull : 0);
  return status;
}

uint8_t I8042::read_data() {
  const uint8_t value = output_buffer_;
  if (!output_full_) return value;
  output_full_ = false;
  if (output_from_device_) link_timer_.arm(clock_.now() + kLinkTime);
  update_interrupts();
  fill_output_buffer();
  return value;
}

void I8042::write_data(uint8_t value) {
  if (awaits_argument_ != 0) return write_argument(std::exchange(awaits_argument_, 0), value);
  // A byte for the keyboard opens its port: the controller has to clock it out.
  set_port_enabled(kDisableKeyboard, true);
  keyboard_.receive_byte(value);
}

void I8042::write_command(uint8_t command) {
  awaits_argument_ = 0;
  if (write_ram_command(command)) return;
  if (command >= kPulseOutputPort) {
    if ((command & kNoReset) == 0 && outputs_.request_reset) outputs_.request_reset();
    return;
  }
  switch (command) {
    case kTestPassword:
      return respond(kNoPassword);
    case kDisableMousePort:
    case kEnableMousePort:
      return set_port_enabled(kDisableMouse, command == kEnableMousePort);
    case kTestMousePort:
    case kTestKeyboardPort:
      return respond(kPortTestPassed);
    case kSelfTest:
      return self_test();
    case kDisableKeyboardPort:
    case kEnableKeyboardPort:
      return set_port_enabled(kDisableKeyboard, command == kEnableKeyboardPort);
    case kReadInputPort:
      return respond(kInputPort);
    case kReadOutputPort: {
      const uint8_t full = !output_full_ ? 0 : output_from_mouse_ ? kPortMouseFull : kPortKeyboardFull;
      return respond(output_port_ | full);
    }
    case kWriteOutputPort:
    case kWriteKeyboardOutput:
    case kWriteMouseOutput:
    case kWriteMouse:
      awaits_argument_ = command;
      return;
    case kDisableA20:
      return write_output_port(output_port_ & ~kA20);
    case kEnableA20:
      return write_output_port(output_port_ | kA20);
    case kReadTestInputs:
      return respond(0);
    default:
      log_.print(LogItem::GuestErrors, "i8042: unknown command {:#04x}", command);
  }
}

bool I8042::write_ram_command(uint8_t command) {
  const uint8_t group = command & 0xe0;
  if (group == kReadRam) respond(ram_[command % kRamSize]);
  if (group == kWriteRam) awaits_argument_ = command;
  return group == kReadRam || group == kWriteRam;
}

void I8042::write_argument(uint8_t command, uint8_t argument) {
  switch (command) {
    case kWriteRam:
      return write_command_byte(argument);
    case kWriteOutputPort:
      return write_output_port(argument);
    case kWriteKeyboardOutput:
      return respond(argument);
    case kWriteMouseOutput:
      return respond(argument, true);
    case kWriteMouse:
      set_port_enabled(kDisableMouse, true);
      return mouse_.receive_byte(argument);
    default:
      ram_[command % kRamSize] = argument;
  }
}

void I8042::write_command_byte(uint8_t value) {
  command_byte() = value;
  update_interrupts();
  fill_output_buffer();
}

void I8042::set_port_enabled(uint8_t disable_bit, bool enabled) {
  if (enabled) {
    command_byte() &= static_cast<uint8_t>(~disable_bit);
    fill_output_buffer();
  } else {
    command_byte() |= disable_bit;
  }
}

void I8042::write_output_port(uint8_t value) {
  const bool a20_changes = ((value ^ output_port_) & kA20) != 0;
  output_port_ = (value & static_cast<uint8_t>(~(kPortKeyboardFull | kPortMouseFull))) | kNoReset;
  if (a20_changes && outputs_.set_a20) outputs_.set_a20((value & kA20) != 0);
  if ((value & kNoReset) == 0 && outputs_.request_reset) outputs_.request_reset();
}

void I8042::self_test() {
  command_byte() |= kSystemFlag;
  respond(kSelfTestPassed);
}

// --- Output buffer ---------------------------------------------------------------------------------------------------

void I8042::respond(uint8_t value, bool from_mouse) {
  // A guest that commands without reading loses responses, as it would find them overwritten.
  if (responses_.full()) return;
  responses_.push({value, from_mouse});
  fill_output_buffer();
}

void I8042::fill_output_buffer() {
  if (output_full_) return;
  if (!responses_.empty()) {
    const Response response = responses_.pop();
    output_from_device_ = false;
    return load_output(response.value, response.from_mouse);
  }
  if (link_timer_.armed()) return;
  output_from_device_ = true;
  if ((command_byte() & kDisableKeyboard) == 0 && fill_from_keyboard()) return;
  if ((command_byte() & kDisableMouse) == 0 && mouse_.has_byte()) load_output(mouse_.take_byte(), true);
}

// Translation folds the break prefix into the code that follows, which may come later.
bool I8042::fill_from_keyboard() {
  while (keyboard_.has_byte()) {
    uint8_t value = keyboard_.take_byte();
    if ((command_byte() & kTranslate) != 0) {
      if (value == kBreakPrefix) {
        break_prefix_seen_ = true;
        continue;
      }
      value = translate_set2_to_set1(value);
      if (std::exchange(break_prefix_seen_, false)) value |= kBreakBit;
    }
    load_output(value, false);
    return true;
  }
  return false;
}

void I8042::load_output(uint8_t value, bool from_mouse) {
  output_buffer_ = value;
  output_full_ = true;
  output_from_mouse_ = from_mouse;
  update_interrupts();
}

void I8042::update_interrupts() {
  const bool keyboard = output_full_ && !output_from_mouse_ && (command_byte() & kKeyboardInterrupt) != 0;
  const bool mouse = output_full_ && output_from_mouse_ && (command_byte() & kMouseInterrupt) != 0;
  outputs_.keyboard_interrupt.set(keyboard);
  outputs_.mouse_interrupt.set(mouse);
}

void I8042::serialize(Archive& archive) {
  archive.field("ram", ram_);
  archive.field("output_port", output_port_);
  archive.field("output_buffer", output_buffer_);
  archive.field("output_full", output_full_);
  archive.field("output_from_mouse", output_from_mouse_);
  archive.field("output_from_device", output_from_device_);
  archive.field("last_write_was_command", last_write_was_command_);
  archive.field("awaits_argument", awaits_argument_);
  archive.field("break_prefix_seen", break_prefix_seen_);
  archive.field("responses", responses_);
  const int64_t link_free = archive.exchange("link_free", link_timer_.armed() ? link_timer_.deadline() : Clock::kNever);
  if (!archive.loading()) return;
  if (!responses_.valid()) throw ArchiveError("i8042: response queue position out of range");
  link_timer_.cancel();
  if (link_free != Clock::kNever) link_timer_.arm(link_free);
  if (outputs_.set_a20) outputs_.set_a20((output_port_ & kA20) != 0);
  update_interrupts();
  outputs_.keyboard_interrupt.repeat();
  outputs_.mouse_interrupt.repeat();
}

}  // namespace calco::devices
