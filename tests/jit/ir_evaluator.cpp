#include "tests/jit/ir_evaluator.h"

#include "cpu/exec/condition.h"
#include "tests/jit/ir_values.h"

namespace calco::jit::ir {

namespace {

using cpu::FlagKind;

uint64_t mixed(uint64_t a, uint64_t b) {
  uint64_t x = (a ^ b * 0x9E3779B97F4A7C15) + 0x632BE59BD9B4E019;
  x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9;
  return x ^ x >> 27;
}

class Evaluator {
 public:
  Evaluator(const Block& block, EvaluatedState& state, unsigned faulting_access)
      : block_(block), state_(state), accesses_left_(faulting_access), values_(block.code.size()) {}

  Outcome run() {
    for (size_t i = 0; i < block_.code.size(); ++i) {
      const Instruction& instruction = block_.code[i];
      const uint64_t result = execute(instruction);
      if (left_) {
        for (const Instruction* flags : sunk_) write_flags(*flags);
        return {true, true, Opcode::Leave, instruction.guest, 0};
      }
      if (instruction.type != Type::Void) values_[i] = result & mask_of(instruction.type);
    }
    return end(block_.terminator());
  }

 private:
  uint64_t value(const Instruction& instruction, unsigned i) const {
    return instruction.arguments[i] == kNoValue ? 0 : values_[instruction.arguments[i]];
  }
  Type type(const Instruction& instruction, unsigned i) const { return block_[instruction.arguments[i]].type; }

  Outcome end(const Instruction& last) {
    const uint64_t base = state_.page_base;
    switch (last.opcode) {
      case Opcode::Jump:
        return {false, !block_.flags_dead_if_taken, last.opcode, 0, base + last.immediate};
      case Opcode::Branch: {
        const bool taken = value(last, 0) != 0;
        const int64_t target = taken ? taken_target(last) : not_taken_target(last);
        const bool dead = taken ? block_.flags_dead_if_taken : block_.flags_dead_if_not_taken;
        // A branch that is always taken may become a jump.
        return {false, !dead, Opcode::Jump, 0, base + static_cast<uint64_t>(target)};
      }
      case Opcode::JumpIndirect:
        return {false, true, last.opcode, 0, value(last, 0)};
      default:
        return {false, true, last.opcode, 0, base + last.immediate};
    }
  }

  uint64_t execute(const Instruction& instruction) {
    if ((info(instruction.opcode).effects & kWritesFlags) != 0 && instruction.opcode != Opcode::Interpret) {
      flags_operation(instruction);
      return 0;
    }
    switch (instruction.opcode) {
      case Opcode::Constant:
        return instruction.immediate;
      case Opcode::GetRegister:
        return state_.registers[instruction.auxiliary];
      case Opcode::SetRegister:
        state_.registers[instruction.auxiliary] = value(instruction, 0);
        return 0;
      case Opcode::SegmentBase:
        return instruction.auxiliary == cpu::kFs ? state_.fs_base : state_.gs_base;
      case Opcode::PageBase:
        return state_.page_base;
      case Opcode::GetFlags:
        return state_.flag_bits();
      case Opcode::Condition:
        return cpu::condition_of_flags(state_.flag_bits(), instruction.auxiliary) ? 1 : 0;
      case Opcode::Carry:
        return state_.flag_bits() & cpu::rflags::kCf;
      case Opcode::WideMultiply:
      case Opcode::WideMultiplySigned:
      case Opcode::WideDivide:
      case Opcode::WideDivideSigned:
        wide(instruction);
        return 0;
      case Opcode::Interpret:
        interpret(instruction);
        return 0;
      case Opcode::HostVector:
        return host_vector(instruction);
      case Opcode::BailIf:
        left_ = value(instruction, 0) != 0;
        return 0;
      default:
        return (info(instruction.opcode).effects & (kReadsMemory | kWritesMemory)) != 0 ? memory(instruction)
                                                                                        : compute(instruction);
    }
  }

  // --- Flags
  // -----------------------------------------------------------------------------------------------------------

  void flags_operation(const Instruction& instruction) {
    if ((instruction.marks & kFlagsOnlyForFaults) != 0) {
      sunk_.push_back(&instruction);
      return;
    }
    sunk_.clear();
    write_flags(instruction);
  }

  void remember(FlagKind kind, const Instruction& instruction) {
    const Type of = type(instruction, 0);
    const bool carry_second = kind == FlagKind::Increment || kind == FlagKind::Decrement;
    state_.flags.kind = lazy_kind(kind, of);
    state_.flags.first = sign_extended(of, value(instruction, 0));
    state_.flags.second = carry_second ? value(instruction, 1) : sign_extended(of, value(instruction, 1));
  }

  void write_flags(const Instruction& instruction) {
    const auto kind = static_cast<FlagKind>(instruction.auxiliary);
    switch (instruction.opcode) {
      case Opcode::SetFlags:
        remember(kind, instruction);
        break;
      case Opcode::SetFlagsWithCarry: {
        const FlagKind with_carry = kind == FlagKind::Add ? FlagKind::AddCarry : FlagKind::SubtractBorrow;
        remember(value(instruction, 2) != 0 ? with_carry : kind, instruction);
        break;
      }
      case Opcode::SetFlagsOfShift:
        if (value(instruction, 2) != 0) remember(kind, instruction);
        break;
      default:
        cpu::change_arithmetic_flags(state_.flags, instruction.immediate, value(instruction, 0));
        break;
    }
  }

