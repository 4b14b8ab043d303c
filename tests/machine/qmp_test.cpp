// QMP: its framing, and whole machines on a Unix socket.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "machine/monitor/json_framer.h"
#include "tests/machine/qmp_fixture.h"

namespace calco::machine {
namespace {

using ::testing::ElementsAre;
using ::testing::IsSubsetOf;

// --- Framing ---------------------------------------------------------------------------------------------------------

// Messages as they are, mistakes as "!".
std::vector<std::string> frame(std::string_view bytes) {
  JsonFramer framer;
  std::vector<std::string> results;
  for (const char byte : bytes) {
    const JsonFramer::Result result = framer.take(static_cast<uint8_t>(byte));
    if (const auto* message = std::get_if<JsonFramer::Message>(&result)) results.push_back(message->text);
    if (std::holds_alternative<JsonFramer::Malformed>(result)) results.emplace_back("!");
  }
  return results;
}

TEST(JsonFramer, ObjectsNeedNoLineEnds) {
  EXPECT_THAT(frame(R"({"a":1}{"b":2} {})"), ElementsAre(R"({"a":1})", R"({"b":2})", "{}"));
}

TEST(JsonFramer, ObjectsMayBeSpreadOverLines) {
  EXPECT_THAT(frame("{\"a\":\n [1,\n 2]}\n"), ElementsAre("{\"a\":\n [1,\n 2]}"));
}

TEST(JsonFramer, BracketsInStringsAreText) {
  EXPECT_THAT(frame(R"({"a":"}\"{"}{})"), ElementsAre(R"({"a":"}\"{"})", "{}"));
}

TEST(JsonFramer, ScalarsEndWithTheLine) { EXPECT_THAT(frame("17\nnonsense\n"), ElementsAre("17", "nonsense")); }

TEST(JsonFramer, AMistakeCostsItsLineOnly) {
  EXPECT_THAT(frame("{\"a\":]} rest\n{}\n"), ElementsAre("!", "{}"));
  EXPECT_THAT(frame("{\"a\":\"open\n{}\n"), ElementsAre("!", "{}"));
  EXPECT_THAT(frame("{nonsense\n{}\n"), ElementsAre("!", "{}"));
  EXPECT_THAT(frame("{\"a\": 1e9999,\n{}\n"), ElementsAre("!", "{}"));
}

TEST(JsonFramer, AMegabyteWithoutALineEndIsOneMistake) {
  EXPECT_THAT(frame("{\"a\":\"" + std::string(3 << 20, 'x') + "\"}\n{}\n"), ElementsAre("!", "{}"));
}

TEST(JsonFramer, NestingHasALimit) { EXPECT_THAT(frame(std::string(2000, '[') + "\n{}\n"), ElementsAre("!", "{}")); }

// --- A whole machine -------------------------------------------------------------------------------------------------

TEST_F(QmpTest, GreetingHasVersionAndCapabilities) {
  start();
  EXPECT_TRUE(greeting_["QMP"]["version"]["qemu"]["major"].is_number());
  EXPECT_EQ(greeting_["QMP"]["capabilities"], Json::array({"oob"}));
}

TEST_F(QmpTest, NothingIsDoneBeforeNegotiation) {
  start();
  EXPECT_EQ(error_class(execute("query-status")), "CommandNotFound");
  negotiate();
  EXPECT_EQ(execute("query-status")["return"]["status"], "running");
  EXPECT_EQ(error_class(execute("qmp_capabilities")), "CommandNotFound");
}

TEST_F(QmpTest, UnknownCapabilitiesAreRefused) {
  start();
  EXPECT_EQ(error_class(execute("qmp_capabilities", {{"enable", {"magic"}}})), "GenericError");
}

TEST_F(QmpTest, IdsComeBackAsTheyAre) {
  start_negotiated();
  EXPECT_EQ(ask(R"({"execute": "query-name", "id": {"a": [1]}})")["id"], Json::parse(R"({"a": [1]})"));
  EXPECT_EQ(ask(R"({"execute": "nonsense", "id": "x"})")["id"], "x");
}

TEST_F(QmpTest, ErrorsHaveQemusClasses) {
  start_negotiated();
  EXPECT_EQ(error_class(execute("nonsense")), "CommandNotFound");
  EXPECT_EQ(error_class(execute("stop", {{"x", 1}})), "GenericError");
  EXPECT_EQ(error_class(execute("human-monitor-command")), "GenericError");
  EXPECT_EQ(error_class(execute("human-monitor-command", {{"command-line", 1}})), "GenericError");
  EXPECT_EQ(error_class(execute("dump-guest-memory", {{"paging", false}, {"protocol", "fd:x"}})), "GenericError");
  EXPECT_EQ(error_class(ask("[1]")), "GenericError");
  EXPECT_EQ(error_class(ask(R"({"arguments": {}})")), "GenericError");
  EXPECT_EQ(error_class(ask(R"({"execute": "stop", "extra": 1})")), "GenericError");
}

TEST_F(QmpTest, MalformedInputIsAnsweredAndTheNextLineUnderstood) {
  start_negotiated();
  EXPECT_EQ(error_class(ask("nonsense")), "GenericError");
  EXPECT_EQ(error_class(ask(R"({"execute": })")), "GenericError");
  EXPECT_EQ(error_class(ask(R"({"execute": 1e9999})")), "GenericError");
  EXPECT_EQ(error_class(ask("{\"execute\": \"\xFF\xFE\"}")), "GenericError");
  EXPECT_EQ(error_class(ask("{\"" + std::string(2 << 20, 'x'))), "GenericError");
  EXPECT_EQ(execute("query-status")["return"]["running"], true);
}

TEST_F(QmpTest, StopAndContSendEventsBeforeTheirAnswers) {
  start_negotiated();
  const Json stopped = execute("stop");
  EXPECT_EQ(stopped["event"], "STOP");
  EXPECT_TRUE(stopped["timestamp"]["seconds"].is_number());
  EXPECT_TRUE(stopped["timestamp"]["microseconds"].is_number());
  EXPECT_EQ(receive()["return"], Json::object());
  EXPECT_EQ(execute("query-status")["return"]["status"], "paused");
  EXPECT_EQ(execute("cont")["event"], "RESUME");
  EXPECT_EQ(receive()["return"], Json::object());
  EXPECT_EQ(execute("cont")["return"], Json::object());
}

TEST_F(QmpTest, ResetIsAnEventWithItsReason) {
  start_negotiated();
  EXPECT_EQ(execute("system_reset")["return"], Json::object());
  const Json event = receive();
  EXPECT_EQ(event["event"], "RESET");
  EXPECT_EQ(event["data"], Json::parse(R"({"guest": false, "reason": "host-qmp-system-reset"})"));
}

TEST_F(QmpTest, PowerButtonIsAnEvent) {
  start_negotiated();
  EXPECT_EQ(execute("system_powerdown")["event"], "POWERDOWN");
  EXPECT_EQ(receive()["return"], Json::object());
}

TEST_F(QmpTest, QuitAnswersAndEndsWithShutdown) {
  start_negotiated();
  EXPECT_EQ(execute("quit")["return"], Json::object());
  EXPECT_EQ(receive()["data"]["reason"], "host-qmp-quit");
  EXPECT_TRUE(machine_->ended());
}

TEST_F(QmpTest, PowerOffWithNoShutdownWaitsForAReset) {
  // mov dx,0xb004 would need the firmware's set-up of the PM base: 00:01.3's register 40H and its enable 80H first.
  // mov eax,0x80000b40; mov dx,0xcf8; out dx,eax; mov eax,0xb001; mov dx,0xcfc; out dx,eax; mov eax,0x80000b80;
  // mov dx,0xcf8; out dx,eax; mov al,1; mov dx,0xcfc; out dx,al; mov ax,0x2000; mov dx,0xb004; out dx,ax; hlt
  start({0x66, 0xB8, 0x40, 0x0B, 0x00, 0x80, 0xBA, 0xF8, 0x0C, 0x66, 0xEF, 0x66, 0xB8, 0x01, 0xB0, 0x00,
         0x00, 0xBA, 0xFC, 0x0C, 0x66, 0xEF, 0x66, 0xB8, 0x80, 0x0B, 0x00, 0x80, 0xBA, 0xF8, 0x0C, 0x66,
         0xEF, 0xB0, 0x01, 0xBA, 0xFC, 0x0C, 0xEE, 0xB8, 0x00, 0x20, 0xBA, 0x04, 0xB0, 0xEF, 0xF4},
        {"-no-shutdown", "-S"});
  negotiate();
  EXPECT_EQ(execute("cont")["event"], "RESUME");
  std::set<std::string> seen;
  for (int i = 0; i < 3; ++i) seen.insert(receive().value("event", "answer"));
  EXPECT_THAT((std::vector<std::string>{"SHUTDOWN", "STOP", "answer"}), IsSubsetOf(seen));
  EXPECT_EQ(execute("query-status")["return"]["status"], "shutdown");
  EXPECT_EQ(error_class(execute("cont")), "GenericError");
  EXPECT_EQ(execute("system_reset")["return"], Json::object());
  EXPECT_EQ(receive()["event"], "RESET");
  EXPECT_EQ(execute("query-status")["return"]["status"], "prelaunch");
}

TEST_F(QmpTest, QueriesDescribeTheMachine) {
  start_negotiated({"-smp", "2", "-name", "test"});
  EXPECT_EQ(execute("query-name")["return"]["name"], "test");
  const Json processors = execute("query-cpus-fast")["return"];
  ASSERT_EQ(processors.size(), 2u);
  EXPECT_EQ(processors[1]["cpu-index"], 1);
  EXPECT_GT(processors[1]["thread-id"], 0);
  EXPECT_EQ(execute("query-chardev")["return"][0]["label"], "compat_monitor0");
  EXPECT_EQ(execute("query-version")["return"], greeting_["QMP"]["version"]);
}

TEST_F(QmpTest, HumanCommandsGiveTheirText) {
  start_negotiated();
  EXPECT_EQ(execute("human-monitor-command", {{"command-line", "info status"}})["return"], "VM status: running\r\n");
  EXPECT_EQ(execute("human-monitor-command", {{"command-line", "nonsense"}})["return"],
            "unknown command: 'nonsense'\r\n");
  EXPECT_EQ(error_class(execute("human-monitor-command", {{"command-line", "help"}, {"cpu-index", 9}})),
            "GenericError");
}

TEST_F(QmpTest, KeysAreNamesOrNumbers) {
  start_negotiated();
  const Json keys = Json::parse(R"([{"type": "qcode", "data": "ctrl"}, {"type": "number", "data": 30}])");
  EXPECT_EQ(execute("send-key", {{"keys", keys}, {"hold-time", 10}})["return"], Json::object());
  const Json wrong = Json::parse(R"([{"type": "qcode", "data": "nokey"}])");
  EXPECT_EQ(error_class(execute("send-key", {{"keys", wrong}})), "GenericError");
  EXPECT_EQ(execute("inject-nmi")["return"], Json::object());
}

TEST_F(QmpTest, ClientsMayLeaveMidway) {
  start_negotiated();
  client_->send(R"({"execute": "human-monitor-command", "arguments": {"command-)");
  connect();
  negotiate();
  for (int i = 0; i < 20; ++i) client_->send("{\"execute\": \"query-qmp-schema\"}\n");
  connect();
  negotiate();
  EXPECT_EQ(execute("query-status")["return"]["running"], true);
}

TEST_F(QmpTest, TranslatorStatisticsAreForHumans) {
  start_negotiated({"-accel", "jit"});
  const std::string text = execute("x-query-jit")["return"]["human-readable-text"];
  EXPECT_EQ(text.find("translations "), 0u);
  execute("x-calco-set-accel", {{"engine", "interp"}});
  const Json answer = execute("x-query-jit");
  EXPECT_EQ(error_class(answer), "GenericError");
  EXPECT_EQ(answer["error"]["desc"], "JIT information is only available with accel=jit");
}

TEST_F(QmpTest, EngineIsExchanged) {
  start_negotiated({"-accel", "interp"});
  EXPECT_EQ(execute("x-calco-set-accel", {{"engine", "jit"}})["return"], Json::object());
  EXPECT_EQ(machine_->machine().engine().name(), "jit");
  EXPECT_EQ(error_class(execute("x-calco-set-accel", {{"engine", "nonsense"}})), "GenericError");
  EXPECT_EQ(error_class(execute("x-calco-set-accel", {{"engine", 1}})), "GenericError");
  EXPECT_EQ(error_class(execute("x-calco-set-accel")), "GenericError");
  EXPECT_EQ(machine_->machine().engine().name(), "jit");
  EXPECT_EQ(execute("query-status")["return"]["running"], true);
}

}  // namespace
}  // namespace calco::machine
