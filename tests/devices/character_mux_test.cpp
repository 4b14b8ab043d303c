#include "devices/host/character_mux.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "devices/host/ring_buffer_backend.h"

namespace calco::devices {
namespace {

class FrontEnd final : public CharacterFrontEnd {
 public:
  size_t can_receive() override { return room; }
  void receive(std::span<const uint8_t> bytes) override {
    input.append(bytes.begin(), bytes.end());
    room -= bytes.size();
  }
  void backend_event(CharacterEvent event) override { events.push_back(event); }

  size_t room = 1000;
  std::string input;
  std::vector<CharacterEvent> events;
};

class CharacterMuxTest : public ::testing::Test {
 protected:
  CharacterMuxTest() {
    console_port_.set_front_end(&console_);
    monitor_port_.set_front_end(&monitor_);
  }
  static void send(CharacterBackend& port, std::string_view text) {
    port.write({reinterpret_cast<const uint8_t*>(text.data()), text.size()});
  }

  int quits_ = 0;
  RingBufferBackend* terminal_ = new RingBufferBackend();  // owned by the mux
  CharacterMux mux_{std::unique_ptr<CharacterBackend>(terminal_), [this] { ++quits_; }};
  FrontEnd console_;
  FrontEnd monitor_;
  CharacterBackend& console_port_ = mux_.add_port();
  CharacterBackend& monitor_port_ = mux_.add_port();
};

TEST_F(CharacterMuxTest, FirstPortHasTheInput) {
  terminal_->type("ls\n");
  EXPECT_EQ(console_.input, "ls\n");
  EXPECT_EQ(monitor_.input, "");
}

TEST_F(CharacterMuxTest, EscapeCSwitches) {
  terminal_->type("a\001cb\001cc");
  EXPECT_EQ(console_.input, "ac");
  EXPECT_EQ(monitor_.input, "b");
  using enum CharacterEvent;
  EXPECT_EQ(monitor_.events, (std::vector{Opened, FocusGained, FocusLost}));
}

TEST_F(CharacterMuxTest, EscapeXQuits) {
  terminal_->type("\001x");
  EXPECT_EQ(quits_, 1);
}

TEST_F(CharacterMuxTest, EscapeTwiceSendsIt) {
  terminal_->type("\001\001");
  EXPECT_EQ(console_.input, "\001");
}

TEST_F(CharacterMuxTest, EscapeBSendsABreak) {
  terminal_->type("\001b");
  EXPECT_EQ(console_.events.back(), CharacterEvent::Break);
  EXPECT_EQ(console_.input, "");
}

TEST_F(CharacterMuxTest, EscapeHPrintsHelp) {
  terminal_->type("\001h");
  EXPECT_THAT(terminal_->take_output(), ::testing::HasSubstr("C-a x"));
}

TEST_F(CharacterMuxTest, EscapeSIsAccepted) {
  terminal_->type("\001sx");
  EXPECT_EQ(console_.input, "x");
}

TEST_F(CharacterMuxTest, EscapeTStampsLines) {
  send(console_port_, "plain\n");
  terminal_->type("\001t");
  send(console_port_, "one\ntw");
  send(console_port_, "o\n");
  terminal_->type("\001t");
  send(console_port_, "plain\n");
  EXPECT_THAT(terminal_->take_output(),
              ::testing::MatchesRegex("plain\n\\[..:..:..\\....\\] one\n\\[..:..:..\\....\\] two\nplain\n"));
}

TEST_F(CharacterMuxTest, EscapeWorksWhileTheGuestReadsNothing) {
  console_.room = 0;
  terminal_->type("typed ahead\001x");
  EXPECT_EQ(quits_, 1);
  EXPECT_EQ(console_.input, "");
  console_.room = 100;
  console_port_.accept_input();
  EXPECT_EQ(console_.input, "typed ahead");
}

TEST_F(CharacterMuxTest, LongInputWaitsInTheBackEnd) {
  console_.room = 0;
  terminal_->type(std::string(1000, 'x'));
  EXPECT_EQ(terminal_->input_waiting(), 1000 - CharacterMux::kInputBuffer);
  console_.room = 2000;
  console_port_.accept_input();
  EXPECT_EQ(console_.input.size(), 1000u);
}

TEST_F(CharacterMuxTest, FocusCanBeGiven) {
  mux_.focus(monitor_port_);
  terminal_->type("info");
  EXPECT_EQ(monitor_.input, "info");
}

}  // namespace
}  // namespace calco::devices
