// A machine that runs on a thread of its own, and clients of its monitors.
#pragma once

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <chrono>
#include <cstring>
#include <fstream>
#include <future>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "machine/machine.h"
#include "machine/options/command_line.h"
#include "machine/pc/preparation.h"

namespace calco::machine {

// Runs `code` at F000:0000 in a PC of 2 MiB; ends with the object.
class MonitoredMachine {
 public:
  MonitoredMachine(std::initializer_list<uint8_t> code, std::vector<std::string> options) {
    const std::string bios = path("firmware");
    std::vector<uint8_t> image(64 << 10, 0xF4);
    std::copy(code.begin(), code.end(), image.begin());
    constexpr uint8_t kJump[] = {0xE9, 0x0D, 0x00};  // from F000:FFF0 to F000:0000
    std::copy(std::begin(kJump), std::end(kJump), image.end() - 16);
    std::ofstream(bios, std::ios::binary)
        .write(reinterpret_cast<const char*>(image.data()), static_cast<std::streamsize>(image.size()));
    std::vector<std::string> arguments = {"-m", "2", "-nodefaults", "-bios", bios};
    arguments.insert(arguments.end(), options.begin(), options.end());
    std::vector<const char*> words;
    for (const std::string& argument : arguments) words.push_back(argument.c_str());
    machine_ = std::make_unique<Machine>(prepare_pc(parse_command_line(words).config));
    status_ = std::async(std::launch::async, [this] { return machine_->run(); });
  }
  ~MonitoredMachine() { machine_->request_exit(0); }

  Machine& machine() { return *machine_; }
  // Waits for its end.
  int status() { return status_.get(); }
  bool ended() { return status_.wait_for(std::chrono::seconds(10)) == std::future_status::ready; }

  // A name for a file of the test that runs.
  static std::string path(const std::string& name) {
    return fmt::format("{}calco-{}-{}", ::testing::TempDir(), getpid(), name);
  }

 private:
  std::unique_ptr<Machine> machine_;
  std::future<int> status_;
};

// The other end of a Unix socket.
class SocketClient {
 public:
  explicit SocketClient(const std::string& path) : descriptor_(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path.c_str(), sizeof(address.sun_path) - 1);
    EXPECT_EQ(::connect(descriptor_, reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
  }
  SocketClient(const SocketClient&) = delete;
  SocketClient& operator=(const SocketClient&) = delete;
  ~SocketClient() { close(descriptor_); }

  void send(std::string_view text) {
    while (!text.empty()) {
      const ssize_t sent = ::send(descriptor_, text.data(), text.size(), MSG_NOSIGNAL);
      ASSERT_GT(sent, 0);
      text.remove_prefix(static_cast<size_t>(sent));
    }
  }

  // What comes up to and with `end`; what came where it does not come within 10 s.
  std::string receive_until(std::string_view end) {
    for (;;) {
      const size_t found = received_.find(end);
      if (found != std::string::npos) return take(found + end.size());
      pollfd ready{.fd = descriptor_, .events = POLLIN, .revents = 0};
      char buffer[65536];
      const ssize_t count = ::poll(&ready, 1, 10'000) == 1 ? ::read(descriptor_, buffer, sizeof(buffer)) : 0;
      if (count <= 0) return take(received_.size());
      received_.append(buffer, static_cast<size_t>(count));
    }
  }

  // Whether nothing comes for as long.
  bool hears_nothing_for(std::chrono::milliseconds time) {
    pollfd ready{.fd = descriptor_, .events = POLLIN, .revents = 0};
    return received_.empty() && ::poll(&ready, 1, static_cast<int>(time.count())) == 0;
  }

 private:
  std::string take(size_t size) {
    std::string text = received_.substr(0, size);
    received_.erase(0, size);
    return text;
  }

  int descriptor_;
  std::string received_;
};

}  // namespace calco::machine
