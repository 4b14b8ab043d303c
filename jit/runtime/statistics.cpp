#include "jit/runtime/statistics.h"

#include <fmt/format.h>

#include <algorithm>

#include "cpu/exec/block_cache.h"

namespace calco::jit {

namespace {

double seconds(uint64_t nanoseconds) { return static_cast<double>(nanoseconds) * 1e-9; }

double ratio(uint64_t part, uint64_t whole) {
  return static_cast<double>(part) / static_cast<double>(std::max<uint64_t>(1, whole));
}

}  // namespace

std::span<const Statistics::Field> Statistics::fields() {
  static constexpr Field kFields[] = {
      {"translations", &Statistics::translations},
      {"known", &Statistics::known},
      {"guest-instructions", &Statistics::guest_instructions},
      {"guest-bytes", &Statistics::guest_bytes},
      {"host-bytes", &Statistics::host_bytes},
      {"refused", &Statistics::refused},
      {"frontend-ns", &Statistics::frontend_time},
      {"optimizer-ns", &Statistics::optimizer_time},
      {"baseline-ns", &Statistics::baseline_time},
      {"cache-used", &Statistics::cache_used},
      {"cache-size", &Statistics::cache_size},
      {"evictions", &Statistics::evictions},
      {"links", &Statistics::links},
      {"invalidations", &Statistics::invalidations},
      {"revivals", &Statistics::revivals},
      {"regions-promoted", &Statistics::regions_promoted},
      {"regions-published", &Statistics::regions_published},
      {"regions-refused", &Statistics::regions_refused},
      {"regions-postponed", &Statistics::regions_postponed},
      {"regions-too-late", &Statistics::regions_too_late},
      {"regions-dropped", &Statistics::regions_dropped},
      {"region-instructions", &Statistics::region_instructions},
      {"region-host-bytes", &Statistics::region_host_bytes},
      {"forming-ns", &Statistics::forming_time},
      {"llvm-build-ns", &Statistics::llvm_build_time},
      {"llvm-pass-ns", &Statistics::llvm_pass_time},
      {"llvm-code-ns", &Statistics::llvm_code_time},
      {"llvm-link-ns", &Statistics::llvm_link_time},
      {"entries", &Statistics::entries},
      {"link-exits", &Statistics::link_exits},
      {"hot-exits", &Statistics::hot_exits},
      {"interpret-exits", &Statistics::interpret_exits},
      {"request-exits", &Statistics::request_exits},
      {"next-exits", &Statistics::next_exits},
      {"interpreted-instructions", &Statistics::interpreted_instructions},
      {"interpreted-blocks", &Statistics::interpreted_blocks},
      {"decoded-blocks", &Statistics::decoded_blocks},
      {"block-lookups", &Statistics::block_lookups},
      {"tlb-misses", &Statistics::tlb_misses},
      {"tlb-flushes", &Statistics::tlb_flushes},
      {"address-spaces-reused", &Statistics::address_spaces_reused},
      {"slow-accesses", &Statistics::slow_accesses},
      {"baseline-instructions", &Statistics::baseline_instructions},
      {"optimizer-instructions", &Statistics::optimizer_instructions},
      {"accesses", &Statistics::accesses},
      {"interpreter-samples", &Statistics::interpreter_samples},
      {"translator-samples", &Statistics::translator_samples},
      {"baseline-samples", &Statistics::baseline_samples},
      {"optimizer-samples", &Statistics::optimizer_samples},
      {"idle-samples", &Statistics::idle_samples},
  };
  static_assert(sizeof(kFields) / sizeof(Field) * sizeof(uint64_t) == sizeof(Statistics));
  return kFields;
}

Statistics Statistics::of(cpu::Cpu& cpu) {
  Statistics result;
  const cpu::TranslationCounters& counters = cpu.translation_counters;
  result.entries = counters.entries;
  result.link_exits = counters.link_exits;
  result.hot_exits = counters.hot_exits;
  result.interpret_exits = counters.interpret_exits;
  result.request_exits = counters.request_exits;
  result.next_exits = counters.next_exits;
  result.interpreted_instructions = cpu.instructions_retired;
  result.interpreted_blocks = cpu.blocks_entered;
  result.decoded_blocks = cpu.blocks().counters.blocks_decoded;
  result.block_lookups = cpu.blocks().counters.lookups;
  result.tlb_misses = cpu.mmu().counters.misses;
  result.tlb_flushes = cpu.mmu().counters.flushes;
  result.address_spaces_reused = cpu.mmu().counters.address_spaces_reused;
  result.slow_accesses = counters.slow_accesses;
  result.baseline_instructions = counters.baseline_instructions;
  result.optimizer_instructions = counters.optimizer_instructions;
  result.accesses = counters.accesses;
  return result;
}

void Statistics::add(const LlvmCounters& counters) {
  region_instructions += counters.guest_instructions;
  region_host_bytes += counters.code_bytes;
  llvm_build_time += counters.build_time;
  llvm_pass_time += counters.pass_time;
  llvm_code_time += counters.codegen_time;
  llvm_link_time += counters.link_time;
}

void Statistics::add(const TierSampler::Samples& samples) {
  const auto of = [&samples](cpu::ExecutionTier tier) { return samples[static_cast<size_t>(tier)]; };
  idle_samples += of(cpu::ExecutionTier::None);
  interpreter_samples += of(cpu::ExecutionTier::Interpreter);
  translator_samples += of(cpu::ExecutionTier::Translator);
  baseline_samples += of(cpu::ExecutionTier::Baseline);
  optimizer_samples += of(cpu::ExecutionTier::Optimizer);
}

Statistics& Statistics::operator+=(const Statistics& other) {
  for (const Field& field : fields()) this->*field.value += other.*field.value;
  return *this;
}

Statistics& Statistics::operator-=(const Statistics& other) {
  for (const Field& field : fields()) this->*field.value -= other.*field.value;
  return *this;
}

uint64_t Statistics::fault_exits() const {
  return entries - link_exits - hot_exits - interpret_exits - request_exits - next_exits;
}

std::string Statistics::json() const {
  std::string text = "{";
  for (const Field& field : fields()) text += fmt::format("\"{}\": {},\n ", field.name, this->*field.value);
  return text + fmt::format("\"fault-exits\": {}}}\n", fault_exits());
}

std::string Statistics::text() const {
  const uint64_t llvm_time = llvm_build_time + llvm_pass_time + llvm_code_time + llvm_link_time;
  std::string text = fmt::format(
      "translations {} (known now {}), guest instructions {}, guest bytes {}, host bytes {}, refused {}\n"
      "time: frontend {:.3f} s, optimizer {:.3f} s, baseline {:.3f} s\n"
      "regions: promoted {}, published {}, refused {}, postponed {}, too late {}, dropped {}; guest instructions {}, "
      "host bytes {}\n"
      "time: forming {:.3f} s, LLVM {:.3f} s (building {:.3f}, passes {:.3f}, code {:.3f}, linking {:.3f}); {:.0f} us "
      "a "
      "guest instruction\n"
      "code cache: {} of {} bytes, evictions {}; links {}, invalidations {}, revivals {}\n"
      "entries into translated code {}; exits: link {}, hot {}, interpret {}, request {}, other target {}, fault {}\n"
      "interpreter: {} instructions in {} blocks; {} blocks decoded, {} looked up\n"
      "TLB: misses {}, flushes {}, address spaces reused {}; slow accesses of translated code {}\n",
      translations, known, guest_instructions, guest_bytes, host_bytes, refused, seconds(frontend_time),
      seconds(optimizer_time), seconds(baseline_time), regions_promoted, regions_published, regions_refused,
      regions_postponed, regions_too_late, regions_dropped, region_instructions, region_host_bytes,
      seconds(forming_time), seconds(llvm_time), seconds(llvm_build_time), seconds(llvm_pass_time),
      seconds(llvm_code_time), seconds(llvm_link_time), ratio(llvm_time, region_instructions) * 1e-3, cache_used,
      cache_size, evictions, links, invalidations, revivals, entries, link_exits, hot_exits, interpret_exits,
      request_exits, next_exits, fault_exits(), interpreted_instructions, interpreted_blocks, decoded_blocks,
      block_lookups, tlb_misses, tlb_flushes, address_spaces_reused, slow_accesses);
  if (accesses != 0) {
    const uint64_t instructions = interpreted_instructions + baseline_instructions + optimizer_instructions;
    const auto percent = [=](uint64_t part) { return 100 * ratio(part, instructions); };
    text += fmt::format(
        "instructions executed {}: interpreter {:.1f} %, baseline {:.1f} %, LLVM {:.1f} %; accesses {}, TLB hits "
        "{:.3f} %\n",
        instructions, percent(interpreted_instructions), percent(baseline_instructions),
        percent(optimizer_instructions), accesses, 100 * (1 - ratio(slow_accesses, accesses)));
  }
  const uint64_t samples = interpreter_samples + translator_samples + baseline_samples + optimizer_samples;
  if (samples + idle_samples != 0) {
    const auto percent = [=](uint64_t part) { return 100 * ratio(part, samples); };
    text += fmt::format(
        "time of processors ({} samples): interpreter {:.1f} %, translator {:.1f} %, baseline {:.1f} %, LLVM {:.1f} %; "
        "idle {} samples\n",
        samples, percent(interpreter_samples), percent(translator_samples), percent(baseline_samples),
        percent(optimizer_samples), idle_samples);
  }
  return text;
}

}  // namespace calco::jit
