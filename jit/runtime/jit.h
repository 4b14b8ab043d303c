// The translator behind the dispatch loop: decides what is translated when, and runs it.
#pragma once

#include <array>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "cpu/cpu.h"
#include "cpu/exec/translation.h"
#include "jit/baseline/compiler.h"
#include "jit/frontend/frontend.h"
#include "jit/opt/pipeline.h"
#include "jit/runtime/cosimulation.h"
#include "jit/runtime/entries.h"
#include "jit/runtime/guest_symbols.h"
#include "jit/runtime/perf_map.h"
#include "jit/runtime/region_tier.h"
#include "jit/runtime/statistics.h"
#include "jit/runtime/tier_sampler.h"
#include "jit/runtime/translation_cache.h"

namespace calco::jit {

// -accel jit,NAME=VALUE
struct JitOptions {
  // The interpreter executes a block so often before it is translated.
  uint32_t threshold = baseline::default_thresholds().translate;
  size_t code_bytes = size_t{64} << 20;
  uint64_t limit = ~uint64_t{0};       // only so many blocks are translated; to find out which one is wrong
  unsigned maximum_instructions = 64;  // of a block
  bool links = true;                   // direct jumps within a page go from block to block
  FrontendOptions frontend = {};
  opt::Options passes = {};
  bool exit_flags = true;  // look at the code behind a block: flags that it overwrites are not kept
  bool jump_cache = true;  // translated code asks it for targets in other pages, and indirect ones
  bool revival = true;     // code that died is used again when its bytes are back
  bool next_page = true;   // an instruction that runs into the next page is translated
  bool llvm = true;        // the optimizing tier
  RegionOptions regions = {.threshold = baseline::default_thresholds().optimize};
  bool perf_map = false;  // tell perf of the code (perf_map.h), by the guest functions' names where `symbols` has them
  std::shared_ptr<const GuestSymbols> symbols = {};
  Measurement measurement = {};
  // Translated code is compared with the interpreter. Gets the report of each disagreement; the guest goes on with the
  // interpreter behind it. For machines with one processor.
  std::function<void(const std::string& report)> on_disagreement = {};
};

// Threads: execute() and translate() on each vCPU's own thread, many at once; code_changes() on any. One lock guards
// the cache; it is taken behind the page locks of GuestMemory (a store that meets code calls code_changes() with one
// held), so nothing that may take those is called under it. Outlives every processor that uses it.
class Jit final : public cpu::Translator {
 public:
  // `processors`: all that will use it, for moments when none may execute. `any`: one of them, for its layout.
  Jit(const JitOptions& options, cpu::ProcessorGroup& processors, const cpu::Cpu& any, Log& log);
  ~Jit() override;

  const cpu::TranslatedCode* translate(cpu::Cpu& cpu, const cpu::Block& block) override;
  cpu::TranslationExit execute(cpu::Cpu& cpu, const cpu::TranslatedCode& code) override;
  const void* no_code() const override { return entries_.baseline.no_code; }
  uint32_t threshold() const override { return options_.threshold; }

  // Bytes of code at a memory offset are about to change (guest_memory.h, CodeObserver).
  void code_changes(uint64_t memory_offset, uint64_t size);

  // `cpu` will execute, and its counters are part of the statistics until it is retired: before it is gone.
  void admit(cpu::Cpu& cpu);
  // Of the comparison with the interpreter; null where there is none.
  const Cosimulation* cosimulation() const { return cosimulation_.get(); }
  void retire(cpu::Cpu& cpu);
  // Nobody executes meanwhile.
  Statistics statistics();

 private:
  struct Source;
  struct Worker;  // what a translation in progress uses, one a thread at a time

  Translation* translate_source(cpu::Cpu& cpu, const Source& source);
  void count_interpreted(cpu::Cpu& cpu, Translation& translation);
  void note_ranges(const Source& source, ir::Block& block, const decode::FeatureSet& features,
                   std::span<const uint8_t> page, std::vector<CodeRange>& ranges) const;
  Translation* publish(cpu::Cpu& cpu, const Source& source, const Worker& worker, std::unique_lock<std::mutex>& lock);
  const cpu::TranslatedCode* follow(cpu::Cpu& cpu, Link& link);
  void make_room(cpu::Cpu& cpu);
  const cpu::TranslatedCode* improve(cpu::Cpu& cpu, Translation* hot);
  void enter(cpu::Cpu& cpu, const cpu::TranslatedCode& code);
  std::string describe(cpu::Cpu& cpu, const Disagreement& disagreement);
  std::string describe_code(cpu::Cpu& cpu, const Translation& translation);
  std::unique_ptr<Worker> take_worker();
  void return_worker(std::unique_ptr<Worker> worker);

  const JitOptions options_;
  cpu::ProcessorGroup& processors_;
  Log& log_;
  StateLayout layout_;
  std::mutex mutex_;
  TranslationCache cache_;
  Entries entries_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::unique_ptr<PerfMap> perf_map_;
  struct Processor {
    cpu::Cpu* cpu;
    Statistics before;  // what it had counted when it was admitted
  };
  std::vector<Processor> processing_;
  Statistics retired_;  // what processors that are gone have counted
  std::unique_ptr<TierSampler> sampler_;
  struct {
    std::atomic<uint64_t> refused = 0, frontend_time = 0, optimizer_time = 0, baseline_time = 0;
  } counters_;
  std::unique_ptr<RegionTier> regions_;  // null: no optimizing tier
  std::unique_ptr<Cosimulation> cosimulation_;
};

}  // namespace calco::jit
