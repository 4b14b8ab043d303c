// Core dumps as programs ask for them; the order of events is QEMU 7.2's.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "machine/monitor/monitor_error.h"
#include "machine/monitor/output_file.h"
#include "tests/machine/named_pipe.h"
#include "tests/machine/qmp_fixture.h"

namespace calco::machine {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr int kRam = 2 << 20;  // bytes

class CoreDumpTest : public QmpTest {
 protected:
  void SetUp() override { start_negotiated({"-monitor", "unix:" + monitor_path_ + ",server=on,wait=off"}); }

  Json arguments(const std::string& path, bool detach) {
    return {{"paging", false}, {"protocol", "file:" + path}, {"detach", detach}};
  }
  // The answer, or "an event".
  std::string kind(const Json& message) {
    return message.contains("event") ? message["event"].get<std::string>() : message.begin().key();
  }
  std::string refusal(const Json& answer) { return answer["error"]["desc"]; }

  const std::string monitor_path_ = MonitoredMachine::path("dump-monitor");
  const std::string path_ = MonitoredMachine::path("dumped");
  NamedPipe pipe_{MonitoredMachine::path("dump-pipe")};
};

TEST_F(CoreDumpTest, AnswersWhenTheFileIsWrittenAndTheGuestGoesOn) {
  const Json stop = execute("dump-guest-memory", arguments(path_, false));
  const Json completed = receive(), resume = receive(), answer = receive();
  EXPECT_THAT((std::vector{kind(stop), kind(completed), kind(resume), kind(answer)}),
              ElementsAre("STOP", "DUMP_COMPLETED", "RESUME", "return"));
  EXPECT_EQ(completed["data"]["result"]["status"], "completed");
  EXPECT_GE(completed["data"]["result"]["total"], kRam - (1 << 20));
  EXPECT_EQ(completed["data"]["result"]["completed"], completed["data"]["result"]["total"]);
  EXPECT_EQ(execute("query-dump")["return"], completed["data"]["result"]);
  EXPECT_EQ(execute("query-status")["return"]["status"], "running");
  EXPECT_EQ(unlink(path_.c_str()), 0);
}

TEST_F(CoreDumpTest, DetachedAnswersAtOnceAndRefusesStopAndContUntilItIsDone) {
  const std::string wait = "There is a dump in process, please wait.";
  EXPECT_EQ(kind(execute("dump-guest-memory", arguments(pipe_.path(), true))), "STOP");
  EXPECT_EQ(receive()["return"], Json::object());
  EXPECT_EQ(execute("query-dump")["return"]["status"], "active");
  EXPECT_EQ(execute("query-status")["return"]["status"], "save-vm");
  EXPECT_EQ(refusal(execute("stop")), wait);
  EXPECT_EQ(refusal(execute("cont")), wait);
  EXPECT_EQ(refusal(execute("dump-guest-memory", arguments(path_, true))), wait);
  pipe_.drain();
  EXPECT_EQ(kind(receive()), "DUMP_COMPLETED");
  EXPECT_EQ(kind(receive()), "RESUME");
  EXPECT_EQ(execute("query-dump")["return"]["status"], "completed");
}

TEST_F(CoreDumpTest, StoppedGuestStaysStopped) {
  EXPECT_EQ(kind(execute("stop")), "STOP");
  EXPECT_EQ(kind(receive()), "return");
  EXPECT_EQ(kind(execute("dump-guest-memory", arguments(path_, false))), "DUMP_COMPLETED");
  EXPECT_EQ(kind(receive()), "return");
  EXPECT_EQ(execute("query-status")["return"]["status"], "paused");
  unlink(path_.c_str());
}

TEST_F(CoreDumpTest, DetachedThatFailsTellsWhy) {
  execute("dump-guest-memory", arguments("/dev/full", true));
  EXPECT_EQ(receive()["return"], Json::object());
  const Json completed = receive();
  EXPECT_EQ(completed["data"]["result"]["status"], "failed");
  EXPECT_THAT(completed["data"]["error"].get<std::string>(), HasSubstr("No space left on device"));
  EXPECT_EQ(kind(receive()), "RESUME");
}

TEST_F(CoreDumpTest, PipeThatNobodyReadsDoesNotHoldQuit) {
  send({{"execute", "dump-guest-memory"}, {"arguments", arguments(pipe_.path(), false)}});
  EXPECT_EQ(kind(receive()), "STOP");
  SocketClient other(monitor_path_);
  other.receive_until("(calco) ");
  other.send("quit\n");
  EXPECT_TRUE(machine_->ended());
}

TEST_F(CoreDumpTest, PipeWhoseReaderWaitsDoesNotHoldQuit) {
  const int reader = ::open(pipe_.path().c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  EXPECT_EQ(kind(execute("dump-guest-memory", arguments(pipe_.path(), true))), "STOP");
  EXPECT_EQ(kind(receive()), "return");
  send({{"execute", "quit"}});
  EXPECT_TRUE(machine_->ended());
  machine_.reset();
  close(reader);
}

TEST_F(CoreDumpTest, FileThatIsBrokenOffGoesAway) {
  const std::string path = MonitoredMachine::path("broken-off");
  {
    OutputFile file(path);
    file.write("core", 4);
    EXPECT_EQ(access(path.c_str(), F_OK), 0);
    file.cancel();
    EXPECT_THROW(file.write("core", 4), MonitorError);
  }
  EXPECT_NE(access(path.c_str(), F_OK), 0);
}

TEST_F(CoreDumpTest, ResetMeanwhileLetsTheGuestBeginAfterIt) {
  execute("dump-guest-memory", arguments(pipe_.path(), true));
  EXPECT_EQ(kind(receive()), "return");
  EXPECT_EQ(kind(execute("system_reset")), "return");
  EXPECT_EQ(kind(receive()), "RESET");
  EXPECT_EQ(execute("query-status")["return"]["status"], "save-vm");
  pipe_.drain();
  EXPECT_EQ(kind(receive()), "DUMP_COMPLETED");
  EXPECT_EQ(kind(receive()), "RESUME");
}

TEST_F(CoreDumpTest, DebuggerThatStopsTheGuestMeanwhileKeepsIt) {
  execute("dump-guest-memory", arguments(pipe_.path(), true));
  EXPECT_EQ(kind(receive()), "return");
  machine_->machine().request_pause();
  pipe_.drain();
  EXPECT_EQ(kind(receive()), "DUMP_COMPLETED");
  EXPECT_EQ(execute("query-status")["return"]["status"], "paused");
}

TEST_F(CoreDumpTest, DebuggerThatGoesOnMeanwhileWaitsForTheEnd) {
  EXPECT_EQ(kind(execute("stop")), "STOP");
  EXPECT_EQ(kind(receive()), "return");
  EXPECT_EQ(kind(execute("dump-guest-memory", arguments(pipe_.path(), true))), "return");
  machine_->machine().request_resume({ResumeAction::Run});
  EXPECT_EQ(execute("query-status")["return"]["status"], "paused");
  pipe_.drain();
  EXPECT_EQ(kind(receive()), "DUMP_COMPLETED");
  EXPECT_EQ(kind(receive()), "RESUME");
}

TEST_F(CoreDumpTest, ClientThatLeavesMeanwhileMakesRoomForTheNext) {
  send({{"execute", "dump-guest-memory"}, {"arguments", arguments(pipe_.path(), false)}});
  EXPECT_EQ(kind(receive()), "STOP");
  connect();
  negotiate();
  pipe_.drain();
  send({{"execute", "query-dump"}});
  EXPECT_EQ(receive_answer()["return"]["status"], "completed");
}

TEST_F(CoreDumpTest, AnotherFormatThanElfIsRefusedAndNotListed) {
  Json kdump = arguments(path_, false);
  kdump["format"] = "kdump-zlib";
  EXPECT_EQ(refusal(execute("dump-guest-memory", kdump)),
            "kdump-zlib is not available; makedumpfile makes it of an elf core");
  kdump["format"] = "elf64";
  EXPECT_EQ(refusal(execute("dump-guest-memory", kdump)), "Parameter 'format' does not accept value 'elf64'");
  EXPECT_EQ(execute("query-dump-guest-memory-capability")["return"]["formats"], Json::array({"elf"}));
}

TEST_F(CoreDumpTest, HumanCommandWaitsForItToo) {
  const Json stop =
      execute("human-monitor-command", {{"command-line", "dump-guest-memory " + path_ + " 0x1000 0x1000"}});
  EXPECT_EQ(kind(stop), "STOP");
  EXPECT_EQ(receive()["data"]["result"]["total"], 0x1000);
  EXPECT_EQ(kind(receive()), "RESUME");
  EXPECT_EQ(receive()["return"], "");
  EXPECT_EQ(unlink(path_.c_str()), 0);
}

}  // namespace
}  // namespace calco::machine
