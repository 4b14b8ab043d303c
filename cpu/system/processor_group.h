// All processors of a machine, for the rare moments when one must be alone.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <vector>

namespace calco::cpu {

class Cpu;

// Stop-the-world among vCPUs: for locked operations that no host instruction can do (they cross a page or touch a
// device) and for the first translation of code in a page that others may be writing.
//
// Threads: enter(), leave(), pause_point() and exclusively() from the vCPU's own thread. Its mutex is taken with no
// other lock held, except that a vCPU may hold no device lock at all in exclusively().
class ProcessorGroup {
 public:
  void add(Cpu& cpu);
  void remove(Cpu& cpu);
  const std::vector<Cpu*>& processors() const { return processors_; }

  // Around every stretch in which the processor executes guest code.
  void enter();
  void leave();
  // At a block boundary after request::kExclusive was seen: lets the other one have its moment.
  void pause_point();
  // Runs `action` while no other processor executes guest code. The action must not raise a guest fault.
  template <typename Action>
  void exclusively(Cpu& self, Action&& action) {
    if (processors_.size() == 1) {
      action();
      return;
    }
    std::unique_lock lock(mutex_);
    begin_exclusive(self, lock);
    action();
    end_exclusive();
  }

  // Who else wants to know of changes of code: a translator. Set while no processor executes; may be called on any
  // thread with the page's lock held.
  void set_code_listener(std::function<void(uint64_t memory_offset, uint64_t size)> listener) {
    code_listener_ = std::move(listener);
  }

  // Bytes of code at a memory offset are about to change: tells every processor (guest_memory.h, CodeObserver).
  void code_changed(uint64_t memory_offset, uint64_t size);

 private:
  void begin_exclusive(Cpu& self, std::unique_lock<std::mutex>& lock);
  void end_exclusive();

  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Cpu*> processors_;  // changes only while the machine is built or torn down
  std::function<void(uint64_t, uint64_t)> code_listener_;
  unsigned running_ = 0;
  bool exclusive_ = false;
};

}  // namespace calco::cpu
