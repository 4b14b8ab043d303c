// All monitors of a machine.
#pragma once

#include <memory>
#include <vector>

#include "machine/monitor/guest_control.h"
#include "machine/monitor/hmp_session.h"
#include "machine/monitor/qmp_session.h"

namespace calco::machine {

// Those of -monitor, -qmp and -mon, and one behind each "mon:" device.
//
// Threads: construction and destruction with the device lock held; the machine's tasks do not run any more then.
class Monitors {
 public:
  // Throws OptionError where a character device cannot be had.
  explicit Monitors(Machine& machine);

  // Breaks off a core dump that is being written. Before the destructor, without the device lock.
  void end_dump() { guest_.end_dump(); }

 private:
  void add(const MonitorOptions& options, devices::CharacterBackend& backend);
  void tell(const Json& event);

  Machine& machine_;
  GuestControl guest_;
  std::vector<std::unique_ptr<HmpSession>> terminals_;
  std::vector<std::unique_ptr<QmpSession>> programs_;
};

}  // namespace calco::machine
