#include "jit/baseline/compiler.h"

#include <xbyak/xbyak_util.h>

#include <algorithm>

#include "jit/baseline/emitter.h"
#include "jit/runtime/helpers.h"

namespace calco::jit::baseline {

Emitter::Emitter(const Block& block, CodeCache& cache, const BaselineEntries& entries, const StateLayout& layout,
                 const Options& options, Translation& translation, uint8_t* memory, size_t size)
    : CodeGenerator(size, memory),
      block_(block),
      cache_(cache),
      entries_(entries),
      layout_(layout),
      options_(options),
      translation_(translation) {
  wide_vectors_ =
      std::any_of(block.vectors.begin(), block.vectors.end(), [](const auto& vector) { return vector.vex; });
}

void Emitter::emit() {
  analyse();
  emit_head();
  for (current_ = 0; current_ < block_.code.size(); ++current_) {
    if (skip_[current_] != 0 || roots_[current_] != current_) continue;
    emit_instruction();
    finish_instruction();
  }
  --current_;
  emit_cold();
}

namespace {

// No block is longer: a guest instruction gives at most a few accesses with their cold code, and its registers.
constexpr size_t kMaximumBytes = 48 * 1024;

bool host_supports(const ir::Block& block) {
  using Features = Xbyak::util::Cpu;
  static const Features features;
  for (const ir::Instruction& instruction : block.code) {
    switch (instruction.opcode) {
      case ir::Opcode::PopulationCount:
        if (!features.has(Features::tPOPCNT)) return false;
        break;
      case ir::Opcode::LeadingZeros:
        if (!features.has(Features::tLZCNT)) return false;
        break;
      case ir::Opcode::TrailingZeros:
        if (!features.has(Features::tBMI1)) return false;
        break;
      default:
        break;
    }
  }
  return true;
}

}  // namespace

Thresholds default_thresholds() { return {.translate = 16, .optimize = 100000}; }

Outcome compile(const ir::Block& block, CodeCache& cache, const BaselineEntries& entries, const StateLayout& layout,
                const Options& options, Translation& translation) {
  if (!host_supports(block)) return Outcome::Unsupported;
  uint8_t* memory = cache.allocate_code(kMaximumBytes);
  if (memory == nullptr) return Outcome::CacheFull;
  const size_t operations = block.interpreted.size();
  translation.interpreted = std::make_unique<cpu::Op[]>(operations + 2);
  std::transform(block.interpreted.begin(), block.interpreted.end(), translation.interpreted.get(),
                 [](const cpu::Op& op) { return op.handler != nullptr ? op : stop_operation(); });
  translation.interpreted[operations] = stop_operation();
  if (block.last) translation.interpreted[operations + 1] = *block.last;
  Emitter emitter(block, cache, entries, layout, options, translation, memory, kMaximumBytes);
  emitter.emit();
  translation.entry = cache.executable(memory);
  translation.host_bytes = static_cast<uint32_t>(emitter.getSize());
  cache.trim(memory + emitter.getSize());
  return Outcome::Done;
}

}  // namespace calco::jit::baseline
