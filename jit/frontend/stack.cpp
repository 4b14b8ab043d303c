// PUSH, POP and LEAVE of 64 bits.
#include "jit/frontend/groups.h"

namespace calco::jit {
namespace {

using decode::Mnemonic;
using decode::OperandKind;
using ir::Type;
using ir::Value;

constexpr bool kStack = true;

Outcome push(Emitter& emit) {
  const Value value = emit.operand(0).kind == OperandKind::Immediate
                          ? emit.constant(Type::I64, emit.instruction().immediate)
                          : emit.read(0);
  const Value rsp = emit.address(Type::I64, emit.get_register(cpu::kRsp), ir::kNoValue, 0, -8);
  emit.store(rsp, value, kStack);
  emit.set_register(cpu::kRsp, rsp);
  return Outcome::Next;
}

Outcome pop_register(Emitter& emit) {
  const Value rsp = emit.get_register(cpu::kRsp);
  const Value value = emit.load(Type::I64, rsp, kStack);
  emit.set_register(cpu::kRsp, emit.address(Type::I64, rsp, ir::kNoValue, 0, 8));
  emit.set_register(emit.operand(0).number, value);  // last: POP RSP
  return Outcome::Next;
}

Outcome leave(Emitter& emit) {
  const Value frame = emit.get_register(cpu::kRbp);
  const Value value = emit.load(Type::I64, frame, kStack);
  emit.set_register(cpu::kRsp, emit.address(Type::I64, frame, ir::kNoValue, 0, 8));
  emit.set_register(cpu::kRbp, value);
  return Outcome::Next;
}

}  // namespace

Outcome translate_stack(Emitter& emit) {
  const decode::Operand& operand = emit.operand(0);
  const bool sized = operand.kind == OperandKind::General || operand.kind == OperandKind::Memory;
  if ((sized ? operand.size : emit.instruction().operand_size) != 8) return Outcome::Interpret;
  switch (emit.instruction().mnemonic) {
    case Mnemonic::Push:
      return push(emit);
    case Mnemonic::Pop:
      // The address of a memory operand counts with RSP already moved.
      return operand.kind == OperandKind::General ? pop_register(emit) : Outcome::Interpret;
    case Mnemonic::Leave:
      return leave(emit);
    default:
      return Outcome::Interpret;
  }
}

}  // namespace calco::jit
