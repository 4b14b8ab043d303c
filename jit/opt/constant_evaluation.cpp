#include "jit/opt/constant_evaluation.h"

#include <bit>

#include "cpu/exec/condition.h"
#include "cpu/flags.h"

namespace calco::jit::opt {

namespace {

using ir::Opcode;
using ir::Type;

uint64_t rotated_left(Type type, uint64_t value, unsigned count) {
  const unsigned bits = bits_of(type);
  const unsigned turn = count % bits;
  return turn == 0 ? value : value << turn | value >> (bits - turn);
}

uint64_t byte_swapped(Type type, uint64_t value) { return __builtin_bswap64(value) >> (64 - bits_of(type)); }

}  // namespace

bool holds(unsigned condition, Type type, uint64_t first, uint64_t second) {
  const auto size_log2 = static_cast<unsigned>(std::countr_zero(bytes_of(type)));
  const cpu::LazyFlags flags{sign_extended(type, first), sign_extended(type, second),
                             cpu::flag_kind(cpu::FlagKind::Subtract, size_log2)};
  return cpu::condition_of_flags(cpu::arithmetic_flags(flags), condition);
}

std::optional<uint64_t> evaluate_constant(const ir::Instruction& instruction, Type type,
                                          const std::array<uint64_t, 3>& values) {
  const auto [a, b, c] = values;
  // Counts reach 63 for I64, else 31: narrower operands have room in 64 bits.
  const auto count = static_cast<unsigned>(b & 63);
  const auto cut = [&](uint64_t value) { return value & mask_of(instruction.type); };
  switch (instruction.opcode) {
    case Opcode::Add:
      return cut(a + b);
    case Opcode::Subtract:
      return cut(a - b);
    case Opcode::AddWithCarry:
      return cut(a + b + c);
    case Opcode::SubtractWithBorrow:
      return cut(a - b - c);
    case Opcode::And:
      return a & b;
    case Opcode::Or:
      return a | b;
    case Opcode::Xor:
      return a ^ b;
    case Opcode::Not:
      return cut(~a);
    case Opcode::Negate:
      return cut(0 - a);
    case Opcode::Multiply:
      return cut(a * b);
    case Opcode::ShiftLeft:
      return cut(a << count);
    case Opcode::ShiftRight:
      return cut(a >> count);
    case Opcode::ShiftArithmetic:
      return cut(static_cast<uint64_t>(static_cast<int64_t>(sign_extended(type, a)) >> count));
    case Opcode::RotateLeft:
      return cut(rotated_left(type, a, count));
    case Opcode::RotateRight:
      return cut(rotated_left(type, a, bits_of(type) - count % bits_of(type)));
    case Opcode::ByteSwap:
      return byte_swapped(type, a);
    case Opcode::Compare:
      return holds(instruction.auxiliary, type, a, b) ? 1 : 0;
    case Opcode::Truncate:
    case Opcode::ZeroExtend:
      return cut(a);
    case Opcode::SignExtend:
      return cut(sign_extended(type, a));
    case Opcode::HighByte:
      return cut(a >> 8);
    case Opcode::InsertLowByte:
      return (a & ~uint64_t{0xFF}) | b;
    case Opcode::InsertHighByte:
      return (a & ~uint64_t{0xFF00}) | b << 8;
    case Opcode::InsertWord:
      return (a & ~uint64_t{0xFFFF}) | b;
    default:
      return std::nullopt;
  }
}

}  // namespace calco::jit::opt
