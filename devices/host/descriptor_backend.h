// What the back ends on file descriptors (terminals, files, pseudo-terminals, sockets) have in common.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "devices/host/character_backend.h"
#include "devices/host/event_loop.h"

namespace calco::devices {

// Gathers output and hands it to the host from the event loop, so that a guest that prints byte by byte costs no system
// call a byte. Reads no more than the front end has room for.
//
// Threads: as CharacterBackend; construction and destruction take the device lock themselves.
class DescriptorBackend : public CharacterBackend {
 public:
  // Bytes that wait here for the host before the front end has to hold back.
  static constexpr size_t kOutputCapacity = 16 * 1024;
  // For how long the end of a back end waits for the host to take the rest of the output.
  static constexpr int kFinalFlushMilliseconds = 1000;

  ~DescriptorBackend() override;
  size_t write(std::span<const uint8_t> bytes) override;
  void accept_input() override;
  bool connected() const override { return input_ >= 0 || output_ >= 0; }

 protected:
  explicit DescriptorBackend(EventLoop& loop);

  // Begins to use the descriptors (-1: none), which stay the caller's and are non-blocking. `notices_hang_up`: where
  // the other end goes away while the front end has no room, that is a lost connection at once, unless input waits.
  void attach(int input, int output, bool notices_hang_up = false);
  // Sends what still waits, within the bound above, and lets go of the descriptors.
  void detach();
  // Lets go of the descriptors without sending what waits; output is accepted and lost from now on.
  void abandon();
  // The input ended, or reading or writing failed for good. The default stops reading and lets output go on.
  virtual void connection_lost();

  EventLoop& loop_;

 private:
  static constexpr size_t kReadSize = 4096;

  void on_input(unsigned events);
  void on_readable();
  void on_hang_up();
  void stop_reading();
  void flush();
  void wait_until_writable();
  void output_drained();
  void flush_finally();
  // Writes once. Bytes written, 0 where it would block, -1 on an error.
  ssize_t write_some();

  int input_ = -1;
  int output_ = -1;
  unsigned idle_events_ = 0;  // of the input watch while nothing is read
  EventLoop::WatchId input_watch_ = 0;
  EventLoop::WatchId output_watch_ = 0;
  bool reading_ = false;    // the input watch is enabled
  bool blocked_ = false;    // the host takes no more for now
  bool held_back_ = false;  // the front end waits for writable()
  std::vector<uint8_t> pending_;
  size_t sent_ = 0;  // bytes of `pending_` that are out already
  DeferredCall flush_call_;
};

}  // namespace calco::devices
