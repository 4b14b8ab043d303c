// A whole machine: its board, its processors' threads, its event loop, and what starts, resets and ends it.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "devices/host/event_loop.h"
#include "machine/accel/engine.h"
#include "machine/core/log.h"
#include "machine/debugger/gdb_server.h"
#include "machine/pc/pc_board.h"
#include "machine/pc/preparation.h"
#include "machine/vcpu_thread.h"

namespace calco::machine {

class Monitors;
struct EngineChoice;
struct EngineRequests;

// What the guest does as a whole. The names in the monitor are QEMU's.
enum class RunState : uint8_t {
  Prelaunch,  // -S: has not run yet
  Running,
  Paused,    // told to stop
  Shutdown,  // powered off with -no-shutdown: only a reset leads on
  SaveVm,    // would run, but for hold()
};

// Who wanted a reset or the end.
enum class Cause : uint8_t { Guest, Monitor, Signal };

struct MachineEvent {
  enum class Kind : uint8_t { Reset, Shutdown, Stop, Resume, PowerDown };
  Kind kind;
  Cause cause = Cause::Monitor;
};

// Several can live in one process.
//
// Lock order: device lock, then the locks of APICs and clock, then this machine's requests, then the leaves (vCPU
// threads' messages, the log).
// Threads: request_*() and post() from any thread under any lock; the rest from the owner's thread, which is the one
// that is in run(), without the device lock unless something else is said.
class Machine {
 public:
  using Task = std::function<void()>;

  // Builds it; nothing runs yet. Throws OptionError and std::system_error as build_pc() does.
  explicit Machine(const PreparedPc& prepared);
  Machine(const Machine&) = delete;
  Machine& operator=(const Machine&) = delete;
  // Stops everything, in bounded time.
  ~Machine();

  Log& log() { return log_; }
  PcBoard& board() { return *board_; }
  const Engine& engine() const { return *engine_; }
  // Why that engine executes the guest, in one line.
  const std::string& engine_reason() const { return engine_reason_; }
  devices::EventLoop& loop() { return loop_; }

  // Runs until it is told to end; the exit status of the process.
  int run();

  // The processors stop at once; run() does the rest.
  void request_reset(Cause cause = Cause::Guest) { request({Request::Kind::Reset, cause, 0, {}, {}}); }
  void request_power_off() { request({Request::Kind::PowerOff, Cause::Guest, 0, {}, {}}); }
  void request_exit(int status, Cause cause = Cause::Signal) { request({Request::Kind::Exit, cause, status, {}, {}}); }
  // For the debugger, which hears when all processors stand still.
  void request_pause() { request({Request::Kind::Pause, Cause::Monitor, 0, {}, {}}); }
  void request_resume(std::vector<ResumeAction> actions) {
    request({Request::Kind::Resume, Cause::Monitor, 0, {}, std::move(actions)});
  }

  // Runs `task` on the owner's thread, in order with resets. The guest goes on meanwhile; a task may pause it.
  void post(Task task);

  // From any thread.
  RunState state() const { return state_; }
  const MachineConfig& config() const { return config_; }
  // Runs `task` while no processor executes, with the device lock held; then the guest goes on as before.
  void while_paused(const Task& task);
  // For what takes its time: the guest stands still, and its clock with it, until end_hold(). Where it ran before it
  // goes on then, unless it is powered off or gdb stops it meanwhile. Not while held, as stop().
  void hold();
  void end_hold();
  // Another engine (interp, jit, kvm) goes on with the guest, running or not. Where it cannot, the guest stays with its
  // engine; throws OptionError, std::system_error.
  void exchange_engine(std::string_view name);
  // The guest stands still, and its clock with it.
  void stop() { stop_as(RunState::Paused); }
  // What became of the wish to go on. The debugger goes on by itself where it has stopped the guest.
  enum class Resumption : uint8_t { Runs, NeedsReset, HeldByDebugger, Held };
  Resumption resume();
  // The power button.
  void press_power_button();
  // The host's number of a processor's thread.
  int host_thread_id(unsigned processor) const { return threads_[processor]->host_thread_id(); }
  // Called on the owner's thread without a lock. Before run() only; listeners outlive it.
  void add_event_listener(std::function<void(const MachineEvent&)> listener) {
    listeners_.push_back(std::move(listener));
  }

 private:
  struct Request {
    enum class Kind : uint8_t { Reset, PowerOff, Exit, Pause, Resume, Task };
    Kind kind;
    Cause cause;
    int status;
    Task task;
    std::vector<ResumeAction> actions;

    bool stops_processors() const { return kind != Kind::Task && kind != Kind::Resume; }
  };

  EngineRequests engine_requests();
  void replace_engine(EngineChoice& next);
  void start();
  void request(Request what);
  void stop_as(RunState state);
  void pause_processors();
  void let_processors_run();
  void emit(MachineEvent event);
  Request next_request();
  void drop_requests(Request::Kind kind);
  void set_a20(bool open);
  void send_to_all(const VcpuThread::Message& message);
  void wait_all_paused();
  void reset(Cause cause);
  void go_on(const std::vector<ResumeAction>& actions);
  void pause_for_debugger();
  void resume_from_debugger(const std::vector<ResumeAction>& actions);
  void tell_debugger(bool was_running);
  void stop_time();
  void let_time_go_on();
  void build_debugger(const std::optional<devices::CharacterSpec>& backend);
  int end_with(int status);

  const MachineConfig config_;
  Log log_;
  std::atomic<RunState> state_ = RunState::Prelaunch;  // set by the owner's thread
  // Owner's thread only, as the next one.
  std::vector<ResumeAction> actions_;  // what the processors do while the guest runs, one each
  bool held_ = false;
  std::vector<ResumeAction> actions_after_hold_;  // empty: the guest does not run then
  std::vector<std::function<void(const MachineEvent&)>> listeners_;
  std::recursive_mutex device_lock_;
  devices::EventLoop loop_{device_lock_};
  std::unique_ptr<Engine> engine_;  // outlives the board, which tells it of memory
  std::string engine_reason_;
  std::unique_ptr<PcBoard> board_;
  std::unique_ptr<Monitors> monitors_;
  std::vector<std::unique_ptr<VcpuThread>> threads_;
  std::unique_ptr<GdbServer> debugger_;  // null without -gdb

  std::mutex mutex_;  // guards the requests
  std::condition_variable requested_;
  std::deque<Request> requests_;
};

}  // namespace calco::machine
