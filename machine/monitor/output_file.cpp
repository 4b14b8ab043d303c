#include "machine/monitor/output_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "machine/monitor/monitor_error.h"

namespace calco::machine {

OutputFile::OutputFile(std::string path)
    : path_(std::move(path)), cancelled_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  if (!cancelled_.valid()) fail("cannot create");
  open();
}

OutputFile::~OutputFile() {
  struct stat status{};
  if (file_.valid() && fstat(file_.get(), &status) == 0 && S_ISREG(status.st_mode)) unlink(path_.c_str());
}

bool OutputFile::open() {
  constexpr mode_t kOwnerOnly = 0600;
  file_.reset(::open(path_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_NONBLOCK | O_CLOEXEC, kOwnerOnly));
  if (!file_.valid() && errno != ENXIO) fail("cannot create");
  return file_.valid();
}

void OutputFile::write(const void* data, size_t size) {
  while (size != 0) {
    wait_until_writable();
    const ssize_t written = ::write(file_.get(), data, size);
    if (written < 0 && errno != EAGAIN && errno != EINTR) fail("cannot write");
    if (written <= 0) continue;
    data = static_cast<const std::byte*>(data) + written;
    size -= static_cast<size_t>(written);
  }
}

// The host tells nobody that a pipe got its first reader.
void OutputFile::wait_until_writable() {
  constexpr int kRetry = 20;  // ms
  for (;;) {
    const bool opened = file_.valid() || open();
    pollfd events[] = {{.fd = cancelled_.get(), .events = POLLIN, .revents = 0},
                       {.fd = file_.get(), .events = POLLOUT, .revents = 0}};
    ::poll(events, 2, opened ? -1 : kRetry);
    if (events[0].revents != 0) throw MonitorError(fmt::format("'{}' is given up", path_));
    if (events[1].revents != 0) return;
  }
}

void OutputFile::finish() { file_.reset(); }

void OutputFile::cancel() { eventfd_write(cancelled_.get(), 1); }

void OutputFile::fail(const char* what) const {
  throw MonitorError(fmt::format("{} '{}': {}", what, path_, std::strerror(errno)));
}

}  // namespace calco::machine
