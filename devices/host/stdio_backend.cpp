#include "devices/host/stdio_backend.h"

#include <fcntl.h>

#include <csignal>

namespace calco::devices {

StdioBackend::StdioBackend(EventLoop& loop, bool signals, int input, int output)
    : DescriptorBackend(loop),
      input_(input),
      output_(output),
      input_flags_(fcntl(input, F_GETFL)),
      output_flags_(fcntl(output, F_GETFL)),
      terminal_(std::make_shared<TerminalMode>(input, signals)) {
  fcntl(input_, F_SETFL, input_flags_ | O_NONBLOCK);
  fcntl(output_, F_SETFL, output_flags_ | O_NONBLOCK);
  loop.on_signal(SIGCONT, [terminal = std::weak_ptr(terminal_)](int) {
    if (const auto alive = terminal.lock()) alive->apply();
  });
  attach(input_, output_);
}

StdioBackend::~StdioBackend() {
  std::lock_guard lock(loop_.device_lock());
  detach();
  terminal_.reset();
  fcntl(output_, F_SETFL, output_flags_);
  fcntl(input_, F_SETFL, input_flags_);
}

}  // namespace calco::devices
