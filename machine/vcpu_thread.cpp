#include "machine/vcpu_thread.h"

#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <utility>

#include "machine/current_processor.h"

namespace calco::machine {
namespace {

template <typename... Handlers>
struct Overloaded : Handlers... {
  using Handlers::operator()...;
};

}  // namespace

VcpuThread::VcpuThread(cpu::Cpu& cpu, std::unique_ptr<Accelerator> accelerator, unsigned index,
                       std::function<void()> debugger_stopped)
    : cpu_(cpu), accelerator_(std::move(accelerator)), index_(index), debugger_stopped_(std::move(debugger_stopped)) {
  cpu_.set_waker([this] { wake(); });
  thread_ = std::thread([this] { main(); });
}

VcpuThread::~VcpuThread() {
  send(Quit{});
  {
    std::unique_lock lock(mutex_);
    if (!changed_.wait_for(lock, kLimit, [this] { return ended_; })) {
      std::fprintf(stderr, "calco: processor %u does not stop\n", index_);
      std::_Exit(EXIT_FAILURE);
    }
  }
  thread_.join();
  cpu_.set_waker({});
}

void VcpuThread::send(Message message) {
  {
    std::lock_guard lock(mutex_);
    messages_.push_back(message);
    idle_ = false;
  }
  changed_.notify_all();
  cpu_.request(cpu::request::kStop);
}

bool VcpuThread::wait_paused(std::chrono::milliseconds limit) {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, limit, [this] { return idle_ || ended_; });
}

std::unique_ptr<Accelerator> VcpuThread::exchange(std::unique_ptr<Accelerator> accelerator) {
  std::lock_guard lock(mutex_);
  std::swap(accelerator_, accelerator);
  return accelerator;
}

void VcpuThread::main() {
  const CurrentProcessorScope scope(index_);
  host_thread_id_.store(gettid());
  host_thread_id_.notify_all();
  while (obey_messages()) {
    if (running_ && !shut_down_) {
      execute();
    } else {
      sleep();
    }
  }
  {
    std::lock_guard lock(mutex_);
    ended_ = true;
    // Notified under the lock: the destructor may free the condition as soon as it has the lock.
    changed_.notify_all();
  }
}

bool VcpuThread::obey_messages() {
  std::unique_lock lock(mutex_);
  while (!messages_.empty()) {
    const Message message = messages_.front();
    messages_.pop_front();
    lock.unlock();
    accelerator_->leave(cpu_);
    obey(message);
    lock.lock();
  }
  idle_ = !running_;
  if (idle_) changed_.notify_all();
  return !quit_;
}

void VcpuThread::obey(const Message& message) {
  std::visit(Overloaded{
                 [this](Run) {
                   running_ = true;
                   stepping_ = false;
                 },
                 [this](Step) { running_ = stepping_ = true; },
                 [this](Pause) { running_ = stepping_ = false; },
                 [this](Reset) {
                   cpu_.reset();
                   shut_down_ = false;
                 },
                 [this](SetA20 gate) { cpu_.mmu().set_a20(gate.open); },
                 [this](Quit) {
                   running_ = false;
                   quit_ = true;
                 },
             },
             message);
}

void VcpuThread::execute() {
  switch (stepping_ ? cpu_.step_for_debugger() : accelerator_->run(cpu_)) {
    case cpu::RunExit::Stopped:
      break;
    case cpu::RunExit::Halted:
      sleep();
      break;
    case cpu::RunExit::Shutdown:
      shut_down_ = true;
      break;
    case cpu::RunExit::Debugger:
      running_ = stepping_ = false;
      if (debugger_stopped_) debugger_stopped_();
      break;
  }
}

// The processor's requests are set before `asleep_` is read by wake(), and read here after it is set: one of the two
// threads sees the other.
void VcpuThread::sleep() {
  std::unique_lock lock(mutex_);
  asleep_.store(true);
  changed_.wait(lock, [this] { return !messages_.empty() || (running_ && !shut_down_ && cpu_.has_work()); });
  asleep_.store(false);
}

// With the lock the accelerator is the current one, and the sleeper either before its check of the condition or in the
// wait.
void VcpuThread::wake() {
  {
    std::lock_guard lock(mutex_);
    accelerator_->kick();
  }
  if (asleep_.load()) changed_.notify_all();
}

}  // namespace calco::machine
