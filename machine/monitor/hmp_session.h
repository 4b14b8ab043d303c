// A terminal with the human monitor on it.
#pragma once

#include "machine/monitor/hmp_commands.h"
#include "machine/monitor/line_editor.h"
#include "machine/monitor/monitor_channel.h"

namespace calco::machine {

class HmpSession final : public MonitorChannel {
 public:
  static constexpr std::string_view kPrompt = "(calco) ";

  // `behind_mux`: shares a terminal with others and speaks when it gets the focus.
  HmpSession(GuestControl& guest, devices::CharacterBackend& backend, bool behind_mux);

 private:
  void take(uint8_t byte) override;
  void opened() override;
  void focused() override;
  void greet();

  HmpCommands commands_;
  LineEditor editor_;
  const bool behind_mux_;
  bool greeted_ = false;
};

// With the line ends that terminals need.
std::string terminal_text(std::string_view text);

}  // namespace calco::machine
