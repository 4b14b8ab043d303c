#include "jit/llvm/vector_operands.h"

#include "cpu/decode/instruction.h"
#include "cpu/decode/row.h"

namespace calco::jit {

namespace {

using ir::HostVectorInstruction;

uint8_t vex_prefix_bits(uint8_t prefix) { return prefix == 0x66 ? 1 : prefix == 0xF3 ? 2 : prefix == 0xF2 ? 3 : 0; }

// Scalar instructions ignore VEX.L; an assembler takes no 256-bit registers for them.
bool ignores_length(const HostVectorInstruction& vector) {
  const bool multiply_add = vector.opcode >= 0x96 && vector.opcode <= 0xBF;
  if (vector.map == 2) return multiply_add && (vector.opcode & 0xF) >= 9 && (vector.opcode & 1) == 1;
  if (vector.map == 3) return vector.opcode == 0x0A || vector.opcode == 0x0B;
  if (vector.opcode == 0x2E || vector.opcode == 0x2F) return true;
  if (vector.prefix != 0xF3 && vector.prefix != 0xF2) return false;
  switch (vector.opcode) {
    case 0x10:
    case 0x11:
    case 0x2A:
    case 0x2C:
    case 0x2D:
    case 0xC2:
      return true;
    default:
      return vector.opcode >= 0x51 && vector.opcode <= 0x5F && vector.opcode != 0x5B;
  }
}

// Conversions of double-precision numbers to 32 bits: the result is half as long.
bool narrows(const HostVectorInstruction& vector) {
  return vector.map == 1 &&
         ((vector.opcode == 0x5A && vector.prefix == 0x66) || (vector.opcode == 0xE6 && vector.prefix != 0xF3));
}

// SDM vol. 2, 2.1 and 2.3.
std::vector<uint8_t> encode(const HostVectorInstruction& vector) {
  const bool memory = vector.source == HostVectorInstruction::Source::Memory;
  const uint8_t rm =
      vector.source == HostVectorInstruction::Source::Vector && !vector.rm_is_general_result ? vector.rm : 0;
  const uint8_t reg = vector.reg_is_general ? 0 : vector.reg;
  const bool r = reg >= 8, b = rm >= 8;
  std::vector<uint8_t> code;
  auto append = [&](unsigned byte) { code.push_back(static_cast<uint8_t>(byte)); };
  if (vector.vex) {
    append(0xC4);
    append((r ? 0 : 0x80) | 0x40 | (b ? 0 : 0x20) | vector.map);
    append((vector.wide ? 0x80 : 0) | (~vector.vvvv & 15) << 3 |
           (vector.long_vector && !ignores_length(vector) ? 4 : 0) | vex_prefix_bits(vector.prefix));
  } else {
    if (vector.prefix != 0) append(vector.prefix);
    append(0x40 | (vector.wide ? 8 : 0) | (r ? 4 : 0) | (b ? 1 : 0));
    append(0x0F);
    if (vector.map == 2) append(0x38);
    if (vector.map == 3) append(0x3A);
  }
  append(vector.opcode);
  append((memory ? 0 : 0xC0) | (reg & 7) << 3 | (rm & 7));
  if (vector.has_immediate) append(vector.immediate);
  return code;
}

std::optional<VectorOperand> operand_of(const decode::Operand& operand, decode::Location location) {
  VectorOperand result;
  switch (operand.kind) {
    case decode::OperandKind::Vector:
      result.kind = VectorOperand::Kind::Vector;
      result.number = operand.number;
      result.bytes = operand.size > 16 ? 32 : 16;
      result.fixed = location == decode::Location::FixedVector;
      return result;
    case decode::OperandKind::General:
      result.kind = VectorOperand::Kind::General;
      result.bytes = operand.size > 4 ? 8 : 4;
      return result;
    case decode::OperandKind::Memory:
      result.kind = VectorOperand::Kind::Memory;
      result.bytes = operand.size;
      return result;
    case decode::OperandKind::Immediate:
      result.kind = VectorOperand::Kind::Immediate;
      return result;
    default:
      return std::nullopt;
  }
}

}  // namespace

// The decoder knows the order, the sizes and the fixed registers.
std::optional<VectorSyntax> vector_syntax(const HostVectorInstruction& vector) {
  VectorSyntax result;
  result.code = encode(vector);
  decode::FeatureSet features;
  features.set();
  decode::Instruction instruction;
  if (decode::decode(result.code, decode::CodeSize::Bits64, features, instruction) != decode::Status::Ok) {
    return std::nullopt;
  }
  result.name = decode::name(instruction.mnemonic);
  for (size_t i = 0; i < instruction.operands.size(); ++i) {
    if (instruction.operands[i].kind == decode::OperandKind::None) continue;
    const auto operand = operand_of(instruction.operands[i], instruction.row->operands[i].location);
    if (!operand) return std::nullopt;
    result.operands.push_back(*operand);
  }
  if (narrows(vector)) result.operands[0].bytes = 16;
  return result;
}

}  // namespace calco::jit
