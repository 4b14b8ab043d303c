#include "devices/host/pipe_backend.h"

#include <fcntl.h>

#include <cerrno>
#include <system_error>

namespace calco::devices {

namespace {

// Open for both directions, so that neither opening nor a peer that leaves ends the pipe.
int open_pipe(const std::string& path) { return ::open(path.c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC); }

}  // namespace

PipeBackend::PipeBackend(EventLoop& loop, std::string path)
    : DescriptorBackend(loop),
      path_(std::move(path)),
      input_(open_pipe(path_ + ".in")),
      output_(open_pipe(path_ + ".out")) {
  if (!input_.valid() || !output_.valid()) {
    input_.reset(open_pipe(path_));
    output_.reset(open_pipe(path_));
  }
  if (!input_.valid() || !output_.valid()) throw std::system_error(errno, std::generic_category(), path_);
  attach(input_.get(), output_.get());
}

PipeBackend::~PipeBackend() {
  std::lock_guard lock(loop_.device_lock());
  detach();
}

}  // namespace calco::devices
