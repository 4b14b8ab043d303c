// ADD, OR, ADC, SBB, AND, SUB, XOR, CMP, TEST, INC, DEC, NEG, NOT, XADD, CMPXCHG.
#include "cpu/exec/address.h"
#include "cpu/exec/atomic.h"
#include "cpu/exec/handlers.h"

namespace calco::cpu {

namespace {

using decode::Mnemonic;
using decode::OperandKind;

template <typename T>
[[gnu::always_inline]] inline void remember(Cpu& cpu, FlagKind kind, uint64_t first, uint64_t second) {
  cpu.flags.first = first;
  cpu.flags.second = second;
  cpu.flags.kind = flag_kind(kind, kSizeLog2<T>);
}

// --- The operations: each takes destination and source, returns the result and remembers the flags -------------------

struct Add {
  static constexpr bool kWrites = true;
  template <typename T>
  [[gnu::always_inline]] static T apply(Cpu& cpu, T a, T b) {
    const T result = a + b;
    remember<T>(cpu, FlagKind::Add, sign_extended(result), sign_extended(b));
    return result;
  }
};

struct Subtract {
  static constexpr bool kWrites = true;
  template <typename T>
  [[gnu::always_inline]] static T apply(Cpu& cpu, T a, T b) {
    remember<T>(cpu, FlagKind::Subtract, sign_extended(a), sign_extended(b));
    return a - b;
  }
};

struct Compare : Subtract {
  static constexpr bool kWrites = false;
};

struct AddWithCarry {
  static constexpr bool kWrites = true;
  template <typename T>
  [[gnu::always_inline]] static T apply(Cpu& cpu, T a, T b) {
    const bool carry = carry_flag(cpu.flags);
    const T result = static_cast<T>(a + b + (carry ? 1 : 0));
    remember<T>(cpu, carry ? FlagKind::AddCarry : FlagKind::Add, sign_extended(result), sign_extended(b));
    return result;
  }
};

struct SubtractWithBorrow {
  static constexpr bool kWrites = true;
  template <typename T>
  [[gnu::always_inline]] static T apply(Cpu& cpu, T a, T b) {
    const bool borrow = carry_flag(cpu.flags);
    remember<T>(cpu, borrow ? FlagKind::SubtractBorrow : FlagKind::Subtract, sign_extended(a), sign_extended(b));
    return static_cast<T>(a - b - (borrow ? 1 : 0));
  }
};

template <typename T>
[[gnu::always_inline]] inline T logic(Cpu& cpu, T result) {
  cpu.flags.first = sign_extended(result);
  cpu.flags.kind = flag_kind(FlagKind::Logic, kSizeLog2<T>);
  return result;
}

struct And {
  static constexpr bool kWrites = true;
  template <typename T>
  [[gnu::always_inline]] static T apply(Cpu& cpu, T a, T b) {
    return logic<T>(cpu, a & b);
  }
};
struct Test : And {
  static constexpr bool kWrites = false;
};
struct Or {
  static constexpr bool kWrites = true;
  template <typename T>
  [[gnu::always_inline]] static T apply(Cpu& cpu, T a, T b) {
    return logic<T>(cpu, a | b);
  }
};
struct Xor {
  static constexpr bool kWrites = true;
  template <typename T>
  [[gnu::always_inline]] static T apply(Cpu& cpu, T a, T b) {
    return logic<T>(cpu, a ^ b);
  }
};

// Unary ones ignore the source.
struct Increment {
  static constexpr bool kWrites = true;
  template <typename T>
  [[gnu::always_inline]] static T apply(Cpu& cpu, T a, T) {
    const uint64_t carry = carry_flag(cpu.flags) ? rflags::kCf : 0;
    const T result = a + 1;
    remember<T>(cpu, FlagKind::Increment, sign_extended(result), carry);
    return result;
  }
};
struct Decrement {
  static constexpr bool kWrites = true;
  template <typename T>
  [[gnu::always_inline]] static T apply(Cpu& cpu, T a, T) {
    const uint64_t carry = carry_flag(cpu.flags) ? rflags::kCf : 0;
    const T result = a - 1;
    remember<T>(cpu, FlagKind::Decrement, sign_extended(result), carry);
    return result;
  }
};
struct Negate {
  static constexpr bool kWrites = true;
  template <typename T>
  [[gnu::always_inline]] static T apply(Cpu& cpu, T a, T) {
    return Subtract::apply<T>(cpu, 0, a);
  }
};
struct Not {
  static constexpr bool kWrites = true;
  template <typename T>
  [[gnu::always_inline]] static T apply(Cpu&, T a, T) {
    return static_cast<T>(~a);
  }
};

// --- The operand forms
// -------------------------------------------------------------------------------------------------

// Register with register: `kToReg` where ModRM.reg names the destination.
template <typename Operation, typename T, bool kToReg>
CALCO_HANDLER_CONVENTION void register_register(Cpu* cpu, const Op* op, TlbEntry* tlb) {
  const uint8_t destination = kToReg ? op->reg : op->rm;
  const uint8_t source = kToReg ? op->rm : op->reg;
  const T result =
      Operation::template apply<T>(*cpu, read_register<T>(*cpu, destination), read_register<T>(*cpu, source));
  if constexpr (Operation::kWrites) write_register<T>(*cpu, destination, result);
  CALCO_NEXT_OPERATION;
}

// Register with immediate; the destination is in `rm`.
template <typename Operation, typename T>
CALCO_HANDLER_CONVENTION void register_immediate(Cpu* cpu, const Op* op, TlbEntry* tlb) {
  const T result = Operation::template apply<T>(*cpu, read_register<T>(*cpu, op->rm), static_cast<T>(op->immediate));
  if constexpr (Operation::kWrites) write_register<T>(*cpu, op->rm, result);
  CALCO_NEXT_OPERATION;
}

template <typename Operation, typename T, AddressShape kShape>
CALCO_HANDLER_CONVENTION void register_memory(Cpu* cpu, const Op* op, TlbEntry* tlb) {
  CALCO_LOAD_OPERAND(T, source, register_memory<Operation, T, AddressShape::General>);
  const T result = Operation::template apply<T>(*cpu, read_register<T>(*cpu, op->reg), source);
  if constexpr (Operation::kWrites) write_register<T>(*cpu, op->reg, result);
  CALCO_NEXT_OPERATION;
}

// Memory with register or immediate.
template <typename Operation, typename T, AddressShape kShape, bool kImmediate>
CALCO_HANDLER_CONVENTION void memory_any(Cpu* cpu, const Op* op, TlbEntry* tlb) {
  const T source = kImmediate ? static_cast<T>(op->immediate) : read_register<T>(*cpu, op->reg);
  if constexpr (!Operation::kWrites) {
    CALCO_LOAD_OPERAND(T, value, memory_any<Operation, T, AddressShape::General, kImmediate>);
    Operation::template apply<T>(*cpu, value, source);
  } else if constexpr (kShape == AddressShape::General) {
    // The flags must stay as they are until the store cannot fail: modify_shaped probes before it calls.
    modify_shaped<T, kShape>(*cpu, op, tlb,
                             [cpu, source](T value) { return Operation::template apply<T>(*cpu, value, source); });
  } else {
    // What may be written here may be read: a page that is one without the other takes the slow path.
    void* host = writable_host<T>(tlb, linear_address<kShape>(*cpu, *op, sizeof(T), true));
    if (host == nullptr) [[unlikely]]
      [[clang::musttail]] return memory_any<Operation, T, AddressShape::General, kImmediate>(cpu, op, tlb);
    T value;
    std::memcpy(&value, host, sizeof(T));
    value = Operation::template apply<T>(*cpu, value, source);
    std::memcpy(host, &value, sizeof(T));
  }
  CALCO_NEXT_OPERATION;
}

// LOCK-prefixed: compute on a scratch copy of the flags, so that a retried exchange starts over.
template <typename Operation, typename T, bool kImmediate>
void locked(Cpu& cpu, const Op& op) {
  const T source = kImmediate ? static_cast<T>(op.immediate) : read_register<T>(cpu, op.reg);
  const LazyFlags before = cpu.flags;
  atomic_modify_operand<T>(cpu, op, [&](T value) {
    cpu.flags = before;
    return Operation::template apply<T>(cpu, value, source);
  });
}

// The handler of `Operation` for the operands as decoded.
template <typename Operation>
Selection select_operation(const decode::Instruction& instruction, Op& op) {
  const decode::Operand& first = instruction.operands[0];
  const decode::Operand& second = instruction.operands[1];
  const unsigned size = first.size;
  const bool immediate = second.kind == OperandKind::Immediate || second.kind == OperandKind::None;
  if (first.kind == OperandKind::Memory) {
    if (instruction.lock) {
      return {with_size(size, [&]<typename T>() -> Handler {
        return immediate ? &plain<&locked<Operation, T, true>> : &plain<&locked<Operation, T, false>>;
      })};
    }
    return {with_size_and_shape(size, address_shape(instruction), [&]<typename T, AddressShape kShape>() -> Handler {
      return immediate ? &memory_any<Operation, T, kShape, true> : &memory_any<Operation, T, kShape, false>;
    })};
  }
  if (second.kind == OperandKind::Memory) {
    return {with_size_and_shape(size, address_shape(instruction), [&]<typename T, AddressShape kShape>() -> Handler {
      return &register_memory<Operation, T, kShape>;
    })};
  }
  if (immediate) {
    // The accumulator forms name their register in the opcode, not in ModRM.
    op.rm = register_field(first);
    return {with_size(size, [&]<typename T>() -> Handler { return &register_immediate<Operation, T>; })};
  }
  op.rm = register_field(first);
  op.reg = register_field(second);
  return {with_size(size, [&]<typename T>() -> Handler { return &register_register<Operation, T, false>; })};
}

// --- XADD and CMPXCHG
// --------------------------------------------------------------------------------------------------

template <typename T>
void xadd(Cpu& cpu, const Op& op) {
  const T source = read_register<T>(cpu, op.reg);
  T old;
  if (op.is_memory && op.lock) {
    old = atomic_modify_operand<T>(cpu, op, [&](T value) { return static_cast<T>(value + source); });
  } else if (op.is_memory) {
    const uint64_t linear = operand_linear(cpu, op, sizeof(T), true);
    cpu.mmu().probe_write(linear, sizeof(T), cpu.mmu().current_protection(), op.segment == kSs);
    old = load_linear<T>(cpu, linear);
    store_linear<T>(cpu, linear, static_cast<T>(old + source));
  } else {
    old = read_register<T>(cpu, op.rm);
  }
  Add::apply<T>(cpu, old, source);
  write_register<T>(cpu, op.reg, old);
  // The sum goes last: where both operands are one register, it stays.
  if (!op.is_memory) write_register<T>(cpu, op.rm, static_cast<T>(old + source));
}

template <typename T>
void cmpxchg(Cpu& cpu, const Op& op) {
  const T accumulator = read_register<T>(cpu, kRax);
  const T source = read_register<T>(cpu, op.reg);
  T old;
  if (op.is_memory && op.lock) {
    old = atomic_modify_operand<T>(cpu, op, [&](T value) { return value == accumulator ? source : value; });
  } else if (op.is_memory) {
    const uint64_t linear = operand_linear(cpu, op, sizeof(T), true);
    cpu.mmu().probe_write(linear, sizeof(T), cpu.mmu().current_protection(), op.segment == kSs);
    old = load_linear<T>(cpu, linear);
    store_linear<T>(cpu, linear, old == accumulator ? source : old);  // hardware always writes
  } else {
    old = read_register<T>(cpu, op.rm);
    if (old == accumulator) write_register<T>(cpu, op.rm, source);
  }
  Subtract::apply<T>(cpu, accumulator, old);
  // Only the accumulator that differed is written: with equal 32-bit values the upper half of RAX stays.
  if (old != accumulator) write_register<T>(cpu, kRax, old);
}

// CMPXCHG8B (uint32_t halves) and CMPXCHG16B (uint64_t halves).
template <typename Half>
void cmpxchg_pair(Cpu& cpu, const Op& op) {
  using Whole = std::conditional_t<sizeof(Half) == 4, uint64_t, unsigned __int128>;
  constexpr unsigned kBits = sizeof(Half) * 8;
  const uint64_t linear = operand_linear(cpu, op, sizeof(Whole), true);
  if (sizeof(Half) == 8 && (linear & 15) != 0) cpu.raise(kGeneralProtection, 0);
  const auto pair = [&](Register high, Register low) {
    return static_cast<Whole>(static_cast<Half>(cpu.registers[high])) << kBits | static_cast<Half>(cpu.registers[low]);
  };
  const Whole expected = pair(kRdx, kRax);
  const Whole replacement = pair(kRcx, kRbx);
  const Protection protection = cpu.mmu().current_protection();
  cpu.mmu().probe_write(linear, sizeof(Whole), protection);
  Whole old = expected;
  uint8_t* host = nullptr;
  if ((linear & 0xFFF) <= 0x1000 - sizeof(Whole) && host_locks(linear, sizeof(Whole))) {
    host = cpu.mmu().host_address(linear, sizeof(Whole), Access::Write, protection);
  }
  if (host != nullptr) {
    __atomic_compare_exchange_n(reinterpret_cast<Whole*>(host), &old, replacement, false, __ATOMIC_SEQ_CST,
                                __ATOMIC_SEQ_CST);
    cpu.mmu().note_written(linear, host, sizeof(Whole), protection);
  } else {
    cpu.environment().group.exclusively(cpu, [&] {
      const Whole low = static_cast<Half>(cpu.mmu().load_slow(linear, sizeof(Half), protection));
      const Whole high = static_cast<Half>(cpu.mmu().load_slow(linear + sizeof(Half), sizeof(Half), protection));
      old = high << kBits | low;
      const Whole stored = old == expected ? replacement : old;
      cpu.mmu().store_slow(linear, sizeof(Half), static_cast<Half>(stored), protection);
      cpu.mmu().store_slow(linear + sizeof(Half), sizeof(Half), static_cast<Half>(stored >> kBits), protection);
    });
  }
  const bool equal = old == expected;
  if (!equal) {
    cpu.registers[kRax] = static_cast<Half>(old);
    cpu.registers[kRdx] = static_cast<Half>(old >> kBits);
  }
  change_arithmetic_flags(cpu.flags, rflags::kZf, equal ? rflags::kZf : 0);
}

// ADCX and ADOX: an addition whose carry is CF, or OF, alone.
template <typename T, uint64_t kCarry>
void add_extended(Cpu& cpu, const Op& op) {
  const T source = read_rm<T>(cpu, op);
  const uint64_t carry = (arithmetic_flags(cpu.flags) & kCarry) != 0 ? 1 : 0;
  const unsigned __int128 sum = static_cast<unsigned __int128>(read_register<T>(cpu, op.reg)) + source + carry;
  write_register<T>(cpu, op.reg, static_cast<T>(sum));
  change_arithmetic_flags(cpu.flags, kCarry, (sum >> (sizeof(T) * 8)) != 0 ? kCarry : 0);
}

}  // namespace

Selection select_alu(const decode::Instruction& instruction, Op& op) {
  const unsigned size = instruction.operands[0].size;
  switch (instruction.mnemonic) {
    case Mnemonic::Add:
      return select_operation<Add>(instruction, op);
    case Mnemonic::Or:
      return select_operation<Or>(instruction, op);
    case Mnemonic::Adc:
      return select_operation<AddWithCarry>(instruction, op);
    case Mnemonic::Sbb:
      return select_operation<SubtractWithBorrow>(instruction, op);
    case Mnemonic::And:
      return select_operation<And>(instruction, op);
    case Mnemonic::Sub:
      return select_operation<Subtract>(instruction, op);
    case Mnemonic::Xor:
      return select_operation<Xor>(instruction, op);
    case Mnemonic::Cmp:
      return select_operation<Compare>(instruction, op);
    case Mnemonic::Test:
      return select_operation<Test>(instruction, op);
    case Mnemonic::Inc:
      return select_operation<Increment>(instruction, op);
    case Mnemonic::Dec:
      return select_operation<Decrement>(instruction, op);
    case Mnemonic::Neg:
      return select_operation<Negate>(instruction, op);
    case Mnemonic::Not:
      return select_operation<Not>(instruction, op);
    case Mnemonic::Xadd:
      return {with_size(size, []<typename T>() -> Handler { return &plain<&xadd<T>>; })};
    case Mnemonic::Cmpxchg:
      return {with_size(size, []<typename T>() -> Handler { return &plain<&cmpxchg<T>>; })};
    case Mnemonic::Cmpxchg8b:
      return select_plain<&cmpxchg_pair<uint32_t>>();
    case Mnemonic::Cmpxchg16b:
      return select_plain<&cmpxchg_pair<uint64_t>>();
    case Mnemonic::Adcx:
      return size == 8 ? select_plain<&add_extended<uint64_t, rflags::kCf>>()
                       : select_plain<&add_extended<uint32_t, rflags::kCf>>();
    case Mnemonic::Adox:
      return size == 8 ? select_plain<&add_extended<uint64_t, rflags::kOf>>()
                       : select_plain<&add_extended<uint32_t, rflags::kOf>>();
    default:
      return {};
  }
}

}  // namespace calco::cpu
