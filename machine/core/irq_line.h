// An interrupt wire from a device's output pin to whatever input the builder connected.
#pragma once

#include <functional>
#include <utility>

namespace calco {

// A level-signalled wire. An edge-triggered input sees the edges of set(). An unconnected line swallows its signal.
//
// Threads: set() is called with the device lock held. The line is cheap to copy; copies share the far end but each
// remembers its own level.
class IrqLine {
 public:
  using Sink = std::function<void(bool level)>;

  IrqLine() = default;
  explicit IrqLine(Sink sink) : sink_(std::move(sink)) {}

  // Drives the wire; the far end hears of changes only.
  void set(bool level) {
    if (level == level_) return;
    level_ = level;
    if (sink_) sink_(level);
  }
  void raise() { set(true); }
  void lower() { set(false); }
  // One rising edge, then low again.
  void pulse() {
    set(true);
    set(false);
  }
  bool level() const { return level_; }
  // Tells the far end the current level again (after a snapshot was loaded).
  void repeat() const {
    if (sink_) sink_(level_);
  }

 private:
  Sink sink_;
  bool level_ = false;
};

}  // namespace calco
