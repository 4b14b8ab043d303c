#include "jit/runtime/region_tier.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "jit/ir/printer.h"
#include "jit/llvm/library.h"
#include "jit/runtime/region_former.h"
#include "jit/runtime/stop_watch.h"

namespace calco::jit {

RegionTier::RegionTier(const RegionOptions& options, const StateLayout& layout, const Entries& entries,
                       std::mutex& mutex, TranslationCache& cache, Log& log, PerfMap* perf_map)
    : options_(options),
      layout_(layout),
      entries_(entries),
      mutex_(mutex),
      cache_(cache),
      log_(log),
      perf_map_(perf_map),
      queue_(
          [this]() -> std::unique_ptr<RegionCompiler> {
            std::string error;
            auto compiler = load_llvm_compiler(llvm_library_path(), layout_, entries_.shared, options_.llvm, error);
            if (compiler == nullptr) log_.print(LogItem::Accel, "no optimizing tier: {}", error);
            return compiler;
          },
          {.threads = options.threads,
           .capacity = 256,
           .niceness = options.wait ? 0 : 10,  // who waits wants it soon
           .share = options.wait ? 0 : options.share,
           .express = std::chrono::milliseconds(options.wait || !options.express ? 0 : 60)}) {}

RegionTier::~RegionTier() = default;

// --- Forming ---------------------------------------------------------------------------------------------------------

void RegionTier::promote(cpu::Cpu& cpu, Translation& hot) {
  CompileJob job;
  {
    std::lock_guard lock(mutex_);
    if (!hot.alive || hot.promoted || counters.promoted >= options_.limit) return;
    auto code = std::make_unique<RegionCode>();
    const StopWatch watch;
    const bool formed = form(cpu, hot, job.region, *code);
    counters.forming_time += watch.elapsed();
    if (!formed) return;
    // What became hot last is what runs now: it is compiled first.
    code->linear = cpu.registers[cpu::kRip];
    code->id = job.id = job.priority = next_id_++;
    job.link_cell = [this, target_of = code.get()](size_t block, int32_t target) {
      return make_cell(*target_of, block, target);
    };
    job.done = [this](uint64_t id, std::unique_ptr<CompiledRegion> compiled, const std::string& refusal) {
      publish(id, std::move(compiled), refusal);
    };
    for (Translation* member : code->members) member->regions.push_back(code.get());
    if (log_.enabled(LogItem::Llvm)) {
      log_.print(LogItem::Llvm, "REGION {}:", code->id);
      for (const ir::Block& block : job.region.blocks) log_.print(LogItem::Llvm, "{}", ir::print(block));
    }
    hot.promoted = true;
    regions_.push_back(std::move(code));
    ++counters.promoted;
  }
  if (const auto without_room = queue_.submit(std::move(job))) postpone(without_room->id);
  if (options_.wait) queue_.drain();
}

// Lock held.
bool RegionTier::form(const cpu::Cpu& cpu, Translation& hot, Region& region, RegionCode& code) {
  RegionFormer former(cpu, cache_, hot, options_, scratch_);
  former.run();
  region = std::move(former.region);
  code.members = std::move(former.members);
  code.entry = &hot;
  return !region.blocks.empty() && (former.loops || region.blocks.size() > 1 || options_.wait);
}

// On a compiling thread.
void** RegionTier::make_cell(RegionCode& code, size_t block, int32_t target) {
  std::lock_guard lock(mutex_);
  void*& cell = code.cells.emplace_back(nullptr);
  Link& link = code.links.emplace_back();
  // A region that died meanwhile has no members any more.
  link.from = code.dead ? code.entry : code.members[block];
  link.target = static_cast<uint16_t>(target);
  link.cell = true;
  link.site = reinterpret_cast<uint8_t*>(&cell);
  link.stub = emit_link_stub(cache_.code(), entries_.baseline, link);
  if (link.stub == nullptr) code.dead = true;
  code.segments |= 1u << cache_.code().current_segment();
  cell = const_cast<uint8_t*>(link.stub);
  return &cell;
}

// Its block counts again, for longer.
void RegionTier::postpone(uint64_t id) {
  std::lock_guard lock(mutex_);
  const auto found = std::ranges::find(regions_, id, [](const auto& code) { return code->id; });
  if (found == regions_.end()) return;
  RegionCode& code = **found;
  // A region that died while it waited may have outlived its block.
  if (!code.dead) {
    code.entry->promoted = false;
    int32_t& start = code.entry->countdown_start;
    start = start < INT32_MAX / 8 ? start * 8 : INT32_MAX;
    if (code.entry->countdown != nullptr) *code.entry->countdown = start;
    retire(code);
  }
  regions_.erase(found);
  ++counters.postponed;
}

// --- Use -------------------------------------------------------------------------------------------------------------

// On a compiling thread.
void RegionTier::publish(uint64_t id, std::unique_ptr<CompiledRegion> compiled, const std::string& refusal) {
  std::lock_guard lock(mutex_);
  const auto found = std::ranges::find(regions_, id, [](const auto& code) { return code->id; });
  if (found == regions_.end()) return;
  RegionCode& code = **found;
  if (compiled == nullptr) {
    log_.print(LogItem::Llvm, "region refused: {}", refusal);
    ++counters.refused;
  } else if (code.dead) {
    ++counters.too_late;
  }
  if (compiled == nullptr || code.dead) {
    retire(code);
    regions_.erase(found);  // it never executed
    return;
  }
  code_bytes_ += compiled->bytes().size();
  code.code = std::move(compiled);
  if (perf_map_ != nullptr) {
    const std::span<const uint8_t> bytes = code.code->bytes();
    perf_map_->add_translation(bytes.data(), bytes.size(), code.linear, "llvm");
  }
  cache_.redirect(*code.entry, code.code->entry());
  ++counters.published;
}

// Takes it out of use. Its code may still execute; it stays until no vCPU does.
void RegionTier::retire(RegionCode& code) {
  for (Translation* member : code.members) std::erase(member->regions, &code);
  if (code.code != nullptr && !code.dead) cache_.redirect(*code.entry, nullptr);
  code.dead = true;
  for (Link& link : code.links) cache_.disconnect(link);
  code.members.clear();
}

void RegionTier::translation_dies(Translation& translation) {
  while (!translation.regions.empty()) {
    RegionCode& code = *translation.regions.back();
    const bool in_use = code.code != nullptr;
    if (code.entry != nullptr) code.entry->promoted = false;
    retire(code);
    if (in_use) ++counters.dropped;
  }
}

void RegionTier::segment_evicted(unsigned segment) {
  for (const auto& code : regions_) {
    if ((code->segments >> segment & 1) != 0 && !code->dead) retire(*code);
  }
  std::erase_if(regions_, [this](const auto& code) {
    if (!code->dead || code->code == nullptr) return false;
    code_bytes_ -= code->code->bytes().size();
    return true;
  });
}

void RegionTier::drop_all() {
  for (const auto& code : regions_) {
    if (code->code != nullptr && !code->dead) {
      code->entry->promoted = false;
      retire(*code);
    }
  }
  segment_evicted(CodeCache::kSegments);
}

}  // namespace calco::jit
