// The back ends against real pipes, terminals and sockets.
#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "devices/host/file_backend.h"
#include "devices/host/pipe_backend.h"
#include "devices/host/pty_backend.h"
#include "devices/host/ring_buffer_backend.h"
#include "devices/host/socket_backend.h"
#include "devices/host/stdio_backend.h"

namespace calco::devices {
namespace {

using namespace std::chrono_literals;

class RecordingFrontEnd final : public CharacterFrontEnd {
 public:
  size_t can_receive() override { return room; }
  void receive(std::span<const uint8_t> bytes) override {
    input.append(bytes.begin(), bytes.end());
    room -= bytes.size();
  }
  void backend_event(CharacterEvent event) override { events.push_back(event); }
  void writable() override { ++writable_calls; }

  size_t room = 1000;
  std::string input;
  std::vector<CharacterEvent> events;
  int writable_calls = 0;
};

class CharacterBackendTest : public ::testing::Test {
 protected:
  CharacterBackendTest() { loop_.start(); }

  // Looks at the condition under the device lock until it holds or a bound is over.
  bool eventually(const std::function<bool()>& condition) {
    const auto end = std::chrono::steady_clock::now() + 5s;
    while (std::chrono::steady_clock::now() < end) {
      {
        std::lock_guard lock(device_lock_);
        if (condition()) return true;
      }
      std::this_thread::sleep_for(1ms);
    }
    return false;
  }
  size_t send(CharacterBackend& backend, std::string_view text) {
    std::lock_guard lock(device_lock_);
    return backend.write({reinterpret_cast<const uint8_t*>(text.data()), text.size()});
  }
  void connect(CharacterBackend& backend) {
    std::lock_guard lock(device_lock_);
    backend.set_front_end(&front_end_);
  }
  static std::string read_exactly(int descriptor, size_t size) {
    std::string text(size, '\0');
    size_t have = 0;
    while (have < size) {
      const ssize_t count = ::read(descriptor, text.data() + have, size - have);
      if (count <= 0) break;
      have += static_cast<size_t>(count);
    }
    text.resize(have);
    return text;
  }
  static std::string temporary_path(const char* name) {
    return (std::filesystem::temp_directory_path() / (std::to_string(::getpid()) + name)).string();
  }
  static std::string content(const std::string& path) {
    std::stringstream text;
    text << std::ifstream(path).rdbuf();
    return text.str();
  }

  std::vector<CharacterEvent> events() {
    std::lock_guard lock(device_lock_);
    return front_end_.events;
  }

