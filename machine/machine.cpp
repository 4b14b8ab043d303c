#include "machine/machine.h"

#include <cstdio>
#include <cstdlib>
#include <utility>

#include "machine/accel/interp.h"
#include "machine/core/option_error.h"
#include "machine/current_processor.h"
#include "machine/pc/builder.h"

namespace calco::machine {

Machine::Machine(const PreparedPc& prepared)
    : reboot_(prepared.config.reboot), shutdown_(prepared.config.shutdown), running_(prepared.config.start_running) {
  log_.enable(prepared.config.log_items);
  const std::string& log_file = prepared.config.log_file;
  if (!log_file.empty() && !log_.open(log_file.c_str())) {
    throw OptionError("-D", fmt::format("cannot create '{}'", log_file));
  }
  std::lock_guard lock(device_lock_);
  board_ = build_pc(prepared, {
                                  .device_lock = device_lock_,
                                  .loop = loop_,
                                  .log = log_,
                                  .request_reset = [this] { request_reset(); },
                                  .power_off = [this] { request_power_off(); },
                                  .exit = [this](int status) { request_exit(status); },
                                  .set_a20 = [this](bool open) { set_a20(open); },
                              });
  for (unsigned index = 0; index < board_->processors.size(); ++index) {
    threads_.push_back(std::make_unique<VcpuThread>(
        *board_->processors[index], std::make_unique<InterpreterAccelerator>(), index, [this] { request_pause(); }));
  }
  build_debugger(prepared.config.debugger);
  log_.print(LogItem::Accel, "guest code is interpreted (interp): the only engine there is");
}

// Whoever could still send a message stops first: the processors, then the event loop.
Machine::~Machine() {
  send_to_all(VcpuThread::Pause{});
  wait_all_paused();
  loop_.stop();
  threads_.clear();
  std::lock_guard lock(device_lock_);
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
  loop_.start();
  if (running_) {
    send_to_all(VcpuThread::Run{});
  } else {
    loop_.clock().stop();
  }
  for (;;) {
    const Request what = next_request();
    switch (what.kind) {
      case Request::Kind::Exit:
        return end_with(what.status);
      case Request::Kind::PowerOff:
        if (shutdown_) return end_with(0);
        break;  // the processors are paused and stay so
      case Request::Kind::Reset:
        if (!reboot_) return end_with(0);
        reset();
        break;
      case Request::Kind::Pause:
        pause();
        break;
      case Request::Kind::Resume:
        resume(what.actions);
        break;
    }
  }
}

void Machine::request(Request what) {
  if (what.kind != Request::Kind::Resume) send_to_all(VcpuThread::Pause{});
  {
    std::lock_guard lock(mutex_);
    requests_.push_back(std::move(what));
  }
  requested_.notify_all();
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

// Several reasons to reset may have come together; one reset serves them all.
void Machine::reset() {
  send_to_all(VcpuThread::Pause{});
  wait_all_paused();
  {
    std::lock_guard lock(mutex_);
    std::erase_if(requests_, [](const Request& what) { return what.kind == Request::Kind::Reset; });
  }
  {
    std::lock_guard lock(device_lock_);
    // Before the devices: these may open gate A20 again.
    send_to_all(VcpuThread::Reset{});
    board_->reset();
  }
  wait_all_paused();
  if (running_) send_to_all(VcpuThread::Run{});
}

// Several reasons to pause may have come together, too.
void Machine::pause() {
  send_to_all(VcpuThread::Pause{});
  wait_all_paused();
  std::lock_guard lock(device_lock_);
  {
    std::lock_guard requests_lock(mutex_);
    std::erase_if(requests_, [](const Request& what) { return what.kind == Request::Kind::Pause; });
  }
  const bool was_running = std::exchange(running_, false);
  if (was_running) loop_.clock().stop();
  if (debugger_ != nullptr) debugger_->machine_stopped(was_running);
}

void Machine::resume(const std::vector<ResumeAction>& actions) {
  if (running_) return;
  running_ = true;
  {
    std::lock_guard lock(device_lock_);
    loop_.clock().resume();
  }
  for (size_t index = 0; index < threads_.size(); ++index) {
    if (actions[index] == ResumeAction::Run) threads_[index]->send(VcpuThread::Run{});
    if (actions[index] == ResumeAction::Step) threads_[index]->send(VcpuThread::Step{});
  }
}

int Machine::end_with(int status) {
  std::lock_guard lock(device_lock_);
  if (debugger_ != nullptr) debugger_->machine_ends(status);
  return status;
}

}  // namespace calco::machine
