// Several front ends (serial console, monitor) on one back end, switched by an escape key.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "devices/host/character_backend.h"

namespace calco::devices {

// Keys are QEMU's: the escape key (Ctrl-A), then h help, x quit, c next front end, b break, s (write back disks: they
// always are), t timestamps, or the escape key itself to send it.
//
// Threads: everything with the device lock held.
class CharacterMux final : private CharacterFrontEnd {
 public:
  static constexpr uint8_t kControlA = 0x01;
  // Typed bytes kept for a front end that has no room, so that the escape key still gets through.
  static constexpr size_t kInputBuffer = 256;

  CharacterMux(std::unique_ptr<CharacterBackend> backend, std::function<void()> quit, uint8_t escape_key = kControlA);
  CharacterMux(const CharacterMux&) = delete;
  CharacterMux& operator=(const CharacterMux&) = delete;
  ~CharacterMux() override;

  // A new place for one front end; it lives as long as the mux. The first has the focus.
  CharacterBackend& add_port();
  // Gives `port`, one of this mux, the input.
  void focus(const CharacterBackend& port);
  CharacterBackend& backend() { return *backend_; }

 private:
  class Port final : public CharacterBackend {
   public:
    explicit Port(CharacterMux& mux) : mux_(mux) {}
    size_t write(std::span<const uint8_t> bytes) override { return mux_.write(bytes); }
    void accept_input() override;
    bool connected() const override { return mux_.backend_->connected(); }
    std::string description() const override { return "mux:" + mux_.backend_->description(); }

    void send(uint8_t byte);
    void event(CharacterEvent event);
    void notify_writable();
    size_t room() const { return kInputBuffer - waiting_.size(); }

   private:
    CharacterMux& mux_;
    std::deque<uint8_t> waiting_;
  };

  size_t can_receive() override;
  void receive(std::span<const uint8_t> bytes) override;
  void backend_event(CharacterEvent event) override;
  void writable() override;

  size_t write(std::span<const uint8_t> bytes);
  void receive_byte(uint8_t byte);
  void run_command(uint8_t key);
  void print_help();
  void print(std::string_view text);
  bool send_stamp();
  void focus_index(size_t index);

  std::unique_ptr<CharacterBackend> backend_;
  std::function<void()> quit_;
  uint8_t escape_key_;
  std::vector<std::unique_ptr<Port>> ports_;
  size_t focus_ = 0;
  bool escape_seen_ = false;
  bool timestamps_ = false;
  bool at_line_start_ = true;
  std::string stamp_;  // what of the current line's stamp is still to be written
};

}  // namespace calco::devices
