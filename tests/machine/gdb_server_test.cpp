#include "machine/debugger/gdb_server.h"

#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <vector>

#include "machine/debugger/gdb_registers.h"
#include "tests/cpu/cpu_fixture.h"

namespace calco::machine {
namespace {

// gdb's end of the line.
class Client final : public devices::CharacterBackend {
 public:
  size_t write(std::span<const uint8_t> bytes) override {
    received.append(bytes.begin(), bytes.end());
    return bytes.size();
  }
  bool connected() const override { return false; }
  std::string description() const override { return "test"; }

  void event(devices::CharacterEvent event) { front_end_->backend_event(event); }
  void type(std::string_view text) {
    front_end_->receive({reinterpret_cast<const uint8_t*>(text.data()), text.size()});
  }
  bool takes_input() { return front_end_->can_receive() != 0; }

  std::string received;
};

// A stub with one processor that stands still, and a client.
class GdbServerTest : public ::testing::Test {
 protected:
  GdbServerTest()
      : server_(client_, {.processors = {fixture_.cpu.get()},
                          .pause = [this] { ++pauses_; },
                          .resume = [this](std::vector<ResumeAction> actions) { resumed_ = std::move(actions); },
                          .exit = [this](int status) { exit_ = status; }}) {
    fixture_.enter_64_bit_mode();
  }

  void connect(bool was_running = false) {
    client_.event(devices::CharacterEvent::Opened);
    server_.machine_stopped(was_running);
  }
  // The data of the answer.
  std::string ask(std::string_view packet) {
    client_.received.clear();
    client_.type(frame_gdb_packet(packet));
    const std::string& all = client_.received;
    if (all.size() < 5) return all;
    EXPECT_EQ(all.substr(0, 2), "+$");
    return all.substr(2, all.size() - 5);
  }

