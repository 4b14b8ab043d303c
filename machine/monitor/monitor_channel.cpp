#include "machine/monitor/monitor_channel.h"

namespace calco::machine {

using devices::CharacterEvent;

MonitorChannel::MonitorChannel(Machine& machine, devices::CharacterBackend& backend)
    : machine_(machine), backend_(backend) {}

MonitorChannel::~MonitorChannel() { backend_.set_front_end(nullptr); }

size_t MonitorChannel::can_receive() { return may_take() && input_.empty() ? kInputPiece : 0; }

void MonitorChannel::receive(std::span<const uint8_t> bytes) {
  input_.insert(input_.end(), bytes.begin(), bytes.end());
  take_waiting();
}

void MonitorChannel::take_waiting() {
  while (!input_.empty() && may_take()) {
    const uint8_t byte = input_.front();
    input_.pop_front();
    take(byte);
  }
  if (can_receive() != 0) backend_.accept_input();
}

void MonitorChannel::backend_event(CharacterEvent event) {
  switch (event) {
    case CharacterEvent::Opened:
      forget();
      opened();
      return take_waiting();
    case CharacterEvent::Closed:
      forget();
      return closed();
    case CharacterEvent::FocusGained:
      return focused();
    case CharacterEvent::FocusLost:
    case CharacterEvent::Break:
      return;
  }
}

// A command that still runs keeps `busy_` until it is done; its answer belongs to nobody.
void MonitorChannel::forget() {
  ++connection_;
  input_.clear();
  output_.clear();
}

void MonitorChannel::send(std::string_view text) {
  output_ += text;
  flush();
}

void MonitorChannel::flush() {
  const size_t accepted = backend_.write({reinterpret_cast<const uint8_t*>(output_.data()), output_.size()});
  output_.erase(0, accepted);
}

void MonitorChannel::writable() {
  flush();
  take_waiting();
}

}  // namespace calco::machine
