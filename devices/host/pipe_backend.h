// Named pipes of the host.
#pragma once

#include <string>

#include "devices/host/descriptor_backend.h"

namespace calco::devices {

// Reads PATH.in and writes PATH.out, or uses PATH for both where those do not exist.
class PipeBackend final : public DescriptorBackend {
 public:
  // Throws std::system_error.
  PipeBackend(EventLoop& loop, std::string path);
  ~PipeBackend() override;
  std::string description() const override { return "pipe:" + path_; }

 private:
  std::string path_;
  FileDescriptor input_;
  FileDescriptor output_;
};

}  // namespace calco::devices
