// The one thread that waits for the host: files, timers, signals, and calls from other threads.
#pragma once

#include <uv.h>

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "devices/host/real_clock.h"

namespace calco::devices {

// A loop on libuv. Every callback (files, timers of clock(), signals, posted functions) runs on the loop's thread with
// the device lock held, and so never at the same time as a device access of a vCPU.
//
// Lock order: device lock, then the loop's own lock (a leaf). Neither is held while the loop waits.
// Threads: post() and on_signal() from any thread. add_fd(), set_events() and remove() with the device lock held.
// start() and stop() from the owner's thread, stop() without the device lock.
class EventLoop {
 public:
  static constexpr unsigned kReadable = UV_READABLE;
  static constexpr unsigned kWritable = UV_WRITABLE;
  // The other end of a stream is gone for good. Out-of-band data, which nobody sends here, is another reason.
  static constexpr unsigned kHangUp = UV_PRIORITIZED;
  using WatchId = uint64_t;  // 0 is never given out

  // Nothing runs before start(); requests made until then are kept. `device_lock` outlives the loop.
  // Ignores SIGPIPE in the whole process: a peer that goes away is an error of write(2).
  explicit EventLoop(std::recursive_mutex& device_lock);
  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;
  // Stops the loop. Ends the process with a message if a callback hangs for longer than kStopLimit.
  ~EventLoop();

  std::recursive_mutex& device_lock() const { return device_lock_; }
  RealClock& clock() { return clock_; }

  void start();
  // Lets the running callback end, runs what was posted before, and joins the thread. False where that takes longer
  // than `limit`.
  static constexpr std::chrono::milliseconds kStopLimit{5000};
  bool stop(std::chrono::milliseconds limit = kStopLimit);

  // Runs `function` on the loop as soon as possible; functions posted by one thread run in order.
  void post(std::function<void()> function);

  // Calls `callback` with the ready events while any of `events` is ready (level-triggered; an error or hang-up makes
  // all wanted events ready). What cannot be waited for (plain files, /dev/null) is always ready. The loop uses a
  // duplicate: the caller may close `descriptor` at any time after remove(). Makes the open file non-blocking. Throws
  // std::system_error.
  WatchId add_fd(int descriptor, unsigned events, std::function<void(unsigned events)> callback);
  void set_events(WatchId watch, unsigned events);
  // No callback after this; also from within the callback.
  void remove(WatchId watch);

  // Calls `callback` with the number of the signal, from when the loop next runs until its end.
  void on_signal(int signal, std::function<void(int signal)> callback);

 private:
  struct Watch;
  struct SignalHandle;

  void wake();
  void run();
  void on_wake();
  void run_posted();
  void start_signal(int signal, const std::function<void(int signal)>& callback);
  void apply(const std::shared_ptr<Watch>& watch);
  static void on_ready(const std::shared_ptr<Watch>& watch, unsigned events);
  static void close_watch(Watch& watch);
  void close_all();

  std::recursive_mutex& device_lock_;
  RealClock clock_;
  uv_loop_t loop_{};
  uv_async_t wake_{};
  std::thread thread_;

  std::mutex mutex_;  // leaf; guards the following
  std::condition_variable ended_signal_;
  std::vector<std::function<void()>> posted_;
  std::vector<std::shared_ptr<Watch>> changed_watches_;
  bool stopping_ = false;
  bool ended_ = true;

  std::map<WatchId, std::shared_ptr<Watch>> watches_;  // guarded by the device lock
  WatchId last_watch_ = 0;
  std::vector<std::unique_ptr<SignalHandle>> signals_;  // loop's thread only
};

// A function that waits to be run on the loop: scheduling it again before it ran does nothing, destroying it cancels.
//
// Threads: schedule() from any thread; destruction too, it takes the device lock.
class DeferredCall {
 public:
  DeferredCall(EventLoop& loop, std::function<void()> function);
  DeferredCall(const DeferredCall&) = delete;
  DeferredCall& operator=(const DeferredCall&) = delete;
  ~DeferredCall();

  void schedule();

 private:
  struct State {
    std::function<void()> function;
    std::atomic<bool> scheduled{false};
  };
  EventLoop& loop_;
  std::shared_ptr<State> state_;
};

}  // namespace calco::devices
