// What every chip of the machine has in common.
#pragma once

#include <string_view>

namespace calco {

class Archive;

// A chip. It gets clock, interrupt lines and back ends by constructor, knows neither its address nor its neighbours,
// and leaves register access to the RegisterWindow that it also is or that it owns.
//
// Threads: reset() and serialize() run with every vCPU paused and the device lock held.
class Device {
 public:
  Device() = default;
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;
  virtual ~Device() = default;

  // Name of the chip in snapshots, logs and the monitor ("i8254", "piix3").
  virtual std::string_view name() const = 0;
  // The state after the RESET# pin was pulsed. The constructor leaves the device in this state too.
  virtual void reset() = 0;
  // Writes the whole guest-visible state to the archive or reads it back, in one function so that both agree.
  // After loading, outputs (interrupt lines, timers) are driven again from the loaded state.
  virtual void serialize(Archive& archive) = 0;
};

}  // namespace calco
