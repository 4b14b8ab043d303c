// A window of device registers, as the CPU sees it through a bus.
#pragma once

#include <cstdint>

namespace calco {

// A range of registers that a bus decodes for a device. The device does not know its address: `offset` counts bytes
// from the start of the window. `size` is 1, 2, 4 or 8 bytes and never more than `maximum_access_size()`: a bus
// splits wider accesses, low address first, the way an ISA bridge splits a word to an 8-bit card.
//
// Threads: called from any vCPU thread. The bus holds the device lock (see port_bus.h, memory_map.h) unless the window says that it
// locks for itself.
class RegisterWindow {
 public:
  virtual ~RegisterWindow() = default;

  virtual uint64_t read(uint64_t offset, unsigned size) = 0;
  virtual void write(uint64_t offset, unsigned size, uint64_t value) = 0;

  virtual unsigned maximum_access_size() const { return 8; }
  // True for a window whose device has a lock of its own (the local APIC): the bus then calls it without the device
  // lock.
  virtual bool locks_itself() const { return false; }
};

// The value of a read that no device answers: all ones, as a floating bus with pull-ups gives.
constexpr uint64_t floating_bus(unsigned size) { return size >= 8 ? ~uint64_t{0} : (uint64_t{1} << (size * 8)) - 1; }

}  // namespace calco
