// A pseudo-terminal that a terminal program on the host opens.
#pragma once

#include <string>

#include "devices/host/descriptor_backend.h"

namespace calco::devices {

// Somebody is connected while the terminal's path is open somewhere. The kernel does not report an opening, so the loop
// looks for it a few times a second.
class PtyBackend final : public DescriptorBackend {
 public:
  // Prints "char device redirected to PATH (label LABEL)", which scripts read. Throws std::system_error.
  PtyBackend(EventLoop& loop, const std::string& label);
  ~PtyBackend() override;
  std::string description() const override { return "pty:" + path_; }
  const std::string& path() const { return path_; }

 private:
  void connection_lost() override;
  void look_for_peer();

  std::string path_;
  FileDescriptor terminal_;
  FileDescriptor poll_timer_;
  EventLoop::WatchId poll_watch_ = 0;
};

}  // namespace calco::devices
