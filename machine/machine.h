// A whole machine: its board, its processors' threads, its event loop, and what starts, resets and ends it.
#pragma once

#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "devices/host/event_loop.h"
#include "machine/core/log.h"
#include "machine/debugger/gdb_server.h"
#include "machine/pc/pc_board.h"
#include "machine/pc/preparation.h"
#include "machine/vcpu_thread.h"

namespace calco::machine {

// Several can live in one process.
//
// Lock order: device lock, then the locks of APICs and clock, then the leaves (this machine's requests, vCPU threads'
// messages, the log).
// Threads: request_*() from any thread under any lock; the rest from the owner's thread.
class Machine {
 public:
  // Builds it; nothing runs yet. Throws OptionError and std::system_error as build_pc() does.
  explicit Machine(const PreparedPc& prepared);
  Machine(const Machine&) = delete;
  Machine& operator=(const Machine&) = delete;
  // Stops everything, in bounded time.
  ~Machine();

  Log& log() { return log_; }
  PcBoard& board() { return *board_; }
  devices::EventLoop& loop() { return loop_; }

  // Runs until it is told to end; the exit status of the process.
  int run();

  // The processors stop at once; run() does the rest.
  void request_reset() { request({Request::Kind::Reset, 0, {}}); }
  void request_power_off() { request({Request::Kind::PowerOff, 0, {}}); }
  void request_exit(int status) { request({Request::Kind::Exit, status, {}}); }
  // For the debugger, which hears when all processors stand still.
  void request_pause() { request({Request::Kind::Pause, 0, {}}); }
  void request_resume(std::vector<ResumeAction> actions) { request({Request::Kind::Resume, 0, std::move(actions)}); }

 private:
  struct Request {
    enum class Kind : uint8_t { Reset, PowerOff, Exit, Pause, Resume };
    Kind kind;
    int status;
    std::vector<ResumeAction> actions;
  };

  void request(Request what);
  Request next_request();
  void set_a20(bool open);
  void send_to_all(const VcpuThread::Message& message);
  void wait_all_paused();
  void reset();
  void pause();
  void resume(const std::vector<ResumeAction>& actions);
  void build_debugger(const std::optional<devices::CharacterSpec>& backend);
  int end_with(int status);

  Log log_;
  const bool reboot_;
  const bool shutdown_;
  bool running_;  // the guest; by -S or the debugger it is not
  std::recursive_mutex device_lock_;
  devices::EventLoop loop_{device_lock_};
  std::unique_ptr<PcBoard> board_;
  std::vector<std::unique_ptr<VcpuThread>> threads_;
  std::unique_ptr<GdbServer> debugger_;  // null without -gdb

  std::mutex mutex_;  // leaf; guards the requests
  std::condition_variable requested_;
  std::deque<Request> requests_;
};

}  // namespace calco::machine
