// MOV and its relatives: MOVZX, MOVSX, LEA, XCHG, BSWAP, MOVBE, CMOVcc, SETcc, CBW and CWD families, XLAT, NOP.
#include "cpu/exec/address.h"
#include "cpu/exec/atomic.h"
#include "cpu/exec/condition.h"
#include "cpu/exec/handlers.h"
#include "cpu/exec/integer.h"

namespace calco::cpu {

namespace {

using decode::Mnemonic;
using decode::OperandKind;

// --- MOV
// ---------------------------------------------------------------------------------------------------------------

template <typename T>
CALCO_HANDLER_CONVENTION void move_register(Cpu* cpu, const Op* op, TlbEntry* tlb) {
  write_register<T>(*cpu, op->rm, read_register<T>(*cpu, op->reg));
  CALCO_NEXT_OPERATION;
}
template <typename T>
CALCO_HANDLER_CONVENTION void move_immediate(Cpu* cpu, const Op* op, TlbEntry* tlb) {
  write_register<T>(*cpu, op->rm, static_cast<T>(op->immediate));
  CALCO_NEXT_OPERATION;
}
template <typename T, AddressShape kShape>
CALCO_HANDLER_CONVENTION void load(Cpu* cpu, const Op* op, TlbEntry* tlb) {
  CALCO_LOAD_OPERAND(T, value, load<T, AddressShape::General>);
  write_register<T>(*cpu, op->reg, value);
  CALCO_NEXT_OPERATION;
}
template <typename T, AddressShape kShape>
CALCO_HANDLER_CONVENTION void store(Cpu* cpu, const Op* op, TlbEntry* tlb) {
  CALCO_STORE_OPERAND(T, read_register<T>(*cpu, op->reg), store<T, AddressShape::General>);
  CALCO_NEXT_OPERATION;
}
template <typename T, AddressShape kShape>
CALCO_HANDLER_CONVENTION void store_immediate(Cpu* cpu, const Op* op, TlbEntry* tlb) {
  CALCO_STORE_OPERAND(T, static_cast<T>(op->immediate), store_immediate<T, AddressShape::General>);
  CALCO_NEXT_OPERATION;
}

// MOV with a 64-bit absolute offset: the only displacement that does not fit Op::displacement.
uint64_t absolute_linear(Cpu& cpu, const Op& op, unsigned size, bool write) {
  return segment_linear(cpu, op.segment, op.immediate, size, write);
}
template <typename T>
void load_absolute(Cpu& cpu, const Op& op) {
  write_register<T>(cpu, op.reg, load_linear<T>(cpu, absolute_linear(cpu, op, sizeof(T), false)));
}
template <typename T>
void store_absolute(Cpu& cpu, const Op& op) {
  store_linear<T>(cpu, absolute_linear(cpu, op, sizeof(T), true), read_register<T>(cpu, op.reg));
}

Selection select_mov(const decode::Instruction& instruction, Op& op) {
  const decode::Operand& first = instruction.operands[0];
  const decode::Operand& second = instruction.operands[1];
  const bool absolute = instruction.opcode >= 0xA0 && instruction.opcode <= 0xA3 && instruction.has_memory();
  if (absolute) {
    op.immediate = static_cast<uint64_t>(instruction.memory.displacement);
    op.reg = kRax;
    return {with_size(first.size, [&]<typename T>() -> Handler {
      return first.kind == OperandKind::Memory ? &plain<&store_absolute<T>> : &plain<&load_absolute<T>>;
    })};
  }
  const AddressShape shape = address_shape(instruction);
  if (second.kind == OperandKind::Memory) {
    op.reg = register_field(first);
    return {with_size_and_shape(first.size, shape,
                                []<typename T, AddressShape kShape>() -> Handler { return &load<T, kShape>; })};
  }
  if (first.kind == OperandKind::Memory) {
    const bool immediate = second.kind == OperandKind::Immediate;
    if (!immediate) op.reg = register_field(second);
    return {with_size_and_shape(first.size, shape, [&]<typename T, AddressShape kShape>() -> Handler {
      return immediate ? &store_immediate<T, kShape> : &store<T, kShape>;
    })};
  }
  op.rm = register_field(first);
  if (second.kind == OperandKind::Immediate) {
    return {with_size(first.size, []<typename T>() -> Handler { return &move_immediate<T>; })};
  }
  op.reg = register_field(second);
  return {with_size(first.size, []<typename T>() -> Handler { return &move_register<T>; })};
}

// --- MOVZX, MOVSX, MOVSXD
// ------------------------------------------------------------------------------------------------

template <typename To, typename From, bool kSigned>
[[gnu::always_inline]] inline To extend(From value) {
  if constexpr (kSigned) return static_cast<To>(sign_extended(value));
  return static_cast<To>(value);
}
template <typename To, typename From, bool kSigned>
CALCO_HANDLER_CONVENTION void extend_register(Cpu* cpu, const Op* op, TlbEntry* tlb) {
  write_register<To>(*cpu, op->reg, extend<To, From, kSigned>(read_register<From>(*cpu, op->rm)));
  CALCO_NEXT_OPERATION;
}
template <typename To, typename From, bool kSigned, AddressShape kShape>
CALCO_HANDLER_CONVENTION void extend_memory(Cpu* cpu, const Op* op, TlbEntry* tlb) {
  CALCO_LOAD_OPERAND(From, value, extend_memory<To, From, kSigned, AddressShape::General>);
  write_register<To>(*cpu, op->reg, extend<To, From, kSigned>(value));
  CALCO_NEXT_OPERATION;
}

template <typename From, bool kSigned>
Selection select_extend_from(const decode::Instruction& instruction) {
  const bool memory = instruction.operands[1].kind == OperandKind::Memory;
  return {with_size_and_shape(
      instruction.operands[0].size, address_shape(instruction), [&]<typename To, AddressShape kShape>() -> Handler {
        return memory ? &extend_memory<To, From, kSigned, kShape> : &extend_register<To, From, kSigned>;
      })};
}
template <bool kSigned>
Selection select_extend(const decode::Instruction& instruction, Op& op) {
  op.reg = register_field(instruction.operands[0]);
  if (!op.is_memory) op.rm = register_field(instruction.operands[1]);
  switch (instruction.operands[1].size) {
    case 1:
      return select_extend_from<uint8_t, kSigned>(instruction);
    case 2:
      return select_extend_from<uint16_t, kSigned>(instruction);
    default:
      return select_extend_from<uint32_t, kSigned>(instruction);
  }
}

// --- LEA
// -----------------------------------------------------------------------------------------------------------------

template <typename T, AddressShape kShape>
CALCO_HANDLER_CONVENTION void load_effective_address(Cpu* cpu, const Op* op, TlbEntry* tlb) {
  uint64_t address;
  if constexpr (kShape == AddressShape::General) {
    address = effective_address(*cpu, *op);
  } else {
    constexpr auto kPlain = kShape == AddressShape::Based ? AddressShape::Indexed : kShape;  // a segment does not count
    address = linear_address<kPlain>(*cpu, *op, 1, false);
  }
  write_register<T>(*cpu, op->reg, static_cast<T>(address));
  CALCO_NEXT_OPERATION;
}

// --- XCHG, BSWAP, MOVBE, XLAT
// ----------------------------------------------------------------------------------------------

template <typename T>
void exchange_registers(Cpu& cpu, const Op& op) {
  const T left = read_register<T>(cpu, op.rm);
  write_register<T>(cpu, op.rm, read_register<T>(cpu, op.reg));
  write_register<T>(cpu, op.reg, left);
}
// With memory XCHG is locked, prefix or not (SDM vol. 2, XCHG).
template <typename T>
void exchange_memory(Cpu& cpu, const Op& op) {
  const T source = read_register<T>(cpu, op.reg);
  write_register<T>(cpu, op.reg, atomic_modify_operand<T>(cpu, op, [source](T) { return source; }));
}

template <typename T>
constexpr T swapped(T value) {
  if constexpr (sizeof(T) == 2) return __builtin_bswap16(value);
  if constexpr (sizeof(T) == 4) return __builtin_bswap32(value);
  return static_cast<T>(__builtin_bswap64(value));
}
template <typename T>
void byte_swap(Cpu& cpu, const Op& op) {
  write_register<T>(cpu, op.rm, swapped(read_register<T>(cpu, op.rm)));
}
// Undefined by the manuals; processors clear the low word.
void byte_swap_word(Cpu& cpu, const Op& op) { write_register<uint16_t>(cpu, op.rm, 0); }
template <typename T>
void load_swapped(Cpu& cpu, const Op& op) {
  write_register<T>(cpu, op.reg, swapped(load_operand<T>(cpu, op)));
}
template <typename T>
void store_swapped(Cpu& cpu, const Op& op) {
  store_operand<T>(cpu, op, swapped(read_register<T>(cpu, op.reg)));
}

// AL = [rBX + AL]
void table_lookup(Cpu& cpu, const Op& op) {
  const uint64_t sum = cpu.registers[kRbx] + read_register<uint8_t>(cpu, 0);
  const uint64_t offset = op.address_size == 8   ? sum
                          : op.address_size == 4 ? static_cast<uint32_t>(sum)
                                                 : static_cast<uint16_t>(sum);
  write_register<uint8_t>(cpu, 0, load_linear<uint8_t>(cpu, segment_linear(cpu, op.segment, offset, 1, false)));
}

// --- CBW, CWDE, CDQE; CWD, CDQ, CQO
// ----------------------------------------------------------------------------------------

template <typename To, typename From>
void extend_accumulator(Cpu& cpu, const Op&) {
  write_register<To>(cpu, kRax, static_cast<To>(sign_extended(read_register<From>(cpu, kRax))));
}
template <typename T>
void spread_sign(Cpu& cpu, const Op&) {
  const bool negative = static_cast<std::make_signed_t<T>>(read_register<T>(cpu, kRax)) < 0;
  write_register<T>(cpu, kRdx, negative ? static_cast<T>(~T{0}) : T{0});
}

// --- CMOVcc, SETcc
// -----------------------------------------------------------------------------------------------------------

template <unsigned kCondition, FlagSource kSource>
struct Conditional {
  template <typename T>
  CALCO_HANDLER_CONVENTION static void move_register_if(Cpu* cpu, const Op* op, TlbEntry* tlb) {
    const T source = read_register<T>(*cpu, op->rm);
    const T old = read_register<T>(*cpu, op->reg);
    // A 32-bit destination loses its upper half whether the condition holds or not.
    write_register<T>(*cpu, op->reg, condition_holds<kCondition, kSource>(cpu->flags) ? source : old);
    CALCO_NEXT_OPERATION;
  }
  // The load is made, and can fault, whether the condition holds or not.
  template <typename T>
  CALCO_HANDLER_CONVENTION static void move_memory_if(Cpu* cpu, const Op* op, TlbEntry* tlb) {
    const T source = load_shaped<T, AddressShape::General>(*cpu, op, tlb);
    const T old = read_register<T>(*cpu, op->reg);
    write_register<T>(*cpu, op->reg, condition_holds<kCondition, kSource>(cpu->flags) ? source : old);
    CALCO_NEXT_OPERATION;
  }
  CALCO_HANDLER_CONVENTION static void set_register(Cpu* cpu, const Op* op, TlbEntry* tlb) {
    write_register<uint8_t>(*cpu, op->rm, condition_holds<kCondition, kSource>(cpu->flags) ? 1 : 0);
    CALCO_NEXT_OPERATION;
  }
  CALCO_HANDLER_CONVENTION static void set_memory(Cpu* cpu, const Op* op, TlbEntry* tlb) {
    const uint8_t value = condition_holds<kCondition, kSource>(cpu->flags) ? 1 : 0;
    store_shaped<uint8_t, AddressShape::General>(*cpu, op, tlb, value);
    CALCO_NEXT_OPERATION;
  }
};

template <FlagSource kSource>
Selection select_conditional(const decode::Instruction& instruction, Op& op) {
  return with_condition(instruction.condition, [&]<unsigned kCondition>() -> Selection {
    using Forms = Conditional<kCondition, kSource>;
    if (instruction.mnemonic == Mnemonic::Setcc) {
      if (op.is_memory) return {&Forms::set_memory};
      op.rm = register_field(instruction.operands[0]);
      return {&Forms::set_register};
    }
    switch (instruction.operands[0].size) {
      case 2:
        return {op.is_memory ? &Forms::template move_memory_if<uint16_t> : &Forms::template move_register_if<uint16_t>};
      case 4:
        return {op.is_memory ? &Forms::template move_memory_if<uint32_t> : &Forms::template move_register_if<uint32_t>};
      default:
        return {op.is_memory ? &Forms::template move_memory_if<uint64_t> : &Forms::template move_register_if<uint64_t>};
    }
  });
}

CALCO_HANDLER_CONVENTION void no_operation(Cpu* cpu, const Op* op, TlbEntry* tlb) { CALCO_NEXT_OPERATION; }

}  // namespace

Selection select_with_flag_source(const decode::Instruction& instruction, Op& op, FlagSource source) {
  switch (source) {
    case FlagSource::Subtract:
      return select_conditional<FlagSource::Subtract>(instruction, op);
    case FlagSource::Logic:
      return select_conditional<FlagSource::Logic>(instruction, op);
    default:
      return select_conditional<FlagSource::Unknown>(instruction, op);
  }
}

Selection select_move(const decode::Instruction& instruction, Op& op) {
  const unsigned size = instruction.operands[0].size;
  switch (instruction.mnemonic) {
    case Mnemonic::Mov:
      return select_mov(instruction, op);
    case Mnemonic::Movzx:
      return select_extend<false>(instruction, op);
    case Mnemonic::Movsx:
    case Mnemonic::Movsxd:
      return select_extend<true>(instruction, op);
    case Mnemonic::Lea:
      return {with_size_and_shape(size, address_shape(instruction), []<typename T, AddressShape kShape>() -> Handler {
        return &load_effective_address<T, kShape>;
      })};
    case Mnemonic::Xchg:
      if (!op.is_memory) {
        op.rm = register_field(instruction.operands[0]);
        op.reg = register_field(instruction.operands[1]);
      }
      return {with_size(size, [&]<typename T>() -> Handler {
        return op.is_memory ? &plain<&exchange_memory<T>> : &plain<&exchange_registers<T>>;
      })};
    case Mnemonic::Bswap:
      op.rm = register_field(instruction.operands[0]);
      if (size == 2) return select_plain<&byte_swap_word>();
      return size == 8 ? select_plain<&byte_swap<uint64_t>>() : select_plain<&byte_swap<uint32_t>>();
    case Mnemonic::Movbe:
      return {with_size(size, [&]<typename T>() -> Handler {
        return instruction.operands[0].kind == OperandKind::Memory ? &plain<&store_swapped<T>>
                                                                   : &plain<&load_swapped<T>>;
      })};
    case Mnemonic::Xlat:
      op.segment = instruction.memory.segment;
      op.address_size = instruction.address_size;
      return select_plain<&table_lookup>();
    case Mnemonic::Cbw:
      return select_plain<&extend_accumulator<uint16_t, uint8_t>>();
    case Mnemonic::Cwde:
      return select_plain<&extend_accumulator<uint32_t, uint16_t>>();
    case Mnemonic::Cdqe:
      return select_plain<&extend_accumulator<uint64_t, uint32_t>>();
    case Mnemonic::Cwd:
      return select_plain<&spread_sign<uint16_t>>();
    case Mnemonic::Cdq:
      return select_plain<&spread_sign<uint32_t>>();
    case Mnemonic::Cqo:
      return select_plain<&spread_sign<uint64_t>>();
    case Mnemonic::Cmovcc:
    case Mnemonic::Setcc:
      return select_with_flag_source(instruction, op, FlagSource::Unknown);
    case Mnemonic::Push:
    case Mnemonic::Pop:
    case Mnemonic::Pusha:
    case Mnemonic::Popa:
    case Mnemonic::Enter:
    case Mnemonic::Leave:
      return select_stack(instruction, op);
    default:
      return {&no_operation};  // NOP, PAUSE, prefetches and hints
  }
}

}  // namespace calco::cpu
