#include "tests/oracle/evaluating_translator.h"

#include "cpu/cpu.h"
#include "cpu/exec/block_cache.h"
#include "cpu/system/cpu_model.h"
#include "jit/frontend/frontend.h"

namespace calco::oracle {

const cpu::TranslatedCode* EvaluatingTranslator::translate(cpu::Cpu& cpu, const cpu::Block& block) {
  if (!block.linkable || (block.mode_key & cpu::kModeSingle) != 0) return nullptr;
  Translation& translation = translations_[next_];
  constexpr uint64_t kPageBytes = 4096;
  const uint8_t* bytes = cpu.environment().memory_map.memory().data() + block.memory_offset;
  const jit::CodeSource source{.bytes = {bytes, kPageBytes - block.memory_offset % kPageBytes},
                               .memory_offset = block.memory_offset,
                               .mode_key = block.mode_key,
                               .features = cpu.model().features()};
  if (!jit::translate(source, translation.block)) return nullptr;
  if (optimize_) jit::opt::optimize(translation.block, {.verify = true}, scratch_);
  translation.set_runnable(true);
  next_ = (next_ + 1) % translations_.size();
  return &translation;
}

cpu::TranslationExit EvaluatingTranslator::execute(cpu::Cpu& cpu, const cpu::TranslatedCode& code) {
  const jit::ir::Block& block = static_cast<const Translation&>(code).block;
  // A translation may have been replaced by that of other code.
  const uint8_t* code_at_rip = cpu.mmu().fetch_address(cpu.registers[cpu::kRip]);
  if (block.mode_key != cpu.mode_key() ||
      block.memory_offset != cpu.environment().memory_map.memory().offset_of(code_at_rip)) {
    return cpu::TranslationExit::Interpret;
  }
  return evaluator_.execute(cpu, block);
}

}  // namespace calco::oracle
