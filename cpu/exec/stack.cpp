// PUSH, POP, PUSHA, POPA, PUSHF, POPF, ENTER, LEAVE.
#include "cpu/exec/address.h"
#include "cpu/exec/handlers.h"
#include "cpu/exec/integer.h"

namespace calco::cpu {

namespace {

using decode::Mnemonic;
using decode::OperandKind;

// --- Any size, any mode
// --------------------------------------------------------------------------------------------------

uint64_t read_sized(Cpu& cpu, const Op& op) {
  switch (op.operand_size) {
    case 2:
      return read_rm<uint16_t>(cpu, op);
    case 4:
      return read_rm<uint32_t>(cpu, op);
    default:
      return read_rm<uint64_t>(cpu, op);
  }
}
void write_sized_register(Cpu& cpu, uint8_t number, uint64_t value, unsigned size) {
  if (size == 2) {
    write_register<uint16_t>(cpu, number, static_cast<uint16_t>(value));
  } else if (size == 4) {
    write_register<uint32_t>(cpu, number, static_cast<uint32_t>(value));
  } else {
    cpu.registers[number] = value;
  }
}

void push_any(Cpu& cpu, const Op& op) { push(cpu, read_sized(cpu, op), op.operand_size); }
void push_immediate(Cpu& cpu, const Op& op) { push(cpu, op.immediate, op.operand_size); }

void pop_register(Cpu& cpu, const Op& op) {
  const uint64_t value = pop(cpu, op.operand_size);
  write_sized_register(cpu, op.rm, value, op.operand_size);
}
// The address of POP's memory operand counts with RSP already moved (SDM vol. 2, POP); a fault moves it back.
void pop_memory(Cpu& cpu, const Op& op) {
  const uint64_t rsp = cpu.registers[kRsp];
  const uint64_t value = pop(cpu, op.operand_size);
  const uint64_t moved = cpu.registers[kRsp];
  const uint64_t offset = effective_address(cpu, op);
  cpu.registers[kRsp] = rsp;
  const uint64_t linear = segment_linear(cpu, op.segment, offset, op.operand_size, true);
  if (op.operand_size == 2) {
    store_linear<uint16_t>(cpu, linear, static_cast<uint16_t>(value));
  } else if (op.operand_size == 4) {
    store_linear<uint32_t>(cpu, linear, static_cast<uint32_t>(value));
  } else {
    store_linear<uint64_t>(cpu, linear, value);
  }
  cpu.registers[kRsp] = moved;
}

// Pushes several values. RSP changes only with commit(); what was stored below it before a fault stays there, as on
// hardware.
class PushSequence {
 public:
  PushSequence(Cpu& cpu, unsigned size) : cpu_(cpu), size_(size), top_(cpu.registers[kRsp]) {
    const unsigned width = cpu.stack_address_size();
    mask_ = width == 2 ? 0xFFFF : width == 4 ? 0xFFFFFFFF : ~uint64_t{0};
  }
  void push(uint64_t value) {
    top_ -= size_;
    const uint64_t linear = segment_linear(cpu_, kSs, top_ & mask_, size_, true);
    with_size(size_, [&]<typename T>() { store_linear<T>(cpu_, cpu_.tlb, linear, static_cast<T>(value), true); });
  }
  // Leaves room for `bytes`; the new top must be writable.
  void reserve(uint64_t bytes) {
    top_ -= bytes;
    const uint64_t linear = segment_linear(cpu_, kSs, top_ & mask_, size_, true);
    cpu_.mmu().probe_write(linear, size_, cpu_.mmu().current_protection(), true);
  }
  uint64_t top() const { return top_; }
  uint64_t mask() const { return mask_; }
  void commit() {
    uint64_t& rsp = cpu_.registers[kRsp];
    rsp = mask_ == 0xFFFF ? (rsp & ~mask_) | (top_ & mask_) : top_ & mask_;
  }

