#include "devices/host/character_mux.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <utility>

namespace calco::devices {

namespace {

std::string time_of_day() {
  using namespace std::chrono;
  const auto now = system_clock::now();
  const auto milliseconds = duration_cast<std::chrono::milliseconds>(now.time_since_epoch()).count() % 1000;
  return fmt::format("[{:%H:%M:%S}.{:03}] ", fmt::localtime(system_clock::to_time_t(now)), milliseconds);
}

// "C-a" for the key 0x01, as the manual writes it.
std::string key_label(uint8_t key) {
  return key < 0x20 ? fmt::format("C-{:c}", static_cast<char>(key + 'a' - 1)) : fmt::format("{:#04x}", key);
}

}  // namespace

// --- A port ----------------------------------------------------------------------------------------------------------

void CharacterMux::Port::send(uint8_t byte) {
  if (waiting_.empty() && front_end_ != nullptr && front_end_->can_receive() != 0) {
    front_end_->receive({&byte, 1});
  } else if (room() != 0) {
    waiting_.push_back(byte);
  }
}

void CharacterMux::Port::accept_input() {
  while (!waiting_.empty() && front_end_ != nullptr && front_end_->can_receive() != 0) {
    const uint8_t byte = waiting_.front();
    waiting_.pop_front();
    front_end_->receive({&byte, 1});
  }
  mux_.backend_->accept_input();
}

void CharacterMux::Port::event(CharacterEvent event) {
  if (front_end_ != nullptr) front_end_->backend_event(event);
}

void CharacterMux::Port::notify_writable() {
  if (front_end_ != nullptr) front_end_->writable();
}

// --- The mux ---------------------------------------------------------------------------------------------------------

CharacterMux::CharacterMux(std::unique_ptr<CharacterBackend> backend, std::function<void()> quit, uint8_t escape_key)
    : backend_(std::move(backend)), quit_(std::move(quit)), escape_key_(escape_key) {
  backend_->set_front_end(this);
}

CharacterMux::~CharacterMux() { backend_->set_front_end(nullptr); }

CharacterBackend& CharacterMux::add_port() {
  ports_.push_back(std::make_unique<Port>(*this));
  return *ports_.back();
}

void CharacterMux::focus(const CharacterBackend& port) {
  const auto found =
      std::find_if(ports_.begin(), ports_.end(), [&](const auto& entry) { return entry.get() == &port; });
  if (found != ports_.end()) focus_index(static_cast<size_t>(found - ports_.begin()));
}

void CharacterMux::focus_index(size_t index) {
  if (index == focus_) return;
  ports_[focus_]->event(CharacterEvent::FocusLost);
  focus_ = index;
  ports_[focus_]->event(CharacterEvent::FocusGained);
  backend_->accept_input();
}

size_t CharacterMux::can_receive() { return ports_.empty() ? 0 : ports_[focus_]->room(); }

void CharacterMux::receive(std::span<const uint8_t> bytes) {
  for (const uint8_t byte : bytes) receive_byte(byte);
}

void CharacterMux::receive_byte(uint8_t byte) {
  if (std::exchange(escape_seen_, false)) {
    if (byte != escape_key_) return run_command(byte);
  } else if (byte == escape_key_) {
    escape_seen_ = true;
    return;
  }
  ports_[focus_]->send(byte);
}

void CharacterMux::run_command(uint8_t key) {
  switch (key) {
    case 'h':
    case '?':
      return print_help();
    case 'x':
      print("Calco: terminated\r\n");
      if (quit_) quit_();
      return;
    case 'c':
      return focus_index((focus_ + 1) % ports_.size());
    case 'b':
      return ports_[focus_]->event(CharacterEvent::Break);
    case 't':
      timestamps_ = !timestamps_;
      at_line_start_ = true;
      return;
    default:
      // 's' needs nothing done: disks are written through.
      return;
  }
}

void CharacterMux::print_help() {
  const std::string key = key_label(escape_key_);
  print(
      fmt::format("\r\n"
                  "{0} h    this help\r\n"
                  "{0} x    end the emulator\r\n"
                  "{0} s    write disk data back\r\n"
                  "{0} t    timestamps on or off\r\n"
                  "{0} b    send a break\r\n"
                  "{0} c    next of console and monitor\r\n"
                  "{0} {0}  send {0}\r\n",
                  key));
}

void CharacterMux::print(std::string_view text) {
  backend_->write({reinterpret_cast<const uint8_t*>(text.data()), text.size()});
}

void CharacterMux::backend_event(CharacterEvent event) {
  if (event == CharacterEvent::Break) {
    if (!ports_.empty()) ports_[focus_]->event(event);
    return;
  }
  for (const auto& port : ports_) port->event(event);
}

void CharacterMux::writable() {
  for (const auto& port : ports_) port->notify_writable();
}

// --- Output ----------------------------------------------------------------------------------------------------------

size_t CharacterMux::write(std::span<const uint8_t> bytes) {
  if (!timestamps_ && stamp_.empty()) return backend_->write(bytes);
  size_t written = 0;
  while (written < bytes.size() && send_stamp()) {
    const auto rest = bytes.subspan(written);
    const auto end_of_line = std::find(rest.begin(), rest.end(), '\n');
    const bool line_ends = end_of_line != rest.end();
    const size_t length = static_cast<size_t>(end_of_line - rest.begin()) + (line_ends ? 1 : 0);
    const size_t accepted = backend_->write(rest.first(length));
    written += accepted;
    if (accepted < length) break;
    at_line_start_ = line_ends;
  }
  return written;
}

// Writes the time where a line begins; false where the back end is full.
bool CharacterMux::send_stamp() {
  if (timestamps_ && at_line_start_) {
    stamp_ = time_of_day();
    at_line_start_ = false;
  }
  if (stamp_.empty()) return true;
  stamp_.erase(0, backend_->write({reinterpret_cast<const uint8_t*>(stamp_.data()), stamp_.size()}));
  return stamp_.empty();
}

}  // namespace calco::devices
