// A guest x87 instruction that the host, which has the same instruction, executes as it stands.
#pragma once

#include <cstdint>

#include "cpu/decode/instruction.h"

namespace calco::jit::ir {

// Enough to encode the instruction again with another memory operand, and to keep FIP, FOP and FDP.
struct HostX87Instruction {
  // The first argument of HostX87.
  enum class Argument : uint8_t {
    None,
    Memory,       // I64: the operand's host address
    ControlWord,  // I16: the operand of FLDCW, all of whose exceptions are masked
    Condition,    // I1: whether FCMOVcc moves; the instruction to execute is FCMOVNE
  };
  static constexpr uint8_t kWait = 0x9B;  // `opcode` of FWAIT, which has no ModRM

  decode::Mnemonic mnemonic{};
  uint8_t opcode = kWait;  // D8 to DF
  uint8_t modrm = 0;       // of instructions with a memory operand only ModRM.reg counts
  Argument argument = Argument::None;
  uint8_t memory_bytes = 0;
  bool sets_flags = false;       // FCOMI...: the result (I64) is CF, PF and ZF in their RFLAGS places
  bool gives_status = false;     // FNSTSW AX: the result (I16) is the status word
  bool is_recorded = false;      // FIP and FOP shall tell of the instruction, and FDP of its operand
  uint16_t recorded_opcode = 0;  // FOP
  uint8_t data_segment = 0;      // FDS is this cpu::SegmentRegister's selector
};

}  // namespace calco::jit::ir
