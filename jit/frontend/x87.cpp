// x87 instructions: handed to the host's own.
#include "cpu/decode/row.h"
#include "cpu/exec/block_cache.h"
#include "cpu/exec/condition.h"
#include "cpu/exec/x87_state.h"
#include "jit/frontend/groups.h"
#include "jit/frontend/host_features.h"

namespace calco::jit {
namespace {

using decode::Mnemonic;
using decode::OperandKind;
using ir::HostX87Instruction;
using ir::Opcode;
using ir::Type;
using ir::Value;
using Argument = HostX87Instruction::Argument;

// Whole environments, and what changes the pointers beside registers.
bool only_interpreted(Mnemonic mnemonic) {
  switch (mnemonic) {
    case Mnemonic::Fninit:
    case Mnemonic::Fnstenv:
    case Mnemonic::Fldenv:
    case Mnemonic::Fnsave:
    case Mnemonic::Frstor:
      return true;
    case Mnemonic::Fisttp:
      return !host_has(decode::Feature::Sse3);
    default:
      return false;
  }
}

// Control instructions leave FIP, FDP and FOP alone (SDM vol. 1, 8.1.8).
bool is_recorded(Mnemonic mnemonic) {
  switch (mnemonic) {
    case Mnemonic::Fldcw:
    case Mnemonic::Fnstcw:
    case Mnemonic::Fnstsw:
    case Mnemonic::Fnclex:
    case Mnemonic::Fwait:
      return false;
    default:
      return true;
  }
}

bool writes_memory(Mnemonic mnemonic) {
  switch (mnemonic) {
    case Mnemonic::Fst:
    case Mnemonic::Fstp:
    case Mnemonic::Fist:
    case Mnemonic::Fistp:
    case Mnemonic::Fisttp:
    case Mnemonic::Fbstp:
    case Mnemonic::Fnstcw:
    case Mnemonic::Fnstsw:
      return true;
    default:
      return false;
  }
}

bool sets_flags(Mnemonic mnemonic) {
  switch (mnemonic) {
    case Mnemonic::Fcomi:
    case Mnemonic::Fcomip:
    case Mnemonic::Fucomi:
    case Mnemonic::Fucomip:
      return true;
    default:
      return false;
  }
}

// Of FCMOVcc; -1 for others.
int condition_of(Mnemonic mnemonic) {
  switch (mnemonic) {
    case Mnemonic::Fcmovb:
      return cpu::kBelow;
    case Mnemonic::Fcmovnb:
      return cpu::kAboveOrEqual;
    case Mnemonic::Fcmove:
      return cpu::kEqual;
    case Mnemonic::Fcmovne:
      return cpu::kNotEqual;
    case Mnemonic::Fcmovbe:
      return cpu::kBelowOrEqual;
    case Mnemonic::Fcmovnbe:
      return cpu::kAbove;
    case Mnemonic::Fcmovu:
      return cpu::kParityEven;
    case Mnemonic::Fcmovnu:
      return cpu::kParityOdd;
    default:
      return -1;
  }
}

// One instruction on its way; members are filled from the front to the back.
class X87Translation {
 public:
  explicit X87Translation(Emitter& emit) : emit_(emit), instruction_(emit.instruction()) {}

  void run() {
    emit_.enter_x87();
    fill_encoding();
    if (instruction_.has_memory()) {
      fill_memory();
    } else {
      fill_condition();
    }
    const Value result = append();
    if (host_.sets_flags) emit_.set_flags(cpu::FlagKind::Explicit, result);
    if (host_.gives_status) emit_.write_general(cpu::kRax, result);
  }

 private:
  void fill_encoding() {
    host_.mnemonic = instruction_.mnemonic;
    host_.opcode = instruction_.opcode;
    host_.modrm = instruction_.modrm;
    host_.is_recorded = is_recorded(instruction_.mnemonic);
    host_.recorded_opcode = static_cast<uint16_t>((instruction_.opcode & 7) << 8 | instruction_.modrm);
    host_.sets_flags = sets_flags(instruction_.mnemonic);
    host_.gives_status = instruction_.mnemonic == Mnemonic::Fnstsw && !instruction_.has_memory();
  }

  void fill_memory() {
    if (instruction_.mnemonic == Mnemonic::Fldcw) return fill_control_word();
    unsigned index = 0;
    while (!emit_.is_memory(index)) ++index;
    host_.argument = Argument::Memory;
    host_.memory_bytes = emit_.operand(index).size;
    const Value effective = emit_.effective_address();
    argument_ = emit_.host_address(emit_.in_segment(effective), host_.memory_bytes,
                                   writes_memory(instruction_.mnemonic) ? ir::kHostWrite : 0);
    if (!host_.is_recorded) return;
    effective_ = effective;
    // 64-bit code has no DS base, but the selector is recorded.
    const uint8_t segment = instruction_.memory.segment;
    host_.data_segment = segment == cpu::kNoSegment ? static_cast<uint8_t>(cpu::kDs) : segment;
  }

  // Copied before it is looked at: another processor may change it. No exception is unmasked in translated code.
  void fill_control_word() {
    host_.argument = Argument::ControlWord;
    argument_ = emit_.read(0);
    const Value masks = emit_.constant(Type::I16, cpu::x87_status::kExceptions);
    emit_.bail_if(emit_.compare(cpu::kNotEqual, emit_.bit_and(argument_, masks), masks));
  }

  // FCMOVcc by the guest's condition: FCMOVNE.
  void fill_condition() {
    const int condition = condition_of(instruction_.mnemonic);
    if (condition < 0) return;
    constexpr uint8_t kMoveIfNotEqual = 0xDB, kModRm = 0xC8;
    host_.argument = Argument::Condition;
    host_.opcode = kMoveIfNotEqual;
    host_.modrm = kModRm | (instruction_.modrm & 7);
    argument_ = emit_.condition(static_cast<uint8_t>(condition));
  }

  Value append() {
    std::vector<HostX87Instruction>& all = emit_.block().x87;
    const Type type = host_.sets_flags ? Type::I64 : host_.gives_status ? Type::I16 : Type::Void;
    const Value result = emit_.append(Opcode::HostX87, type, {argument_, effective_, ir::kNoValue}, 0, all.size());
    all.push_back(host_);
    return result;
  }

  Emitter& emit_;
  const decode::Instruction& instruction_;
  HostX87Instruction host_;
  Value argument_ = ir::kNoValue, effective_ = ir::kNoValue;
};

}  // namespace

Outcome translate_x87(Emitter& emit) {
  const decode::Instruction& instruction = emit.instruction();
  // There, x87 instructions do not raise #NM.
  if (!host_has_x87() || (emit.block().mode_key & cpu::kModeVector) == 0 || only_interpreted(instruction.mnemonic)) {
    return Outcome::Interpret;
  }
  // FENI, FDISI, FSETPM: nothing, and they do not wait.
  if (instruction.mnemonic == Mnemonic::Fnop && instruction.opcode == 0xDB) return Outcome::Next;
  X87Translation(emit).run();
  return Outcome::Next;
}

}  // namespace calco::jit
