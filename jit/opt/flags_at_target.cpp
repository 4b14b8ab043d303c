#include "jit/opt/flags_at_target.h"

#include <algorithm>

namespace calco::jit::opt {

namespace {

using decode::Instruction;
using decode::Mnemonic;
using decode::OperandKind;

constexpr unsigned kInstructions = 4;

// What an instruction without a memory operand does to the flags it is given.
enum class Use : uint8_t {
  Keeps,       // neither reads them nor, for sure, overwrites all of them
  Overwrites,  // all six
  Unknown,     // may read them, fault, or not be translated
};

// The flags that the manual leaves undefined are what the interpreter makes of them. So the list holds what really
// writes all six there: of the shifts, those by a constant other than 0.
Use use_of(const Instruction& instruction) {
  switch (instruction.mnemonic) {
    case Mnemonic::Add:
    case Mnemonic::Sub:
    case Mnemonic::Cmp:
    case Mnemonic::And:
    case Mnemonic::Or:
    case Mnemonic::Xor:
    case Mnemonic::Test:
    case Mnemonic::Neg:
      return Use::Overwrites;
    case Mnemonic::Shl:
    case Mnemonic::Shr:
    case Mnemonic::Sar: {
      const bool constant = instruction.operands[1].kind == OperandKind::Immediate;
      const uint64_t mask = instruction.operand_size == 8 ? 63 : 31;
      return constant && (instruction.immediate & mask) != 0 ? Use::Overwrites : Use::Keeps;
    }
    case Mnemonic::Mov:
    case Mnemonic::Movzx:
    case Mnemonic::Movsx:
    case Mnemonic::Movsxd:
    case Mnemonic::Lea:
    case Mnemonic::Xchg:
    case Mnemonic::Bswap:
    case Mnemonic::Cbw:
    case Mnemonic::Cwde:
    case Mnemonic::Cdqe:
    case Mnemonic::Cwd:
    case Mnemonic::Cdq:
    case Mnemonic::Cqo:
    case Mnemonic::Not:
    case Mnemonic::Inc:
    case Mnemonic::Dec:
    case Mnemonic::Imul:
    case Mnemonic::Nop:
      return Use::Keeps;
    default:
      return Use::Unknown;
  }
}

bool only_general_operands(const Instruction& instruction) {
  return std::ranges::all_of(instruction.operands, [](const decode::Operand& operand) {
    return operand.kind == OperandKind::None || operand.kind == OperandKind::General ||
           operand.kind == OperandKind::Immediate || operand.kind == OperandKind::Immediate2;
  });
}

// Addresses that are computed but not used.
bool accesses_nothing(Mnemonic mnemonic) { return mnemonic == Mnemonic::Lea || mnemonic == Mnemonic::Nop; }

}  // namespace

bool flags_dead_at(std::span<const uint8_t> bytes, const decode::FeatureSet& features) {
  for (unsigned i = 0; i < kInstructions; ++i) {
    Instruction instruction;
    if (decode::decode(bytes, decode::CodeSize::Bits64, features, instruction) != decode::Status::Ok) return false;
    if (instruction.lock) return false;
    if (!accesses_nothing(instruction.mnemonic) && !only_general_operands(instruction)) return false;
    const Use use = use_of(instruction);
    if (use != Use::Keeps) return use == Use::Overwrites;
    bytes = bytes.subspan(instruction.length);
  }
  return false;
}

}  // namespace calco::jit::opt
