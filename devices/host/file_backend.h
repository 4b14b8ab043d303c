// Output into a file of the host.
#pragma once

#include <string>

#include "devices/host/descriptor_backend.h"

namespace calco::devices {

class FileBackend final : public DescriptorBackend {
 public:
  // Creates `path`, or empties it unless `append`. Throws std::system_error.
  FileBackend(EventLoop& loop, std::string path, bool append);
  ~FileBackend() override;
  std::string description() const override { return "file:" + path_; }

 private:
  std::string path_;
  FileDescriptor file_;
};

}  // namespace calco::devices
