#include "devices/serial/uart16550.h"

#include <algorithm>
#include <array>

#include "machine/core/archive.h"
#include "machine/core/log.h"

namespace calco::devices {

namespace {

// Register offsets; the first two are the divisor latch while LCR.DLAB is set (data sheet, table II).
enum Register : uint64_t {
  kData = 0,
  kInterruptEnable = 1,
  kInterruptIdentification = 2,  // written: FIFO control
  kLineControl = 3,
  kModemControl = 4,
  kLineStatus = 5,
  kModemStatus = 6,
  kScratch = 7,
};

// Interrupt enable register (8.6).
constexpr uint8_t kEnableReceivedData = 0x01;
constexpr uint8_t kEnableTransmitterEmpty = 0x02;
constexpr uint8_t kEnableLineStatus = 0x04;
constexpr uint8_t kEnableModemStatus = 0x08;

// Interrupt identification register (8.5), highest priority first.
constexpr uint8_t kIdentifyLineStatus = 0x06;
constexpr uint8_t kIdentifyReceivedData = 0x04;
constexpr uint8_t kIdentifyTimeout = 0x0c;
constexpr uint8_t kIdentifyTransmitterEmpty = 0x02;
constexpr uint8_t kIdentifyModemStatus = 0x00;
constexpr uint8_t kIdentifyNone = 0x01;
constexpr uint8_t kIdentifyFifosEnabled = 0xc0;

// FIFO control register (8.4).
constexpr uint8_t kFifoEnable = 0x01;
constexpr uint8_t kFifoResetReceiver = 0x02;
constexpr uint8_t kFifoResetTransmitter = 0x04;
constexpr uint8_t kFifoStoredBits = 0xc9;  // enable, DMA mode, trigger level; the resets clear themselves
constexpr unsigned kFifoTriggerShift = 6;
constexpr std::array<uint8_t, 4> kTriggerLevels{1, 4, 8, 14};

// Line control register (8.1).
constexpr uint8_t kWordLength = 0x03;
constexpr uint8_t kTwoStopBits = 0x04;
constexpr uint8_t kParityEnable = 0x08;
constexpr uint8_t kSetBreak = 0x40;
constexpr uint8_t kDivisorLatchAccess = 0x80;

// Modem control register (8.7).
constexpr uint8_t kDataTerminalReady = 0x01;
constexpr uint8_t kRequestToSend = 0x02;
constexpr uint8_t kOut1 = 0x04;
constexpr uint8_t kOut2 = 0x08;
constexpr uint8_t kLoop = 0x10;
constexpr uint8_t kModemControlBits = 0x1f;

// Line status register (8.3).
constexpr uint8_t kDataReady = 0x01;
constexpr uint8_t kOverrunError = 0x02;
constexpr uint8_t kFramingError = 0x08;
constexpr uint8_t kBreak = 0x10;
constexpr uint8_t kCharacterErrors = 0x1c;  // parity, framing, break
constexpr uint8_t kTransmitterHoldingEmpty = 0x20;
constexpr uint8_t kTransmitterEmpty = 0x40;
constexpr uint8_t kErrorInFifo = 0x80;

// Modem status register (8.8): what changed, under what is.
constexpr uint8_t kModemDeltas = 0x0f;
constexpr uint8_t kModemInputs = 0xf0;
constexpr uint8_t kTrailingEdgeRing = 0x04;

// The baud generator divides the PC's 1.8432 MHz crystal by 16 times the divisor latch.
constexpr uint64_t kCrystalHertz = 1'843'200;
constexpr uint16_t kResetDivisor = 12;  // 9600 baud; the data sheet leaves the latch undefined

}  // namespace

Uart16550::Uart16550(Clock& clock, IrqLine interrupt, CharacterBackend& backend, Log& log)
    : clock_(clock), interrupt_(std::move(interrupt)), backend_(backend), log_(log), timeout_timer_(clock, [this] {
        timeout_interrupt_ = !receive_fifo_.empty();
        update_interrupt();
      }) {
  reset();
  backend_.set_front_end(this);
}

Uart16550::~Uart16550() { backend_.set_front_end(nullptr); }

void Uart16550::reset() {
  divisor_ = kResetDivisor;
  interrupt_enable_ = 0;
  fifo_control_ = 0;
  line_control_ = 0;
  modem_control_ = 0;
  line_errors_ = 0;
  modem_status_ = modem_inputs_;
  scratch_ = 0;
  transmitter_interrupt_ = false;
  timeout_interrupt_ = false;
  receive_fifo_.clear();
  transmit_fifo_.clear();
  timeout_timer_.cancel();
  update_interrupt();
  backend_.accept_input();
}

bool Uart16550::fifos_enabled() const { return (fifo_control_ & kFifoEnable) != 0; }

bool Uart16550::loopback() const { return (modem_control_ & kLoop) != 0; }

size_t Uart16550::trigger_level() const {
  return fifos_enabled() ? kTriggerLevels[fifo_control_ >> kFifoTriggerShift] : 1;
}

// --- Registers -------------------------------------------------------------------------------------------------------

uint64_t Uart16550::read(uint64_t offset, unsigned) {
  const bool latch_access = (line_control_ & kDivisorLatchAccess) != 0;
  switch (offset) {
    case kData:
      return latch_access ? divisor_ & 0xff : read_receiver_buffer();
    case kInterruptEnable:
      return latch_access ? divisor_ >> 8 : interrupt_enable_;
    case kInterruptIdentification:
      return read_interrupt_identification();
    case kLineControl:
      return line_control_;
    case kModemControl:
      return modem_control_;
    case kLineStatus:
      return read_line_status();
    case kModemStatus:
      return read_modem_status();
    case kScratch:
      return scratch_;
    default:
      return floating_bus(1);
  }
}

void Uart16550::write(uint64_t offset, unsigned, uint64_t value) {
  const auto byte = static_cast<uint8_t>(value);
  const bool latch_access = (line_control_ & kDivisorLatchAccess) != 0;
  switch (offset) {
    case kData:
      if (!latch_access) return transmit(byte);
      divisor_ = static_cast<uint16_t>((divisor_ & 0xff00) | byte);
      return;
    case kInterruptEnable:
      if (!latch_access) return write_interrupt_enable(byte);
      divisor_ = static_cast<uint16_t>((divisor_ & 0x00ff) | byte << 8);
      return;
    case kInterruptIdentification:
      return write_fifo_control(byte);
    case kLineControl: {
      const bool break_begins = (byte & ~line_control_ & kSetBreak) != 0;
      line_control_ = byte;
      if (break_begins && loopback()) receive_character({0, kBreak | kFramingError});
      return;
    }
    case kModemControl:
      return write_modem_control(byte);
    case kScratch:
      scratch_ = byte;
      return;
    default:
      // The status registers are written in factory tests only (8.3): ignored.
      log_.print(LogItem::GuestErrors, "uart16550: write of {:#04x} to read-only register {}", byte, offset);
      return;
  }
}

// --- Receiver --------------------------------------------------------------------------------------------------------

size_t Uart16550::can_receive() {
  // In loopback mode the receiver is disconnected from SIN (8.7): the host's characters wait.
  if (loopback()) return 0;
  return capacity() - std::min<size_t>(receive_fifo_.count(), capacity());
}

void Uart16550::receive(std::span<const uint8_t> bytes) {
  for (const uint8_t byte : bytes) receive_character({byte, 0});
}

void Uart16550::backend_event(CharacterEvent event) {
  if (event == CharacterEvent::Break && !loopback()) receive_character({0, kBreak | kFramingError});
}

void Uart16550::receive_character(Character character) {
  if (receive_fifo_.count() < capacity()) {
    receive_fifo_.push(character);
    reveal_front_errors();
  } else {
    line_errors_ |= kOverrunError;
    // Without FIFOs the new character destroys the old one; with them it is lost in the shift register (8.3, bit 1).
    if (!fifos_enabled()) receive_fifo_.front() = character;
    reveal_front_errors();
  }
  restart_timeout();
  update_interrupt();
}

// Errors belong to a character and show when it reaches the top of the FIFO (8.3).
void Uart16550::reveal_front_errors() {
  if (receive_fifo_.empty()) return;
  line_errors_ |= receive_fifo_.front().errors;
  receive_fifo_.front().errors = 0;
}

uint8_t Uart16550::read_receiver_buffer() {
  if (receive_fifo_.empty()) return 0;
  const uint8_t data = receive_fifo_.pop().data;
  reveal_front_errors();
  restart_timeout();
  update_interrupt();
  backend_.accept_input();
  return data;
}

int64_t Uart16550::character_time() const {
  const unsigned bits = 1 + 5 + (line_control_ & kWordLength) + ((line_control_ & kParityEnable) != 0 ? 1 : 0) +
                        ((line_control_ & kTwoStopBits) != 0 ? 2 : 1);
  // The latch at 0 divides by 65536, as a 16-bit down counter does.
  const uint64_t divisor = divisor_ == 0 ? 0x10000 : divisor_;
  return static_cast<int64_t>(multiply_divide(bits * 16 * divisor, Clock::kSecond, kCrystalHertz));
}

// A timeout interrupt follows when the FIFO holds a character and for four character times none came or was read
// (8.13, FIFO interrupt mode).
void Uart16550::restart_timeout() {
  timeout_interrupt_ = false;
  const bool wanted = fifos_enabled() && !receive_fifo_.empty() && (interrupt_enable_ & kEnableReceivedData) != 0;
  if (wanted) {
    timeout_timer_.arm(clock_.now() + 4 * character_time());
  } else if (timeout_timer_.armed()) {
    timeout_timer_.cancel();
  }
}

// --- Transmitter -----------------------------------------------------------------------------------------------------

void Uart16550::transmit(uint8_t data) {
  // A write takes the interrupt back, even if the character leaves at once and it comes again: an edge-triggered
  // interrupt controller has to see the line fall.
  transmitter_interrupt_ = false;
  update_interrupt();
  if (loopback()) {
    receive_character({data, 0});
    transmitter_became_empty();
    return;
  }
  if (transmit_fifo_.count() >= capacity()) {
    log_.print(LogItem::GuestErrors, "uart16550: transmitter written while full, character {:#04x} lost", data);
    if (!fifos_enabled()) transmit_fifo_.back() = data;
    return;
  }
  transmit_fifo_.push(data);
  drain_transmitter();
}

void Uart16550::drain_transmitter() {
  while (!transmit_fifo_.empty()) {
    const size_t contiguous = transmit_fifo_.contiguous();
    const size_t accepted = backend_.write({&transmit_fifo_.front(), contiguous});
    for (size_t i = 0; i < accepted; ++i) transmit_fifo_.pop();
    if (accepted < contiguous) return;
  }
  transmitter_became_empty();
}

void Uart16550::transmitter_became_empty() {
  transmitter_interrupt_ = true;
  update_interrupt();
}

void Uart16550::writable() {
  if (!transmit_fifo_.empty()) drain_transmitter();
}

// --- Control ---------------------------------------------------------------------------------------------------------

void Uart16550::write_interrupt_enable(uint8_t value) {
  const uint8_t enabled = value & ~interrupt_enable_;
  interrupt_enable_ = value & 0x0f;
  // Enabling the interrupt while the holding register is empty raises it: drivers start their output this way.
  if ((enabled & kEnableTransmitterEmpty) != 0) transmitter_interrupt_ = transmit_fifo_.empty();
  if ((enabled & kEnableReceivedData) != 0) restart_timeout();
  update_interrupt();
}

void Uart16550::write_fifo_control(uint8_t value) {
  // Changing between the modes clears both FIFOs; other bits count only together with the enable bit (8.4).
  const bool mode_changes = ((value ^ fifo_control_) & kFifoEnable) != 0;
  const bool enable = (value & kFifoEnable) != 0;
  const bool transmitter_was_busy = !transmit_fifo_.empty();
  if (mode_changes || (enable && (value & kFifoResetReceiver) != 0)) receive_fifo_.clear();
  if (mode_changes || (enable && (value & kFifoResetTransmitter) != 0)) transmit_fifo_.clear();
  fifo_control_ = enable ? value & kFifoStoredBits : 0;
  if (transmitter_was_busy && transmit_fifo_.empty()) transmitter_interrupt_ = true;
  restart_timeout();
  update_interrupt();
  backend_.accept_input();
}

void Uart16550::write_modem_control(uint8_t value) {
  const bool loopback_ends = loopback() && (value & kLoop) == 0;
  modem_control_ = value & kModemControlBits;
  update_modem_status();
  update_interrupt();
  if (loopback_ends) backend_.accept_input();
}

void Uart16550::set_modem_inputs(uint8_t inputs) {
  modem_inputs_ = inputs & kModemInputs;
  update_modem_status();
  update_interrupt();
}

// In loopback mode the outputs RTS, DTR, OUT1 and OUT2 arrive at CTS, DSR, RI and DCD (8.7).
void Uart16550::update_modem_status() {
  uint8_t inputs = modem_inputs_;
  if (loopback()) {
    inputs = 0;
    if ((modem_control_ & kRequestToSend) != 0) inputs |= kClearToSend;
    if ((modem_control_ & kDataTerminalReady) != 0) inputs |= kDataSetReady;
    if ((modem_control_ & kOut1) != 0) inputs |= kRingIndicator;
    if ((modem_control_ & kOut2) != 0) inputs |= kCarrierDetect;
  }
  const uint8_t changed = (inputs ^ modem_status_) & kModemInputs;
  auto deltas = static_cast<uint8_t>(changed >> 4);
  // Of RI only the trailing edge counts (8.8, bit 2).
  if ((inputs & kRingIndicator) != 0) deltas &= static_cast<uint8_t>(~kTrailingEdgeRing);
  modem_status_ = inputs | (modem_status_ & kModemDeltas) | deltas;
}

uint8_t Uart16550::line_status() const {
  uint8_t status = line_errors_;
  if (!receive_fifo_.empty()) status |= kDataReady;
  if (transmit_fifo_.empty()) status |= kTransmitterHoldingEmpty | kTransmitterEmpty;
  if (fifos_enabled()) {
    bool error = (line_errors_ & kCharacterErrors) != 0;
    for (size_t i = 0; i < receive_fifo_.count(); ++i) {
      error |= receive_fifo_[i].errors != 0;
    }
    if (error) status |= kErrorInFifo;
  }
  return status;
}

uint8_t Uart16550::read_line_status() {
  const uint8_t status = line_status();
  if (line_errors_ != 0) {
    line_errors_ = 0;
    update_interrupt();
  }
  return status;
}

uint8_t Uart16550::read_modem_status() {
  const uint8_t status = modem_status_;
  modem_status_ &= kModemInputs;
  if ((status & kModemDeltas) != 0) update_interrupt();
  return status;
}

// --- Interrupt -------------------------------------------------------------------------------------------------------

bool Uart16550::received_data_interrupt() const { return receive_fifo_.count() >= trigger_level(); }

uint8_t Uart16550::interrupt_identification() const {
  if ((interrupt_enable_ & kEnableLineStatus) != 0 && line_errors_ != 0) return kIdentifyLineStatus;
  if ((interrupt_enable_ & kEnableReceivedData) != 0) {
    if (received_data_interrupt()) return kIdentifyReceivedData;
    if (timeout_interrupt_) return kIdentifyTimeout;
  }
  if ((interrupt_enable_ & kEnableTransmitterEmpty) != 0 && transmitter_interrupt_) return kIdentifyTransmitterEmpty;
  if ((interrupt_enable_ & kEnableModemStatus) != 0 && (modem_status_ & kModemDeltas) != 0) {
    return kIdentifyModemStatus;
  }
  return kIdentifyNone;
}

uint8_t Uart16550::read_interrupt_identification() {
  const uint8_t identification = interrupt_identification();
  // Reading clears the transmitter's interrupt, if that is the one shown (table IV).
  if (identification == kIdentifyTransmitterEmpty) {
    transmitter_interrupt_ = false;
    update_interrupt();
  }
  return identification | (fifos_enabled() ? kIdentifyFifosEnabled : 0);
}

// The PC gates INTR with the pin OUT2, which loopback mode forces inactive (8.7).
void Uart16550::update_interrupt() {
  const bool gate_open = (modem_control_ & (kOut2 | kLoop)) == kOut2;
  interrupt_.set(gate_open && interrupt_identification() != kIdentifyNone);
}

void Uart16550::serialize(Archive& archive) {
  archive.field("divisor", divisor_);
  archive.field("interrupt_enable", interrupt_enable_);
  archive.field("fifo_control", fifo_control_);
  archive.field("line_control", line_control_);
  archive.field("modem_control", modem_control_);
  archive.field("line_errors", line_errors_);
  archive.field("modem_status", modem_status_);
  archive.field("scratch", scratch_);
  archive.field("modem_inputs", modem_inputs_);
  archive.field("transmitter_interrupt", transmitter_interrupt_);
  archive.field("timeout_interrupt", timeout_interrupt_);
  archive.field("receive_fifo", receive_fifo_);
  archive.field("transmit_fifo", transmit_fifo_);
  const int64_t deadline =
      archive.exchange("timeout_deadline", timeout_timer_.armed() ? timeout_timer_.deadline() : Clock::kNever);
  if (!archive.loading()) return;

  if (!receive_fifo_.valid() || !transmit_fifo_.valid()) throw ArchiveError("uart16550: FIFO position out of range");
  timeout_timer_.cancel();
  if (deadline != Clock::kNever) timeout_timer_.arm(deadline);
  update_interrupt();
  interrupt_.repeat();
  if (!transmit_fifo_.empty()) drain_transmitter();
  backend_.accept_input();
}

}  // namespace calco::devices
