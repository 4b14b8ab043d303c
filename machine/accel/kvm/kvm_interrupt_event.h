// An edge-triggered interrupt line of the kernel's, raised without a call of its own (irqfd).
#pragma once

#include <atomic>

#include "devices/host/file_descriptor.h"

namespace calco::machine {

// Each signal is one edge on the line; whoever has the descriptor may give it, the kernel or another process too.
//
// Threads: signal() from any thread; the rest from one thread at a time.
class KvmInterruptEvent {
 public:
  // Ties an event to `line` of the virtual machine, which outlives the object. Throws std::system_error.
  KvmInterruptEvent(int machine, unsigned line);
  KvmInterruptEvent(const KvmInterruptEvent&) = delete;
  KvmInterruptEvent& operator=(const KvmInterruptEvent&) = delete;
  ~KvmInterruptEvent();

  void signal();
  // Waits until the interrupt controllers have seen what was signalled: the kernel passes it on later.
  void settle();

  unsigned line() const { return line_; }

 private:
  int assign(bool on) const;

  const int machine_;
  const unsigned line_;
  const devices::FileDescriptor event_;
  std::atomic<bool> signalled_{false};
};

}  // namespace calco::machine
