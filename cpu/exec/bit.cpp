// BT, BTS, BTR, BTC, BSF, BSR, POPCNT, LZCNT, TZCNT, CRC32, and BMI1 and BMI2 but for the shifts.
#include <bit>

#include "cpu/exec/address.h"
#include "cpu/exec/atomic.h"
#include "cpu/exec/handlers.h"

namespace calco::cpu {

namespace {

using decode::Mnemonic;
using decode::OperandKind;

template <typename T>
constexpr unsigned kBits = sizeof(T) * 8;

// --- Bit tests
// -----------------------------------------------------------------------------------------------------------

enum class BitChange : uint8_t { None, Set, Reset, Complement };

template <typename T, BitChange kChange>
constexpr T changed(T value, T bit) {
  switch (kChange) {
    case BitChange::Set:
      return value | bit;
    case BitChange::Reset:
      return value & static_cast<T>(~bit);
    case BitChange::Complement:
      return value ^ bit;
    default:
      return value;
  }
}

void set_carry(Cpu& cpu, bool carry) { change_arithmetic_flags(cpu.flags, rflags::kCf, carry ? rflags::kCf : 0); }

template <typename T, BitChange kChange, bool kImmediate>
void bit_register(Cpu& cpu, const Op& op) {
  const unsigned number = (kImmediate ? op.immediate : cpu.registers[op.reg]) & (kBits<T> - 1);
  const T value = read_register<T>(cpu, op.rm);
  const T bit = static_cast<T>(T{1} << number);
  if constexpr (kChange != BitChange::None) write_register<T>(cpu, op.rm, changed<T, kChange>(value, bit));
  set_carry(cpu, (value & bit) != 0);
}

// In memory a register's bit number reaches beyond the operand, in either direction (SDM vol. 2, BT).
template <typename T, BitChange kChange, bool kImmediate>
void bit_memory(Cpu& cpu, const Op& op) {
  uint64_t offset = effective_address(cpu, op);
  const auto number = kImmediate ? static_cast<int64_t>(op.immediate & (kBits<T> - 1))
                                 : static_cast<int64_t>(sign_extended(read_register<T>(cpu, op.reg)));
  if constexpr (!kImmediate)
    offset += static_cast<uint64_t>((number >> (kSizeLog2<T> + 3)) * static_cast<int64_t>(sizeof(T)));
  if (op.address_size == 4) offset = static_cast<uint32_t>(offset);
  if (op.address_size == 2) offset = static_cast<uint16_t>(offset);
  const uint64_t linear = segment_linear(cpu, op.segment, offset, sizeof(T), kChange != BitChange::None);
  const T bit = static_cast<T>(T{1} << (static_cast<uint64_t>(number) & (kBits<T> - 1)));
  T value;
  if constexpr (kChange == BitChange::None) {
    value = load_linear<T>(cpu, linear);
  } else if (op.lock) {
    value = atomic_modify<T>(cpu, linear, op.segment == kSs, [bit](T old) { return changed<T, kChange>(old, bit); });
  } else {
    cpu.mmu().probe_write(linear, sizeof(T), cpu.mmu().current_protection(), op.segment == kSs);
    value = load_linear<T>(cpu, linear);
    store_linear<T>(cpu, linear, changed<T, kChange>(value, bit));
  }
  set_carry(cpu, (value & bit) != 0);
}

template <BitChange kChange>
Selection select_bit_test(const decode::Instruction& instruction, const Op& op) {
  const bool immediate = instruction.operands[1].kind == OperandKind::Immediate;
  return {with_size(instruction.operands[0].size, [&]<typename T>() -> Handler {
    if constexpr (sizeof(T) == 1) {
      return nullptr;
    } else if (op.is_memory) {
      return immediate ? &plain<&bit_memory<T, kChange, true>> : &plain<&bit_memory<T, kChange, false>>;
    } else {
      return immediate ? &plain<&bit_register<T, kChange, true>> : &plain<&bit_register<T, kChange, false>>;
    }
  })};
}

// --- Scans and counts
// ------------------------------------------------------------------------------------------------------

// A source of 0 sets ZF and leaves the destination as it was (AMD documents it, Intel processors do it), its upper half
// included.
template <typename T, bool kForward>
void bit_scan(Cpu& cpu, const Op& op) {
  const T source = read_rm<T>(cpu, op);
  change_arithmetic_flags(cpu.flags, rflags::kZf, source == 0 ? rflags::kZf : 0);
  if (source == 0) return;
  const auto wide = static_cast<uint64_t>(source);
  write_register<T>(cpu, op.reg, static_cast<T>(kForward ? std::countr_zero(wide) : 63 - std::countl_zero(wide)));
}

template <typename T>
void population_count(Cpu& cpu, const Op& op) {
  const T source = read_rm<T>(cpu, op);
  write_register<T>(cpu, op.reg, static_cast<T>(std::popcount(source)));
  set_arithmetic_flags(cpu.flags, source == 0 ? rflags::kZf : 0);
}

template <typename T, bool kLeading>
void count_zeros(Cpu& cpu, const Op& op) {
  const T source = read_rm<T>(cpu, op);
  const auto count = static_cast<T>(kLeading ? std::countl_zero(source) : std::countr_zero(source));
  write_register<T>(cpu, op.reg, count);
  change_arithmetic_flags(cpu.flags, rflags::kCf | rflags::kZf,
                          (source == 0 ? rflags::kCf : 0) | (count == 0 ? rflags::kZf : 0));
}

// CRC-32C (polynomial 11EDC6F41H, reflected), byte by byte.
uint32_t crc32_byte(uint32_t crc, uint8_t byte) {
  crc ^= byte;
  for (int i = 0; i < 8; ++i) crc = crc >> 1 ^ ((crc & 1) != 0 ? 0x82F63B78u : 0);
  return crc;
}
template <typename T>
void crc32(Cpu& cpu, const Op& op) {
  auto crc = static_cast<uint32_t>(cpu.registers[op.reg]);
  const auto source = static_cast<uint64_t>(read_rm<T>(cpu, op));
  for (unsigned i = 0; i < sizeof(T); ++i) crc = crc32_byte(crc, static_cast<uint8_t>(source >> (i * 8)));
  cpu.registers[op.reg] = crc;
}

// --- BMI1
// --------------------------------------------------------------------------------------------------------------------

template <typename T>
uint64_t sign_and_zero(T result) {
  return ((result >> (kBits<T> - 1) & 1) != 0 ? rflags::kSf : 0) | (result == 0 ? rflags::kZf : 0);
}

template <typename T>
void andn(Cpu& cpu, const Op& op) {
  const T result = static_cast<T>(~read_register<T>(cpu, op.extra) & read_rm<T>(cpu, op));
  write_register<T>(cpu, op.reg, result);
  set_arithmetic_flags(cpu.flags, sign_and_zero(result));
}
// The control is the register VEX.vvvv: start in its low byte, length in the next.
template <typename T>
void bextr(Cpu& cpu, const Op& op) {
  const T source = read_rm<T>(cpu, op);
  const uint64_t control = cpu.registers[op.extra];
  const unsigned start = control & 0xFF;
  const unsigned length = control >> 8 & 0xFF;
  const T shifted = start < kBits<T> ? static_cast<T>(source >> start) : T{0};
  const T result = length < kBits<T> ? static_cast<T>(shifted & ((T{1} << length) - 1)) : shifted;
  write_register<T>(cpu, op.reg, result);
  set_arithmetic_flags(cpu.flags, result == 0 ? rflags::kZf : 0);
}
// BLSI, BLSMSK, BLSR name their destination in VEX.vvvv.
template <typename T>
void blsi(Cpu& cpu, const Op& op) {
  const T source = read_rm<T>(cpu, op);
  const T result = static_cast<T>(source & (T{0} - source));
  write_register<T>(cpu, op.extra, result);
  set_arithmetic_flags(cpu.flags, sign_and_zero(result) | (source != 0 ? rflags::kCf : 0));
}
template <typename T>
void blsmsk(Cpu& cpu, const Op& op) {
  const T source = read_rm<T>(cpu, op);
  const T result = static_cast<T>(source ^ (source - 1));
  write_register<T>(cpu, op.extra, result);
  set_arithmetic_flags(cpu.flags, sign_and_zero(result) | (source == 0 ? rflags::kCf : 0));
}
template <typename T>
void blsr(Cpu& cpu, const Op& op) {
  const T source = read_rm<T>(cpu, op);
  const T result = static_cast<T>(source & (source - 1));
  write_register<T>(cpu, op.extra, result);
  set_arithmetic_flags(cpu.flags, sign_and_zero(result) | (source == 0 ? rflags::kCf : 0));
}

// --- BMI2
// --------------------------------------------------------------------------------------------------------------------

template <typename T>
void bzhi(Cpu& cpu, const Op& op) {
  const T source = read_rm<T>(cpu, op);
  const unsigned index = cpu.registers[op.extra] & 0xFF;
  const T result = index < kBits<T> ? static_cast<T>(source & ((T{1} << index) - 1)) : source;
  write_register<T>(cpu, op.reg, result);
  set_arithmetic_flags(cpu.flags, sign_and_zero(result) | (index >= kBits<T> ? rflags::kCf : 0));
}
// RDX times the operand; high half to ModRM.reg, low half to VEX.vvvv. Where both are one register, the high half
// stays.
template <typename T>
void mulx(Cpu& cpu, const Op& op) {
  const unsigned __int128 product = static_cast<unsigned __int128>(read_register<T>(cpu, kRdx)) * read_rm<T>(cpu, op);
  write_register<T>(cpu, op.extra, static_cast<T>(product));
  write_register<T>(cpu, op.reg, static_cast<T>(product >> kBits<T>));
}
template <typename T>
void pdep(Cpu& cpu, const Op& op) {
  T mask = read_rm<T>(cpu, op);
  T source = read_register<T>(cpu, op.extra);
  T result = 0;
  for (; mask != 0; mask &= mask - 1, source >>= 1) {
    if ((source & 1) != 0) result |= mask & (T{0} - mask);
  }
  write_register<T>(cpu, op.reg, result);
}
template <typename T>
void pext(Cpu& cpu, const Op& op) {
  T mask = read_rm<T>(cpu, op);
  const T source = read_register<T>(cpu, op.extra);
  T result = 0;
  for (unsigned position = 0; mask != 0; mask &= mask - 1, ++position) {
    if ((source & mask & (T{0} - mask)) != 0) result |= T{1} << position;
  }
  write_register<T>(cpu, op.reg, result);
}

template <Function kNarrow, Function kWide>
Selection by_width(const decode::Instruction& instruction) {
  return instruction.operands[0].size == 8 ? select_plain<kWide>() : select_plain<kNarrow>();
}
template <Function kWord, Function kDword, Function kQword>
Selection by_size(unsigned size) {
  return size == 2 ? select_plain<kWord>() : size == 4 ? select_plain<kDword>() : select_plain<kQword>();
}

}  // namespace

Selection select_bit(const decode::Instruction& instruction, Op& op) {
  const unsigned size = instruction.operands[0].size;
  switch (instruction.mnemonic) {
    case Mnemonic::Bt:
      return select_bit_test<BitChange::None>(instruction, op);
    case Mnemonic::Bts:
      return select_bit_test<BitChange::Set>(instruction, op);
    case Mnemonic::Btr:
      return select_bit_test<BitChange::Reset>(instruction, op);
    case Mnemonic::Btc:
      return select_bit_test<BitChange::Complement>(instruction, op);
    case Mnemonic::Bsf:
      return by_size<&bit_scan<uint16_t, true>, &bit_scan<uint32_t, true>, &bit_scan<uint64_t, true>>(size);
    case Mnemonic::Bsr:
      return by_size<&bit_scan<uint16_t, false>, &bit_scan<uint32_t, false>, &bit_scan<uint64_t, false>>(size);
    case Mnemonic::Popcnt:
      return by_size<&population_count<uint16_t>, &population_count<uint32_t>, &population_count<uint64_t>>(size);
    case Mnemonic::Lzcnt:
      return by_size<&count_zeros<uint16_t, true>, &count_zeros<uint32_t, true>, &count_zeros<uint64_t, true>>(size);
    case Mnemonic::Tzcnt:
      return by_size<&count_zeros<uint16_t, false>, &count_zeros<uint32_t, false>, &count_zeros<uint64_t, false>>(size);
    case Mnemonic::Crc32: {
      op.reg = instruction.operands[0].number;
      if (!op.is_memory) op.rm = register_field(instruction.operands[1]);
      return {with_size(instruction.operands[1].size, []<typename T>() -> Handler { return &plain<&crc32<T>>; })};
    }
    case Mnemonic::Andn:
      op.extra = instruction.operands[1].number;
      return by_width<&andn<uint32_t>, &andn<uint64_t>>(instruction);
    case Mnemonic::Bextr:
      op.extra = instruction.operands[2].number;
      return by_width<&bextr<uint32_t>, &bextr<uint64_t>>(instruction);
    case Mnemonic::Blsi:
      op.extra = instruction.operands[0].number;
      return by_width<&blsi<uint32_t>, &blsi<uint64_t>>(instruction);
    case Mnemonic::Blsmsk:
      op.extra = instruction.operands[0].number;
      return by_width<&blsmsk<uint32_t>, &blsmsk<uint64_t>>(instruction);
    case Mnemonic::Blsr:
      op.extra = instruction.operands[0].number;
      return by_width<&blsr<uint32_t>, &blsr<uint64_t>>(instruction);
    case Mnemonic::Bzhi:
      op.extra = instruction.operands[2].number;
      return by_width<&bzhi<uint32_t>, &bzhi<uint64_t>>(instruction);
    case Mnemonic::Mulx:
      op.extra = instruction.operands[1].number;
      return by_width<&mulx<uint32_t>, &mulx<uint64_t>>(instruction);
    case Mnemonic::Pdep:
      op.extra = instruction.operands[1].number;
      return by_width<&pdep<uint32_t>, &pdep<uint64_t>>(instruction);
    case Mnemonic::Pext:
      op.extra = instruction.operands[1].number;
      return by_width<&pext<uint32_t>, &pext<uint64_t>>(instruction);
    default:
      return {};
  }
}

}  // namespace calco::cpu
