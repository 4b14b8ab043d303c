// The host terminal in raw mode, and its sure way back.
#pragma once

#include <sys/types.h>
#include <termios.h>

#include "devices/host/file_descriptor.h"

namespace calco::devices {

// Puts the terminal behind `descriptor` in raw mode (no echo, no lines, no CR translation) and back on destruction.
// Should the process die in any other way, SIGKILL included, a small guardian process that waits for just that puts it
// back. No signal handler is needed, so none gets in the way of translators that live on SIGSEGV.
//
// On a descriptor that is no terminal, nothing happens.
class TerminalMode {
 public:
  // With `signals` Ctrl-C, Ctrl-Z and Ctrl-\ keep their meaning; otherwise they are input.
  TerminalMode(int descriptor, bool signals);
  TerminalMode(const TerminalMode&) = delete;
  TerminalMode& operator=(const TerminalMode&) = delete;
  ~TerminalMode();

  // Raw mode again, after the process was stopped and the shell had the terminal (SIGCONT).
  void apply() const;

 private:
  void start_guardian();

  int descriptor_;
  termios saved_{};
  bool terminal_;  // `descriptor_` is one; its mode was saved
  termios raw_{};
  pid_t guardian_ = -1;
  FileDescriptor guardian_pipe_;  // its end of file tells the guardian that we are gone
};

}  // namespace calco::devices
