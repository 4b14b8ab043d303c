#include "devices/host/event_loop.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <system_error>

namespace calco::devices {

// Wanted state of a file, changed under the device lock, and the handle that the loop's thread keeps for it.
struct EventLoop::Watch {
  EventLoop* loop = nullptr;
  FileDescriptor descriptor;
  std::function<void(unsigned)> callback;
  unsigned events = 0;
  bool removed = false;
  bool always_ready = false;

  // Loop thread only. A libuv handle has to live until its close callback: `self` keeps the watch until then.
  bool opened = false;
  std::shared_ptr<Watch> self;
  uv_poll_t poll{};
  uv_idle_t idle{};
};

struct EventLoop::SignalHandle {
  EventLoop* loop = nullptr;
  std::function<void(int)> callback;
  uv_signal_t handle{};
};

namespace {

void check(int result, const char* what) {
  if (result < 0) throw std::system_error(-result, std::generic_category(), what);
}

template <typename Handle>
uv_handle_t* as_handle(Handle* handle) {
  return reinterpret_cast<uv_handle_t*>(handle);
}

}  // namespace

EventLoop::EventLoop(std::recursive_mutex& device_lock) : device_lock_(device_lock) {
  std::signal(SIGPIPE, SIG_IGN);
  check(uv_loop_init(&loop_), "uv_loop_init");
  wake_.data = this;
  check(uv_async_init(&loop_, &wake_, [](uv_async_t* handle) { static_cast<EventLoop*>(handle->data)->on_wake(); }),
        "uv_async_init");
  std::lock_guard lock(device_lock_);
  add_fd(clock_.timer_descriptor(), kReadable, [this](unsigned) { clock_.expire(); });
}

EventLoop::~EventLoop() {
  if (!stop()) {
    fmt::print(stderr, "calco: the event loop does not end within {} ms\n", kStopLimit.count());
    std::abort();
  }
  close_all();
}

void EventLoop::start() {
  std::lock_guard lock(mutex_);
  if (!ended_) return;
  ended_ = false;
  stopping_ = false;
  thread_ = std::thread([this] { run(); });
}

bool EventLoop::stop(std::chrono::milliseconds limit) {
  std::unique_lock lock(mutex_);
  stopping_ = true;
  wake();
  if (!ended_signal_.wait_for(lock, limit, [this] { return ended_; })) return false;
  lock.unlock();
  if (thread_.joinable()) thread_.join();
  return true;
}

void EventLoop::run() {
  wake();
  uv_run(&loop_, UV_RUN_DEFAULT);
  std::lock_guard lock(mutex_);
  ended_ = true;
  ended_signal_.notify_all();
}

void EventLoop::wake() { uv_async_send(&wake_); }

void EventLoop::post(std::function<void()> function) {
  std::lock_guard lock(mutex_);
  posted_.push_back(std::move(function));
  wake();
}

void EventLoop::on_wake() {
  std::lock_guard devices(device_lock_);
  run_posted();
  std::vector<std::shared_ptr<Watch>> changed;
  bool stopping = false;
  {
    std::lock_guard lock(mutex_);
    changed.swap(changed_watches_);
    stopping = stopping_;
  }
  for (const auto& watch : changed) apply(watch);
  if (stopping) uv_stop(&loop_);
}

void EventLoop::run_posted() {
  std::vector<std::function<void()>> functions;
  {
    std::lock_guard lock(mutex_);
    functions.swap(posted_);
  }
  for (const auto& function : functions) function();
}

// --- Files -----------------------------------------------------------------------------------------------------------

EventLoop::WatchId EventLoop::add_fd(int descriptor, unsigned events, std::function<void(unsigned)> callback) {
  auto watch = std::make_shared<Watch>();
  watch->loop = this;
  watch->descriptor.reset(fcntl(descriptor, F_DUPFD_CLOEXEC, 0));
  if (!watch->descriptor.valid()) throw std::system_error(errno, std::generic_category(), "cannot watch a file");
  watch->callback = std::move(callback);
  const WatchId id = ++last_watch_;
  watches_.emplace(id, std::move(watch));
  set_events(id, events);
  return id;
}

void EventLoop::set_events(WatchId id, unsigned events) {
  const auto found = watches_.find(id);
  if (found == watches_.end() || found->second->events == events) return;
  found->second->events = events;
  std::lock_guard lock(mutex_);
  changed_watches_.push_back(found->second);
  wake();
}

void EventLoop::remove(WatchId id) {
  const auto found = watches_.find(id);
  if (found == watches_.end()) return;
  found->second->removed = true;
  std::lock_guard lock(mutex_);
  changed_watches_.push_back(found->second);
  watches_.erase(found);
  wake();
}

void EventLoop::on_ready(const std::shared_ptr<Watch>& watch, unsigned events) {
  std::lock_guard devices(watch->loop->device_lock_);
  // Between the wait and the lock the watch may have been changed.
  const unsigned wanted = events & watch->events;
  if (!watch->removed && wanted != 0) watch->callback(wanted);
}

void EventLoop::apply(const std::shared_ptr<Watch>& watch) {
  if (watch->removed) {
    if (watch->opened) close_watch(*watch);
    return;
  }
  if (!watch->opened) {
    watch->opened = true;
    watch->self = watch;
    watch->poll.data = watch.get();
    watch->idle.data = watch.get();
    watch->always_ready = uv_poll_init(&loop_, &watch->poll, watch->descriptor.get()) < 0;
    if (watch->always_ready) uv_idle_init(&loop_, &watch->idle);
  }
  if (watch->always_ready) {
    if (watch->events == 0) {
      uv_idle_stop(&watch->idle);
      return;
    }
    uv_idle_start(&watch->idle,
                  [](uv_idle_t* handle) { on_ready(static_cast<Watch*>(handle->data)->self, kReadable | kWritable); });
    return;
  }
  if (watch->events == 0) {
    uv_poll_stop(&watch->poll);
    return;
  }
  uv_poll_start(&watch->poll, static_cast<int>(watch->events), [](uv_poll_t* handle, int status, int events) {
    const std::shared_ptr<Watch> ready_watch = static_cast<Watch*>(handle->data)->self;
    const unsigned ready = status < 0 ? kReadable | kWritable | kHangUp : static_cast<unsigned>(events);
    on_ready(ready_watch, ready);
    if (status >= 0) return;
    // libuv stops to look where it sees an error, although bytes may wait in front of it.
    EventLoop& loop = *ready_watch->loop;
    std::lock_guard devices(loop.device_lock_);
    loop.apply(ready_watch);
  });
}

void EventLoop::close_watch(Watch& watch) {
  uv_handle_t* handle = watch.always_ready ? as_handle(&watch.idle) : as_handle(&watch.poll);
  if (uv_is_closing(handle) != 0) return;
  uv_close(handle, [](uv_handle_t* closed) { static_cast<Watch*>(closed->data)->self.reset(); });
}

// --- Signals and the end ---------------------------------------------------------------------------------------------

void EventLoop::on_signal(int signal, std::function<void(int)> callback) {
  post([this, signal, callback = std::move(callback)] { start_signal(signal, callback); });
}

void EventLoop::start_signal(int signal, const std::function<void(int)>& callback) {
  auto entry = std::make_unique<SignalHandle>();
  entry->loop = this;
  entry->callback = callback;
  if (uv_signal_init(&loop_, &entry->handle) < 0) return;
  entry->handle.data = entry.get();
  const auto deliver = [](uv_signal_t* handle, int number) {
    auto* self = static_cast<SignalHandle*>(handle->data);
    std::lock_guard devices(self->loop->device_lock_);
    self->callback(number);
  };
  uv_signal_start(&entry->handle, deliver, signal);
  signals_.push_back(std::move(entry));
}

void EventLoop::close_all() {
  for (const auto& [id, watch] : watches_) {
    if (watch->opened) close_watch(*watch);
  }
  for (const auto& watch : changed_watches_) {
    if (watch->opened) close_watch(*watch);
  }
  for (const auto& entry : signals_) uv_close(as_handle(&entry->handle), nullptr);
  uv_close(as_handle(&wake_), nullptr);
  uv_run(&loop_, UV_RUN_DEFAULT);
  uv_loop_close(&loop_);
}

// --- Deferred calls --------------------------------------------------------------------------------------------------

DeferredCall::DeferredCall(EventLoop& loop, std::function<void()> function)
    : loop_(loop), state_(std::make_shared<State>()) {
  state_->function = std::move(function);
}

// The loop may be about to call.
DeferredCall::~DeferredCall() {
  std::lock_guard devices(loop_.device_lock());
  state_->function = nullptr;
}

void DeferredCall::schedule() {
  if (state_->scheduled.exchange(true)) return;
  loop_.post([state = state_] {
    state->scheduled = false;
    if (state->function) state->function();
  });
}

}  // namespace calco::devices
