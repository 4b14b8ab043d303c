// A connection of a program that speaks QMP.
#pragma once

#include "machine/monitor/json_framer.h"
#include "machine/monitor/monitor_channel.h"
#include "machine/monitor/qmp_commands.h"

namespace calco::machine {

// Greeting, negotiation, then commands in order and events in between (QEMU's docs/interop/qmp-spec). The capability
// "oob" is there: exec-oob is taken, and done in its turn, since no command lets others wait for long.
class QmpSession final : public MonitorChannel {
 public:
  QmpSession(GuestControl& guest, devices::CharacterBackend& backend, bool pretty);

  // Device lock held. Those before the end of the negotiation are not sent, nor those that a client lets pile up.
  void send_event(const Json& event);

 private:
  void take(uint8_t byte) override;
  void opened() override;
  void receive_message(const std::string& text);
  void begin(const Json& request);
  void negotiate(const Json& request);
  void send_message(const Json& message);

  QmpCommands commands_;
  JsonFramer framer_;
  const bool pretty_;
  bool negotiated_ = false;
  bool out_of_band_ = false;  // the client asked for it
};

}  // namespace calco::machine
