#include "devices/host/pty_backend.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/timerfd.h>
#include <termios.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <system_error>

namespace calco::devices {

namespace {

constexpr long kLookEveryNanoseconds = 200'000'000;

[[noreturn]] void fail(const char* what) { throw std::system_error(errno, std::generic_category(), what); }

}  // namespace

PtyBackend::PtyBackend(EventLoop& loop, const std::string& label)
    : DescriptorBackend(loop),
      terminal_(posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC)),
      poll_timer_(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC)) {
  std::array<char, 128> path{};
  if (!terminal_.valid() || grantpt(terminal_.get()) != 0 || unlockpt(terminal_.get()) != 0 ||
      ptsname_r(terminal_.get(), path.data(), path.size()) != 0) {
    fail("cannot make a pseudo-terminal");
  }
  if (!poll_timer_.valid()) fail("timerfd_create");
  path_ = path.data();

  // Opened and closed once: raw mode is set, and the terminal knows from now on whether somebody is there.
  const FileDescriptor peer(::open(path_.c_str(), O_RDWR | O_NOCTTY | O_CLOEXEC));
  if (!peer.valid()) fail(path_.c_str());
  termios mode{};
  tcgetattr(peer.get(), &mode);
  cfmakeraw(&mode);
  tcsetattr(peer.get(), TCSANOW, &mode);

  const timespec period{.tv_sec = 0, .tv_nsec = kLookEveryNanoseconds};
  const itimerspec setting{.it_interval = period, .it_value = period};
  timerfd_settime(poll_timer_.get(), 0, &setting, nullptr);
  std::lock_guard lock(loop_.device_lock());
  poll_watch_ = loop_.add_fd(poll_timer_.get(), EventLoop::kReadable, [this](unsigned) { look_for_peer(); });
  fmt::print("char device redirected to {} (label {})\n", path_, label);
  std::fflush(stdout);
}

PtyBackend::~PtyBackend() {
  std::lock_guard lock(loop_.device_lock());
  loop_.remove(poll_watch_);
  detach();
}

void PtyBackend::look_for_peer() {
  uint64_t expirations = 0;
  (void)!::read(poll_timer_.get(), &expirations, sizeof(expirations));
  pollfd terminal{.fd = terminal_.get(), .events = POLLIN, .revents = 0};
  ::poll(&terminal, 1, 0);
  if ((terminal.revents & POLLHUP) != 0) return;
  loop_.set_events(poll_watch_, 0);
  attach(terminal_.get(), terminal_.get());
  if (front_end_ != nullptr) front_end_->backend_event(CharacterEvent::Opened);
}

// Reading gives EIO once nobody has the terminal open any more.
void PtyBackend::connection_lost() {
  abandon();
  loop_.set_events(poll_watch_, EventLoop::kReadable);
  if (front_end_ != nullptr) front_end_->backend_event(CharacterEvent::Closed);
}

}  // namespace calco::devices
