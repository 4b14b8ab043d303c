// All character back ends of a machine, by what its options say.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "devices/host/character_mux.h"
#include "devices/host/character_options.h"
#include "devices/host/event_loop.h"

namespace calco::machine {

// Makes each back end when it is first connected, and owns it.
//
// Threads: construction and connect() with the device lock held; destroyed after its front ends.
class CharacterDevices {
 public:
  // `chardevs` are the -chardev options. `quit` is what Ctrl-A x does; called with the device lock held.
  CharacterDevices(devices::EventLoop& loop, const std::vector<devices::CharacterSpec>& chardevs,
                   std::function<void()> quit);

  // The back end for one front end; null for None. `option` ("-serial") and `label` ("serial0") are for messages.
  // Throws OptionError where the reference is unknown, the back end is in use, or the host refuses.
  devices::CharacterBackend* connect(const std::string& option, const devices::CharacterSpec& spec,
                                     const std::string& label);
  // One more front end's place on each "mon:" device, for the monitor there.
  std::vector<devices::CharacterBackend*> add_monitor_ports();

  // A back end in use, for `info chardev`.
  struct Entry {
    std::string label;
    std::string description;
  };
  std::vector<Entry> list() const;

 private:
  struct Named {
    devices::CharacterSpec spec;
    std::string label;
    std::unique_ptr<devices::CharacterBackend> backend;
    std::unique_ptr<devices::CharacterMux> mux;
    bool connected = false;
  };

  devices::CharacterBackend* connect_named(const std::string& option, const std::string& id);
  devices::CharacterBackend* open(const std::string& option, Named& named, const std::string& label);

  devices::EventLoop& loop_;
  std::function<void()> quit_;
  std::map<std::string, Named> named_;
  std::vector<std::unique_ptr<Named>> anonymous_;
  bool stdio_used_ = false;
};

}  // namespace calco::machine
