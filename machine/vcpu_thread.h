// The host thread of one processor.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <variant>

#include "cpu/cpu.h"
#include "machine/accel/accelerator.h"

namespace calco::machine {

// Runs a processor on its accelerator, obeying messages. Begins paused. A halted processor's thread sleeps until a pin
// changes.
//
// Threads: send() and the waits from any thread but this one's; send() also from its own. The mutex is a leaf, so
// that messages can be sent and pins driven under any lock.
class VcpuThread {
 public:
  struct Run {};
  struct Step {};  // for a debugger: one instruction, then Pause and a call of the stop listener
  struct Pause {};
  struct Reset {};  // RESET#; only while paused
  struct SetA20 {
    bool open;
  };
  struct Quit {};
  using Message = std::variant<Run, Step, Pause, Reset, SetA20, Quit>;

  static constexpr std::chrono::seconds kLimit{10};

  // `cpu` outlives the thread; its waker is taken over. `debugger_stopped` is called on this thread where a debugger's
  // breakpoint, watchpoint or step has paused the processor.
  VcpuThread(cpu::Cpu& cpu, std::unique_ptr<Accelerator> accelerator, unsigned index,
             std::function<void()> debugger_stopped = {});
  VcpuThread(const VcpuThread&) = delete;
  VcpuThread& operator=(const VcpuThread&) = delete;
  // Ends the thread; ends the process with a message where it hangs for longer than kLimit.
  ~VcpuThread();

  // Queued, taken in order at the processor's next block boundary.
  void send(Message message);
  // True once every message sent so far was obeyed and the processor executes nothing. False after `limit`.
  bool wait_paused(std::chrono::milliseconds limit = kLimit);
  // Only while paused: from now on the processor executes on `accelerator`. The old one, which has been left.
  std::unique_ptr<Accelerator> exchange(std::unique_ptr<Accelerator> accelerator);
  // What the host calls this thread (gettid), for tools that pin or watch it; waits until it has begun. Any thread.
  int host_thread_id() const {
    host_thread_id_.wait(0);
    return host_thread_id_.load();
  }

 private:
  void main();
  void obey(const Message& message);
  bool obey_messages();
  void execute();
  void sleep();
  void wake();

  cpu::Cpu& cpu_;
  std::unique_ptr<Accelerator> accelerator_;  // changed with mutex_ while paused; others use it with mutex_
  const unsigned index_;
  const std::function<void()> debugger_stopped_;

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Message> messages_;  // guarded by mutex_
  bool idle_ = true;              // paused with no message left; guarded by mutex_
  bool ended_ = false;            // guarded by mutex_
  std::atomic<int> host_thread_id_{0};
  std::atomic<bool> asleep_{false};  // waits for a pin or a message
  bool running_ = false;             // own thread only, as is what follows
  bool stepping_ = false;            // running for one instruction
  bool shut_down_ = false;           // triple fault: only a reset helps
  bool quit_ = false;
  std::thread thread_;
};

}  // namespace calco::machine
