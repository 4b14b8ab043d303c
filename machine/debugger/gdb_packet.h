// Packets of the gdb remote serial protocol (gdb's manual, appendix E, "Overview").
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace calco::machine {

// "$data#checksum", with '}' escapes where the data has a character of the framing.
std::string frame_gdb_packet(std::string_view data);

// Lower-case hexadecimal, two digits a byte.
std::string to_hex(std::span<const uint8_t> bytes);
// Null where `text` is not pairs of hexadecimal digits.
std::optional<std::vector<uint8_t>> from_hex(std::string_view text);
// Takes a hexadecimal number of at most 16 digits off the front of `text`; null where none is there.
std::optional<uint64_t> take_hex_number(std::string_view& text);

// Finds the packets in a stream of bytes.
class GdbPacketReader {
 public:
  // Of a packet's data, as it is announced to gdb; longer ones are refused.
  static constexpr size_t kMaximumSize = 0x4000;

  enum class Event : uint8_t {
    None,       // in the midst of something, or noise between packets
    Packet,     // packet() is complete, and its checksum right
    Broken,     // a packet with a wrong checksum or too many bytes ended
    Interrupt,  // Ctrl-C outside of a packet
    Accepted,   // '+': gdb has our last packet
    Refused,    // '-': gdb wants it again
  };
  Event take(uint8_t byte);
  // Data of the last packet, escapes resolved.
  const std::string& packet() const { return packet_; }
  // A new client begins.
  void reset() { state_ = State::Between; }

 private:
  enum class State : uint8_t { Between, Data, Escaped, FirstDigit, SecondDigit };
  Event between(uint8_t byte);
  void append(uint8_t byte);
  Event finish();

  State state_ = State::Between;
  std::string packet_;
  bool broken_ = false;
  uint8_t sum_ = 0;
  uint8_t first_digit_ = 0;
  uint8_t second_digit_ = 0;
};

}  // namespace calco::machine
