#include "machine/machine.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <system_error>
#include <utility>

#include "machine/accel/engine_choice.h"
#include "machine/core/option_error.h"
#include "machine/current_processor.h"
#include "machine/monitor/monitors.h"
#include "machine/pc/builder.h"

namespace calco::machine {

Machine::Machine(const PreparedPc& prepared) : config_(prepared.config) {
  log_.enable(prepared.config.log_items);
  const std::string& log_file = prepared.config.log_file;
  if (!log_file.empty() && !log_.open(log_file.c_str())) {
    throw OptionError("-D", fmt::format("cannot create '{}'", log_file));
  }
  EngineChoice choice = choose_engine(config_, log_, engine_requests());
  engine_ = std::move(choice.engine);
  engine_reason_ = std::move(choice.reason);
  log_.print(LogItem::Accel, "{}: {}", engine_->name(), engine_reason_);
  std::lock_guard lock(device_lock_);
  board_ = build_pc(prepared, {
                                  .device_lock = device_lock_,
                                  .loop = loop_,
                                  .log = log_,
                                  .request_reset = [this] { request_reset(); },
                                  .power_off = [this] { request_power_off(); },
                                  .exit = [this](int status) { request_exit(status, Cause::Guest); },
                                  .set_a20 = [this](bool open) { set_a20(open); },
                                  .tsc = time_stamp_counter_for(*engine_),
                                  .adapt_model = [this](cpu::CpuModel& model) { engine_->adapt(model); },
                              });
  engine_->attach(*board_);
  for (unsigned index = 0; index < board_->processors.size(); ++index) {
    threads_.push_back(std::make_unique<VcpuThread>(*board_->processors[index], engine_->make_accelerator(index), index,
                                                    [this] { request_pause(); }));
  }
  engine_->load_devices();
  actions_.assign(threads_.size(), ResumeAction::Run);
  build_debugger(prepared.config.debugger);
  monitors_ = std::make_unique<Monitors>(*this);
}

// Whoever could still send a message stops first: the processors, then the event loop.
Machine::~Machine() {
  monitors_->end_dump();
  send_to_all(VcpuThread::Pause{});
  wait_all_paused();
  loop_.stop();
  threads_.clear();
  std::lock_guard lock(device_lock_);
  monitors_.reset();
  debugger_.reset();
  board_.reset();
}

void Machine::build_debugger(const std::optional<devices::CharacterSpec>& backend) {
  if (!backend) return;
  DebuggerServices services{
      .processors = {},
      .pause = [this] { request_pause(); },
      .resume = [this](std::vector<ResumeAction> actions) { request_resume(std::move(actions)); },
      .exit = [this](int status) { request_exit(status); },
  };
  for (const auto& processor : board_->processors) services.processors.push_back(processor.get());
  devices::CharacterBackend* line = board_->character_devices->connect("-gdb", *backend, "gdb");
  debugger_ = std::make_unique<GdbServer>(*line, std::move(services));
}

int Machine::run() {
  start();
  for (;;) {
    const Request what = next_request();
    switch (what.kind) {
      case Request::Kind::Exit:
        emit({MachineEvent::Kind::Shutdown, what.cause});
        return end_with(what.status);
      case Request::Kind::PowerOff:
        emit({MachineEvent::Kind::Shutdown, what.cause});
        if (config_.shutdown) return end_with(0);
        stop_as(RunState::Shutdown);
        break;
      case Request::Kind::Reset:
        if (!config_.reboot) {
          emit({MachineEvent::Kind::Shutdown, what.cause});
          return end_with(0);
        }
        reset(what.cause);
        break;
      case Request::Kind::Task:
        what.task();
        break;
      case Request::Kind::Pause:
        pause_for_debugger();
        break;
      case Request::Kind::Resume:
        resume_from_debugger(what.actions);
        break;
    }
  }
}

void Machine::start() {
  loop_.start();
  if (config_.start_running) {
    state_ = RunState::Running;
    let_processors_run();
  } else {
    std::lock_guard lock(device_lock_);
    stop_time();
  }
}

// Queued before anybody can let the processors run again: see let_processors_run().
void Machine::request(Request what) {
  {
    std::lock_guard lock(mutex_);
    if (what.stops_processors()) send_to_all(VcpuThread::Pause{});
    requests_.push_back(std::move(what));
  }
  requested_.notify_all();
}

void Machine::post(Task task) { request({Request::Kind::Task, Cause::Monitor, 0, std::move(task), {}}); }

// --- Stopping and going on -------------------------------------------------------------------------------------------

void Machine::pause_processors() {
  send_to_all(VcpuThread::Pause{});
  wait_all_paused();
}

// Not where a reset, the end or a pause is asked for already: the guest would see instructions executed after it.
void Machine::let_processors_run() {
  std::lock_guard lock(mutex_);
  const bool stop_requested = std::ranges::any_of(requests_, &Request::stops_processors);
  if (state_ != RunState::Running || stop_requested) return;
  for (size_t index = 0; index < threads_.size(); ++index) {
    if (actions_[index] == ResumeAction::Run) threads_[index]->send(VcpuThread::Run{});
    if (actions_[index] == ResumeAction::Step) threads_[index]->send(VcpuThread::Step{});
  }
}

void Machine::while_paused(const Task& task) {
  pause_processors();
  {
    std::lock_guard lock(device_lock_);
    engine_->store_devices();
    task();
  }
  let_processors_run();
}

void Machine::hold() {
  held_ = true;
  actions_after_hold_.clear();
  if (state_ != RunState::Running) return;
  actions_after_hold_ = actions_;
  stop_as(RunState::SaveVm);
}

void Machine::end_hold() {
  held_ = false;
  if (!actions_after_hold_.empty()) go_on(std::exchange(actions_after_hold_, {}));
}

void Machine::stop_as(RunState state) {
  if (state_ == RunState::SaveVm) {
    actions_after_hold_.clear();
    state_ = state;
    return tell_debugger(true);
  }
  if (state_ != RunState::Running) return;
  pause_processors();
  // What gdb is to be told while the machine is held is told afterwards.
  if (state != RunState::SaveVm) drop_requests(Request::Kind::Pause);
  {
    std::lock_guard lock(device_lock_);
    stop_time();
  }
  state_ = state;
  emit({MachineEvent::Kind::Stop});
  if (state != RunState::SaveVm) tell_debugger(true);
}

Machine::Resumption Machine::resume() {
  if (held_) return Resumption::Held;
  if (state_ == RunState::Shutdown) return Resumption::NeedsReset;
  if (state_ == RunState::Running) return Resumption::Runs;
  {
    std::lock_guard lock(device_lock_);
    if (debugger_ != nullptr && debugger_->holds_machine()) return Resumption::HeldByDebugger;
  }
  go_on(std::vector(threads_.size(), ResumeAction::Run));
  return Resumption::Runs;
}

void Machine::go_on(const std::vector<ResumeAction>& actions) {
  {
    std::lock_guard lock(device_lock_);
    let_time_go_on();
  }
  actions_ = actions;
  state_ = RunState::Running;
  emit({MachineEvent::Kind::Resume});
  let_processors_run();
}

void Machine::stop_time() {
  loop_.clock().stop();
  board_->tsc.stop();
  engine_->time_stops();
}

void Machine::let_time_go_on() {
  engine_->time_goes_on();
  board_->tsc.resume();
  loop_.clock().resume();
}

void Machine::press_power_button() {
  {
    std::lock_guard lock(device_lock_);
    board_->power_management->press_power_button();
  }
  emit({MachineEvent::Kind::PowerDown});
}

void Machine::emit(MachineEvent event) {
  for (const auto& listener : listeners_) listener(event);
}

Machine::Request Machine::next_request() {
  std::unique_lock lock(mutex_);
  requested_.wait(lock, [this] { return !requests_.empty(); });
  Request what = std::move(requests_.front());
  requests_.pop_front();
  return what;
}

// The processor that opens or closes the gate feels it at its next access, the others at their next block boundary.
void Machine::set_a20(bool open) {
  const std::optional<unsigned> self = current_processor();
  for (unsigned index = 0; index < threads_.size(); ++index) {
    if (self == index) {
      board_->processors[index]->mmu().set_a20(open);
    } else {
      threads_[index]->send(VcpuThread::SetA20{open});
    }
  }
}

void Machine::send_to_all(const VcpuThread::Message& message) {
  for (const auto& thread : threads_) thread->send(message);
}

void Machine::wait_all_paused() {
  for (const auto& thread : threads_) {
    if (thread->wait_paused()) continue;
    std::fprintf(stderr, "calco: a processor does not stop\n");
    std::_Exit(EXIT_FAILURE);
  }
}

// Several reasons to reset or pause may have come together; one reset or pause serves them all.
void Machine::drop_requests(Request::Kind kind) {
  std::lock_guard lock(mutex_);
  std::erase_if(requests_, [kind](const Request& what) { return what.kind == kind; });
}

void Machine::reset(Cause cause) {
  pause_processors();
  drop_requests(Request::Kind::Reset);
  {
    std::lock_guard lock(device_lock_);
    // Before the devices: these may open gate A20 again.
    send_to_all(VcpuThread::Reset{});
    board_->reset();
    engine_->load_devices();
  }
  wait_all_paused();
  emit({MachineEvent::Kind::Reset, cause});
  if (state_ != RunState::Running && state_ != RunState::SaveVm) state_ = RunState::Prelaunch;
  actions_.assign(threads_.size(), ResumeAction::Run);
  if (!actions_after_hold_.empty()) actions_after_hold_ = actions_;
  let_processors_run();
}

// --- Exchange of engines ---------------------------------------------------------------------------------------------

EngineRequests Machine::engine_requests() {
  return {.give_up =
              [this](const std::string& dump) {
                std::fprintf(stderr, "calco: %s", dump.c_str());
                request_pause();
              },
          .exit = [this](int status) { request_exit(status); }};
}

// Making an engine and ending one take their time; the guest goes on meanwhile.
void Machine::exchange_engine(std::string_view name) {
  if (name == engine_->name()) return;
  EngineChoice other = make_engine(config_, name, log_, engine_requests());
  std::exception_ptr failure;
  while_paused([&] {
    try {
      replace_engine(other);
    } catch (...) {
      failure = std::current_exception();
    }
  });
  if (failure) std::rethrow_exception(failure);
}

// Every processor has been left, so all state is in the CpuStates and the board's chips. `other` is the former engine
// then.
void Machine::replace_engine(EngineChoice& other) {
  const std::string refusal = other.engine->refusal(*board_);
  if (!refusal.empty()) throw OptionError("accel", fmt::format("{}: {}", other.engine->name(), refusal));
  std::vector<std::unique_ptr<Accelerator>> accelerators;
  try {
    other.engine->attach(*board_);
    for (unsigned index = 0; index < threads_.size(); ++index) {
      accelerators.push_back(other.engine->make_accelerator(index));
    }
    other.engine->load_devices();
  } catch (const std::system_error& error) {
    accelerators.clear();
    other.engine->detach(*board_);
    throw OptionError("accel", fmt::format("{}: {}", other.engine->name(), error.what()));
  }
  for (size_t index = 0; index < threads_.size(); ++index) threads_[index]->exchange(std::move(accelerators[index]));
  engine_->detach(*board_);
  std::swap(engine_, other.engine);
  std::swap(engine_reason_, other.reason);
  if (state_ != RunState::Running) engine_->time_stops();
  for (const auto& processor : board_->processors) processor->state_replaced();
  log_.print(LogItem::Accel, "{}: {}", engine_->name(), engine_reason_);
}

// --- The debugger ----------------------------------------------------------------------------------------------------

void Machine::pause_for_debugger() {
  if (state_ == RunState::Running || state_ == RunState::SaveVm) {
    stop_as(RunState::Paused);
  } else {
    tell_debugger(false);
  }
}

void Machine::resume_from_debugger(const std::vector<ResumeAction>& actions) {
  if (state_ == RunState::Running) return;
  if (state_ == RunState::Shutdown) {
    tell_debugger(false);
  } else if (held_) {
    actions_after_hold_ = actions;
  } else {
    go_on(actions);
  }
}

void Machine::tell_debugger(bool was_running) {
  std::lock_guard lock(device_lock_);
  if (debugger_ != nullptr) debugger_->machine_stopped(was_running);
}

int Machine::end_with(int status) {
  std::lock_guard lock(device_lock_);
  if (debugger_ != nullptr) debugger_->machine_ends(status);
  return status;
}

}  // namespace calco::machine
