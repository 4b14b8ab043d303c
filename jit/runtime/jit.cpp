#include "jit/runtime/jit.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <span>

#include "cpu/exec/block_cache.h"
#include "cpu/system/cpu_model.h"
#include "cpu/system/processor_group.h"
#include "jit/frontend/frontend.h"
#include "jit/ir/printer.h"
#include "jit/runtime/look_behind.h"
#include "jit/runtime/stop_watch.h"

namespace calco::jit {

using cpu::Cpu;

namespace {

constexpr size_t kMaximumInstructionLength = 15;

template <typename Member>
int offset_in_state(const Cpu& cpu, const Member& member) {
  const auto* state = reinterpret_cast<const char*>(static_cast<const cpu::CpuState*>(&cpu));
  return static_cast<int>(reinterpret_cast<const char*>(&member) - state);
}

StateLayout layout_of(const Cpu& cpu) {
  const auto offset = [&cpu](const auto& member) { return offset_in_state(cpu, member); };
  StateLayout layout;
  layout.tlb = offset(cpu.tlb);
  layout.exit_request = offset(cpu.exit_request);
  layout.jump_cache = offset(cpu.jump_cache);
  layout.jump_tags = offset(cpu.jump_tags);
  layout.exit_reason = offset(cpu.translation_exit_reason);
  layout.counters = offset(cpu.translation_counters);
  layout.exit_link = offset(cpu.translation_exit_link);
  return layout;
}

void count(std::atomic<uint64_t>& counter, uint64_t by = 1) { counter.fetch_add(by, std::memory_order_relaxed); }

}  // namespace

// While it lives the processor's time is the translator's.
class TranslatorTier {
 public:
  explicit TranslatorTier(Cpu& cpu) : counters_(cpu.translation_counters) {
    counters_.enter_tier(cpu::ExecutionTier::Translator);
  }
  TranslatorTier(const TranslatorTier&) = delete;
  TranslatorTier& operator=(const TranslatorTier&) = delete;
  ~TranslatorTier() { counters_.enter_tier(cpu::ExecutionTier::Interpreter); }

 private:
  cpu::TranslationCounters& counters_;
};

struct Jit::Source {
  uint64_t memory_offset;
  uint32_t mode_key;
  uint64_t second_page;  // memory offset of the page that the first instruction runs into, or Translation::kNowhere

