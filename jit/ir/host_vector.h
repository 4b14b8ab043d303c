// A guest vector instruction that the host, which has the same instruction, executes as it stands.
#pragma once

#include <cstdint>

#include "cpu/decode/instruction.h"

namespace calco::jit::ir {

// Enough to encode the instruction again with the same vector registers and another memory operand or general register,
// and to know which registers it touches.
struct HostVectorInstruction {
  enum class Source : uint8_t {
    Vector,   // ModRM.rm is a vector register
    Memory,   // ... memory: the argument of HostVector is its host address
    General,  // ... a general register: the argument is its value
  };

  decode::Mnemonic mnemonic{};
  bool vex = false;
  uint8_t map = 1;           // 1: 0F, 2: 0F38, 3: 0F3A
  uint8_t prefix = 0;        // 0, 0x66, 0xF3, 0xF2
  uint8_t opcode = 0;        // last opcode byte
  bool wide = false;         // REX.W or VEX.W
  bool long_vector = false;  // VEX.L: 256 bits
  bool has_immediate = false;
  uint8_t immediate = 0;
  Source source = Source::Vector;
  uint8_t rm = 0;   // vector register where source is Vector
  uint8_t reg = 0;  // ModRM.reg: vector register, or opcode extension (shifts by immediate)
  bool reg_is_general =
      false;  // ModRM.reg names a general register: the result (MOVMSKPS, CVTTSD2SI, PEXTRB to reg...)
  bool rm_is_general_result = false;  // ModRM.rm names a general register that is written (MOVD r, xmm; PEXTRx)
  uint8_t vvvv = 0;                   // VEX.vvvv where used
  uint8_t general_size = 8;           // bytes of the general register operand or result
  bool sets_flags = false;  // COMISS, PTEST...: the result (I64) is the six arithmetic flags in their RFLAGS places
  bool writes_memory = false;
  bool uses_mxcsr = false;
  uint16_t reads = 0;   // guest vector registers, one bit each
  uint16_t writes = 0;  // a register that is partly written is in both
  uint8_t memory_bytes = 0;
};

}  // namespace calco::jit::ir
