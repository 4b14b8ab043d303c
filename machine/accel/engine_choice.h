// Which engine executes the guest.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "machine/accel/engine.h"
#include "machine/core/log.h"
#include "machine/options/machine_config.h"

namespace calco::machine {

struct EngineChoice {
  std::unique_ptr<Engine> engine;
  std::string reason;  // one line
};

// What an engine asks of the machine; any vCPU thread.
struct EngineRequests {
  // It cannot go on with the guest; the text has several lines.
  std::function<void(const std::string&)> give_up;
  // The guest ends with this status.
  std::function<void(int status)> exit;
};

// The first of the configuration's accelerators that works here. `auto` is KVM where the host's processor virtualizes
// and /dev/kvm works, else the translator. One that does not work is passed over with a line on standard error where
// another follows; where none is left, OptionError says why and what to do.
EngineChoice choose_engine(const MachineConfig& config, Log& log, EngineRequests requests);

// The engine of that name, with the settings that the configuration has for it, to go on with a running guest. Throws
// OptionError, which names the monitor's command.
EngineChoice make_engine(const MachineConfig& config, std::string_view name, Log& log, EngineRequests requests);

// How the time-stamp counter of a machine that begins with `engine` counts: as KVM's where KVM can be used and the
// host's counter is steady, because KVM may take the guest over later; else as the engine's.
TimeStampCounter::Options time_stamp_counter_for(const Engine& engine);

}  // namespace calco::machine
