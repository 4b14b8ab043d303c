// The operands of a vector instruction, as an assembler writes them.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "jit/ir/host_vector.h"

namespace calco::jit {

struct VectorOperand {
  enum class Kind : uint8_t { Vector, General, Memory, Immediate };
  Kind kind{};
  uint8_t number = 0;  // Vector: the guest register
  uint8_t bytes = 0;   // Vector: 16 or 32; General: 4 or 8; Memory: 1 to 32, or 0 where size has no meaning
  bool fixed = false;  // Vector: the instruction can only have this register (XMM0)
};

struct VectorSyntax {
  std::string name;                     // mnemonic
  std::vector<VectorOperand> operands;  // destination first
  std::vector<uint8_t> code;            // the instruction itself, with [rax] or rax in place of other operands
};

// Nothing where an operand is of another kind.
std::optional<VectorSyntax> vector_syntax(const ir::HostVectorInstruction& vector);

}  // namespace calco::jit
