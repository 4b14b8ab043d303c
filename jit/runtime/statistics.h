// What a translator did, in numbers: for -d jit, `info jit`, x-query-jit and -accel jit,report=FILE.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "cpu/cpu.h"
#include "jit/llvm/compiler.h"
#include "jit/runtime/tier_sampler.h"

namespace calco::jit {

// A plain value. Times are nanoseconds, summed over all threads.
struct Statistics {
  // The baseline's translations made, and how many of them are alive now.
  uint64_t translations = 0, known = 0;
  uint64_t guest_instructions = 0, guest_bytes = 0, host_bytes = 0;
  uint64_t refused = 0;  // blocks that only the interpreter can execute
  uint64_t frontend_time = 0, optimizer_time = 0, baseline_time = 0;
  // Bytes, and translations thrown away because it was full.
  uint64_t cache_used = 0, cache_size = 0, evictions = 0;
  uint64_t links = 0, invalidations = 0, revivals = 0;

  // The optimizing tier's: regions given to it, taken into use, refused, put off, overtaken by changes of the code, and
  // thrown away because the code changed later.
  uint64_t regions_promoted = 0, regions_published = 0, regions_refused = 0, regions_postponed = 0,
           regions_too_late = 0, regions_dropped = 0;
  uint64_t region_instructions = 0, region_host_bytes = 0;  // compiled: of the guest, and code
  uint64_t forming_time = 0;                                // on the processors' threads
  uint64_t llvm_build_time = 0, llvm_pass_time = 0, llvm_code_time = 0, llvm_link_time = 0;

  // Of the processors. From C++ into translated code, and why it came back.
  uint64_t entries = 0, link_exits = 0, hot_exits = 0, interpret_exits = 0, request_exits = 0, next_exits = 0;
  uint64_t interpreted_instructions = 0, interpreted_blocks = 0, decoded_blocks = 0, block_lookups = 0;
  uint64_t tlb_misses = 0, tlb_flushes = 0, address_spaces_reused = 0;
  uint64_t slow_accesses = 0;  // of translated code: TLB misses, devices, crossing pages, code
  // Where JitOptions::measurement.work asked for them.
  uint64_t baseline_instructions = 0, optimizer_instructions = 0, accesses = 0;

  // How often a processor was seen in each tier, about a thousand times a second; where somebody asked.
  uint64_t interpreter_samples = 0, translator_samples = 0, baseline_samples = 0, optimizer_samples = 0,
           idle_samples = 0;

  // What the processor has counted since it was made; the rest is 0.
  static Statistics of(cpu::Cpu& cpu);
  void add(const LlvmCounters& counters);
  void add(const TierSampler::Samples& samples);
  Statistics& operator+=(const Statistics& other);
  Statistics& operator-=(const Statistics& other);

  // Entries that no exit is known for: faults, and instructions that changed the code around them.
  uint64_t fault_exits() const;

  struct Field {
    std::string_view name;
    uint64_t Statistics::* value;
  };
  // Every number above.
  static std::span<const Field> fields();
  // Lines to read, and one JSON object of all fields and "fault-exits".
  std::string text() const;
  std::string json() const;
};

}  // namespace calco::jit
