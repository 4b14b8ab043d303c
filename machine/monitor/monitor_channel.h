// What both monitors, the human one and QMP, have in common: a connection on which one command runs at a time.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <span>
#include <string>
#include <string_view>

#include "devices/host/character_backend.h"
#include "machine/machine.h"

namespace calco::machine {

// Takes bytes from a character back end until they make a command, has the command run on the machine's thread, and
// sends what comes of it. Input waits while the other end does not take the output and, unless the monitor says
// otherwise, while a command runs.
//
// Threads: everything with the device lock held, but for the functions given to run_command().
class MonitorChannel : private devices::CharacterFrontEnd {
 public:
  // Both outlive it.
  MonitorChannel(Machine& machine, devices::CharacterBackend& backend);
  MonitorChannel(const MonitorChannel&) = delete;
  MonitorChannel& operator=(const MonitorChannel&) = delete;
  ~MonitorChannel() override;

 protected:
  // Bytes of output that may wait before no more input is taken.
  static constexpr size_t kOutputHighWater = 64 << 10;
  // Bytes of output that may wait before what nobody asked for (events) is dropped.
  static constexpr size_t kOutputLimit = 1 << 20;

  // To be called last in the constructor of the final class: the other end may be connected already.
  void connect() { backend_.set_front_end(this); }
  // The next byte of input; may call run_command().
  virtual void take(uint8_t byte) = 0;
  // Somebody has come; forget what the one before has said.
  virtual void opened() = 0;
  virtual void closed() {}
  virtual void focused() {}
  // Whether take() may be called.
  virtual bool has_room_for_input() const { return !busy_; }
  // The command has been done; may call run_command() again.
  virtual void command_done() {}

  void send(std::string_view text);
  bool output_has_room() const { return output_.size() < kOutputLimit; }
  // A command runs, perhaps one of a connection that has ended.
  bool busy() const { return busy_; }
  // Runs `command` on the machine's thread without the device lock. It calls the function that it is given once with
  // its result, there too, at once or later. Then `answer` gets that with the lock, unless the connection has ended
  // meanwhile, and input goes on. Not while busy().
  template <typename Result>
  using Finish = std::function<void(const Result&)>;
  template <typename Result>
  void run_command(std::function<void(const Finish<Result>&)> command, Finish<Result> answer) {
    busy_ = true;
    Finish<Result> finish = [this, answer = std::move(answer), connection = connection_](const Result& result) {
      std::lock_guard lock(machine_.loop().device_lock());
      busy_ = false;
      if (connection == connection_) answer(result);
      command_done();
      take_waiting();
    };
    machine_.post([command = std::move(command), finish = std::move(finish)] { command(finish); });
  }

  Machine& machine_;

 private:
  static constexpr size_t kInputPiece = 4096;

  size_t can_receive() override;
  void receive(std::span<const uint8_t> bytes) override;
  void backend_event(devices::CharacterEvent event) override;
  void writable() override;
  bool may_take() const { return has_room_for_input() && output_.size() < kOutputHighWater; }
  void take_waiting();
  void flush();
  void forget();

  devices::CharacterBackend& backend_;
  std::deque<uint8_t> input_;
  std::string output_;
  bool busy_ = false;
  uint64_t connection_ = 0;  // number of the connection
};

}  // namespace calco::machine
