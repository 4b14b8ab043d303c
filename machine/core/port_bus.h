// The x86 I/O port space.
#pragma once

#include <cstdint>
#include <mutex>
#include <vector>

#include "machine/core/register_window.h"

namespace calco {

class Log;

// 65,536 byte-wide ports. A later attachment lies over an earlier one (as a PCI BAR that the guest moves over a fixed
// port does) until it is detached.
//
// Threads: read() and write() from any vCPU thread; they take the device lock. attach() and detach() with the device
// lock held.
class PortBus {
 public:
  PortBus(std::recursive_mutex& device_lock, Log& log) : device_lock_(device_lock), log_(log) {}

  // Ports `base` to `base + length - 1`; the window outlives the bus or is detached first.
  void attach(uint16_t base, uint32_t length, RegisterWindow& window);
  void detach(const RegisterWindow& window);

  // `size` is 1, 2 or 4. Where nothing answers: all ones, and a line under -d guest_errors.
  uint32_t read(uint16_t port, unsigned size);
  void write(uint16_t port, unsigned size, uint32_t value);

 private:
  struct Attachment {
    uint16_t base;
    uint32_t length;
    RegisterWindow* window;
  };
  const Attachment* find(uint16_t port) const;
  uint32_t read_part(uint16_t port, unsigned size);
  void write_part(uint16_t port, unsigned size, uint32_t value);
  bool fits(uint16_t port, unsigned size) const;

  std::recursive_mutex& device_lock_;
  Log& log_;
  std::vector<Attachment> attachments_;  // the last one wins
};

}  // namespace calco
