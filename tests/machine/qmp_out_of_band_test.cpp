// QMP's out-of-band commands (QEMU's docs/interop/qmp-spec, 2.3.1) while a command takes its time.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/machine/named_pipe.h"
#include "tests/machine/qmp_fixture.h"

namespace calco::machine {
namespace {

using std::chrono::milliseconds;
using ::testing::UnorderedElementsAre;

constexpr milliseconds kLongEnough{200};
constexpr int kMostWaiting = 8;

class QmpOutOfBandTest : public QmpTest {
 protected:
  void SetUp() override { start(); }
  void TearDown() override {
    pipe_.drain();
    machine_.reset();
  }

  // Takes until the pipe is drained.
  void send_slow_command() {
    send({{"execute", "dump-guest-memory"},
          {"arguments", {{"paging", false}, {"protocol", "file:" + pipe_.path()}}},
          {"id", "slow"}});
    EXPECT_EQ(receive()["event"], "STOP");
  }
  bool nothing_comes() { return client_->hears_nothing_for(kLongEnough); }

  NamedPipe pipe_{MonitoredMachine::path("pipe")};
};

TEST_F(QmpOutOfBandTest, OvertakesTheCommandThatIsBeingDone) {
  negotiate_out_of_band();
  send_slow_command();
  const Json answer = ask(R"({"exec-oob": "query-status", "id": {"a": [1]}})");
  EXPECT_EQ(answer["return"]["status"], "save-vm");
  EXPECT_EQ(answer["id"], Json::parse(R"({"a": [1]})"));
  EXPECT_TRUE(nothing_comes());
  pipe_.drain();
  EXPECT_EQ(receive_answer()["id"], "slow");
}

TEST_F(QmpOutOfBandTest, OvertakesCommandsThatWait) {
  negotiate_out_of_band();
  send_slow_command();
  send({{"execute", "query-name"}, {"id", 1}});
  EXPECT_EQ(ask(R"({"exec-oob": "query-version", "id": 2})")["id"], 2);
  pipe_.drain();
  EXPECT_EQ(receive_answer()["id"], "slow");
  EXPECT_EQ(receive()["id"], 1);
}

TEST_F(QmpOutOfBandTest, EightRequestsWaitThenNoneIsRead) {
  negotiate_out_of_band();
  send_slow_command();
  for (int id = 1; id < kMostWaiting; ++id) send({{"execute", "query-name"}, {"id", id}});
  EXPECT_EQ(ask(R"({"exec-oob": "query-name", "id": "read"})")["id"], "read");
  send({{"execute", "query-name"}, {"id", kMostWaiting}});
  send({{"exec-oob", "query-name"}, {"id", "unread"}});
  EXPECT_TRUE(nothing_comes());
  pipe_.drain();
  EXPECT_EQ(receive_answer()["id"], "slow");
  std::vector<Json> answered;
  for (int i = 0; i <= kMostWaiting; ++i) answered.push_back(receive()["id"]);
  EXPECT_THAT(answered, UnorderedElementsAre("unread", 1, 2, 3, 4, 5, 6, 7, 8));
}

TEST_F(QmpOutOfBandTest, MalformedInputIsAnsweredInItsTurn) {
  negotiate_out_of_band();
  send_slow_command();
  client_->send("nonsense\n{\"execute\": ]\n");
  EXPECT_TRUE(nothing_comes());
  EXPECT_EQ(ask(R"({"exec-oob": "query-status", "id": 1})")["id"], 1);
  pipe_.drain();
  EXPECT_EQ(receive_answer()["id"], "slow");
  EXPECT_EQ(error_class(receive()), "GenericError");
  EXPECT_EQ(error_class(receive()), "GenericError");
}

TEST_F(QmpOutOfBandTest, OneCommandAtATimeWithoutTheCapability) {
  negotiate();
  send_slow_command();
  send({{"execute", "query-name"}, {"id", 1}});
  EXPECT_TRUE(nothing_comes());
  pipe_.drain();
  EXPECT_EQ(receive_answer()["id"], "slow");
  EXPECT_EQ(receive()["id"], 1);
}

TEST_F(QmpOutOfBandTest, WhatWaitsForAClientThatLeavesIsNotDone) {
  negotiate_out_of_band();
  send_slow_command();
  send({{"execute", "stop"}});
  connect();
  negotiate_out_of_band();
  EXPECT_EQ(ask(R"({"exec-oob": "query-status"})")["return"]["status"], "save-vm");
  send({{"execute", "query-status"}, {"id", 1}});
  EXPECT_TRUE(nothing_comes());
  pipe_.drain();
  const Json answer = receive_answer();
  EXPECT_EQ(answer["id"], 1);
  EXPECT_EQ(answer["return"]["status"], "running");
}

TEST_F(QmpOutOfBandTest, NeedsItsCapability) {
  negotiate();
  const Json answer = ask(R"({"exec-oob": "query-status", "id": 1})");
  EXPECT_EQ(error_class(answer), "GenericError");
  EXPECT_EQ(answer["error"]["desc"], "QMP input member 'exec-oob' is unexpected");
  EXPECT_EQ(answer["id"], 1);
}

TEST_F(QmpOutOfBandTest, OnlyCommandsThatAllowItAreDone) {
  negotiate_out_of_band();
  const Json answer = ask(R"({"exec-oob": "stop", "id": 1})");
  EXPECT_EQ(error_class(answer), "GenericError");
  EXPECT_EQ(answer["error"]["desc"], "The command stop does not support OOB");
  EXPECT_EQ(answer["id"], 1);
  EXPECT_EQ(error_class(ask(R"({"exec-oob": "nonsense"})")), "CommandNotFound");
  EXPECT_EQ(error_class(ask(R"({"exec-oob": 1})")), "GenericError");
  EXPECT_EQ(error_class(ask(R"({"exec-oob": "query-status", "execute": "query-status"})")), "GenericError");
  EXPECT_EQ(error_class(ask(R"({"exec-oob": "query-status", "arguments": {"x": 1}})")), "GenericError");
  EXPECT_EQ(execute("query-status")["return"]["status"], "running");
}

}  // namespace
}  // namespace calco::machine
