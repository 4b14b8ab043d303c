// Compiles regions on background threads.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "jit/llvm/compiler.h"

namespace calco::jit {

struct CompileJob {
  uint64_t id = 0;        // the owner's, unique among the jobs that are not done
  uint64_t priority = 0;  // higher ones are compiled first; equal ones in their order
  Region region;
  LinkCellSource link_cell;  // called on a compiling thread
  // Called on a compiling thread, once, unless the job was cancelled. The region is empty where it was refused;
  // `refusal` says why. Must not call the queue's destructor.
  std::function<void(uint64_t id, std::unique_ptr<CompiledRegion> region, const std::string& refusal)> done;
};

// Threads: any, but for construction and destruction.
class CompileQueue {
 public:
  struct Options {
    unsigned threads = 1;
    size_t capacity = 64;  // waiting jobs
    int niceness = 10;     // of the threads beyond their creator's, so that they take no time from processors
    // Compiling takes at most so many hundredths of the processor time that the rest of the process takes: a guest that
    // only boots is not charged for code that it would hardly use. 0: no bound.
    unsigned share = 0;
    // One more thread compiles only what was submitted within this time, so that what the guest does now need not wait
    // for the end of a long job from before. The others are nicer then, and it may take twice the share. 0: none.
    std::chrono::milliseconds express{0};
    uint64_t (*process_time)() = nullptr;  // nanoseconds of processor time of the whole process; null: the system's
  };

  // `make_compiler` is called on each thread, when there is something to compile for the first time; a null compiler
  // refuses everything.
  CompileQueue(std::function<std::unique_ptr<RegionCompiler>()> make_compiler, Options options);
  // Throws the waiting jobs away and waits for those that are being compiled, which takes as long as one region does.
  ~CompileQueue();
  CompileQueue(const CompileQueue&) = delete;
  CompileQueue& operator=(const CompileQueue&) = delete;

  // The job that there is no room for, if so: the one of lowest priority, which may be the new one.
  std::optional<CompileJob> submit(CompileJob job);
  // The job's result is thrown away. False where `done` was called already, or is being called.
  bool cancel(uint64_t id);
  // Waits until no job waits or is being compiled.
  void drain();
  // Waiting or being compiled.
  size_t pending() const;
  LlvmCounters counters() const;

 private:
  void work(const std::stop_token& stop, bool express);
  bool has_work(bool express) const;
  bool has_taken_its_share(bool express) const;
  void compile(RegionCompiler& compiler, const CompileJob& job);
  void refuse(const CompileJob& job);

  const std::function<std::unique_ptr<RegionCompiler>()> make_compiler_;
  const Options options_;

  mutable std::mutex mutex_;  // leaf; not held while jobs are compiled or delivered
  std::condition_variable_any changed_;
  struct Waiting {
    CompileJob job;
    std::chrono::steady_clock::time_point since;
  };
  std::multimap<uint64_t, Waiting, std::greater<>> waiting_;  // by priority
  std::set<uint64_t> compiling_;                              // not yet delivered; what is cancelled is taken out
  unsigned busy_ = 0;                                         // threads
  bool closed_ = false;
  LlvmCounters counters_;
  std::vector<std::jthread> threads_;  // last: ends first
};

}  // namespace calco::jit
