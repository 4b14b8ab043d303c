// What the IR means, in plain C++: executes a block operation by operation on a processor.
#pragma once

#include <cstdint>
#include <vector>

#include "cpu/cpu.h"
#include "cpu/exec/translation.h"
#include "jit/ir/ir.h"
#include "tests/oracle/host_vector_runner.h"
#include "tests/oracle/host_x87_runner.h"

namespace calco::oracle {

class IrEvaluator {
 public:
  // Executes `block`, at whose first instruction RIP is. Raises the guest's faults (and so may not return).
  cpu::TranslationExit execute(cpu::Cpu& cpu, const jit::ir::Block& block);

 private:
  enum class Step : uint8_t { Next, Ended, Bail };

  Step evaluate(const jit::ir::Instruction& instruction);
  Step evaluate_state(const jit::ir::Instruction& instruction);
  Step evaluate_memory(const jit::ir::Instruction& instruction);
  Step evaluate_host_memory(const jit::ir::Instruction& instruction);
  Step evaluate_end(const jit::ir::Instruction& instruction);
  void multiply_or_divide(const jit::ir::Instruction& instruction);
  void set_flags(const jit::ir::Instruction& instruction, bool with_carry);
  void interpret(const jit::ir::Instruction& instruction);

  uint64_t argument(const jit::ir::Instruction& instruction, unsigned index) const {
    return values_[instruction.arguments[index]];
  }
  uint64_t optional_argument(const jit::ir::Instruction& instruction, unsigned index) const {
    return instruction.arguments[index] != jit::ir::kNoValue ? argument(instruction, index) : 0;
  }
  unsigned bits(const jit::ir::Instruction& instruction, unsigned index) const {
    return jit::ir::bits_of((*block_)[instruction.arguments[index]].type);
  }
  uint64_t sign_extended(const jit::ir::Instruction& instruction, unsigned index) const;
  void result(uint64_t value);

  cpu::Cpu* cpu_ = nullptr;
  const jit::ir::Block* block_ = nullptr;
  jit::ir::Value at_ = 0;
  std::vector<cpu::Op> run_;
  std::vector<uint64_t> values_;  // zero-extended from their types
  HostVectorRunner vectors_;
  HostX87Runner x87_;
};

}  // namespace calco::oracle
