#include "devices/host/file_backend.h"

#include <fcntl.h>

#include <cerrno>
#include <system_error>

namespace calco::devices {

FileBackend::FileBackend(EventLoop& loop, std::string path, bool append)
    : DescriptorBackend(loop),
      path_(std::move(path)),
      file_(::open(path_.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | O_NONBLOCK | (append ? O_APPEND : O_TRUNC), 0666)) {
  if (!file_.valid()) throw std::system_error(errno, std::generic_category(), path_);
  attach(-1, file_.get());
}

FileBackend::~FileBackend() {
  std::lock_guard lock(loop_.device_lock());
  detach();
}

}  // namespace calco::devices
