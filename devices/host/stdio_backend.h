// The terminal, pipe or file that Calco was started on.
#pragma once

#include <memory>

#include "devices/host/descriptor_backend.h"
#include "devices/host/terminal_mode.h"

namespace calco::devices {

class StdioBackend final : public DescriptorBackend {
 public:
  // `signals` false: Ctrl-C goes to the guest instead of ending Calco. The descriptors stay the caller's; their
  // blocking mode is put back at the end.
  StdioBackend(EventLoop& loop, bool signals, int input = 0, int output = 1);
  ~StdioBackend() override;
  std::string description() const override { return "stdio"; }

 private:
  int input_;
  int output_;
  int input_flags_;
  int output_flags_;
  std::shared_ptr<TerminalMode> terminal_;
};

}  // namespace calco::devices
