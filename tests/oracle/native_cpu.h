// Runs a test on the host processor itself.
#pragma once

#include <cstdint>
#include <span>

#include "tests/oracle/machine_image.h"
#include "tests/oracle/test_case.h"

namespace calco::oracle {

// Owns the fixed linear addresses of layout.h and the process' handlers of SIGSEGV, SIGBUS, SIGFPE, SIGILL and SIGTRAP
// while it lives; one at a time. Faults come back through the handlers, so a test costs two state switches and
// perhaps a signal.
class NativeCpu {
 public:
  // RSP before a test, of which the upper half stays where the test's stack segment is a 16-bit one.
  static constexpr uint64_t kEntryStack = 0x0E5D3000;

  // Throws std::system_error where an address is taken.
  NativeCpu();
  NativeCpu(const NativeCpu&) = delete;
  NativeCpu& operator=(const NativeCpu&) = delete;
  ~NativeCpu();

  // Code and data pages, for filling and comparing. The read-only page can be written here, too.
  std::span<uint8_t> code() { return {code_, kCodePages * kPage}; }
  std::span<uint8_t> data() { return {data_, kDataPages * kPage}; }

  // Runs from `initial` until kExit or a fault.
  void run(const MachineImage& initial, Outcome& outcome);

 private:
  uint8_t* code_;
  uint8_t* data_;  // a second, writable view of the data pages
};

}  // namespace calco::oracle
