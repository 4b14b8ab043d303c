#include "jit/opt/forward_registers.h"

#include "cpu/state.h"
#include "jit/opt/rewriter.h"

namespace calco::jit::opt {

namespace {

using ir::Instruction;
using ir::Opcode;
using ir::Value;

class Forwarder {
 public:
  explicit Forwarder(Rewriter& rewriter) : rewriter_(rewriter) { forget_all(); }

  Value visit(const Instruction& instruction) {
    if ((info(instruction.opcode).effects & (ir::kReadsState | ir::kWritesState)) == 0) {
      return rewriter_.append(instruction);
    }
    switch (instruction.opcode) {
      case Opcode::GetRegister: {
        Value& known = known_[instruction.auxiliary];
        if (known == ir::kNoValue) known = rewriter_.append(instruction);
        return known;
      }
      case Opcode::SetRegister: {
        Value& known = known_[instruction.auxiliary];
        if (known == instruction.arguments[0]) return ir::kNoValue;
        known = instruction.arguments[0];
        break;
      }
      case Opcode::WideMultiply:
      case Opcode::WideMultiplySigned:
      case Opcode::WideDivide:
      case Opcode::WideDivideSigned:
        known_[cpu::kRax] = known_[cpu::kRdx] = ir::kNoValue;
        break;
      case Opcode::Interpret:
        forget_all();
        break;
      default:
        break;
    }
    return rewriter_.append(instruction);
  }

 private:
  void forget_all() { known_.fill(ir::kNoValue); }

  Rewriter& rewriter_;
  std::array<Value, 16> known_;
};

}  // namespace

void forward_registers(ir::Block& block, Scratch& scratch) {
  Rewriter rewriter(block, scratch);
  Forwarder forwarder(rewriter);
  rewriter.run([&](const Instruction& instruction) { return forwarder.visit(instruction); });
}

void remove_dead_registers(ir::Block& block, Scratch&) {
  constexpr uint32_t kProduct = 1u << cpu::kRax | 1u << cpu::kRdx;
  uint32_t overwritten = 0;  // registers that are set behind this point before anything sees them
  for (size_t i = block.code.size(); i-- > 0;) {
    Instruction& instruction = block.code[i];
    const Opcode opcode = instruction.opcode;
    const uint32_t bit = 1u << (instruction.auxiliary & 15);
    const uint32_t set = opcode == Opcode::SetRegister ? bit : 0;
    const uint32_t get = opcode == Opcode::GetRegister ? bit : 0;
    const bool shown = (info(opcode).effects & (ir::kMayLeave | ir::kTerminator)) != 0;
    if ((overwritten & set) != 0) erase(instruction);
    overwritten = shown ? 0 : (overwritten | set) & ~get;
    if (opcode == Opcode::WideMultiply || opcode == Opcode::WideMultiplySigned) {
      overwritten = (overwritten | kProduct) & ~(1u << cpu::kRax);
    }
    if (opcode == Opcode::WideDivide || opcode == Opcode::WideDivideSigned) overwritten &= ~kProduct;
  }
}

}  // namespace calco::jit::opt
