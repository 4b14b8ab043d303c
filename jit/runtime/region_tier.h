// The optimizing tier's place in the runtime: which translations are joined to regions, and when their code is used.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "cpu/cpu.h"
#include "jit/frontend/frontend.h"
#include "jit/llvm/compile_queue.h"
#include "jit/opt/pipeline.h"
#include "jit/runtime/entries.h"
#include "jit/runtime/perf_map.h"
#include "jit/runtime/translation_cache.h"

namespace calco::jit {

// Which ways regions follow from block to block; each can be switched off to find out whose fault something is.
struct RegionWays {
  bool calls = true;     // direct calls
  bool returns = true;   // behind calls
  bool indirect = true;  // indirect jumps and calls, to where they went lately
  bool pages = true;     // to other pages
};

struct RegionOptions {
  int32_t threshold = 0;         // entries of a translation until it is compiled anew
  unsigned maximum_blocks = 24;  // of a region
  unsigned maximum_instructions = 400;
  unsigned threads = 1;
  unsigned share = 33;                   // CompileQueue::Options::share
  bool express = true;                   // CompileQueue::Options::express
  uint64_t limit = ~uint64_t{0};         // only so many regions are compiled; to find out which one is wrong
  bool wait = false;                     // compile on the vCPU's thread, and go on with the result
  size_t code_bytes = size_t{32} << 20;  // beyond this all regions are dropped
  RegionWays ways = {};
  FrontendOptions frontend = {};
  opt::Options passes = {};
  LlvmOptions llvm = {};
};

// A compiled region. It replaces the beginning of its first member as long as all members live.
struct RegionCode {
  uint64_t id = 0;
  uint64_t linear = 0;  // address of the guest's code when it became hot
  Translation* entry = nullptr;
  std::vector<Translation*> members;
  std::deque<Link> links;
  std::deque<void*> cells;
  std::unique_ptr<CompiledRegion> code;
  unsigned segments = 0;  // of the code cache that hold its stubs, one bit each
  bool dead = false;
};

// Threads: promote() on vCPU threads; results come on compiling threads. `mutex` is the one that guards the cache;
// what says so is called with it held.
class RegionTier {
 public:
  // `perf_map` is null where nobody asked for it.
  RegionTier(const RegionOptions& options, const StateLayout& layout, const Entries& entries, std::mutex& mutex,
             TranslationCache& cache, Log& log, PerfMap* perf_map);
  // No vCPU runs any more.
  ~RegionTier();

  // A translation is entered often.
  void promote(cpu::Cpu& cpu, Translation& hot);
  // Lock held: the guest's code has changed, or the translation is thrown away.
  void translation_dies(Translation& translation);
  // Lock held, no vCPU executes: a segment of the code cache is used anew; dead code can be freed.
  void segment_evicted(unsigned segment);
  // Lock held: so much code that it must be thrown away at the next opportunity.
  bool full() const { return code_bytes_ > options_.code_bytes; }
  // Lock held, no vCPU executes.
  void drop_all();
  LlvmCounters llvm_counters() const { return queue_.counters(); }
  // No job waits or runs any more. Without the lock.
  void drain() { queue_.drain(); }

  struct Counters {
    uint64_t promoted = 0, published = 0, refused = 0, postponed = 0, too_late = 0, dropped = 0;
    uint64_t forming_time = 0;  // ns
  } counters;

 private:
  bool form(const cpu::Cpu& cpu, Translation& hot, Region& region, RegionCode& code);
  void** make_cell(RegionCode& code, size_t block, int32_t target);
  void publish(uint64_t id, std::unique_ptr<CompiledRegion> compiled, const std::string& refusal);
  void postpone(uint64_t id);
  void retire(RegionCode& code);

  const RegionOptions options_;
  const StateLayout layout_;
  const Entries entries_;
  std::mutex& mutex_;
  TranslationCache& cache_;
  Log& log_;
  PerfMap* const perf_map_;
  opt::Scratch scratch_;
  uint64_t next_id_ = 1;
  size_t code_bytes_ = 0;
  std::vector<std::unique_ptr<RegionCode>> regions_;  // waiting, in use, and dead ones that may still execute
  CompileQueue queue_;                                // last: its threads use the rest
};

}  // namespace calco::jit