  cpu::CpuFixture fixture_;
  Client client_;
  unsigned pauses_ = 0;
  std::optional<std::vector<ResumeAction>> resumed_;
  std::optional<int> exit_;
  GdbServer server_;
};

TEST_F(GdbServerTest, ClientThatConnectsStopsTheMachineBeforeItIsHeard) {
  client_.event(devices::CharacterEvent::Opened);
  EXPECT_EQ(pauses_, 1u);
  EXPECT_FALSE(client_.takes_input());
  server_.machine_stopped(true);
  EXPECT_TRUE(client_.takes_input());
  EXPECT_EQ(ask("?"), "T05thread:1;");
}

TEST_F(GdbServerTest, UnknownPacketsGetTheEmptyAnswer) {
  connect();
  EXPECT_EQ(ask("vMustReplyEmpty"), "");
  EXPECT_EQ(ask("qNoSuchThing"), "");
  EXPECT_EQ(ask("~"), "");
}

TEST_F(GdbServerTest, MalformedPacketsGetErrors) {
  connect();
  for (const std::string_view packet : {"m",
                                        "m10",
                                        "mx,y",
                                        "M10,2:zz",
                                        "M10,2:00",
                                        "X0,1:",
                                        "Z0",
                                        "Z0,10",
                                        "G0",
                                        "P0",
                                        "P0=1",
                                        "pfff",
                                        "H",
                                        "Hg9",
                                        "T7",
                                        "vCont;x",
                                        "vCont;c:9",
                                        "vCont;",
                                        "qXfer:features:read:target.xml:0",
                                        "qRcmd,0"}) {
    EXPECT_EQ(ask(packet).substr(0, 1), "E") << packet;
  }
  EXPECT_FALSE(resumed_);
}

TEST_F(GdbServerTest, BrokenPacketIsAskedForAgainUntilAcknowledgementsAreOff) {
  connect();
  client_.type("$g#00");
  EXPECT_EQ(client_.received, "-");
  EXPECT_EQ(ask("QStartNoAckMode"), "OK");
  client_.received.clear();
  client_.type("$qC#b4");
  EXPECT_EQ(client_.received, "$QC1#c5");
}

TEST_F(GdbServerTest, LastPacketIsRepeatedForAMinus) {
  connect();
  ask("qC");
  client_.received.clear();
  client_.type("-");
  EXPECT_EQ(client_.received, "$QC1#c5");
}

TEST_F(GdbServerTest, RegistersAreReadAndWritten) {
  connect();
  fixture_.cpu->registers[cpu::kRbx] = 0x1122334455667788;
  EXPECT_EQ(ask("p1"), "8877665544332211");
  EXPECT_EQ(ask("P0=0100000000000000"), "OK");
  EXPECT_EQ(fixture_.cpu->registers[cpu::kRax], 1u);
  const std::string all = ask("g");
  EXPECT_EQ(ask("G" + all), "OK");
  EXPECT_EQ(ask("g"), all);
}

TEST_F(GdbServerTest, SelectorsAndControlRegistersStay) {
  connect();
  const std::string selector = ask("p12");
  EXPECT_EQ(ask("P12=" + selector), "OK");
  EXPECT_EQ(ask("P12=ff0f0000"), "E22");
  EXPECT_EQ(ask("p12"), selector);
}

TEST_F(GdbServerTest, DescriptionNamesAsManyRegistersAsThereAre) {
  const std::string text = gdb_target_description();
  unsigned registers = 0;
  for (size_t at = text.find("<reg "); at != std::string::npos; at = text.find("<reg ", at + 1)) ++registers;
  EXPECT_EQ(registers, gdb_register_count());
}

TEST_F(GdbServerTest, DescriptionIsSentInPieces) {
  connect();
  EXPECT_EQ(ask("qXfer:features:read:target.xml:0,10"), "m" + gdb_target_description().substr(0, 16));
  EXPECT_EQ(ask("qXfer:features:read:target.xml:fffff,10"), "E01");
  EXPECT_EQ(ask("qXfer:features:read:other.xml:0,10"), "E00");
}

TEST_F(GdbServerTest, MemoryIsReadAndWrittenByLinearAddress) {
  connect();
  EXPECT_EQ(ask("M302000,3:a1b2c3"), "OK");
  EXPECT_EQ(ask("m302000,3"), "a1b2c3");
  EXPECT_EQ(ask("X302001,1:#"), "OK");
  EXPECT_EQ(ask("m302000,3"), "a123c3");
  EXPECT_EQ(ask("m7000000000000000,4"), "E14");
  EXPECT_EQ(ask("M7000000000000000,1:00"), "E14");
}

TEST_F(GdbServerTest, BreakpointStopsTheProcessorInFrontOfItsInstruction) {
  // nop; nop; inc rax; jmp to the first.
  fixture_.load_code({0x90, 0x90, 0x48, 0xFF, 0xC0, 0xEB, 0xF9});
  const uint64_t code = fixture_.cpu->registers[cpu::kRip];
  connect();
  EXPECT_EQ(ask(fmt::format("Z0,{:x},1", code + 2)), "OK");
  EXPECT_EQ(ask("vCont;c"), "+");
  ASSERT_EQ(resumed_, std::vector{ResumeAction::Run});
  ASSERT_EQ(fixture_.cpu->run(), cpu::RunExit::Debugger);
  EXPECT_EQ(fixture_.cpu->registers[cpu::kRip], code + 2);
  client_.received.clear();
  server_.machine_stopped(true);
  EXPECT_EQ(client_.received, frame_gdb_packet("T05thread:1;swbreak:;"));
}

TEST_F(GdbServerTest, WatchpointStopsBehindTheInstructionThatWrote) {
  // nop; inc qword [0x302000]; nop; jmp to itself.
  fixture_.load_code({0x90, 0x48, 0xFF, 0x04, 0x25, 0x00, 0x20, 0x30, 0x00, 0x90, 0xEB, 0xFE});
  const uint64_t code = fixture_.cpu->registers[cpu::kRip];
  connect();
  EXPECT_EQ(ask("Z2,302004,2"), "OK");
  ask("c");
  ASSERT_EQ(fixture_.cpu->run(), cpu::RunExit::Debugger);
  EXPECT_EQ(fixture_.cpu->registers[cpu::kRip], code + 9);
  client_.received.clear();
  server_.machine_stopped(true);
  EXPECT_EQ(client_.received, frame_gdb_packet("T05thread:1;watch:302004;"));
}

TEST_F(GdbServerTest, StepTakesNoInterrupt) {
  fixture_.load_code({0x90, 0x90});
  const uint64_t code = fixture_.cpu->registers[cpu::kRip];
  fixture_.cpu->raise_nmi();
  EXPECT_EQ(fixture_.cpu->step_for_debugger(), cpu::RunExit::Debugger);
  EXPECT_EQ(fixture_.cpu->registers[cpu::kRip], code + 1);
}

TEST_F(GdbServerTest, ControlCStopsARunningMachine) {
  connect();
  ask("c");
  client_.received.clear();
  client_.type("\x03");
  EXPECT_EQ(pauses_, 2u);
  server_.machine_stopped(true);
  EXPECT_EQ(client_.received, frame_gdb_packet("T02thread:1;"));
}

TEST_F(GdbServerTest, DetachLetsTheGuestGoOnWithoutBreakpoints) {
  connect();
  ask("Z0,1000,1");
  EXPECT_EQ(ask("D"), "OK");
  EXPECT_EQ(resumed_, std::vector{ResumeAction::Run});
  EXPECT_TRUE(fixture_.cpu->debugger_stops().breakpoints.empty());
}

TEST_F(GdbServerTest, GuestThatRanGoesOnWhenTheClientVanishes) {
  connect(true);
  ask("Z0,1000,1");
  client_.event(devices::CharacterEvent::Closed);
  EXPECT_EQ(resumed_, std::vector{ResumeAction::Run});
  EXPECT_TRUE(fixture_.cpu->debugger_stops().breakpoints.empty());
}

TEST_F(GdbServerTest, GuestThatNeverRanStaysWhenTheClientVanishes) {
  connect(false);
  client_.event(devices::CharacterEvent::Closed);
  EXPECT_FALSE(resumed_);
}

TEST_F(GdbServerTest, ClientThatVanishesWhileTheGuestRunsTakesItsBreakpointsAlong) {
  connect();
  ask("Z0,1000,1");
  ask("c");
  resumed_.reset();
  client_.event(devices::CharacterEvent::Closed);
  EXPECT_EQ(pauses_, 2u);
  server_.machine_stopped(true);
  EXPECT_EQ(resumed_, std::vector{ResumeAction::Run});
  EXPECT_TRUE(fixture_.cpu->debugger_stops().breakpoints.empty());
}

TEST_F(GdbServerTest, KillEndsCalco) {
  connect();
  ask("k");
  EXPECT_EQ(exit_, 0);
}

}  // namespace
}  // namespace calco::machine
