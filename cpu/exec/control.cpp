// Near JMP, CALL, RET, Jcc, LOOP, JCXZ: and the ends of blocks.
#include <thread>

#include "cpu/exec/address.h"
#include "cpu/exec/chain.h"
#include "cpu/exec/condition.h"
#include "cpu/exec/handlers.h"
#include "cpu/mmu/paging.h"
#include "cpu/system/processor_group.h"

namespace calco::cpu {

namespace {

using decode::Mnemonic;
using decode::OperandKind;

// --- 64-bit code: displacements in Op::immediate are rebased to the block's start -----

template <unsigned kCondition, FlagSource kSource>
CALCO_HANDLER_CONVENTION void branch(Cpu* cpu, const Op* op, TlbEntry* tlb) {
  if (condition_holds<kCondition, kSource>(cpu->flags)) {
    cpu->registers[kRip] += op->immediate;
    CALCO_FOLLOW_LINK(taken, kTakenLinkable);
  }
  cpu->registers[kRip] += op->offset + op->length;
  CALCO_FOLLOW_LINK(not_taken, kNotTakenLinkable);
}

CALCO_HANDLER_CONVENTION void jump(Cpu* cpu, const Op* op, TlbEntry* tlb) {
  cpu->registers[kRip] += op->immediate;
  CALCO_FOLLOW_LINK(taken, kTakenLinkable);
}

// `kSlow`: the TLB did not serve the stack access; the same again with one that can raise.
template <bool kSlow>
CALCO_HANDLER_CONVENTION void call(Cpu* cpu, const Op* op, TlbEntry* tlb) {
  const uint64_t rsp = cpu->registers[kRsp] - 8;
  const uint64_t return_address = cpu->registers[kRip] + op->offset + op->length;
  if constexpr (kSlow) {
    cpu->current_op = op;
    store_linear<uint64_t>(*cpu, tlb, rsp, return_address, true);
  } else {
    void* host = writable_host<uint64_t>(tlb, rsp);
    if (host == nullptr) [[unlikely]]
      [[clang::musttail]] return call<true>(cpu, op, tlb);
    std::memcpy(host, &return_address, 8);
  }
  cpu->registers[kRsp] = rsp;
  cpu->registers[kRip] += op->immediate;
  CALCO_FOLLOW_LINK(taken, kTakenLinkable);
}

template <bool kSlow>
CALCO_HANDLER_CONVENTION void ret(Cpu* cpu, const Op* op, TlbEntry* tlb) {
  const uint64_t rsp = cpu->registers[kRsp];
  uint64_t target;
  if constexpr (kSlow) {
    cpu->current_op = op;
    target = load_linear<uint64_t>(*cpu, tlb, rsp, true);
    if (!canonical(target)) cpu->raise(kGeneralProtection, 0);
  } else {
    const void* host = readable_host<uint64_t>(tlb, rsp);
    if (host == nullptr) [[unlikely]]
      [[clang::musttail]] return ret<true>(cpu, op, tlb);
    std::memcpy(&target, host, 8);
    if (!canonical(target)) [[unlikely]]
      [[clang::musttail]] return ret<true>(cpu, op, tlb);
  }
  cpu->registers[kRsp] = rsp + 8 + op->immediate;
  cpu->registers[kRip] = target;
  CALCO_NEXT_BLOCK();
}

template <bool kMemory>
CALCO_HANDLER_CONVENTION void jump_indirect(Cpu* cpu, const Op* op, TlbEntry* tlb) {
  cpu->current_op = op;
  const uint64_t target = kMemory ? load_operand<uint64_t>(*cpu, *op) : cpu->registers[op->rm];
  if (!canonical(target)) [[unlikely]]
    cpu->raise(kGeneralProtection, 0);
  cpu->registers[kRip] = target;
  CALCO_NEXT_BLOCK();
}

template <bool kMemory>
CALCO_HANDLER_CONVENTION void call_indirect(Cpu* cpu, const Op* op, TlbEntry* tlb) {
  cpu->current_op = op;
  const uint64_t target = kMemory ? load_operand<uint64_t>(*cpu, *op) : cpu->registers[op->rm];
  const uint64_t rsp = cpu->registers[kRsp] - 8;
  // The stack's faults come first.
  if (!canonical(target)) [[unlikely]] {
    cpu->mmu().probe_write(rsp, 8, cpu->mmu().current_protection(), true);
    cpu->raise(kGeneralProtection, 0);
  }
  store_linear<uint64_t>(*cpu, tlb, rsp, cpu->registers[kRip] + op->offset + op->length, true);
  cpu->registers[kRsp] = rsp;
  cpu->registers[kRip] = target;
  CALCO_NEXT_BLOCK();
}

// --- 16- and 32-bit code, and 16-bit operand sizes -------------------------------------------------------------------

// The target, cut to the operand size, must lie within the code segment before anything changes (SDM vol. 2, JMP).
uint64_t checked_target(Cpu& cpu, uint64_t target, unsigned size) {
  if (size == 2) target &= 0xFFFF;
  if (cpu.code_64()) {
    if (!canonical(target)) cpu.raise(kGeneralProtection, 0);
    return target;
  }
  target &= 0xFFFFFFFF;
  if (target > cpu.segments[kCs].limit) cpu.raise(kGeneralProtection, 0);
  return target;
}

uint64_t relative_target(Cpu& cpu, const Op& op) {
  return checked_target(cpu, cpu.next_instruction_pointer(op) + op.immediate, op.operand_size);
}
uint64_t indirect_target(Cpu& cpu, const Op& op) {
  switch (op.operand_size) {
    case 2:
      return checked_target(cpu, read_rm<uint16_t>(cpu, op), 2);
    case 4:
      return checked_target(cpu, read_rm<uint32_t>(cpu, op), 4);
    default:
      return checked_target(cpu, read_rm<uint64_t>(cpu, op), 8);
  }
}

// A branch of any kind in code that is not 64-bit: F gives the next RIP.
template <uint64_t (*F)(Cpu&, const Op&)>
CALCO_HANDLER_CONVENTION void legacy_transfer(Cpu* cpu, const Op* op, TlbEntry* tlb) {
  cpu->current_op = op;
  cpu->registers[kRip] = F(*cpu, *op);
  CALCO_NEXT_BLOCK();
}

uint64_t legacy_branch(Cpu& cpu, const Op& op) {
  return condition_of_flags(arithmetic_flags(cpu.flags), op.condition) ? relative_target(cpu, op)
                                                                       : cpu.next_instruction_pointer(op);
}
// The stack's faults come before the target's.
void check_push(Cpu& cpu, unsigned size) {
  const unsigned width = cpu.stack_address_size();
  const uint64_t mask = width == 8 ? ~uint64_t{0} : width == 4 ? 0xFFFFFFFF : 0xFFFF;
  const uint64_t linear = segment_linear(cpu, kSs, (cpu.registers[kRsp] - size) & mask, size, true);
  cpu.mmu().probe_write(linear, size, cpu.mmu().current_protection(), true);
}
uint64_t legacy_call(Cpu& cpu, const Op& op) {
  check_push(cpu, op.operand_size);
  const uint64_t target = relative_target(cpu, op);
  push(cpu, cpu.next_instruction_pointer(op), op.operand_size);
  return target;
}
uint64_t legacy_call_indirect(Cpu& cpu, const Op& op) {
  const uint64_t raw = with_size(op.operand_size, [&]<typename T>() { return uint64_t{read_rm<T>(cpu, op)}; });
  check_push(cpu, op.operand_size);
  const uint64_t target = checked_target(cpu, raw, op.operand_size);
  push(cpu, cpu.next_instruction_pointer(op), op.operand_size);
  return target;
}
uint64_t legacy_ret(Cpu& cpu, const Op& op) {
  const uint64_t rsp = cpu.registers[kRsp];
  const uint64_t popped = pop(cpu, op.operand_size);
  const uint64_t moved = cpu.registers[kRsp] + static_cast<uint16_t>(op.immediate);
  cpu.registers[kRsp] = rsp;
  const uint64_t target = checked_target(cpu, popped, op.operand_size);
  const unsigned width = cpu.stack_address_size();
  cpu.registers[kRsp] = width == 8   ? moved
                        : width == 4 ? static_cast<uint32_t>(moved)
                                     : (rsp & ~uint64_t{0xFFFF}) | (moved & 0xFFFF);
  return target;
}

// LOOP, LOOPE, LOOPNE, JCXZ count with rCX of the address size, in every mode.
uint64_t count_register(const Cpu& cpu, const Op& op) {
  const uint64_t value = cpu.registers[kRcx];
  return op.address_size == 8   ? value
         : op.address_size == 4 ? static_cast<uint32_t>(value)
                                : static_cast<uint16_t>(value);
}
void set_count_register(Cpu& cpu, const Op& op, uint64_t value) {
  if (op.address_size == 2) {
    write_register<uint16_t>(cpu, kRcx, static_cast<uint16_t>(value));
  } else {
    cpu.registers[kRcx] = op.address_size == 4 ? static_cast<uint32_t>(value) : value;
  }
}

enum class LoopWhile : uint8_t { Always, Equal, NotEqual };

template <LoopWhile kWhile>
uint64_t loop(Cpu& cpu, const Op& op) {
  const uint64_t mask = op.address_size == 8 ? ~uint64_t{0} : op.address_size == 4 ? 0xFFFFFFFF : 0xFFFF;
  const uint64_t count = (count_register(cpu, op) - 1) & mask;
  const bool zero = kWhile != LoopWhile::Always && (arithmetic_flags(cpu.flags) & rflags::kZf) != 0;
  const bool taken = count != 0 && (kWhile == LoopWhile::Always || zero == (kWhile == LoopWhile::Equal));
  const uint64_t target = taken ? relative_target(cpu, op) : cpu.next_instruction_pointer(op);
  set_count_register(cpu, op, count);
  return target;
}
uint64_t jump_if_count_zero(Cpu& cpu, const Op& op) {
  return count_register(cpu, op) == 0 ? relative_target(cpu, op) : cpu.next_instruction_pointer(op);
}

void nothing(Cpu&, const Op&) {}

// A loop that waits for another processor: on a host with fewer cores than that, the other one needs this one's.
void pause(Cpu& cpu, const Op&) {
  if (cpu.environment().group.processors().size() > 1) std::this_thread::yield();
}

// #BR where the signed index lies outside of the two bounds in memory.
template <typename T>
void bound(Cpu& cpu, const Op& op) {
  using Raw = std::make_unsigned_t<T>;
  const uint64_t offset = effective_address(cpu, op);
  const bool stack = op.segment == kSs;
  const auto bound_at = [&](uint64_t where) {
    const uint64_t linear = segment_linear(cpu, op.segment, where, sizeof(T), false);
    return static_cast<T>(load_linear<Raw>(cpu, cpu.tlb, linear, stack));
  };
  const T low = bound_at(offset);
  const T high = bound_at(offset + sizeof(T));
  const auto index = static_cast<T>(read_register<Raw>(cpu, op.reg));
  if (index < low || index > high) cpu.raise(kBoundRange);
}

template <FlagSource kSource>
Selection select_branch(const decode::Instruction& instruction) {
  return with_condition(instruction.condition,
                        []<unsigned kCondition>() -> Selection { return {&branch<kCondition, kSource>, true}; });
}

}  // namespace

Selection select_branch_with_flag_source(const decode::Instruction& instruction, Op& op, FlagSource source) {
  if (!instruction.code_64 || op.operand_size != 8) return {&legacy_transfer<&legacy_branch>, true};
  switch (source) {
    case FlagSource::Subtract:
      return select_branch<FlagSource::Subtract>(instruction);
    case FlagSource::Logic:
      return select_branch<FlagSource::Logic>(instruction);
    default:
      return select_branch<FlagSource::Unknown>(instruction);
  }
}

Selection select_control(const decode::Instruction& instruction, Op& op) {
  const decode::Operand& operand = instruction.operands[0];
  op.operand_size = instruction.operand_size & 0xF;
  op.address_size = instruction.address_size & 0xF;
  op.condition = instruction.condition & 0xF;
  const bool wide = instruction.code_64 && instruction.operand_size == 8;
  const bool relative = operand.kind == OperandKind::Relative;
  const bool memory = operand.kind == OperandKind::Memory;
  switch (instruction.mnemonic) {
    case Mnemonic::Jcc:
      return select_branch_with_flag_source(instruction, op, FlagSource::Unknown);
    case Mnemonic::Jmp:
      if (relative) return {wide ? &jump : &legacy_transfer<&relative_target>, true};
      if (!wide) return {&legacy_transfer<&indirect_target>, true};
      return {memory ? &jump_indirect<true> : &jump_indirect<false>, true};
    case Mnemonic::Call:
      if (relative) return {wide ? &call<false> : &legacy_transfer<&legacy_call>, true};
      if (!wide) return {&legacy_transfer<&legacy_call_indirect>, true};
      return {memory ? &call_indirect<true> : &call_indirect<false>, true};
    case Mnemonic::Ret:
      return {wide ? &ret<false> : &legacy_transfer<&legacy_ret>, true};
    case Mnemonic::Loop:
      return {&legacy_transfer<&loop<LoopWhile::Always>>, true};
    case Mnemonic::Loope:
      return {&legacy_transfer<&loop<LoopWhile::Equal>>, true};
    case Mnemonic::Loopne:
      return {&legacy_transfer<&loop<LoopWhile::NotEqual>>, true};
    case Mnemonic::Jcxz:
      return {&legacy_transfer<&jump_if_count_zero>, true};
    case Mnemonic::Nop:
    case Mnemonic::Prefetchnta:
    case Mnemonic::Prefetcht0:
    case Mnemonic::Prefetcht1:
    case Mnemonic::Prefetcht2:
      return select_plain<&nothing>();
    case Mnemonic::Pause:
      return select_plain<&pause>();
    case Mnemonic::Bound:
      op.operand_size = operand.size & 0xF;
      return operand.size == 2 ? select_plain<&bound<int16_t>>() : select_plain<&bound<int32_t>>();
    default:
      return {};
  }
}

// --- Ways on
// -------------------------------------------------------------------------------------------------------------

CALCO_HANDLER_CONVENTION void leave_chain(Cpu* cpu, const Op*, TlbEntry*) { cpu->current_op = nullptr; }

CALCO_HANDLER_CONVENTION void enter_unknown_block(Cpu* cpu, const Op*, TlbEntry* tlb) {
  const Op* next_ops = next_block(*cpu);
  [[clang::musttail]] return next_ops->handler(cpu, next_ops, tlb);
}

template <uint8_t kSide>
CALCO_HANDLER_CONVENTION void enter_unlinked_block(Cpu* cpu, const Op* op, TlbEntry* tlb) {
  const Op* next_ops = next_block(*cpu);
  if ((op->rm & kSide) != 0 && Block::of(next_ops).linkable) {
    auto* link = reinterpret_cast<Link*>(const_cast<Op*>(op + 1));
    (kSide == kTakenLinkable ? link->taken : link->not_taken) = next_ops;
  }
  [[clang::musttail]] return next_ops->handler(cpu, next_ops, tlb);
}
template CALCO_HANDLER_CONVENTION void enter_unlinked_block<kTakenLinkable>(Cpu*, const Op*, TlbEntry*);
template CALCO_HANDLER_CONVENTION void enter_unlinked_block<kNotTakenLinkable>(Cpu*, const Op*, TlbEntry*);

// --- Ends of blocks --------------------------------------------------------------------------------------------------

CALCO_HANDLER_CONVENTION void fall_through(Cpu* cpu, const Op* op, TlbEntry* tlb) {
  cpu->registers[kRip] += op->offset;
  CALCO_FOLLOW_LINK(taken, kTakenLinkable);
}

CALCO_HANDLER_CONVENTION void block_dropped(Cpu* cpu, const Op* op, TlbEntry*) {
  cpu->registers[kRip] += op->offset;
  // What led here must not do so again.
  JumpCacheEntry& entry = cpu->jump_cache[BlockCache::jump_cache_index(cpu->registers[kRip])];
  if (entry.ops == op) entry = JumpCacheEntry{};
  cpu->current_op = nullptr;
}

CALCO_HANDLER_CONVENTION void debugger_breakpoint(Cpu* cpu, const Op* op, TlbEntry* tlb) {
  cpu->current_op = nullptr;
  if (cpu->stop_at_debugger_breakpoint()) return;
  [[clang::musttail]] return op[1].handler(cpu, op + 1, tlb);
}

CALCO_HANDLER_CONVENTION void invalid_opcode(Cpu* cpu, const Op* op, TlbEntry*) {
  cpu->current_op = op;
  cpu->raise(kInvalidOpcode);
}

CALCO_HANDLER_CONVENTION void instruction_too_long(Cpu* cpu, const Op* op, TlbEntry*) {
  cpu->current_op = op;
  cpu->raise(kGeneralProtection, 0);
}

}  // namespace calco::cpu
