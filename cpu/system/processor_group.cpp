#include "cpu/system/processor_group.h"

#include <algorithm>

#include "cpu/cpu.h"
#include "cpu/exec/block_cache.h"

namespace calco::cpu {

void ProcessorGroup::add(Cpu& cpu) { processors_.push_back(&cpu); }

void ProcessorGroup::remove(Cpu& cpu) { std::erase(processors_, &cpu); }

void ProcessorGroup::enter() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return !exclusive_; });
  ++running_;
}

void ProcessorGroup::leave() {
  std::lock_guard lock(mutex_);
  --running_;
  changed_.notify_all();
}

void ProcessorGroup::pause_point() {
  std::unique_lock lock(mutex_);
  if (!exclusive_) return;
  --running_;
  changed_.notify_all();
  changed_.wait(lock, [this] { return !exclusive_; });
  ++running_;
}

void ProcessorGroup::begin_exclusive(Cpu& self, std::unique_lock<std::mutex>& lock) {
  // While it waits its turn it counts as stopped: two that want to be alone must not wait for each other.
  --running_;
  changed_.notify_all();
  changed_.wait(lock, [this] { return !exclusive_; });
  exclusive_ = true;
  for (Cpu* cpu : processors_) {
    if (cpu != &self) cpu->request(request::kExclusive);
  }
  changed_.wait(lock, [this] { return running_ == 0; });
}

void ProcessorGroup::end_exclusive() {
  exclusive_ = false;
  ++running_;
  changed_.notify_all();
}

void ProcessorGroup::code_changed(uint64_t memory_offset, uint64_t size) {
  if (code_listener_) code_listener_(memory_offset, size);
  for (Cpu* cpu : processors_) {
    cpu->blocks().post_invalidation(memory_offset, size);
    cpu->request(request::kInvalidateCode);
  }
}

}  // namespace calco::cpu
