// CLC, STC, CMC, LAHF, SAHF.
#include "cpu/exec/condition.h"
#include "jit/frontend/groups.h"

namespace calco::jit {
namespace {

using decode::Mnemonic;
using ir::Opcode;
using ir::Type;
using ir::Value;
namespace rflags = cpu::rflags;

constexpr uint8_t kAh = 16;
constexpr uint64_t kLowFlags = rflags::kSf | rflags::kZf | rflags::kAf | rflags::kPf | rflags::kCf;

Outcome write_carry(Emitter& emit, Value value) {
  emit.change_flags(rflags::kCf, value);
  return Outcome::Next;
}

Outcome load_ah(Emitter& emit) {
  const Value low = emit.bit_and(emit.truncate(Type::I8, emit.get_flags()), emit.constant(Type::I8, kLowFlags));
  emit.write_general(kAh, emit.bit_or(low, emit.constant(Type::I8, rflags::kFixed)));
  return Outcome::Next;
}

Outcome store_ah(Emitter& emit) {
  emit.change_flags(kLowFlags, emit.zero_extend(Type::I64, emit.read_general(kAh, Type::I8)));
  return Outcome::Next;
}

}  // namespace

Outcome translate_flag(Emitter& emit) {
  switch (emit.instruction().mnemonic) {
    case Mnemonic::Clc:
      return write_carry(emit, emit.constant(Type::I64, 0));
    case Mnemonic::Stc:
      return write_carry(emit, emit.constant(Type::I64, rflags::kCf));
    case Mnemonic::Cmc:
      return write_carry(emit, emit.zero_extend(Type::I64, emit.condition(cpu::kAboveOrEqual)));
    case Mnemonic::Lahf:
      return load_ah(emit);
    case Mnemonic::Sahf:
      return store_ah(emit);
    default:
      return Outcome::Interpret;
  }
}

}  // namespace calco::jit
