// A connection of a program that speaks QMP.
#pragma once

#include <deque>
#include <string>
#include <variant>

#include "machine/monitor/json_framer.h"
#include "machine/monitor/monitor_channel.h"
#include "machine/monitor/qmp_commands.h"

namespace calco::machine {

// Greeting, negotiation, then commands in order and events in between (QEMU's docs/interop/qmp-spec). With the
// capability "oob" input is read while a command runs: requests wait in a queue, and exec-oob overtakes them all.
class QmpSession final : public MonitorChannel {
 public:
  QmpSession(GuestControl& guest, devices::CharacterBackend& backend, bool pretty);

  // Device lock held. Those before the end of the negotiation are not sent, nor those that a client lets pile up.
  void send_event(const Json& event);

 private:
  // Requests that may wait besides the one that is being done; then no more input is read.
  static constexpr size_t kMostWaiting = 8;

  void take(uint8_t byte) override;
  void opened() override;
  void closed() override { waiting_.clear(); }
  bool has_room_for_input() const override;
  void command_done() override { begin_waiting(); }
  void receive_message(const std::string& text);
  // What is no request gets its error in its turn.
  void refuse(const std::string& reason);
  void begin_waiting();
  void begin(const Json& request);
  Json answer_at_once(const Json& request);
  void negotiate(const Json& request);
  void send_message(const Json& message);

  struct Malformed {
    std::string reason;
  };
  using Waiting = std::variant<Json, Malformed>;

  QmpCommands commands_;
  JsonFramer framer_;
  const bool pretty_;
  bool negotiated_ = false;
  bool out_of_band_ = false;     // the client asked for it
  std::deque<Waiting> waiting_;  // in order
};

}  // namespace calco::machine