  // --- What may do anything ------------------------------------------------------------------------------------------

  void interpret(const Instruction& instruction) {
    uint64_t chain = mixed(state_.flag_bits(), instruction.immediate);
    for (uint64_t& reg : state_.registers) reg = chain = mixed(chain, reg);
    state_.fs_base = chain = mixed(chain, state_.fs_base);
    state_.gs_base = chain = mixed(chain, state_.gs_base);
    state_.vectors = chain = mixed(chain, state_.vectors);
    state_.memory[chain >> 56] ^= static_cast<uint8_t>(chain);
    cpu::set_arithmetic_flags(state_.flags, chain);
    sunk_.clear();
  }

  uint64_t host_vector(const Instruction& instruction) {
    state_.vectors = mixed(mixed(state_.vectors, value(instruction, 0)), instruction.immediate);
    const bool sets_flags = block_.vectors[instruction.immediate].sets_flags;
    return sets_flags ? state_.vectors & cpu::rflags::kArithmetic : state_.vectors;
  }

  void wide(const Instruction& instruction) {
    const Type of = type(instruction, 0);
    uint64_t& rax = state_.registers[cpu::kRax];
    uint64_t& rdx = state_.registers[cpu::kRdx];
    if (instruction.opcode == Opcode::WideDivide || instruction.opcode == Opcode::WideDivideSigned) {
      // No quotient, which might not fit, but something that depends on all operands.
      rax = mixed(value(instruction, 0), mixed(rax & mask_of(of), rdx & mask_of(of))) & mask_of(of);
      rdx = ~rax & mask_of(of);
      return;
    }
    const bool is_signed = instruction.opcode == Opcode::WideMultiplySigned;
    const auto extended = [&](uint64_t number) {
      return is_signed ? static_cast<unsigned __int128>(static_cast<int64_t>(sign_extended(of, number)))
                       : static_cast<unsigned __int128>(number & mask_of(of));
    };
    const unsigned __int128 product = extended(rax) * extended(value(instruction, 0));
    rax = static_cast<uint64_t>(product) & mask_of(of);
    rdx = static_cast<uint64_t>(product >> bits_of(of)) & mask_of(of);
  }

  // --- Memory
  // ----------------------------------------------------------------------------------------------------------

  uint64_t read(uint64_t address, Type of) const {
    uint64_t result = 0;
    for (unsigned i = 0; i < bytes_of(of); ++i) {
      result |= static_cast<uint64_t>(state_.memory[(address + i) % state_.memory.size()]) << (8 * i);
    }
    return result;
  }
  void write(uint64_t address, Type of, uint64_t written) {
    for (unsigned i = 0; i < bytes_of(of); ++i) {
      state_.memory[(address + i) % state_.memory.size()] = static_cast<uint8_t>(written >> (8 * i));
    }
  }

  uint64_t memory(const Instruction& instruction) {
    const uint64_t address = value(instruction, 0);
    const uint64_t operand = value(instruction, 1);
    if ((info(instruction.opcode).effects & kMayLeave) != 0 && accesses_left_-- == 0) {
      left_ = true;
      return 0;
    }
    switch (instruction.opcode) {
      case Opcode::HostAddress:
        return address;
      case Opcode::Store:
      case Opcode::StoreHost:
        write(address, type(instruction, 1), operand);
        return 0;
      case Opcode::Fence:
        return 0;
      default:
        break;
    }
    const uint64_t old = read(address, instruction.type);
    switch (instruction.opcode) {
      case Opcode::AtomicExchange:
        write(address, instruction.type, operand);
        break;
      case Opcode::AtomicAdd:
        write(address, instruction.type, old + operand);
        break;
      case Opcode::AtomicAnd:
        write(address, instruction.type, old & operand);
        break;
      case Opcode::AtomicOr:
        write(address, instruction.type, old | operand);
        break;
      case Opcode::AtomicXor:
        write(address, instruction.type, old ^ operand);
        break;
      case Opcode::AtomicCompareExchange:
        if (old == operand) write(address, instruction.type, value(instruction, 2));
        break;
      default:
        break;
    }
    return old;
  }

  uint64_t compute(const Instruction& instruction) const {
    const Type of = instruction.arguments[0] == kNoValue ? instruction.type : type(instruction, 0);
    return computed(instruction, of, {value(instruction, 0), value(instruction, 1), value(instruction, 2)});
  }

  const Block& block_;
  EvaluatedState& state_;
  unsigned accesses_left_;
  std::vector<uint64_t> values_;
  std::vector<const Instruction*> sunk_;
  bool left_ = false;
};

}  // namespace

Outcome evaluate(const Block& block, EvaluatedState& state, unsigned faulting_access) {
  return Evaluator(block, state, faulting_access).run();
}

}  // namespace calco::jit::ir
