#include "devices/host/descriptor_backend.h"

#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>

namespace calco::devices {

DescriptorBackend::DescriptorBackend(EventLoop& loop) : loop_(loop), flush_call_(loop, [this] { flush(); }) {}

DescriptorBackend::~DescriptorBackend() {
  std::lock_guard lock(loop_.device_lock());
  detach();
}

void DescriptorBackend::attach(int input, int output, bool notices_hang_up) {
  std::lock_guard lock(loop_.device_lock());
  input_ = input;
  output_ = output;
  idle_events_ = notices_hang_up ? EventLoop::kHangUp : 0;
  if (input_ >= 0) input_watch_ = loop_.add_fd(input_, idle_events_, [this](unsigned events) { on_input(events); });
  accept_input();
}

void DescriptorBackend::detach() {
  if (output_ >= 0) flush_finally();
  abandon();
}

void DescriptorBackend::abandon() {
  stop_reading();
  if (output_watch_ != 0) loop_.remove(output_watch_);
  output_watch_ = 0;
  input_ = -1;
  output_ = -1;
  output_drained();
}

// --- Input -----------------------------------------------------------------------------------------------------------

void DescriptorBackend::accept_input() {
  if (reading_ || input_watch_ == 0 || front_end_ == nullptr || front_end_->can_receive() == 0) return;
  reading_ = true;
  loop_.set_events(input_watch_, EventLoop::kReadable);
}

void DescriptorBackend::stop_reading() {
  if (input_watch_ != 0) loop_.remove(input_watch_);
  input_watch_ = 0;
  reading_ = false;
}

void DescriptorBackend::on_input(unsigned events) {
  if ((events & EventLoop::kReadable) != 0) {
    on_readable();
  } else {
    on_hang_up();
  }
}

// What the other end has sent before is still taken, when there is room.
void DescriptorBackend::on_hang_up() {
  int waiting = 0;
  if (::ioctl(input_, FIONREAD, &waiting) == 0 && waiting == 0) return connection_lost();
  loop_.set_events(input_watch_, 0);
}

void DescriptorBackend::on_readable() {
  std::array<uint8_t, kReadSize> buffer;
  const size_t room = front_end_ == nullptr ? 0 : std::min(front_end_->can_receive(), buffer.size());
  if (room == 0) {
    reading_ = false;
    loop_.set_events(input_watch_, idle_events_);
    return;
  }
  const ssize_t count = ::read(input_, buffer.data(), room);
  if (count > 0) {
    front_end_->receive({buffer.data(), static_cast<size_t>(count)});
  } else if (count == 0 || (errno != EAGAIN && errno != EINTR)) {
    connection_lost();
  }
}

void DescriptorBackend::connection_lost() { stop_reading(); }

// --- Output ----------------------------------------------------------------------------------------------------------

size_t DescriptorBackend::write(std::span<const uint8_t> bytes) {
  if (output_ < 0) return bytes.size();
  const size_t accepted = std::min(bytes.size(), kOutputCapacity - std::min(pending_.size(), kOutputCapacity));
  pending_.insert(pending_.end(), bytes.begin(), bytes.begin() + static_cast<ptrdiff_t>(accepted));
  if (accepted < bytes.size()) held_back_ = true;
  if (!blocked_) flush_call_.schedule();
  return accepted;
}

ssize_t DescriptorBackend::write_some() {
  const ssize_t count = ::write(output_, pending_.data() + sent_, pending_.size() - sent_);
  if (count >= 0) {
    sent_ += static_cast<size_t>(count);
    return count;
  }
  return errno == EAGAIN || errno == EINTR ? 0 : -1;
}

void DescriptorBackend::flush() {
  if (output_ < 0) return;
  while (sent_ < pending_.size()) {
    const ssize_t count = write_some();
    if (count == 0) return wait_until_writable();
    if (count < 0) {
      output_drained();
      return connection_lost();
    }
  }
  output_drained();
}

void DescriptorBackend::wait_until_writable() {
  blocked_ = true;
  if (output_watch_ == 0) output_watch_ = loop_.add_fd(output_, 0, [this](unsigned) { flush(); });
  loop_.set_events(output_watch_, EventLoop::kWritable);
}

void DescriptorBackend::output_drained() {
  pending_.clear();
  sent_ = 0;
  blocked_ = false;
  if (output_watch_ != 0) loop_.set_events(output_watch_, 0);
  if (!held_back_) return;
  held_back_ = false;
  if (front_end_ != nullptr) front_end_->writable();
}

void DescriptorBackend::flush_finally() {
  using std::chrono::steady_clock;
  const auto end = steady_clock::now() + std::chrono::milliseconds(kFinalFlushMilliseconds);
  while (sent_ < pending_.size()) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(end - steady_clock::now()).count();
    pollfd descriptor{.fd = output_, .events = POLLOUT, .revents = 0};
    if (left <= 0 || ::poll(&descriptor, 1, static_cast<int>(left)) <= 0) break;
    if (write_some() < 0) break;
  }
}

}  // namespace calco::devices
