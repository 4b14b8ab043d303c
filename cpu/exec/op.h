// A predecoded operation: the interpreter's unit of work.
#pragma once

#include <cstdint>

#include "cpu/state.h"

namespace calco::cpu {

class Cpu;
struct Op;
struct TlbEntry;

// A handler executes its operation and tail-calls the next one's handler; returning goes back to the dispatch loop.
// The processor, the operation and the TLB of the current privilege and address space stay in host registers.
#define CALCO_HANDLER_CONVENTION __attribute__((preserve_none))
using Handler = void(CALCO_HANDLER_CONVENTION*)(Cpu* cpu, const Op* op, TlbEntry* tlb);

// What the handler needs of an instruction, 32 bytes.
struct Op {
  Handler handler;
  // General registers: the number, but for byte operands the byte offset into CpuState::registers (so that AH is
  // 1). Other register files: the number.
  uint8_t reg = 0;  // operand encoded in ModRM.reg, or in the opcode
  uint8_t rm = 0;   // operand encoded in ModRM.rm where that is a register
  uint8_t base = kZero;
  uint8_t index = kZero;
  uint8_t scale = 0;
  uint8_t segment : 4 = kNoSegment;
  uint8_t length : 4 = 0;        // of the instruction in bytes
  uint8_t address_size : 4 = 8;  // bytes: 2, 4, 8
  uint8_t operand_size : 4 = 4;  // bytes: 2, 4, 8 (1 for byte instructions)
  uint8_t is_memory : 1 = 0;     // the ModRM.rm operand is in memory
  uint8_t lock : 1 = 0;
  uint8_t repeat : 1 = 0;
  uint8_t repeat_not : 1 = 0;
  uint8_t condition : 4 = 0;
  int32_t displacement = 0;
  uint16_t offset = 0;       // of the instruction from the start of its block
  uint8_t instructions = 0;  // of the block, up to and with this one
  uint8_t extra = 0;         // second immediate (ENTER's level, selector bits), VEX.vvvv, or whatever the group likes
  uint64_t immediate = 0;    // also 64-bit displacement of MOV moffs
};
static_assert(sizeof(Op) == 32);

}  // namespace calco::cpu
