// From decoded instruction to operation.
#include <array>

#include "cpu/decode/row.h"
#include "cpu/exec/address.h"
#include "cpu/exec/handlers.h"

namespace calco::cpu {
namespace {

using decode::Instruction;
using decode::Location;
using decode::Operand;
using decode::OperandKind;

// In the order of decode::Group.
constexpr std::array<Selector, 16> kSelectors = {
    select_move,   select_alu,     select_multiply_divide, select_shift,        select_bit, select_decimal,
    select_flag,   select_control, select_string,          select_input_output, select_far, select_segment,
    select_system, select_x87,     select_float_state,     select_vector};
static_assert(static_cast<size_t>(decode::Group::Vector) == kSelectors.size() - 1);

bool is_rm(Location location) {
  switch (location) {
    case Location::RmGeneral:
    case Location::Memory:
    case Location::RmMmx:
    case Location::RmVector:
    case Location::RmX87:
      return true;
    default:
      return false;
  }
}

// Of several registers the one that ModRM.reg or the opcode names is Op::reg, before fixed ones. 0: not a candidate.
unsigned reg_priority(Location location) {
  switch (location) {
    case Location::RegGeneral:
    case Location::RegSegment:
    case Location::RegControl:
    case Location::RegDebug:
    case Location::RegMmx:
    case Location::RegVector:
    case Location::OpcodeGeneral:
      return 2;
    case Location::FixedGeneral:
    case Location::FixedSegment:
    case Location::FixedVector:
    case Location::FixedX87:
      return 1;
    default:
      return 0;
  }
}

void fill_registers(const Instruction& instruction, Op& op) {
  unsigned best = 0;
  for (size_t i = 0; i < instruction.operands.size(); ++i) {
    const Location location = instruction.row->operands[i].location;
    const Operand& operand = instruction.operands[i];
    if (operand.kind == OperandKind::Memory) continue;
    if (is_rm(location)) op.rm = register_field(operand);
    if (location == Location::VvvvGeneral || location == Location::VvvvVector) op.extra = operand.number;
    if (reg_priority(location) > best) {
      best = reg_priority(location);
      op.reg = register_field(operand);
    }
  }
}

void fill_memory(const Instruction& instruction, Op& op) {
  if (!instruction.has_memory()) return;
  const decode::MemoryOperand& memory = instruction.memory;
  op.is_memory = 1;
  op.base = memory.base;
  op.index = memory.index;
  op.scale = memory.scale;
  op.segment = memory.segment;
  op.displacement = static_cast<int32_t>(memory.displacement);
  if (memory.base == kRip) op.displacement += static_cast<int32_t>(op.offset) + op.length;
}

bool has_size(const Instruction& instruction, size_t i) {
  const Operand& operand = instruction.operands[i];
  if (instruction.row->operands[i].location == Location::Port) return false;
  if (operand.size != 1 && operand.size != 2 && operand.size != 4 && operand.size != 8) return false;
  return operand.kind == OperandKind::General || operand.kind == OperandKind::Memory ||
         operand.kind == OperandKind::Immediate;
}

// A port is no data: OUT takes its size from what it writes.
uint8_t operand_size(const Instruction& instruction) {
  if (has_size(instruction, 0)) return instruction.operands[0].size;
  const bool output = instruction.mnemonic == decode::Mnemonic::Out || instruction.mnemonic == decode::Mnemonic::Outs;
  return output ? instruction.operands[1].size : instruction.operand_size;
}

uint64_t immediate(const Instruction& instruction) {
  for (size_t i = 0; i < instruction.operands.size(); ++i) {
    if (instruction.row->operands[i].location == Location::Offset) {
      return static_cast<uint64_t>(instruction.memory.displacement);
    }
    const OperandKind kind = instruction.operands[i].kind;
    if (kind == OperandKind::Immediate2 || kind == OperandKind::FarPointer) {
      return static_cast<uint32_t>(instruction.immediate) | instruction.immediate2 << 32;
    }
  }
  return instruction.immediate;
}

}  // namespace

Selection lower(const Instruction& instruction, uint16_t offset, Op& op) {
  op = {.handler = nullptr};
  op.offset = offset;
  op.length = instruction.length & 15;
  op.address_size = instruction.address_size & 15;
  op.operand_size = operand_size(instruction) & 15;
  op.lock = instruction.lock;
  op.repeat = instruction.repeat;
  op.repeat_not = instruction.repeat_not;
  op.condition = instruction.condition & 15;
  op.immediate = immediate(instruction);
  op.extra = static_cast<uint8_t>(instruction.immediate2);
  fill_registers(instruction, op);
  fill_memory(instruction, op);
  return kSelectors[static_cast<size_t>(instruction.row->group)](instruction, op);
}

}  // namespace calco::cpu
