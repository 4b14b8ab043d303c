#include "jit/runtime/region_tier.h"

#include <fmt/format.h>

#include <algorithm>
#include <bitset>
#include <cstring>

#include "cpu/system/cpu_model.h"
#include "jit/frontend/frontend.h"
#include "jit/ir/printer.h"
#include "jit/llvm/library.h"
#include "machine/core/guest_memory.h"

namespace calco::jit {

namespace {

// The targets of a block that lie in its page.
std::vector<uint16_t> targets_in_page(const ir::Block& block) {
  std::vector<uint16_t> targets;
  const auto add = [&](int32_t target) {
    if (target >= 0 && target < static_cast<int32_t>(kPageSize)) targets.push_back(static_cast<uint16_t>(target));
  };
  const ir::Instruction& end = block.terminator();
  if (end.opcode == ir::Opcode::Jump) add(static_cast<int32_t>(end.immediate));
  if (end.opcode == ir::Opcode::Branch) {
    add(ir::taken_target(end));
    add(ir::not_taken_target(end));
  }
  return targets;
}

}  // namespace

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
          {.threads = options.threads, .capacity = 256, .niceness = 10, .share = options.wait ? 0 : options.share}) {}

RegionTier::~RegionTier() = default;

// --- Forming ---------------------------------------------------------------------------------------------------------

void RegionTier::promote(cpu::Cpu& cpu, Translation& hot) {
  CompileJob job;
  {
    std::lock_guard lock(mutex_);
    if (!hot.alive || hot.promoted || counters.promoted >= options_.limit) return;
    auto code = std::make_unique<RegionCode>();
    if (!form(cpu, hot, job.region, *code)) return;
    // What became hot last is what runs now: it is compiled first.
    code->linear = cpu.registers[cpu::kRip];
    code->id = job.id = job.priority = next_id_++;
    job.link_cell = [this, target_of = code.get()](int32_t target) { return make_cell(*target_of, target); };
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
  const uint64_t id = job.id;
  if (!queue_.submit(std::move(job))) publish(id, nullptr, "the queue is full");
  if (options_.wait) queue_.drain();
}

// Everything in the page that was translated and can be reached from the hot block by direct jumps. Lock held.
bool RegionTier::form(const cpu::Cpu& cpu, Translation& hot, Region& region, RegionCode& code) {
  const uint64_t page = hot.memory_offset & kPageMask;
  const auto first = static_cast<uint16_t>(hot.memory_offset - page);
  const uint8_t* bytes = cpu.environment().memory_map.memory().data() + page;
  std::bitset<kPageSize> seen;
  std::deque<uint16_t> waiting{first};
  seen.set(first);
  size_t instructions = 0;
  bool loops = false;
  while (!waiting.empty() && region.blocks.size() < options_.maximum_blocks &&
         instructions < options_.maximum_instructions) {
    const uint16_t offset = waiting.front();
    waiting.pop_front();
    Translation* member = cache_.find(page + offset, hot.mode_key);
    if (member == nullptr) continue;
    ir::Block block;
    const CodeSource source{{bytes + offset, kPageSize - offset},
                            page + offset,
                            hot.mode_key,
                            cpu.model().features(),
                            std::max<unsigned>(1, member->guest_instructions)};
    if (!translate(source, block) || block.byte_length != member->byte_length) continue;
    opt::optimize(block, options_.passes, scratch_);
    instructions += block.guest.size();
    for (const uint16_t target : targets_in_page(block)) {
      loops |= target == first;
      if (!seen.test(target)) waiting.push_back(target);
      seen.set(target);
    }
    region.blocks.push_back(std::move(block));
    code.members.push_back(member);
  }
  code.entry = &hot;
  counters.guest_instructions += instructions;
  return !region.blocks.empty() && code.members.front() == &hot && (loops || region.blocks.size() > 1 || options_.wait);
}

// On a compiling thread.
void** RegionTier::make_cell(RegionCode& code, int32_t target) {
  std::lock_guard lock(mutex_);
  void*& cell = code.cells.emplace_back(nullptr);
  Link& link = code.links.emplace_back();
  link.from = code.entry;
  link.target = static_cast<uint16_t>(target);
  link.cell = true;
  link.site = reinterpret_cast<uint8_t*>(&cell);
  link.stub = emit_link_stub(cache_.code(), entries_.baseline, link);
  if (link.stub == nullptr) code.dead = true;
  code.segments |= 1u << cache_.code().current_segment();
  cell = const_cast<uint8_t*>(link.stub);
  return &cell;
}

// --- Use -------------------------------------------------------------------------------------------------------------

// On a compiling thread, or where there was no room to compile.
void RegionTier::publish(uint64_t id, std::unique_ptr<CompiledRegion> compiled, const std::string& refusal) {
  std::lock_guard lock(mutex_);
  const auto found = std::find_if(regions_.begin(), regions_.end(), [id](const auto& code) { return code->id == id; });
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

std::string RegionTier::report() const {
  const LlvmCounters llvm = queue_.counters();
  constexpr double kSeconds = 1e-9;
  return fmt::format(
      "regions: promoted {}, in use {}, refused {}, too late {}, dropped {}; guest instructions {}, host bytes {}\n"
      "LLVM time {:.3f} s: building {:.3f}, passes {:.3f}, code {:.3f}, linking {:.3f}; {:.0f} us a guest "
      "instruction\n",
      counters.promoted, counters.published, counters.refused, counters.too_late, counters.dropped,
      counters.guest_instructions, llvm.code_bytes,
      static_cast<double>(llvm.build_time + llvm.pass_time + llvm.codegen_time + llvm.link_time) * kSeconds,
      static_cast<double>(llvm.build_time) * kSeconds, static_cast<double>(llvm.pass_time) * kSeconds,
      static_cast<double>(llvm.codegen_time) * kSeconds, static_cast<double>(llvm.link_time) * kSeconds,
      static_cast<double>(llvm.build_time + llvm.pass_time + llvm.codegen_time + llvm.link_time) * 1e-3 /
          static_cast<double>(std::max<uint64_t>(1, llvm.guest_instructions)));
}

}  // namespace calco::jit