  bool runs_over() const { return second_page != Translation::kNowhere; }
  // The page, and what the first instruction may have of the second.
  void read(const GuestMemory& memory, std::vector<uint8_t>& bytes) const {
    const uint8_t* page = memory.data() + (memory_offset & kPageMask);
    bytes.assign(page, page + kPageSize);
    if (!runs_over()) return;
    const uint8_t* second = memory.data() + second_page;
    bytes.insert(bytes.end(), second, second + kMaximumInstructionLength);
  }
  uint64_t begin(const CodeRange& range) const { return begin_of(range, memory_offset, second_page); }
};

struct Jit::Worker {
  ir::Block block;
  opt::Scratch scratch;
  std::vector<uint8_t> bytes;  // the guest code as it was when it was translated
  std::vector<CodeRange> ranges;
  std::vector<uint8_t> code;  // of the ranges
  std::vector<uint8_t> now;   // the same a moment later
};

namespace {

void copy_ranges(const std::vector<CodeRange>& ranges, const uint8_t* page, std::vector<uint8_t>& code) {
  code.clear();
  for (const CodeRange& range : ranges) {
    code.insert(code.end(), page + range.page_offset, page + range.page_offset + range.size);
  }
}

}  // namespace

Jit::Jit(const JitOptions& options, cpu::ProcessorGroup& processors, const Cpu& any, Log& log)
    : options_(options),
      processors_(processors),
      log_(log),
      layout_(layout_of(any)),
      cache_(options.code_bytes),
      entries_(make_entries(cache_.code(), layout_, options.jump_cache)) {
  if (options_.perf_map) {
    perf_map_ = std::make_unique<PerfMap>(options_.symbols);
    perf_map_->add(reinterpret_cast<const void*>(entries_.baseline.enter), cache_.code().used(), "calco entries");
  }
  if (options_.measurement.tier) sampler_ = std::make_unique<TierSampler>();
  if (options_.on_disagreement) {
    layout_.rounds_left = offset_in_state(any, any.rounds_left);
    cosimulation_ = std::make_unique<Cosimulation>(entries_.baseline, [this](Cpu& cpu, const Disagreement& what) {
      options_.on_disagreement(describe(cpu, what));
    });
  }
  if (!options_.llvm) return;
  RegionOptions regions = options_.regions;
  regions.passes = options_.passes;
  regions.frontend = options_.frontend;
  regions.llvm.measurement = options_.measurement;
  if (log_.enabled(LogItem::Llvm)) {
    regions.llvm.dump_module = [this](std::string_view stage, std::string_view text) {
      log_.print(LogItem::Llvm, "LLVM {}:\n{}", stage, text);
    };
  }
  if (log_.enabled(LogItem::OutAsm) && any.environment().disassemble) {
    regions.llvm.dump_code = [this, disassemble = any.environment().disassemble](std::span<const uint8_t> code) {
      log_.print(
          LogItem::OutAsm, "OUT of LLVM: {} bytes\n{}", code.size(),
          disassemble(code.data(), code.size(), decode::CodeSize::Bits64, reinterpret_cast<uint64_t>(code.data())));
    };
  }
  regions_ = std::make_unique<RegionTier>(regions, layout_, entries_, mutex_, cache_, log_, perf_map_.get());
  cache_.on_death = [this](Translation& translation) { regions_->translation_dies(translation); };
}

Jit::~Jit() = default;

std::unique_ptr<Jit::Worker> Jit::take_worker() {
  std::lock_guard lock(mutex_);
  if (workers_.empty()) return std::make_unique<Worker>();
  auto worker = std::move(workers_.back());
  workers_.pop_back();
  return worker;
}

void Jit::return_worker(std::unique_ptr<Worker> worker) {
  std::lock_guard lock(mutex_);
  workers_.push_back(std::move(worker));
}

// --- Translating -----------------------------------------------------------------------------------------------------

const cpu::TranslatedCode* Jit::translate(Cpu& cpu, const cpu::Block& block) {
  const Source source{block.memory_offset, block.mode_key, block.second_page};
  if (source.runs_over() && !options_.next_page) return nullptr;
  Translation* translation = nullptr;
  {
    std::lock_guard lock(mutex_);
    translation = cache_.find(source.memory_offset, source.mode_key);
    if (translation != nullptr && translation->runnable()) return translation;
    if (translation == nullptr && cache_.counters.translations >= options_.limit) return nullptr;
  }
  const TranslatorTier tier(cpu);
  if (translation == nullptr) translation = translate_source(cpu, source);
  if (translation == nullptr) {
    count(counters_.refused);
  } else if (!translation->runnable()) {
    count_interpreted(cpu, *translation);
  }
  return translation;
}

// On hosts without a baseline: the interpreter has executed the block `threshold` times more.
void Jit::count_interpreted(Cpu& cpu, Translation& translation) {
  {
    std::lock_guard lock(mutex_);
    if (regions_ == nullptr || !translation.alive || translation.promoted) return;
    const auto executions = static_cast<int32_t>(std::min<uint32_t>(options_.threshold, INT32_MAX));
    if (executions < *translation.countdown) {
      *translation.countdown -= executions;
      return;
    }
    // Where no region comes of it the next attempt comes later.
    constexpr int32_t kLater = 4;
    int32_t& start = translation.countdown_start;
    start = start < INT32_MAX / kLater ? start * kLater : INT32_MAX;
    *translation.countdown = start;
  }
  improve(cpu, &translation);
}

Translation* Jit::translate_source(Cpu& cpu, const Source& source) {
  const GuestMemory& memory = cpu.environment().memory_map.memory();
  std::unique_ptr<Worker> worker = take_worker();
  source.read(memory, worker->bytes);
  ir::Block& block = worker->block;
  const decode::FeatureSet& features = cpu.model().features();
  const CodeSource code{std::span(worker->bytes).subspan(source.memory_offset % kPageSize),
                        source.memory_offset,
                        source.mode_key,
                        features,
                        options_.maximum_instructions,
                        source.runs_over() ? memory.data() + source.second_page : nullptr,
                        options_.frontend};
  Translation* translation = nullptr;
  StopWatch watch;
  const bool translated = jit::translate(code, block);
  if (translated) {
    note_ranges(source, block, features, worker->bytes, worker->ranges);
    copy_ranges(worker->ranges, worker->bytes.data(), worker->code);
  }
  count(counters_.frontend_time, watch.lap());
  if (translated) {
    // From here on stores to these bytes are seen. Bytes that changed meanwhile are left to the interpreter, which
    // will ask again.
    for (const CodeRange& range : worker->ranges) cpu.blocks().protect(source.begin(range), range.size);
    source.read(memory, worker->bytes);
    copy_ranges(worker->ranges, worker->bytes.data(), worker->now);
    if (worker->now == worker->code) {
      if (log_.enabled(LogItem::Op)) log_.print(LogItem::Op, "OP:\n{}", ir::print(block));
      opt::optimize(block, options_.passes, worker->scratch);
      if (log_.enabled(LogItem::OpOpt)) log_.print(LogItem::OpOpt, "OP after optimization:\n{}", ir::print(block));
      count(counters_.optimizer_time, watch.lap());
      std::unique_lock lock(mutex_);
      translation = cache_.find(source.memory_offset, source.mode_key);
      if (translation == nullptr) translation = publish(cpu, source, *worker, lock);
      count(counters_.baseline_time, watch.lap());
    }
  }
  return_worker(std::move(worker));
  return translation;
}

// What the translation depends on: its own code, and what is looked at behind it.
void Jit::note_ranges(const Source& source, ir::Block& block, const decode::FeatureSet& features,
                      std::span<const uint8_t> page, std::vector<CodeRange>& ranges) const {
  if (!source.runs_over()) {
    ranges.assign(1, {block.page_offset, block.byte_length});
    if (options_.exit_flags) look_behind(block, page, features, ranges);
    return;
  }
  const auto in_page = static_cast<uint16_t>(kPageSize - block.page_offset);
  ranges = {{block.page_offset, in_page}, {kPageSize, static_cast<uint16_t>(block.byte_length - in_page)}};
}

// Compiles and makes known. The lock is let go where the cache is full.
Translation* Jit::publish(Cpu& cpu, const Source& source, const Worker& worker, std::unique_lock<std::mutex>& lock) {
  const ir::Block& block = worker.block;
  const GuestMemory& memory = cpu.environment().memory_map.memory();
  const uint8_t* live = memory.data() + source.memory_offset;
  const size_t in_page = kPageSize - source.memory_offset % kPageSize;
  // Whoever stored to the code since it was marked has taken the marks away, and found nothing to drop yet.
  const auto still_marked = [&] {
    return std::ranges::all_of(worker.ranges, [&](const CodeRange& range) {
      const uint64_t begin = source.begin(range);
      const uint64_t marks = GuestMemory::granule_mask(begin, range.size);
      return (memory.code_granules(begin) & marks) == marks;
    });
  };
  if (!still_marked()) return nullptr;
  if (options_.revival && !source.runs_over()) {
    if (Translation* revived = cache_.revive(source.memory_offset, source.mode_key, live, in_page)) return revived;
  }
  const baseline::Options baseline_options{.count_entries = regions_ != nullptr,
                                           .hot_threshold = options_.regions.threshold,
                                           .record_targets = regions_ != nullptr && options_.regions.ways.indirect,
                                           .jump_cache = options_.jump_cache,
                                           .measurement = options_.measurement};
  for (;;) {
    std::unique_ptr<Translation> translation = cache_.create();
    const baseline::Outcome outcome =
        baseline::compile(block, cache_.code(), entries_.baseline, layout_, baseline_options, *translation);
    if (outcome == baseline::Outcome::Unsupported) return nullptr;
    if (outcome == baseline::Outcome::CacheFull) {
      lock.unlock();
      make_room(cpu);
      lock.lock();
      continue;
    }
    if (!still_marked()) return nullptr;
    translation->memory_offset = source.memory_offset;
    translation->second_page = source.second_page;
    translation->mode_key = source.mode_key;
    translation->byte_length = block.byte_length;
    translation->guest_instructions = static_cast<uint16_t>(block.guest.size());
    translation->ranges = worker.ranges;
    translation->guest_code = worker.code;
    Translation& known = cache_.insert(std::move(translation));
    if (perf_map_ != nullptr) {
      perf_map_->add_translation(known.entry, known.host_bytes, cpu.registers[cpu::kRip], "baseline");
    }
    if (log_.enabled(LogItem::OutAsm) && cpu.environment().disassemble) {
      log_.print(LogItem::OutAsm, "OUT: {} bytes\n{}", known.host_bytes,
                 cpu.environment().disassemble(static_cast<const uint8_t*>(known.entry), known.host_bytes,
                                               decode::CodeSize::Bits64, reinterpret_cast<uint64_t>(known.entry)));
    }
    return &known;
  }
}

// Takes the next segment of the cache into use. Nobody executes meanwhile, so nobody is in what is thrown away.
void Jit::make_room(Cpu& cpu) {
  processors_.exclusively(cpu, [this] {
    std::lock_guard lock(mutex_);
    const unsigned segment = cache_.code().next_segment();
    const auto evicted = cache_.evict(segment);
    if (regions_ != nullptr) {
      regions_->segment_evicted(segment);
      if (regions_->full()) regions_->drop_all();
    }
    for (Cpu* processor : processors_.processors()) processor->blocks().forget_translations();
  });
}

void Jit::code_changes(uint64_t memory_offset, uint64_t size) {
  std::lock_guard lock(mutex_);
  cache_.code_changes(memory_offset, size);
}

// --- Running ---------------------------------------------------------------------------------------------------------

cpu::TranslationExit Jit::execute(Cpu& cpu, const cpu::TranslatedCode& code) {
  const cpu::TranslatedCode* next = &code;
  cpu::TranslationCounters& counters = cpu.translation_counters;
  for (;;) {
    ++counters.entries;
    enter(cpu, *next);
    counters.enter_tier(cpu::ExecutionTier::Interpreter);
    switch (static_cast<ExitReason>(cpu.translation_exit_reason)) {
      case ExitReason::Link:
        ++counters.link_exits;
        next = follow(cpu, *reinterpret_cast<Link*>(cpu.translation_exit_link));
        if (next == nullptr) return cpu::TranslationExit::Next;
        break;
      case ExitReason::Hot:
        ++counters.hot_exits;
        next = improve(cpu, reinterpret_cast<Translation*>(cpu.translation_exit_link));
        if (next == nullptr) return cpu::TranslationExit::Next;
        break;
      case ExitReason::Interpret:
        ++counters.interpret_exits;
        return cpu::TranslationExit::Interpret;
      default:
        ++(cpu.exit_request.load(std::memory_order_relaxed) != 0 ? counters.request_exits : counters.next_exits);
        return cpu::TranslationExit::Next;
    }
  }
}

void Jit::enter(Cpu& cpu, const cpu::TranslatedCode& code) {
  if (cosimulation_ != nullptr) {
    cosimulation_->run(cpu, static_cast<const Translation&>(code));
    return;
  }
  cpu.registers[cpu::kRip] &= kPageMask;
  entries_.baseline.enter(&cpu, code.entry);
  cpu.current_op = nullptr;
}

// The translation that a link leads to, if there is one and the processor is free to go on.
const cpu::TranslatedCode* Jit::follow(Cpu& cpu, Link& link) {
  if (cpu.exit_request.load(std::memory_order_relaxed) != 0) return nullptr;
  std::lock_guard lock(mutex_);
  if (!link.from->alive) return nullptr;
  const uint64_t page = link.from->memory_offset & kPageMask;
  Translation* target = cache_.find(page + link.target, link.from->mode_key);
  if (target == nullptr) return nullptr;
  if (options_.links) cache_.connect(link, *target);
  return target->runnable() ? target : nullptr;
}

// A translation was entered often. What to go on with: the same, or its successor.
const cpu::TranslatedCode* Jit::improve(Cpu& cpu, Translation* hot) {
  const TranslatorTier tier(cpu);
  bool full = false;
  {
    std::lock_guard lock(mutex_);
    while (hot->successor != nullptr) hot = hot->successor;
    full = regions_->full();
  }
  if (full) {
    make_room(cpu);
    return nullptr;
  }
  regions_->promote(cpu, *hot);
  return hot->alive && cpu.exit_request.load(std::memory_order_relaxed) == 0 ? hot : nullptr;
}

// --- Report ----------------------------------------------------------------------------------------------------------

void Jit::admit(Cpu& cpu) {
  std::lock_guard lock(mutex_);
  processing_.push_back({&cpu, Statistics::of(cpu)});
  if (sampler_) sampler_->watch(cpu.translation_counters);
}

void Jit::retire(Cpu& cpu) {
  std::lock_guard lock(mutex_);
  const auto found = std::ranges::find(processing_, &cpu, &Processor::cpu);
  if (found == processing_.end()) return;
  retired_ += Statistics::of(cpu);
  retired_ -= found->before;
  processing_.erase(found);
  if (sampler_) sampler_->forget(cpu.translation_counters);
}

Statistics Jit::statistics() {
  std::lock_guard lock(mutex_);
  Statistics result = retired_;
  for (const Processor& processor : processing_) {
    result += Statistics::of(*processor.cpu);
    result -= processor.before;
  }
  const TranslationCache::Counters& cache = cache_.counters;
  result.translations = cache.translations;
  result.known = cache_.known();
  result.guest_instructions = cache.guest_instructions;
  result.guest_bytes = cache.guest_bytes;
  result.host_bytes = cache.host_bytes;
  result.links = cache.links;
  result.invalidations = cache.invalidations;
  result.revivals = cache.revivals;
  result.evictions = cache.evictions;
  result.cache_used = cache_.code().used();
  result.cache_size = cache_.code().size();
  result.refused = counters_.refused;
  result.frontend_time = counters_.frontend_time;
  result.optimizer_time = counters_.optimizer_time;
  result.baseline_time = counters_.baseline_time;
  if (sampler_) result.add(sampler_->samples());
  if (regions_ == nullptr) return result;
  const RegionTier::Counters& regions = regions_->counters;
  result.regions_promoted = regions.promoted;
  result.regions_published = regions.published;
  result.regions_refused = regions.refused;
  result.regions_postponed = regions.postponed;
  result.regions_too_late = regions.too_late;
  result.regions_dropped = regions.dropped;
  result.forming_time = regions.forming_time;
  result.add(regions_->llvm_counters());
  return result;
}

}  // namespace calco::jit
