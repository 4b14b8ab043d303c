// How an instruction's function becomes a handler, and the table of groups.
#pragma once

#include "cpu/cpu.h"
#include "cpu/decode/instruction.h"
#include "cpu/exec/op.h"

namespace calco::cpu {

// An instruction written as a plain function. It may raise; it commits its results last, so that a fault leaves the
// state as it was before.
using Function = void (*)(Cpu& cpu, const Op& op);

// Goes on with the next operation. For instructions that neither jump nor change what blocks depend on.
template <Function F>
CALCO_HANDLER_CONVENTION void plain(Cpu* cpu, const Op* op, TlbEntry* tlb) {
  cpu->current_op = op;
  F(*cpu, *op);
  [[clang::musttail]] return op[1].handler(cpu, op + 1, tlb);
}

// Leaves the block after the instruction: for those that change modes, mappings, IF, or must be seen by the machine
// (MOV CR, WRMSR, STI, OUT, HLT). RIP is the next instruction's when the dispatch loop goes on; a function that wants
// another RIP is a transfer.
template <Function F>
CALCO_HANDLER_CONVENTION void ending(Cpu* cpu, const Op* op, TlbEntry*) {
  cpu->current_op = op;
  F(*cpu, *op);
  cpu->registers[kRip] += op->offset + op->length;
  cpu->instructions_retired += op->instructions;
  cpu->current_op = nullptr;
}

// A control transfer: the function writes registers[kRip] itself, last, after everything that can raise. Until then
// registers[kRip] is the start of the block: use Cpu::instruction_pointer() and next_instruction_pointer(op).
template <Function F>
CALCO_HANDLER_CONVENTION void transfer(Cpu* cpu, const Op* op, TlbEntry*) {
  cpu->current_op = op;
  F(*cpu, *op);
  cpu->instructions_retired += op->instructions;
  cpu->current_op = nullptr;
}

// What a group's selector answers: the handler, and whether the block ends with it. A null handler means that the
// row is decoded but the group does not execute it: #UD, with a line under -d unimp.
struct Selection {
  Handler handler = nullptr;
  bool ends_block = false;
};
template <Function F>
constexpr Selection select_plain() {
  return {&plain<F>, false};
}
template <Function F>
constexpr Selection select_ending() {
  return {&ending<F>, true};
}
template <Function F>
constexpr Selection select_transfer() {
  return {&transfer<F>, true};
}

// One selector a group of cpu/exec; picks the handler by mnemonic, operand kinds and sizes. `op` is already filled from
// the operands and may be adjusted.
using Selector = Selection (*)(const decode::Instruction& instruction, Op& op);
Selection select_move(const decode::Instruction& instruction, Op& op);
Selection select_alu(const decode::Instruction& instruction, Op& op);
Selection select_multiply_divide(const decode::Instruction& instruction, Op& op);
Selection select_shift(const decode::Instruction& instruction, Op& op);
Selection select_bit(const decode::Instruction& instruction, Op& op);
Selection select_decimal(const decode::Instruction& instruction, Op& op);
Selection select_flag(const decode::Instruction& instruction, Op& op);
Selection select_control(const decode::Instruction& instruction, Op& op);
Selection select_string(const decode::Instruction& instruction, Op& op);
Selection select_input_output(const decode::Instruction& instruction, Op& op);
Selection select_far(const decode::Instruction& instruction, Op& op);
Selection select_segment(const decode::Instruction& instruction, Op& op);
Selection select_system(const decode::Instruction& instruction, Op& op);
Selection select_x87(const decode::Instruction& instruction, Op& op);
Selection select_float_state(const decode::Instruction& instruction, Op& op);
Selection select_vector(const decode::Instruction& instruction, Op& op);

// Fills an operation from a decoded instruction and picks its handler. `offset`: of the instruction in its block.
//  - reg: the General/Segment/Control/Debug/Mmx/Vector/X87 operand that is not the rm operand (ModRM.reg, or the
//  register
//    in the opcode, or a fixed register such as AL in "in al, dx"); rm: the operand that ModRM.rm names where it is a
//    register. Byte registers become byte offsets.
//  - memory operand: is_memory, base, index, scale, segment, address_size, displacement (RIP-relative ones are rebased
//    to the block's start, base kRip).
//  - operand_size: size of the first operand where it is General, Memory or Immediate and has one, else the
//    instruction's operand size attribute.
//  - immediate: Immediate (sign- or zero-extended as decoded), Relative (the displacement); Immediate2 and a far
//    pointer's selector in bits 32-63.
Selection lower(const decode::Instruction& instruction, uint16_t offset, Op& op);

}  // namespace calco::cpu
