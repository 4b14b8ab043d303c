// A translator whose host code is the IR itself, evaluated: puts the frontend and the passes, and no back end, to test.
#pragma once

#include <array>
#include <memory>

#include "cpu/exec/translation.h"
#include "jit/ir/ir.h"
#include "jit/opt/pipeline.h"
#include "tests/oracle/ir_evaluator.h"

namespace calco::oracle {

class EvaluatingTranslator final : public cpu::Translator {
 public:
  explicit EvaluatingTranslator(bool optimize) : optimize_(optimize) {}

  const cpu::TranslatedCode* translate(cpu::Cpu& cpu, const cpu::Block& block) override;
  cpu::TranslationExit execute(cpu::Cpu& cpu, const cpu::TranslatedCode& code) override;
  const void* no_code() const override { return nullptr; }
  uint32_t threshold() const override { return 1; }

 private:
  struct Translation : cpu::TranslatedCode {
    jit::ir::Block block;
  };

  bool optimize_;
  jit::opt::Scratch scratch_;
  IrEvaluator evaluator_;
  // Tests rewrite their code all the time: old translations are forgotten, and found out when they are asked for.
  std::array<Translation, 64> translations_;
  size_t next_ = 0;
};

}  // namespace calco::oracle
