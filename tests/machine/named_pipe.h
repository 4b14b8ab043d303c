// A named pipe of the host.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <stop_token>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace calco::machine {

// A named pipe: whoever writes to it waits until drain().
class NamedPipe {
 public:
  explicit NamedPipe(std::string path) : path_(std::move(path)) { EXPECT_EQ(mkfifo(path_.c_str(), 0600), 0); }
  ~NamedPipe() { unlink(path_.c_str()); }

  const std::string& path() const { return path_; }
  void drain() {
    reader_ = std::jthread([this](const std::stop_token& stop) {
      const int descriptor = ::open(path_.c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC);
      std::vector<char> buffer(64 << 10);
      while (!stop.stop_requested()) {
        pollfd ready{.fd = descriptor, .events = POLLIN, .revents = 0};
        if (::poll(&ready, 1, 10) == 1) EXPECT_GT(::read(descriptor, buffer.data(), buffer.size()), 0);
      }
      close(descriptor);
    });
  }

 private:
  std::string path_;
  std::jthread reader_;
};

}  // namespace calco::machine
