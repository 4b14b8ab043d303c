#include "devices/host/terminal_mode.h"

#include <fcntl.h>
#include <sys/wait.h>

#include <algorithm>
#include <csignal>
#include <cstdint>
#include <utility>

namespace calco::devices {

namespace {

// Runs in the guardian process, a fork of a process with threads: async-signal-safe calls only.
[[noreturn]] void guard(int descriptor, int pipe, const termios& saved) {
  // A session of its own would lose the terminal; instead every signal from the keyboard or a supervisor is ignored,
  // and SIGTTOU too, so that setting the terminal works from the background.
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGTTOU, SIGPIPE}) ::signal(signal, SIG_IGN);
  // Other files must not be held open by the guardian: their readers wait for an end of file.
  const int low = std::min(descriptor, pipe);
  const int high = std::max(descriptor, pipe);
  if (low > 0) close_range(0, static_cast<unsigned>(low) - 1, 0);
  if (high > low + 1) close_range(static_cast<unsigned>(low) + 1, static_cast<unsigned>(high) - 1, 0);
  close_range(static_cast<unsigned>(high) + 1, ~0u, 0);

  uint8_t released = 0;
  ssize_t count = 0;
  do {
    count = ::read(pipe, &released, 1);
  } while (count < 0);
  if (count == 0) tcsetattr(descriptor, TCSANOW, &saved);
  _exit(0);
}

}  // namespace

TerminalMode::TerminalMode(int descriptor, bool signals)
    : descriptor_(descriptor), terminal_(tcgetattr(descriptor, &saved_) == 0), raw_(saved_) {
  if (!terminal_) return;
  raw_.c_iflag &= ~static_cast<tcflag_t>(IGNBRK | BRKINT | PARMRK | ISTRIP | INLCR | IGNCR | ICRNL | IXON);
  raw_.c_oflag |= OPOST;
  raw_.c_lflag &= ~static_cast<tcflag_t>(ECHO | ECHONL | ICANON | IEXTEN);
  if (!signals) raw_.c_lflag &= ~static_cast<tcflag_t>(ISIG);
  raw_.c_cflag = (raw_.c_cflag & ~static_cast<tcflag_t>(CSIZE | PARENB)) | CS8;
  raw_.c_cc[VMIN] = 1;
  raw_.c_cc[VTIME] = 0;
  start_guardian();
  apply();
}

TerminalMode::~TerminalMode() {
  if (!terminal_) return;
  tcsetattr(descriptor_, TCSANOW, &saved_);
  if (guardian_ < 0) return;
  const uint8_t release = 1;
  (void)!::write(guardian_pipe_.get(), &release, 1);
  guardian_pipe_.reset();
  waitpid(guardian_, nullptr, 0);
}

void TerminalMode::apply() const {
  if (terminal_) tcsetattr(descriptor_, TCSANOW, &raw_);
}

void TerminalMode::start_guardian() {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return;
  FileDescriptor read_end(ends[0]);
  FileDescriptor write_end(ends[1]);
  guardian_ = fork();
  if (guardian_ == 0) guard(descriptor_, read_end.get(), saved_);
  if (guardian_ > 0) guardian_pipe_ = std::move(write_end);
}

}  // namespace calco::devices
