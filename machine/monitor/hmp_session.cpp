#include "machine/monitor/hmp_session.h"

#include <utility>

namespace calco::machine {

HmpSession::HmpSession(GuestControl& guest, devices::CharacterBackend& backend, bool behind_mux)
    : MonitorChannel(guest.machine(), backend), commands_(guest), behind_mux_(behind_mux) {
  connect();
}

void HmpSession::opened() {
  editor_.clear();
  greeted_ = false;
  if (!behind_mux_) greet();
}

void HmpSession::focused() { greet(); }

void HmpSession::greet() {
  if (!std::exchange(greeted_, true)) send("Calco " CALCO_VERSION " monitor - type 'help' for more information\r\n");
  send(kPrompt);
}

void HmpSession::take(uint8_t byte) {
  std::string echo;
  const std::optional<std::string> line = editor_.type(byte, echo);
  send(echo);
  if (!line) return;
  run_command<std::string>([this, text = *line](const Finish<std::string>& finish) { commands_.execute(text, finish); },
                           [this](const std::string& output) {
                             send(terminal_text(output));
                             send(kPrompt);
                           });
}

std::string terminal_text(std::string_view text) {
  std::string result;
  for (const char letter : text) {
    if (letter == '\n') result += '\r';
    result += letter;
  }
  return result;
}

}  // namespace calco::machine
