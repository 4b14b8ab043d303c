#include "machine/monitor/monitors.h"

#include <chrono>
#include <string>

namespace calco::machine {
namespace {

std::string_view event_name(MachineEvent::Kind kind) {
  switch (kind) {
    case MachineEvent::Kind::Reset:
      return "RESET";
    case MachineEvent::Kind::Shutdown:
      return "SHUTDOWN";
    case MachineEvent::Kind::Stop:
      return "STOP";
    case MachineEvent::Kind::Resume:
      return "RESUME";
    case MachineEvent::Kind::PowerDown:
      return "POWERDOWN";
  }
  return "";
}

// QEMU's ShutdownCause.
std::string_view reason(const MachineEvent& event) {
  const bool reset = event.kind == MachineEvent::Kind::Reset;
  switch (event.cause) {
    case Cause::Guest:
      return reset ? "guest-reset" : "guest-shutdown";
    case Cause::Monitor:
      return reset ? "host-qmp-system-reset" : "host-qmp-quit";
    case Cause::Signal:
      return "host-signal";
  }
  return "none";
}

Json event_message(std::string_view name) {
  using namespace std::chrono;
  const auto now = duration_cast<microseconds>(system_clock::now().time_since_epoch()).count();
  return {{"timestamp", {{"seconds", now / 1'000'000}, {"microseconds", now % 1'000'000}}}, {"event", name}};
}

Json event_message(const MachineEvent& event) {
  Json message = event_message(event_name(event.kind));
  if (event.kind == MachineEvent::Kind::Reset || event.kind == MachineEvent::Kind::Shutdown) {
    message["data"] = {{"guest", event.cause == Cause::Guest}, {"reason", reason(event)}};
  }
  return message;
}

Json event_message(const DumpState& dump) {
  Json message = event_message("DUMP_COMPLETED");
  message["data"]["result"] = qmp_dump_result(dump);
  if (!dump.error.empty()) message["data"]["error"] = dump.error;
  return message;
}

}  // namespace

Monitors::Monitors(Machine& machine) : machine_(machine), guest_(machine) {
  CharacterDevices& devices = *machine.board().character_devices;
  for (devices::CharacterBackend* port : devices.add_monitor_ports()) {
    terminals_.push_back(std::make_unique<HmpSession>(guest_, *port, true));
  }
  for (const MonitorOptions& options : machine.config().monitors) {
    const std::string label = "compat_monitor" + std::to_string(terminals_.size() + programs_.size());
    add(options, *devices.connect(options.option, options.backend, label));
  }
  machine.add_event_listener([this](const MachineEvent& event) { tell(event_message(event)); });
  guest_.set_dump_observer([this](const DumpState& dump) { tell(event_message(dump)); });
}

void Monitors::add(const MonitorOptions& options, devices::CharacterBackend& backend) {
  if (options.control) {
    programs_.push_back(std::make_unique<QmpSession>(guest_, backend, options.pretty));
  } else {
    terminals_.push_back(std::make_unique<HmpSession>(guest_, backend, false));
  }
}

void Monitors::tell(const Json& event) {
  std::lock_guard lock(machine_.loop().device_lock());
  for (const auto& program : programs_) program->send_event(event);
}

}  // namespace calco::machine