 private:
  Cpu& cpu_;
  unsigned size_;
  uint64_t top_;
  uint64_t mask_;  // of the stack's address size
};

void push_all(Cpu& cpu, const Op& op) {
  PushSequence stack(cpu, op.operand_size);
  for (unsigned number = kRax; number <= kRdi; ++number) stack.push(cpu.registers[number]);
  stack.commit();
}
void pop_all(Cpu& cpu, const Op& op) {
  // All must be readable before the first register changes.
  const unsigned bytes = op.operand_size * 8u;
  const unsigned width = cpu.stack_address_size();
  const uint64_t mask = width == 2 ? 0xFFFF : width == 4 ? 0xFFFFFFFF : ~uint64_t{0};
  for (unsigned done = 0; done < bytes; done += op.operand_size) {
    const uint64_t offset = (cpu.registers[kRsp] + done) & mask;
    const uint64_t linear = segment_linear(cpu, kSs, offset, op.operand_size, false);
    cpu.mmu().probe_read(linear, op.operand_size, cpu.mmu().current_protection(), true);
  }
  for (int number = kRdi; number >= kRax; --number) {
    const uint64_t value = pop(cpu, op.operand_size);
    if (number != kRsp) write_sized_register(cpu, static_cast<uint8_t>(number), value, op.operand_size);
  }
}

// --- The 64-bit forms that compilers use: fast where the TLB serves them, else the forms above
// -------------------------

CALCO_HANDLER_CONVENTION void push_register_64(Cpu* cpu, const Op* op, TlbEntry* tlb) {
  const uint64_t rsp = cpu->registers[kRsp] - 8;
  void* host = writable_host<uint64_t>(tlb, rsp);
  if (host == nullptr) [[unlikely]]
    [[clang::musttail]] return plain<&push_any>(cpu, op, tlb);
  std::memcpy(host, &cpu->registers[op->rm], 8);
  cpu->registers[kRsp] = rsp;
  CALCO_NEXT_OPERATION;
}
CALCO_HANDLER_CONVENTION void pop_register_64(Cpu* cpu, const Op* op, TlbEntry* tlb) {
  const uint64_t rsp = cpu->registers[kRsp];
  const void* host = readable_host<uint64_t>(tlb, rsp);
  if (host == nullptr) [[unlikely]]
    [[clang::musttail]] return plain<&pop_register>(cpu, op, tlb);
  cpu->registers[kRsp] = rsp + 8;
  std::memcpy(&cpu->registers[op->rm], host, 8);  // last: POP RSP
  CALCO_NEXT_OPERATION;
}
CALCO_HANDLER_CONVENTION void push_immediate_64(Cpu* cpu, const Op* op, TlbEntry* tlb) {
  const uint64_t rsp = cpu->registers[kRsp] - 8;
  void* host = writable_host<uint64_t>(tlb, rsp);
  if (host == nullptr) [[unlikely]]
    [[clang::musttail]] return plain<&push_immediate>(cpu, op, tlb);
  std::memcpy(host, &op->immediate, 8);
  cpu->registers[kRsp] = rsp;
  CALCO_NEXT_OPERATION;
}

// --- PUSHF, POPF (SDM vol. 2; virtual-8086 rules vol. 3, 21.2.7)
// ---------------------------------------------------------

void push_flags(Cpu& cpu, const Op& op) {
  if (cpu.virtual_8086() && cpu.iopl() != 3) cpu.raise(kGeneralProtection, 0);
  push(cpu, rflags_value(cpu) & ~(rflags::kVm | rflags::kRf), op.operand_size);
}
void pop_flags(Cpu& cpu, const Op& op) {
  if (cpu.virtual_8086() && cpu.iopl() != 3) cpu.raise(kGeneralProtection, 0);
  const uint64_t value = pop(cpu, op.operand_size);
  uint64_t allowed = rflags::kArithmetic | rflags::kTf | rflags::kDf | rflags::kNt;
  if (op.operand_size != 2) allowed |= rflags::kAc | rflags::kId;
  if (cpu.cpl <= cpu.iopl()) allowed |= rflags::kIf;
  if (cpu.cpl == 0) allowed |= rflags::kIopl;
  uint64_t flags = (rflags_value(cpu) & ~allowed) | (value & allowed);
  if (op.operand_size != 2) flags &= ~rflags::kRf;
  set_rflags_value(cpu, flags);
  cpu.mode_changed();
  cpu.recheck_interrupts();
}

// --- ENTER, LEAVE
// ------------------------------------------------------------------------------------------------------

// Op::immediate: frame size; upper half: nesting level (SDM vol. 2, ENTER).
void enter(Cpu& cpu, const Op& op) {
  const unsigned size = op.operand_size;
  const unsigned level = (op.immediate >> 32) & 31;
  PushSequence stack(cpu, size);
  stack.push(cpu.registers[kRbp]);
  const uint64_t frame = stack.top();
  for (unsigned i = 1; i < level; ++i) {
    const uint64_t offset = (cpu.registers[kRbp] - uint64_t{i} * size) & stack.mask();
    const uint64_t linear = segment_linear(cpu, kSs, offset, size, false);
    stack.push(with_size(size, [&]<typename T>() { return uint64_t{load_linear<T>(cpu, cpu.tlb, linear, true)}; }));
  }
  if (level > 0) stack.push(frame);
  stack.reserve(static_cast<uint16_t>(op.immediate));
  stack.commit();
  write_sized_register(cpu, kRbp, frame, size);
}

void leave(Cpu& cpu, const Op& op) {
  const uint64_t rsp = cpu.registers[kRsp];
  const unsigned width = cpu.stack_address_size();
  const uint64_t mask = width == 2 ? 0xFFFF : width == 4 ? 0xFFFFFFFF : ~uint64_t{0};
  const uint64_t frame = cpu.registers[kRbp];
  const uint64_t linear = segment_linear(cpu, kSs, frame & mask, op.operand_size, false);
  const uint64_t value = op.operand_size == 2   ? load_linear<uint16_t>(cpu, cpu.tlb, linear, true)
                         : op.operand_size == 4 ? load_linear<uint32_t>(cpu, cpu.tlb, linear, true)
                                                : load_linear<uint64_t>(cpu, cpu.tlb, linear, true);
  const uint64_t moved = frame + op.operand_size;
  cpu.registers[kRsp] = width == 2 ? (rsp & ~mask) | (moved & mask) : moved & mask;
  write_sized_register(cpu, kRbp, value, op.operand_size);
}

CALCO_HANDLER_CONVENTION void leave_64(Cpu* cpu, const Op* op, TlbEntry* tlb) {
  const uint64_t rbp = cpu->registers[kRbp];
  const void* host = readable_host<uint64_t>(tlb, rbp);
  if (host == nullptr) [[unlikely]]
    [[clang::musttail]] return plain<&leave>(cpu, op, tlb);
  cpu->registers[kRsp] = rbp + 8;
  std::memcpy(&cpu->registers[kRbp], host, 8);
  CALCO_NEXT_OPERATION;
}

}  // namespace

// Called by select_move() and select_control() for whatever moves the stack pointer.
Selection select_stack(const decode::Instruction& instruction, Op& op) {
  const decode::Operand& operand = instruction.operands[0];
  const unsigned size = operand.kind == OperandKind::General || operand.kind == OperandKind::Memory
                            ? operand.size
                            : instruction.operand_size;
  op.operand_size = size & 0xF;
  const bool fast = size == 8 && instruction.code_64;
  switch (instruction.mnemonic) {
    case Mnemonic::Push:
      if (operand.kind == OperandKind::Immediate) {
        return fast ? Selection{&push_immediate_64} : select_plain<&push_immediate>();
      }
      if (operand.kind == OperandKind::General) op.rm = operand.number;
      return fast && operand.kind == OperandKind::General ? Selection{&push_register_64} : select_plain<&push_any>();
    case Mnemonic::Pop:
      if (operand.kind == OperandKind::Memory) return select_plain<&pop_memory>();
      op.rm = operand.number;
      return fast ? Selection{&pop_register_64} : select_plain<&pop_register>();
    case Mnemonic::Pusha:
      return select_plain<&push_all>();
    case Mnemonic::Popa:
      return select_plain<&pop_all>();
    case Mnemonic::Pushf:
      return select_plain<&push_flags>();
    case Mnemonic::Popf:
      return select_ending<&pop_flags>();
    case Mnemonic::Enter:
      return select_plain<&enter>();
    case Mnemonic::Leave:
      return fast ? Selection{&leave_64} : select_plain<&leave>();
    default:
      return {};
  }
}

}  // namespace calco::cpu