  std::recursive_mutex device_lock_;
  EventLoop loop_{device_lock_};
  RecordingFrontEnd front_end_;
};

struct Pipe {
  Pipe() {
    std::array<int, 2> ends{};
    EXPECT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
    read_end.reset(ends[0]);
    write_end.reset(ends[1]);
  }
  FileDescriptor read_end;
  FileDescriptor write_end;
};

TEST_F(CharacterBackendTest, PipesCarryBothDirections) {
  Pipe input;
  Pipe output;
  StdioBackend backend(loop_, false, input.read_end.get(), output.write_end.get());
  connect(backend);
  ASSERT_EQ(::write(input.write_end.get(), "hello", 5), 5);
  EXPECT_TRUE(eventually([&] { return front_end_.input == "hello"; }));
  EXPECT_EQ(send(backend, "world"), 5u);
  EXPECT_EQ(read_exactly(output.read_end.get(), 5), "world");
}

TEST_F(CharacterBackendTest, InputWaitsUntilTheFrontEndHasRoom) {
  Pipe input;
  Pipe output;
  StdioBackend backend(loop_, false, input.read_end.get(), output.write_end.get());
  front_end_.room = 3;
  connect(backend);
  ASSERT_EQ(::write(input.write_end.get(), "abcdef", 6), 6);
  EXPECT_TRUE(eventually([&] { return front_end_.input == "abc"; }));
  std::this_thread::sleep_for(10ms);
  {
    std::lock_guard lock(device_lock_);
    EXPECT_EQ(front_end_.input, "abc");
    front_end_.room = 10;
    backend.accept_input();
  }
  EXPECT_TRUE(eventually([&] { return front_end_.input == "abcdef"; }));
}

TEST_F(CharacterBackendTest, FullHostHoldsTheFrontEndBackAndLetsItGoOn) {
  Pipe input;
  Pipe output;
  StdioBackend backend(loop_, false, input.read_end.get(), output.write_end.get());
  connect(backend);
  const std::string piece(1000, 'x');
  size_t accepted = 0;
  EXPECT_TRUE(eventually([&] {
    const size_t count = send(backend, piece);
    accepted += count;
    return count < piece.size() && accepted > 64 * 1024;  // the pipe holds that much
  }));
  EXPECT_TRUE(eventually([&] { return front_end_.writable_calls == 0; }));
  EXPECT_EQ(read_exactly(output.read_end.get(), accepted).size(), accepted);
  EXPECT_TRUE(eventually([&] { return front_end_.writable_calls == 1; }));
}

TEST_F(CharacterBackendTest, BlockingModeComesBackAtTheEnd) {
  Pipe input;
  Pipe output;
  {
    StdioBackend backend(loop_, false, input.read_end.get(), output.write_end.get());
  }
  EXPECT_EQ(fcntl(output.write_end.get(), F_GETFL) & O_NONBLOCK, 0);
  EXPECT_EQ(fcntl(input.read_end.get(), F_GETFL) & O_NONBLOCK, 0);
}

TEST_F(CharacterBackendTest, EmptyInputFileIsNoTrouble) {
  const FileDescriptor nothing(::open("/dev/null", O_RDWR | O_CLOEXEC));
  StdioBackend backend(loop_, false, nothing.get(), nothing.get());
  connect(backend);
  EXPECT_EQ(send(backend, "lost"), 4u);
}

TEST_F(CharacterBackendTest, FileHasAllOutputAtTheEnd) {
  const std::string path = temporary_path("-serial.log");
  {
    FileBackend backend(loop_, path, false);
    send(backend, "one");
  }
  {
    FileBackend backend(loop_, path, true);
    send(backend, "two");
  }
  EXPECT_EQ(content(path), "onetwo");
  {
    FileBackend backend(loop_, path, false);
  }
  EXPECT_EQ(content(path), "");
  std::filesystem::remove(path);
}

TEST_F(CharacterBackendTest, FileThatCannotBeMadeIsAnError) {
  EXPECT_THROW(FileBackend(loop_, "/nonexistent/serial.log", false), std::system_error);
}

TEST_F(CharacterBackendTest, NamedPipesComeAsAPair) {
  const std::string path = temporary_path("-pipe");
  EXPECT_THROW(PipeBackend(loop_, path), std::system_error);
  ASSERT_EQ(::mkfifo((path + ".in").c_str(), 0600), 0);
  ASSERT_EQ(::mkfifo((path + ".out").c_str(), 0600), 0);
  PipeBackend backend(loop_, path);
  connect(backend);
  const FileDescriptor input(::open((path + ".in").c_str(), O_WRONLY | O_CLOEXEC));
  const FileDescriptor output(::open((path + ".out").c_str(), O_RDONLY | O_CLOEXEC));
  ASSERT_EQ(::write(input.get(), "in", 2), 2);
  EXPECT_TRUE(eventually([&] { return front_end_.input == "in"; }));
  send(backend, "out");
  EXPECT_EQ(read_exactly(output.get(), 3), "out");
  std::filesystem::remove(path + ".in");
  std::filesystem::remove(path + ".out");
}

TEST_F(CharacterBackendTest, RingBufferKeepsTheNewestOutput) {
  RingBufferBackend backend(8);
  send(backend, "0123456789");
  EXPECT_EQ(backend.take_output(), "23456789");
  EXPECT_EQ(backend.take_output(), "");
}

TEST_F(CharacterBackendTest, PtyConnectsWhenItIsOpened) {
  ::testing::internal::CaptureStdout();
  PtyBackend backend(loop_, "serial0");
  EXPECT_EQ(::testing::internal::GetCapturedStdout(),
            "char device redirected to " + backend.path() + " (label serial0)\n");
  connect(backend);
  EXPECT_EQ(send(backend, "lost"), 4u);
  FileDescriptor peer(::open(backend.path().c_str(), O_RDWR | O_NOCTTY | O_CLOEXEC));
  ASSERT_TRUE(peer.valid());
  EXPECT_TRUE(eventually([&] { return front_end_.events == std::vector{CharacterEvent::Opened}; }));
  send(backend, "hello");
  EXPECT_EQ(read_exactly(peer.get(), 5), "hello");
  ASSERT_EQ(::write(peer.get(), "typed", 5), 5);
  EXPECT_TRUE(eventually([&] { return front_end_.input == "typed"; }));
  peer.reset();
  EXPECT_TRUE(eventually([&] { return front_end_.events.back() == CharacterEvent::Closed; }));
}

class TerminalTest : public CharacterBackendTest {
 protected:
  TerminalTest() : master_(posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC)) {
    grantpt(master_.get());
    unlockpt(master_.get());
    terminal_.reset(::open(ptsname(master_.get()), O_RDWR | O_NOCTTY | O_CLOEXEC));
  }
  tcflag_t local_modes() const {
    termios mode{};
    EXPECT_EQ(tcgetattr(terminal_.get(), &mode), 0);
    return mode.c_lflag;
  }

