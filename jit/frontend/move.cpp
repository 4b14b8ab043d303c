// MOV and its relatives: MOVZX, MOVSX, LEA, XCHG, BSWAP, MOVBE, CMOVcc, SETcc, CBW and CWD families, XLAT, NOP.
#include "jit/frontend/groups.h"

namespace calco::jit {
namespace {

using decode::Mnemonic;
using ir::Opcode;
using ir::Type;
using ir::Value;

Outcome move(Emitter& emit) {
  emit.write(0, emit.read(1));
  return Outcome::Next;
}

Outcome extend(Emitter& emit, Opcode opcode) {
  emit.write(0, emit.convert(opcode, emit.operand_type(0), emit.read(1)));
  return Outcome::Next;
}

Outcome load_effective_address(Emitter& emit) {
  emit.write(0, emit.truncate(emit.operand_type(0), emit.effective_address()));
  return Outcome::Next;
}

// With memory XCHG is locked, prefix or not (SDM vol. 2, XCHG).
Outcome exchange(Emitter& emit) {
  const unsigned memory = emit.is_memory(1) ? 1 : 0;
  const Value second = emit.read(1 - memory);
  if (emit.is_memory(memory)) {
    const Value host = emit.host_address(emit.linear_address(), emit.operand(memory).size, ir::kHostWrite);
    emit.write(1 - memory, emit.operation(Opcode::AtomicExchange, emit.operand_type(memory), host, second));
    return Outcome::Next;
  }
  const Value first = emit.read(0);
  emit.write(0, second);
  emit.write(1, first);
  return Outcome::Next;
}

Value swapped(Emitter& emit, Value value) {
  if (emit.type(value) == Type::I16) return emit.shift(Opcode::RotateLeft, value, 8);
  return emit.unary(Opcode::ByteSwap, value);
}

Outcome byte_swap(Emitter& emit) {
  // A word is undefined by the manuals; processors clear it.
  const Type type = emit.operand_type(0);
  emit.write(0, type == Type::I16 ? emit.constant(type, 0) : emit.unary(Opcode::ByteSwap, emit.read(0)));
  return Outcome::Next;
}

Outcome move_swapped(Emitter& emit) {
  emit.write(0, swapped(emit, emit.read(1)));
  return Outcome::Next;
}

// The load is made, and can fault, whether the condition holds or not; so is the write of a 32-bit destination.
Outcome conditional_move(Emitter& emit) {
  const Value source = emit.read(1);
  const Value old = emit.read(0);
  emit.write(0, emit.select(emit.condition(emit.instruction().condition), source, old));
  return Outcome::Next;
}

Outcome set_if(Emitter& emit) {
  emit.write(0, emit.zero_extend(Type::I8, emit.condition(emit.instruction().condition)));
  return Outcome::Next;
}

// CBW, CWDE, CDQE.
Outcome extend_accumulator(Emitter& emit, Type from, Type to) {
  emit.write_general(cpu::kRax, emit.sign_extend(to, emit.read_general(cpu::kRax, from)));
  return Outcome::Next;
}

// CWD, CDQ, CQO.
Outcome spread_sign(Emitter& emit, Type type) {
  const Value accumulator = emit.read_general(cpu::kRax, type);
  emit.write_general(cpu::kRdx, emit.shift(Opcode::ShiftArithmetic, accumulator, ir::bits_of(type) - 1));
  return Outcome::Next;
}

}  // namespace

Outcome translate_move(Emitter& emit) {
  switch (emit.instruction().mnemonic) {
    case Mnemonic::Mov:
      return move(emit);
    case Mnemonic::Movzx:
      return extend(emit, Opcode::ZeroExtend);
    case Mnemonic::Movsx:
    case Mnemonic::Movsxd:
      return extend(emit, Opcode::SignExtend);
    case Mnemonic::Lea:
      return load_effective_address(emit);
    case Mnemonic::Xchg:
      return exchange(emit);
    case Mnemonic::Bswap:
      return byte_swap(emit);
    case Mnemonic::Movbe:
      return move_swapped(emit);
    case Mnemonic::Cmovcc:
      return conditional_move(emit);
    case Mnemonic::Setcc:
      return set_if(emit);
    case Mnemonic::Cbw:
      return extend_accumulator(emit, Type::I8, Type::I16);
    case Mnemonic::Cwde:
      return extend_accumulator(emit, Type::I16, Type::I32);
    case Mnemonic::Cdqe:
      return extend_accumulator(emit, Type::I32, Type::I64);
    case Mnemonic::Cwd:
      return spread_sign(emit, Type::I16);
    case Mnemonic::Cdq:
      return spread_sign(emit, Type::I32);
    case Mnemonic::Cqo:
      return spread_sign(emit, Type::I64);
    case Mnemonic::Nop:
    case Mnemonic::Pause:
    case Mnemonic::Prefetchnta:
    case Mnemonic::Prefetcht0:
    case Mnemonic::Prefetcht1:
    case Mnemonic::Prefetcht2:
      return Outcome::Next;
    case Mnemonic::Push:
    case Mnemonic::Pop:
    case Mnemonic::Leave:
      return translate_stack(emit);
    default:
      return Outcome::Interpret;
  }
}

}  // namespace calco::jit
