// The cable between a character device of the guest (a UART, a monitor) and something on the host.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace calco::devices {

enum class CharacterEvent : uint8_t {
  Opened,       // somebody is at the other end
  Closed,       // nobody is there any more
  Break,        // the line was held in the spacing state (mux: Ctrl-A b)
  FocusGained,  // of several front ends behind a mux this one has the terminal now
  FocusLost,
};

// The guest's end of the cable.
//
// Threads: called with the device lock held.
class CharacterFrontEnd {
 public:
  virtual ~CharacterFrontEnd() = default;
  // How many bytes receive() may bring now. Where it is 0 the back end waits for CharacterBackend::accept_input().
  virtual size_t can_receive() = 0;
  // Never more than can_receive() bytes.
  virtual void receive(std::span<const uint8_t> bytes) = 0;
  virtual void backend_event(CharacterEvent event) { (void)event; }
  // After a write() that was not accepted in full: there is room again.
  virtual void writable() {}
};

// The host's end of the cable. Outlives its front end, or is told of its end by set_front_end(nullptr).
//
// Threads: every call with the device lock held.
class CharacterBackend {
 public:
  CharacterBackend() = default;
  CharacterBackend(const CharacterBackend&) = delete;
  CharacterBackend& operator=(const CharacterBackend&) = delete;
  virtual ~CharacterBackend() = default;

  // Sends bytes without ever blocking; returns how many were accepted. Fewer than offered: the front end keeps the
  // rest and hears writable() later. Where nobody is connected all are accepted and lost, as on a loose cable.
  virtual size_t write(std::span<const uint8_t> bytes) = 0;
  // The front end has room for input again.
  virtual void accept_input() {}
  // Whether somebody is at the other end.
  virtual bool connected() const { return true; }
  // What `info chardev` says of it, in the words of the command line ("pty:/dev/pts/3").
  virtual std::string description() const = 0;

  // Connects a front end (null: none). It hears Opened at once where the other end is connected.
  virtual void set_front_end(CharacterFrontEnd* front_end) {
    front_end_ = front_end;
    if (front_end_ == nullptr) return;
    if (connected()) front_end_->backend_event(CharacterEvent::Opened);
    accept_input();
  }

 protected:
  CharacterFrontEnd* front_end_ = nullptr;
};

}  // namespace calco::devices