  FileDescriptor master_;
  FileDescriptor terminal_;
};

TEST_F(TerminalTest, TerminalIsRawWhileInUseAndAsBeforeAfterwards) {
  const tcflag_t before = local_modes();
  {
    StdioBackend backend(loop_, true, terminal_.get(), terminal_.get());
    EXPECT_EQ(local_modes() & (ECHO | ICANON), 0u);
    EXPECT_NE(local_modes() & ISIG, 0u);
  }
  EXPECT_EQ(local_modes(), before);
}

TEST_F(TerminalTest, WithoutSignalsControlCIsInput) {
  StdioBackend backend(loop_, false, terminal_.get(), terminal_.get());
  EXPECT_EQ(local_modes() & ISIG, 0u);
}

TEST_F(TerminalTest, TerminalIsRestoredAfterSigkill) {
  const tcflag_t before = local_modes();
  Pipe ready;
  const pid_t victim = fork();
  if (victim == 0) {
    TerminalMode mode(terminal_.get(), false);
    (void)!::write(ready.write_end.get(), "r", 1);
    pause();
    _exit(0);
  }
  ASSERT_EQ(read_exactly(ready.read_end.get(), 1), "r");
  EXPECT_NE(local_modes(), before);
  ::kill(victim, SIGKILL);
  waitpid(victim, nullptr, 0);
  EXPECT_TRUE(eventually([&] { return local_modes() == before; }));
}

class SocketTest : public CharacterBackendTest {
 protected:
  static SocketOptions unix_server(const std::string& path) {
    SocketOptions options;
    options.address = {.unix_domain = true, .path = path, .host = "", .port = ""};
    options.server = true;
    options.wait = false;
    return options;
  }
  static FileDescriptor connect_unix(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof(address.sun_path) - 1);
    FileDescriptor client(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    EXPECT_EQ(::connect(client.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
    return client;
  }

  std::string path_ = temporary_path("-console.sock");
};

TEST_F(SocketTest, UnixServerTakesOneClientAfterTheOther) {
  SocketBackend backend(loop_, unix_server(path_));
  connect(backend);
  EXPECT_EQ(send(backend, "nobody hears this"), 17u);
  FileDescriptor first = connect_unix(path_);
  EXPECT_TRUE(eventually([&] { return backend.connected(); }));
  send(backend, "one");
  EXPECT_EQ(read_exactly(first.get(), 3), "one");
  first.reset();
  EXPECT_TRUE(eventually([&] { return !backend.connected(); }));
  const FileDescriptor second = connect_unix(path_);
  EXPECT_TRUE(eventually([&] { return backend.connected(); }));
  ASSERT_EQ(::write(second.get(), "two", 3), 3);
  EXPECT_TRUE(eventually([&] { return front_end_.input == "two"; }));
  using enum CharacterEvent;
  EXPECT_EQ(events(), (std::vector{Opened, Closed, Opened}));
}

TEST_F(SocketTest, UnixSocketIsRemovedAtTheEnd) {
  {
    SocketBackend backend(loop_, unix_server(path_));
  }
  EXPECT_FALSE(std::filesystem::exists(path_));
}

TEST_F(SocketTest, ClientTalksToServerOverTcp) {
  SocketOptions options;
  options.address = {.unix_domain = false, .path = "", .host = "127.0.0.1", .port = "0"};
  options.server = true;
  options.wait = false;
  SocketBackend server(loop_, options);
  options.server = false;
  options.no_delay = true;
  options.address.port = std::to_string(server.local_port());
  SocketBackend client(loop_, options);
  connect(client);
  EXPECT_TRUE(eventually([&] { return server.connected(); }));
  send(server, "over tcp");
  EXPECT_TRUE(eventually([&] { return front_end_.input == "over tcp"; }));
}

TEST_F(SocketTest, ClientWithoutServerIsAnErrorUnlessItMayTryAgain) {
  SocketOptions options = unix_server(path_);
  options.server = false;
  EXPECT_THROW(SocketBackend(loop_, options), std::runtime_error);
  options.reconnect_seconds = 1;
  SocketBackend client(loop_, options);
  EXPECT_FALSE(client.connected());
  SocketBackend server(loop_, unix_server(path_));
  EXPECT_TRUE(eventually([&] { return client.connected(); }));
}

TEST_F(SocketTest, PathTooLongIsAnError) {
  EXPECT_THROW(SocketBackend(loop_, unix_server(std::string(200, 'x'))), std::runtime_error);
}

TEST_F(SocketTest, ClientThatStopsReadingAndLeavesFreesTheFrontEnd) {
  SocketBackend backend(loop_, unix_server(path_));
  connect(backend);
  FileDescriptor client = connect_unix(path_);
  EXPECT_TRUE(eventually([&] { return backend.connected(); }));
  const std::string piece(4096, 'x');
  EXPECT_TRUE(eventually([&] { return send(backend, piece) < piece.size() && send(backend, piece) == 0; }));
  client.reset();
  EXPECT_TRUE(eventually([&] { return front_end_.writable_calls > 0 && !backend.connected(); }));
}

TEST_F(SocketTest, ClientThatLeavesIsNoticedWhileTheFrontEndHasNoRoom) {
  SocketBackend backend(loop_, unix_server(path_));
  connect(backend);
  front_end_.room = 3;
  FileDescriptor client = connect_unix(path_);
  ASSERT_EQ(::write(client.get(), "one", 3), 3);
  EXPECT_TRUE(eventually([&] { return front_end_.input == "one" && front_end_.room == 0; }));
  client.reset();
  EXPECT_TRUE(eventually([&] { return !backend.connected(); }));
}

TEST_F(SocketTest, WhatAClientSentBeforeItLeftIsStillTaken) {
  SocketBackend backend(loop_, unix_server(path_));
  connect(backend);
  front_end_.room = 3;
  FileDescriptor client = connect_unix(path_);
  ASSERT_EQ(::write(client.get(), "onetwo", 6), 6);
  client.reset();
  EXPECT_TRUE(eventually([&] { return front_end_.input == "one"; }));
  std::this_thread::sleep_for(20ms);
  {
    std::lock_guard lock(device_lock_);
    EXPECT_TRUE(backend.connected());
    front_end_.room = 10;
    backend.accept_input();
  }
  EXPECT_TRUE(eventually([&] { return front_end_.input == "onetwo" && !backend.connected(); }));
}

}  // namespace
}  // namespace calco::devices
