#include "jit/ir/ir.h"

namespace calco::jit::ir {

const OpcodeInfo& info(Opcode opcode) {
  using enum Result;
  static constexpr OpcodeInfo kTable[] = {
#define CALCO_IR(name, text, result, arguments, effects) {text, result, arguments, effects},
#include "jit/ir/opcodes.inc"
#undef CALCO_IR
  };
  return kTable[static_cast<size_t>(opcode)];
}

}  // namespace calco::jit::ir
