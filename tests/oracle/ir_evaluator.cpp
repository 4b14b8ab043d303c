#include "tests/oracle/ir_evaluator.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "cpu/exec/condition.h"
#include "cpu/exec/handlers.h"
#include "cpu/mmu/access.h"
#include "jit/runtime/x87_unit.h"
#include "tests/jit/ir_values.h"

namespace calco::oracle {

using cpu::FlagKind;
using cpu::TranslationExit;
using jit::ir::bits_of;
using jit::ir::bytes_of;
using jit::ir::Instruction;
using jit::ir::kNoValue;
using jit::ir::Opcode;
using jit::ir::Type;

namespace {

constexpr uint64_t mask_of(unsigned bits) { return bits == 64 ? ~uint64_t{0} : (uint64_t{1} << bits) - 1; }
constexpr uint64_t extended(uint64_t value, unsigned bits) {
  return static_cast<uint64_t>(static_cast<int64_t>(value << (64 - bits)) >> (64 - bits));
}

CALCO_HANDLER_CONVENTION void stop(cpu::Cpu*, const cpu::Op*, cpu::TlbEntry*) {}

template <typename T>
uint64_t atomic_operation(const Instruction& instruction, uint64_t host, uint64_t first, uint64_t second) {
  auto* memory = reinterpret_cast<T*>(host);
  auto expected = static_cast<T>(first);
  switch (instruction.opcode) {
    case Opcode::AtomicExchange:
      return __atomic_exchange_n(memory, static_cast<T>(first), __ATOMIC_SEQ_CST);
    case Opcode::AtomicAdd:
      return __atomic_fetch_add(memory, static_cast<T>(first), __ATOMIC_SEQ_CST);
    case Opcode::AtomicAnd:
      return __atomic_fetch_and(memory, static_cast<T>(first), __ATOMIC_SEQ_CST);
    case Opcode::AtomicOr:
      return __atomic_fetch_or(memory, static_cast<T>(first), __ATOMIC_SEQ_CST);
    case Opcode::AtomicXor:
      return __atomic_fetch_xor(memory, static_cast<T>(first), __ATOMIC_SEQ_CST);
    default:
      __atomic_compare_exchange_n(memory, &expected, static_cast<T>(second), false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
      return expected;
  }
}

}  // namespace

TranslationExit IrEvaluator::execute(cpu::Cpu& cpu, const jit::ir::Block& block) {
  cpu_ = &cpu;
  block_ = &block;
  values_.assign(block.code.size(), 0);
  cpu.registers[cpu::kRip] -= block.page_offset;
  for (at_ = 0;; ++at_) {
    const Instruction& instruction = block.code[at_];
    switch (evaluate(instruction)) {
      case Step::Next:
        break;
      case Step::Ended:
        return instruction.opcode == Opcode::Leave ? TranslationExit::Interpret : TranslationExit::Next;
      case Step::Bail:
        cpu.registers[cpu::kRip] += block.guest[instruction.guest].page_offset;
        return TranslationExit::Interpret;
    }
  }
}

void IrEvaluator::result(uint64_t value) { values_[at_] = value & mask_of(bits_of((*block_)[at_].type)); }

uint64_t IrEvaluator::sign_extended(const Instruction& instruction, unsigned index) const {
  return extended(argument(instruction, index), bits(instruction, index));
}

IrEvaluator::Step IrEvaluator::evaluate(const Instruction& instruction) {
  const uint32_t effects = info(instruction.opcode).effects;
  if ((effects & jit::ir::kTerminator) != 0) return evaluate_end(instruction);
  if (instruction.opcode == Opcode::BailIf) return argument(instruction, 0) != 0 ? Step::Bail : Step::Next;
  if (instruction.opcode == Opcode::Interpret) {
    interpret(instruction);
    return Step::Next;
  }
  if (instruction.opcode == Opcode::ClearUpperVectors) {
    for (cpu::VectorRegister& vector : cpu_->vectors) vector.qwords[2] = vector.qwords[3] = 0;
    return Step::Next;
  }
  if (instruction.opcode == Opcode::EnterX87) {
    if (!jit::enter_x87(*cpu_)) return Step::Bail;
    jit::leave_x87(*cpu_);
    return Step::Next;
  }
  if (instruction.opcode == Opcode::HostX87) {
    const uint64_t value =
        x87_.run(*cpu_, *block_, instruction, optional_argument(instruction, 0), optional_argument(instruction, 1));
    if (instruction.type != Type::Void) result(value);
    return Step::Next;
  }
  if (instruction.opcode == Opcode::HostVector) {
    const uint64_t source = optional_argument(instruction, 0);
    const uint64_t value = vectors_.run(*cpu_, block_->vectors[instruction.immediate], source);
    if (instruction.type != Type::Void) result(value);
    return Step::Next;
  }
  if ((effects & (jit::ir::kReadsMemory | jit::ir::kWritesMemory)) != 0) return evaluate_memory(instruction);
  if (effects != jit::ir::kNone) return evaluate_state(instruction);
  const Type of = instruction.arguments[0] == kNoValue ? instruction.type : (*block_)[instruction.arguments[0]].type;
  result(computed(
      instruction, of,
      {optional_argument(instruction, 0), optional_argument(instruction, 1), optional_argument(instruction, 2)}));
  return Step::Next;
}

// --- State -----------------------------------------------------------------------------------------------------------

void IrEvaluator::set_flags(const Instruction& instruction, bool with_carry) {
  auto kind = static_cast<FlagKind>(instruction.auxiliary);
  uint64_t second = 0;
  const bool counts = kind == FlagKind::Increment || kind == FlagKind::Decrement;
  if (instruction.arguments[1] != kNoValue) {
    second = counts ? argument(instruction, 1) : sign_extended(instruction, 1);
  }
  if (with_carry && argument(instruction, 2) != 0) {
    kind = kind == FlagKind::Add ? FlagKind::AddCarry : FlagKind::SubtractBorrow;
  }
  const auto size_log2 = static_cast<unsigned>(std::countr_zero(bits(instruction, 0) / 8));
  cpu_->flags = {sign_extended(instruction, 0), second, cpu::flag_kind(kind, size_log2), 0};
}

IrEvaluator::Step IrEvaluator::evaluate_state(const Instruction& instruction) {
  switch (instruction.opcode) {
    case Opcode::GetRegister:
      result(cpu_->registers[instruction.auxiliary]);
      break;
    case Opcode::SetRegister:
      cpu_->registers[instruction.auxiliary] = argument(instruction, 0);
      break;
    case Opcode::SegmentBase:
      result(cpu_->segments[instruction.auxiliary].base);
      break;
    case Opcode::PageBase:
      result(cpu_->registers[cpu::kRip]);
      break;
    case Opcode::SetFlags:
      set_flags(instruction, false);
      break;
    case Opcode::SetFlagsWithCarry:
      set_flags(instruction, true);
      break;
    case Opcode::SetFlagsOfShift:
      if (argument(instruction, 2) != 0) set_flags(instruction, false);
      break;
    case Opcode::ChangeFlags:
      cpu::change_arithmetic_flags(cpu_->flags, instruction.immediate, argument(instruction, 0));
      break;
    case Opcode::GetFlags:
      result(cpu::arithmetic_flags(cpu_->flags));
      break;
    case Opcode::Condition:
      result(cpu::condition_of_flags(cpu::arithmetic_flags(cpu_->flags), instruction.auxiliary) ? 1 : 0);
      break;
    case Opcode::Carry:
      result(cpu::carry_flag(cpu_->flags) ? 1 : 0);
      break;
    default:
      multiply_or_divide(instruction);
      break;
  }
  return Step::Next;
}

void IrEvaluator::multiply_or_divide(const Instruction& instruction) {
  using Wide = unsigned __int128;
  using SignedWide = __int128;
  const unsigned width = bits(instruction, 0);
  const uint64_t mask = mask_of(width);
  uint64_t& rax = cpu_->registers[cpu::kRax];
  uint64_t& rdx = cpu_->registers[cpu::kRdx];
  const uint64_t operand = argument(instruction, 0);
  const auto signed_operand = static_cast<int64_t>(extended(operand, width));
  const Wide dividend = static_cast<Wide>(rdx & mask) << width | (rax & mask);
  // Sign-extended from twice the width.
  const auto signed_dividend = static_cast<SignedWide>(dividend << (128 - 2 * width)) >> (128 - 2 * width);
  Wide low = 0, high = 0;
  switch (instruction.opcode) {
    case Opcode::WideMultiply:
      low = static_cast<Wide>(rax & mask) * operand;
      high = low >> width;
      break;
    case Opcode::WideMultiplySigned:
      low = static_cast<Wide>(static_cast<SignedWide>(static_cast<int64_t>(extended(rax & mask, width))) *
                              signed_operand);
      high = low >> width;
      break;
    case Opcode::WideDivide:
      low = dividend / operand;
      high = dividend % operand;
      break;
    default:
      low = static_cast<Wide>(signed_dividend / signed_operand);
      high = static_cast<Wide>(signed_dividend % signed_operand);
      break;
  }
  rax = static_cast<uint64_t>(low) & mask;
  rdx = static_cast<uint64_t>(high) & mask;
}

void IrEvaluator::interpret(const Instruction& instruction) {
  // A member, since a fault does not come back here.
  run_.assign(block_->interpreted.begin() + static_cast<ptrdiff_t>(instruction.immediate), block_->interpreted.end());
  run_.push_back({.handler = nullptr});
  std::ranges::find(run_, nullptr, &cpu::Op::handler)->handler = &stop;
  run_[0].handler(cpu_, run_.data(), cpu_->tlb);
  cpu_->current_op = nullptr;
}

// --- Memory ----------------------------------------------------------------------------------------------------------

IrEvaluator::Step IrEvaluator::evaluate_host_memory(const Instruction& instruction) {
  const uint64_t host = argument(instruction, 0);
  const uint64_t first = optional_argument(instruction, 1);
  const uint64_t second = optional_argument(instruction, 2);
  const unsigned size = instruction.type != Type::Void ? bytes_of(instruction.type) : bits(instruction, 1) / 8;
  uint64_t value = 0;
  switch (instruction.opcode) {
    case Opcode::LoadHost:
      std::memcpy(&value, reinterpret_cast<const void*>(host), size);
      result(value);
      break;
    case Opcode::StoreHost:
      std::memcpy(reinterpret_cast<void*>(host), &first, size);
      break;
    case Opcode::Fence:
      break;
    default:
      result(size == 1   ? atomic_operation<uint8_t>(instruction, host, first, second)
             : size == 2 ? atomic_operation<uint16_t>(instruction, host, first, second)
             : size == 4 ? atomic_operation<uint32_t>(instruction, host, first, second)
                         : atomic_operation<uint64_t>(instruction, host, first, second));
      break;
  }
  return Step::Next;
}

// What the TLB does not serve at once is left to the interpreter: it knows about devices, code and faults.
IrEvaluator::Step IrEvaluator::evaluate_memory(const Instruction& instruction) {
  if (instruction.opcode == Opcode::Fence) return Step::Next;
  if ((info(instruction.opcode).effects & jit::ir::kMayLeave) == 0) return evaluate_host_memory(instruction);
  const uint64_t linear = argument(instruction, 0);
  const bool is_host = instruction.opcode == Opcode::HostAddress;
  const uint64_t size = is_host                              ? instruction.immediate & 0xFF
                        : instruction.opcode == Opcode::Load ? bytes_of(instruction.type)
                                                             : bits(instruction, 1) / 8;
  const bool writes =
      is_host ? (instruction.immediate & jit::ir::kHostWrite) != 0 : instruction.opcode == Opcode::Store;
  if (is_host && (instruction.immediate & jit::ir::kHostAligned) != 0 && linear % size != 0) return Step::Bail;
  const cpu::TlbEntry* entry = cpu::tlb_entry(cpu_->tlb, linear);
  if (((linear + size - 1) & ~uint64_t{0xFFF}) != (writes ? entry->write : entry->read)) return Step::Bail;
  const uint64_t host = linear + entry->addend;
  uint64_t value = 0;
  if (is_host) {
    result(host);
  } else if (writes) {
    value = argument(instruction, 1);
    std::memcpy(reinterpret_cast<void*>(host), &value, size);
  } else {
    std::memcpy(&value, reinterpret_cast<const void*>(host), size);
    result(value);
  }
  return Step::Next;
}

// --- Ends ------------------------------------------------------------------------------------------------------------

IrEvaluator::Step IrEvaluator::evaluate_end(const Instruction& instruction) {
  uint64_t& rip = cpu_->registers[cpu::kRip];
  switch (instruction.opcode) {
    case Opcode::Branch: {
      const int32_t target = argument(instruction, 0) != 0 ? taken_target(instruction) : not_taken_target(instruction);
      rip += static_cast<uint64_t>(static_cast<int64_t>(target));
      break;
    }
    case Opcode::JumpIndirect:
      rip = argument(instruction, 0);
      break;
    default:
      rip += instruction.immediate;
      break;
  }
  return Step::Ended;
}

}  // namespace calco::oracle
