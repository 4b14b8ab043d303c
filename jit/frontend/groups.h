// The instruction groups: one function each, in the file of the same name as in cpu/exec.
#pragma once

#include "jit/frontend/operand.h"

namespace calco::jit {

// What became of a guest instruction. After Interpret nothing that was appended for it is kept.
enum class Outcome : uint8_t {
  Next,       // translated; the next instruction follows
  Ended,      // translated, and a terminator appended
  Interpret,  // not translated
};

Outcome translate_move(Emitter& emit);
Outcome translate_alu(Emitter& emit);
Outcome translate_multiply_divide(Emitter& emit);
Outcome translate_shift(Emitter& emit);
Outcome translate_bit(Emitter& emit);
Outcome translate_flag(Emitter& emit);
Outcome translate_stack(Emitter& emit);
Outcome translate_control(Emitter& emit);
Outcome translate_system(Emitter& emit);
Outcome translate_vector(Emitter& emit);
Outcome translate_x87(Emitter& emit);

}  // namespace calco::jit
