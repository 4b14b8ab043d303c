// Near JMP, CALL, RET, Jcc, LOOP, JRCXZ of 64-bit code.
#include <optional>

#include "cpu/exec/condition.h"
#include "jit/frontend/groups.h"

namespace calco::jit {
namespace {

using decode::Mnemonic;
using decode::OperandKind;
using ir::JumpHint;
using ir::Opcode;
using ir::Type;
using ir::Value;

constexpr bool kStack = true;

// Where a relative branch leads, counted from the page's first byte; nothing where that does not fit.
std::optional<int32_t> relative_target(const Emitter& emit) {
  const int64_t target = static_cast<int64_t>(emit.instruction().immediate) + emit.next_offset();
  if (target != static_cast<int32_t>(target)) return std::nullopt;
  return static_cast<int32_t>(target);
}

void jump(Emitter& emit, int32_t target, JumpHint hint) {
  emit.append(Opcode::Jump, Type::Void, {ir::kNoValue, ir::kNoValue, ir::kNoValue}, static_cast<uint8_t>(hint),
              static_cast<uint64_t>(static_cast<int64_t>(target)));
}

void jump_indirect(Emitter& emit, Value target, JumpHint hint) {
  emit.append(Opcode::JumpIndirect, Type::Void, {target, ir::kNoValue, ir::kNoValue}, static_cast<uint8_t>(hint));
}

// #GP(0) at the branch: bits 47 to 63 of a target must be equal.
void bail_if_not_canonical(Emitter& emit, Value target) {
  const Value upper = emit.shift(Opcode::ShiftArithmetic, target, 47);
  const Value one = emit.constant(Type::I64, 1);
  emit.bail_if(emit.compare(cpu::kAbove, emit.add(upper, one), one));
}

Outcome branch(Emitter& emit, Value taken) {
  const std::optional<int32_t> target = relative_target(emit);
  if (!target) return Outcome::Interpret;
  emit.append(Opcode::Branch, Type::Void, {taken, ir::kNoValue, ir::kNoValue}, 0,
              ir::branch_targets(*target, static_cast<int32_t>(emit.next_offset())));
  return Outcome::Ended;
}

void push_return_address(Emitter& emit) {
  const Value return_address =
      emit.address(Type::I64, emit.page_base(), ir::kNoValue, 0, static_cast<int32_t>(emit.next_offset()));
  const Value rsp = emit.address(Type::I64, emit.get_register(cpu::kRsp), ir::kNoValue, 0, -8);
  emit.store(rsp, return_address, kStack);
  emit.set_register(cpu::kRsp, rsp);
}

Outcome jump_or_call(Emitter& emit, bool call) {
  const JumpHint hint = call ? JumpHint::Call : JumpHint::None;
  if (emit.operand(0).kind == OperandKind::Relative) {
    const std::optional<int32_t> target = relative_target(emit);
    if (!target) return Outcome::Interpret;
    if (call) push_return_address(emit);
    jump(emit, *target, hint);
    return Outcome::Ended;
  }
  const Value target = emit.read(0);
  bail_if_not_canonical(emit, target);
  if (call) push_return_address(emit);
  jump_indirect(emit, target, hint);
  return Outcome::Ended;
}

Outcome near_return(Emitter& emit) {
  const Value rsp = emit.get_register(cpu::kRsp);
  const Value target = emit.load(Type::I64, rsp, kStack);
  bail_if_not_canonical(emit, target);
  const auto released = static_cast<int32_t>(static_cast<uint16_t>(emit.instruction().immediate));
  emit.set_register(cpu::kRsp, emit.address(Type::I64, rsp, ir::kNoValue, 0, 8 + released));
  jump_indirect(emit, target, JumpHint::Return);
  return Outcome::Ended;
}

// LOOP, LOOPE, LOOPNE and JRCXZ count with RCX, or with ECX where the address size says so.
Type count_type(const Emitter& emit) { return emit.instruction().address_size == 8 ? Type::I64 : Type::I32; }

Outcome loop(Emitter& emit) {
  const Type type = count_type(emit);
  const Value count = emit.subtract(emit.read_general(cpu::kRcx, type), emit.constant(type, 1));
  Value taken = emit.compare(cpu::kNotEqual, count, emit.constant(type, 0));
  const Mnemonic mnemonic = emit.instruction().mnemonic;
  if (mnemonic != Mnemonic::Loop) {
    taken = emit.bit_and(taken, emit.condition(mnemonic == Mnemonic::Loope ? cpu::kEqual : cpu::kNotEqual));
  }
  emit.write_general(cpu::kRcx, count);
  return branch(emit, taken);
}

}  // namespace

Outcome translate_control(Emitter& emit) {
  // The 66 prefix makes 16-bit branches of them.
  if (emit.instruction().operand_size != 8) return Outcome::Interpret;
  switch (emit.instruction().mnemonic) {
    case Mnemonic::Jcc:
      return branch(emit, emit.condition(emit.instruction().condition));
    case Mnemonic::Jmp:
      return jump_or_call(emit, false);
    case Mnemonic::Call:
      return jump_or_call(emit, true);
    case Mnemonic::Ret:
      return near_return(emit);
    case Mnemonic::Loop:
    case Mnemonic::Loope:
    case Mnemonic::Loopne:
      return loop(emit);
    case Mnemonic::Jcxz:
      return branch(emit, emit.is_zero(emit.read_general(cpu::kRcx, count_type(emit))));
    default:
      return Outcome::Interpret;
  }
}

}  // namespace calco::jit
