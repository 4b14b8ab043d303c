// SHL, SHR, SAR, ROL, ROR, RCL, RCR, SHLD, SHRD and BMI2's SHLX, SHRX, SARX, RORX.
#include "cpu/exec/address.h"
#include "cpu/exec/handlers.h"

namespace calco::cpu {

namespace {

using decode::Mnemonic;
using decode::OperandKind;

// Counts are taken modulo 32, or 64 for 64-bit operands (SDM vol. 2, SAL/SAR/SHL/SHR).
template <typename T>
constexpr unsigned masked_count(uint64_t count) {
  return count & (sizeof(T) == 8 ? 63 : 31);
}
template <typename T>
constexpr unsigned kBits = sizeof(T) * 8;

template <typename T>
[[gnu::always_inline]] inline void remember_shift(Cpu& cpu, FlagKind kind, T result, T before_last) {
  cpu.flags.first = sign_extended(result);
  cpu.flags.second = sign_extended(before_last);
  cpu.flags.kind = flag_kind(kind, kSizeLog2<T>);
}

// --- The operations: value and a masked count that is not 0 ----------------------------------------------------------

struct ShiftLeft {
  template <typename T>
  [[gnu::always_inline]] static T apply(Cpu& cpu, T value, unsigned count) {
    // Bytes and words can be shifted out whole; 64-bit arithmetic has room for counts up to 31.
    const T before_last = static_cast<T>(static_cast<uint64_t>(value) << (count - 1));
    const T result = static_cast<T>(before_last << 1);
    remember_shift<T>(cpu, FlagKind::ShiftLeft, result, before_last);
    return result;
  }
};
struct ShiftRight {
  template <typename T>
  [[gnu::always_inline]] static T apply(Cpu& cpu, T value, unsigned count) {
    const T before_last = static_cast<T>(static_cast<uint64_t>(value) >> (count - 1));
    const T result = static_cast<T>(before_last >> 1);
    remember_shift<T>(cpu, FlagKind::ShiftRight, result, before_last);
    return result;
  }
};
struct ShiftArithmetic {
  template <typename T>
  [[gnu::always_inline]] static T apply(Cpu& cpu, T value, unsigned count) {
    const int64_t wide = static_cast<int64_t>(sign_extended(value));
    const T before_last = static_cast<T>(wide >> (count - 1));
    const T result = static_cast<T>(wide >> (count - 1) >> 1);
    remember_shift<T>(cpu, FlagKind::ShiftArithmetic, result, before_last);
    return result;
  }
};

void set_carry_and_overflow(Cpu& cpu, bool carry, bool overflow) {
  change_arithmetic_flags(cpu.flags, rflags::kCf | rflags::kOf,
                          (carry ? rflags::kCf : 0) | (overflow ? rflags::kOf : 0));
}

template <typename T>
constexpr bool top_bit(T value) {
  return (value >> (kBits<T> - 1) & 1) != 0;
}

// CF and OF change with any count but 0, even one that is a multiple of the width.
struct RotateLeft {
  template <typename T>
  static T apply(Cpu& cpu, T value, unsigned count) {
    const unsigned turn = count % kBits<T>;
    const T result = turn == 0 ? value : static_cast<T>(value << turn | value >> (kBits<T> - turn));
    set_carry_and_overflow(cpu, (result & 1) != 0, top_bit(result) != ((result & 1) != 0));
    return result;
  }
};
struct RotateRight {
  template <typename T>
  static T apply(Cpu& cpu, T value, unsigned count) {
    const unsigned turn = count % kBits<T>;
    const T result = turn == 0 ? value : static_cast<T>(value >> turn | value << (kBits<T> - turn));
    const bool second = (result >> (kBits<T> - 2) & 1) != 0;
    set_carry_and_overflow(cpu, top_bit(result), top_bit(result) != second);
    return result;
  }
};
// Rotation through the carry: a register of one bit more. A count that is a multiple of that changes nothing.
struct RotateCarryLeft {
  template <typename T>
  static T apply(Cpu& cpu, T value, unsigned count) {
    bool carry = carry_flag(cpu.flags);
    const unsigned turn = count % (kBits<T> + 1);
    for (unsigned i = 0; i < turn; ++i) {
      const bool out = top_bit(value);
      value = static_cast<T>(value << 1 | (carry ? 1 : 0));
      carry = out;
    }
    set_carry_and_overflow(cpu, carry, top_bit(value) != carry);
    return value;
  }
};
struct RotateCarryRight {
  template <typename T>
  static T apply(Cpu& cpu, T value, unsigned count) {
    bool carry = carry_flag(cpu.flags);
    const unsigned turn = count % (kBits<T> + 1);
    for (unsigned i = 0; i < turn; ++i) {
      const bool out = (value & 1) != 0;
      value = static_cast<T>(value >> 1 | static_cast<T>(carry ? 1 : 0) << (kBits<T> - 1));
      carry = out;
    }
    const bool second = (value >> (kBits<T> - 2) & 1) != 0;
    set_carry_and_overflow(cpu, carry, top_bit(value) != second);
    return value;
  }
};

// --- Operand forms
// -----------------------------------------------------------------------------------------------------

enum class CountSource : uint8_t { Immediate, Cl };

template <typename T, CountSource kCount>
[[gnu::always_inline]] inline unsigned shift_count(const Cpu& cpu, const Op& op) {
  return masked_count<T>(kCount == CountSource::Immediate ? op.immediate : cpu.registers[kRcx]);
}

template <typename Operation, typename T, CountSource kCount>
CALCO_HANDLER_CONVENTION void shift_register(Cpu* cpu, const Op* op, TlbEntry* tlb) {
  const unsigned count = shift_count<T, kCount>(*cpu, *op);
  const T value = read_register<T>(*cpu, op->rm);
  // A count of 0 leaves the flags, but a 32-bit destination still loses its upper half.
  write_register<T>(*cpu, op->rm, count != 0 ? Operation::template apply<T>(*cpu, value, count) : value);
  CALCO_NEXT_OPERATION;
}
template <typename Operation, typename T, CountSource kCount>
void shift_memory(Cpu& cpu, const Op& op) {
  const unsigned count = shift_count<T, kCount>(cpu, op);
  modify_shaped<T, AddressShape::General>(
      cpu, &op, cpu.tlb, [&](T value) { return count != 0 ? Operation::template apply<T>(cpu, value, count) : value; });
}

template <typename Operation>
Selection select_shift_operation(const decode::Instruction& instruction, Op& op) {
  const decode::Operand& count = instruction.operands[1];
  const bool by_cl = count.kind == OperandKind::General;
  if (count.kind == OperandKind::None) op.immediate = 1;
  if (!op.is_memory) op.rm = register_field(instruction.operands[0]);
  return {with_size(instruction.operands[0].size, [&]<typename T>() -> Handler {
    if (op.is_memory) {
      return by_cl ? &plain<&shift_memory<Operation, T, CountSource::Cl>>
                   : &plain<&shift_memory<Operation, T, CountSource::Immediate>>;
    }
    return by_cl ? &shift_register<Operation, T, CountSource::Cl>
                 : &shift_register<Operation, T, CountSource::Immediate>;
  })};
}

// --- SHLD, SHRD
// ----------------------------------------------------------------------------------------------------------

// For words, counts above 16 are undefined; processors go on shifting the concatenation dest:src:dest.
template <typename T, bool kLeft>
T double_shift(Cpu& cpu, T value, T fill, unsigned count) {
  T before_last;
  T result;
  if constexpr (sizeof(T) == 2) {
    const uint64_t v = value, f = fill;
    if constexpr (kLeft) {
      const uint64_t wide = v << 32 | f << 16 | v;
      before_last = static_cast<T>(wide << (count - 1) >> 32);
      result = static_cast<T>(wide << count >> 32);
    } else {
      const uint64_t wide = v << 32 | f << 16 | v;
      before_last = static_cast<T>(wide >> (count - 1));
      result = static_cast<T>(wide >> count);
    }
  } else {
    if constexpr (kLeft) {
      before_last = count == 1 ? value : static_cast<T>(value << (count - 1) | fill >> (kBits<T> - (count - 1)));
      result = static_cast<T>(value << count | fill >> (kBits<T> - count));
    } else {
      before_last = count == 1 ? value : static_cast<T>(value >> (count - 1) | fill << (kBits<T> - (count - 1)));
      result = static_cast<T>(value >> count | fill << (kBits<T> - count));
    }
  }
  const bool carry = kLeft ? top_bit(before_last) : (before_last & 1) != 0;
  const bool overflow = top_bit(result) != top_bit(value);
  const uint64_t sign_and_zero = (top_bit(result) ? rflags::kSf : 0) | (result == 0 ? rflags::kZf : 0);
  set_arithmetic_flags(cpu.flags,
                       (carry ? rflags::kCf : 0) | (overflow ? rflags::kOf : 0) | sign_and_zero | parity_flag(result));
  return result;
}

template <typename T, bool kLeft>
void shift_double(Cpu& cpu, const Op& op) {
  const unsigned count = masked_count<T>(op.extra != 0 ? cpu.registers[kRcx] : op.immediate);
  const T fill = read_register<T>(cpu, op.reg);
  const auto change = [&](T value) { return count != 0 ? double_shift<T, kLeft>(cpu, value, fill, count) : value; };
  if (op.is_memory) {
    modify_shaped<T, AddressShape::General>(cpu, &op, cpu.tlb, change);
  } else {
    write_register<T>(cpu, op.rm, change(read_register<T>(cpu, op.rm)));
  }
}

template <bool kLeft>
Selection select_double_shift(const decode::Instruction& instruction, Op& op) {
  op.extra = instruction.operands[2].kind == OperandKind::General ? 1 : 0;
  op.reg = instruction.operands[1].number;
  switch (instruction.operands[0].size) {
    case 2:
      return select_plain<&shift_double<uint16_t, kLeft>>();
    case 4:
      return select_plain<&shift_double<uint32_t, kLeft>>();
    default:
      return select_plain<&shift_double<uint64_t, kLeft>>();
  }
}

// --- BMI2: no flags; the count is a register (VEX.vvvv) or, for RORX, an immediate
// -----------------------------------------

template <typename T>
void shlx(Cpu& cpu, const Op& op) {
  write_register<T>(cpu, op.reg, static_cast<T>(read_rm<T>(cpu, op) << masked_count<T>(cpu.registers[op.extra])));
}
template <typename T>
void shrx(Cpu& cpu, const Op& op) {
  write_register<T>(cpu, op.reg, static_cast<T>(read_rm<T>(cpu, op) >> masked_count<T>(cpu.registers[op.extra])));
}
template <typename T>
void sarx(Cpu& cpu, const Op& op) {
  const auto value = static_cast<int64_t>(sign_extended(read_rm<T>(cpu, op)));
  write_register<T>(cpu, op.reg, static_cast<T>(value >> masked_count<T>(cpu.registers[op.extra])));
}
template <typename T>
void rorx(Cpu& cpu, const Op& op) {
  const T value = read_rm<T>(cpu, op);
  const unsigned count = masked_count<T>(op.immediate);
  write_register<T>(cpu, op.reg, count == 0 ? value : static_cast<T>(value >> count | value << (kBits<T> - count)));
}

}  // namespace

Selection select_shift(const decode::Instruction& instruction, Op& op) {
  const bool wide = instruction.operands[0].size == 8;
  switch (instruction.mnemonic) {
    case Mnemonic::Shl:
      return select_shift_operation<ShiftLeft>(instruction, op);
    case Mnemonic::Shr:
      return select_shift_operation<ShiftRight>(instruction, op);
    case Mnemonic::Sar:
      return select_shift_operation<ShiftArithmetic>(instruction, op);
    case Mnemonic::Rol:
      return select_shift_operation<RotateLeft>(instruction, op);
    case Mnemonic::Ror:
      return select_shift_operation<RotateRight>(instruction, op);
    case Mnemonic::Rcl:
      return select_shift_operation<RotateCarryLeft>(instruction, op);
    case Mnemonic::Rcr:
      return select_shift_operation<RotateCarryRight>(instruction, op);
    case Mnemonic::Shld:
      return select_double_shift<true>(instruction, op);
    case Mnemonic::Shrd:
      return select_double_shift<false>(instruction, op);
    case Mnemonic::Shlx:
      op.extra = instruction.operands[2].number;
      return wide ? select_plain<&shlx<uint64_t>>() : select_plain<&shlx<uint32_t>>();
    case Mnemonic::Shrx:
      op.extra = instruction.operands[2].number;
      return wide ? select_plain<&shrx<uint64_t>>() : select_plain<&shrx<uint32_t>>();
    case Mnemonic::Sarx:
      op.extra = instruction.operands[2].number;
      return wide ? select_plain<&sarx<uint64_t>>() : select_plain<&sarx<uint32_t>>();
    case Mnemonic::Rorx:
      return wide ? select_plain<&rorx<uint64_t>>() : select_plain<&rorx<uint32_t>>();
    default:
      return {};
  }
}

}  // namespace calco::cpu
