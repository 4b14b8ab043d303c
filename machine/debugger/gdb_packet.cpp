#include "machine/debugger/gdb_packet.h"

#include <fmt/format.h>

namespace calco::machine {

namespace {

constexpr char kEscape = '}';
constexpr uint8_t kEscapeMask = 0x20;
constexpr uint8_t kControlC = 0x03;

std::optional<uint8_t> digit(uint8_t character) {
  if (character >= '0' && character <= '9') return character - '0';
  const uint8_t lower = character | 0x20;
  if (lower >= 'a' && lower <= 'f') return lower - 'a' + 10;
  return std::nullopt;
}

}  // namespace

std::string frame_gdb_packet(std::string_view data) {
  std::string packet = "$";
  for (const char character : data) {
    // '*' announces a run length in what a stub sends.
    if (character == '$' || character == '#' || character == kEscape || character == '*') {
      packet += kEscape;
      packet += static_cast<char>(character ^ kEscapeMask);
    } else {
      packet += character;
    }
  }
  uint8_t sum = 0;
  for (const char character : std::string_view(packet).substr(1)) sum = static_cast<uint8_t>(sum + character);
  return packet + fmt::format("#{:02x}", sum);
}

std::string to_hex(std::span<const uint8_t> bytes) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text;
  text.reserve(bytes.size() * 2);
  for (const uint8_t byte : bytes) {
    text += kDigits[byte >> 4];
    text += kDigits[byte & 0xF];
  }
  return text;
}

std::optional<std::vector<uint8_t>> from_hex(std::string_view text) {
  if (text.size() % 2 != 0) return std::nullopt;
  std::vector<uint8_t> bytes;
  bytes.reserve(text.size() / 2);
  for (size_t i = 0; i < text.size(); i += 2) {
    const auto high = digit(static_cast<uint8_t>(text[i]));
    const auto low = digit(static_cast<uint8_t>(text[i + 1]));
    if (!high || !low) return std::nullopt;
    bytes.push_back(static_cast<uint8_t>(*high << 4 | *low));
  }
  return bytes;
}

std::optional<uint64_t> take_hex_number(std::string_view& text) {
  uint64_t value = 0;
  size_t length = 0;
  for (; length < text.size(); ++length) {
    const auto next = digit(static_cast<uint8_t>(text[length]));
    if (!next) break;
    if (length == 16) return std::nullopt;
    value = value << 4 | *next;
  }
  if (length == 0) return std::nullopt;
  text.remove_prefix(length);
  return value;
}

GdbPacketReader::Event GdbPacketReader::take(uint8_t byte) {
  switch (state_) {
    case State::Between:
      return between(byte);
    case State::Data:
      if (byte == '#') {
        state_ = State::FirstDigit;
        return Event::None;
      }
      if (byte == '$') return between(byte);  // the end of the packet before was lost
      sum_ = static_cast<uint8_t>(sum_ + byte);
      if (byte == kEscape) {
        state_ = State::Escaped;
      } else {
        append(byte);
      }
      return Event::None;
    case State::Escaped:
      sum_ = static_cast<uint8_t>(sum_ + byte);
      append(byte ^ kEscapeMask);
      state_ = State::Data;
      return Event::None;
    case State::FirstDigit:
      first_digit_ = byte;
      state_ = State::SecondDigit;
      return Event::None;
    case State::SecondDigit:
      second_digit_ = byte;
      state_ = State::Between;
      return finish();
  }
  return Event::None;
}

GdbPacketReader::Event GdbPacketReader::between(uint8_t byte) {
  switch (byte) {
    case '$':
      state_ = State::Data;
      packet_.clear();
      broken_ = false;
      sum_ = 0;
      return Event::None;
    case kControlC:
      return Event::Interrupt;
    case '+':
      return Event::Accepted;
    case '-':
      return Event::Refused;
    default:
      return Event::None;
  }
}

void GdbPacketReader::append(uint8_t byte) {
  if (packet_.size() == kMaximumSize) {
    broken_ = true;
  } else {
    packet_ += static_cast<char>(byte);
  }
}

GdbPacketReader::Event GdbPacketReader::finish() {
  const auto high = digit(first_digit_);
  const auto low = digit(second_digit_);
  const bool right = high && low && (*high << 4 | *low) == sum_;
  return right && !broken_ ? Event::Packet : Event::Broken;
}

}  // namespace calco::machine
