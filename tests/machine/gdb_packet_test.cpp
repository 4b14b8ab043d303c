#include "machine/debugger/gdb_packet.h"

#include <gtest/gtest.h>

#include <string_view>

namespace calco::machine {
namespace {

using Event = GdbPacketReader::Event;

// The event of the last byte.
Event take_all(GdbPacketReader& reader, std::string_view bytes) {
  Event event = Event::None;
  for (const char byte : bytes) event = reader.take(static_cast<uint8_t>(byte));
  return event;
}

TEST(GdbPacket, ChecksumIsTheSumOfTheDataModulo256) {
  EXPECT_EQ(frame_gdb_packet("OK"), "$OK#9a");
  EXPECT_EQ(frame_gdb_packet(""), "$#00");
}

TEST(GdbPacket, CharactersOfTheFramingAreEscaped) {
  EXPECT_EQ(frame_gdb_packet("a#$}*b"),
            "$a}\x03}\x04}\x5D}\x0A"
            "b#25");
}

TEST(GdbPacket, ReaderFindsTheDataBehindNoise) {
  GdbPacketReader reader;
  EXPECT_EQ(take_all(reader, "noise$m10,4#"), Event::None);
  EXPECT_EQ(take_all(reader, "2e"), Event::Packet);
  EXPECT_EQ(reader.packet(), "m10,4");
}

TEST(GdbPacket, ReaderUndoesEscapes) {
  GdbPacketReader reader;
  const std::string framed = frame_gdb_packet(std::string_view("X0,4:}#$\0", 9));
  EXPECT_EQ(take_all(reader, framed), Event::Packet);
  EXPECT_EQ(reader.packet(), std::string_view("X0,4:}#$\0", 9));
}

TEST(GdbPacket, WrongChecksumIsBroken) {
  GdbPacketReader reader;
  EXPECT_EQ(take_all(reader, "$g#68"), Event::Broken);
  EXPECT_EQ(take_all(reader, "$g#zz"), Event::Broken);
  EXPECT_EQ(take_all(reader, "$g#67"), Event::Packet);
}

TEST(GdbPacket, TooLongOneIsBrokenAndTheNextIsRead) {
  GdbPacketReader reader;
  EXPECT_EQ(take_all(reader, frame_gdb_packet(std::string(GdbPacketReader::kMaximumSize + 1, 'a'))), Event::Broken);
  EXPECT_EQ(take_all(reader, "$g#67"), Event::Packet);
  EXPECT_EQ(reader.packet(), "g");
}

TEST(GdbPacket, ControlCInterruptsOnlyBetweenPackets) {
  GdbPacketReader reader;
  EXPECT_EQ(reader.take(0x03), Event::Interrupt);
  EXPECT_EQ(take_all(reader, "$\x03"), Event::None);
  EXPECT_EQ(take_all(reader, "#03"), Event::Packet);
}

TEST(GdbPacket, AcknowledgementsAreTold) {
  GdbPacketReader reader;
  EXPECT_EQ(reader.take('+'), Event::Accepted);
  EXPECT_EQ(reader.take('-'), Event::Refused);
}

TEST(GdbPacket, HexadecimalGoesBothWays) {
  const std::vector<uint8_t> bytes = {0x00, 0x9F, 0xA0};
  EXPECT_EQ(to_hex(bytes), "009fa0");
  EXPECT_EQ(from_hex("009FA0"), bytes);
  EXPECT_EQ(from_hex("009"), std::nullopt);
  EXPECT_EQ(from_hex("0g"), std::nullopt);
}

TEST(GdbPacket, NumbersHaveAtMostSixteenDigits) {
  std::string_view text = "ffffffff81000000,8";
  EXPECT_EQ(take_hex_number(text), 0xFFFFFFFF81000000);
  EXPECT_EQ(text, ",8");
  text = "10000000000000000";
  EXPECT_EQ(take_hex_number(text), std::nullopt);
  text = ",";
  EXPECT_EQ(take_hex_number(text), std::nullopt);
}

}  // namespace
}  // namespace calco::machine
