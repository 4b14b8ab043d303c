// Results of operations that have no effect.
#pragma once

#include <array>
#include <bit>
#include <cstdint>

#include "cpu/exec/condition.h"
#include "cpu/flags.h"
#include "jit/ir/ir.h"

namespace calco::jit::ir {

inline uint64_t sign_extended(Type type, uint64_t value) {
  const unsigned unused = 64 - bits_of(type);
  return static_cast<uint64_t>(static_cast<int64_t>(value << unused) >> unused);
}

inline uint32_t lazy_kind(cpu::FlagKind kind, Type type) {
  return cpu::flag_kind(kind, static_cast<unsigned>(std::countr_zero(bytes_of(type))));
}

inline bool compared(unsigned condition, Type of, uint64_t first, uint64_t second) {
  const cpu::LazyFlags flags{sign_extended(of, first), sign_extended(of, second),
                             lazy_kind(cpu::FlagKind::Subtract, of)};
  return cpu::condition_of_flags(cpu::arithmetic_flags(flags), condition);
}

// `of`: type of the first argument. The arguments are zero-extended, 0 where there is none; the result may exceed its
// type.
inline uint64_t computed(const Instruction& instruction, Type of, const std::array<uint64_t, 3>& arguments) {
  const auto [a, b, c] = arguments;
  const unsigned bits = bits_of(of);
  const auto signed_a = static_cast<int64_t>(sign_extended(of, a));
  switch (instruction.opcode) {
    case Opcode::Constant:
      return instruction.immediate;
    case Opcode::Compare:
      return compared(instruction.auxiliary, of, a, b) ? 1 : 0;
    case Opcode::Add:
      return a + b;
    case Opcode::Subtract:
      return a - b;
    case Opcode::AddWithCarry:
      return a + b + c;
    case Opcode::SubtractWithBorrow:
      return a - b - c;
    case Opcode::And:
      return a & b;
    case Opcode::Or:
      return a | b;
    case Opcode::Xor:
      return a ^ b;
    case Opcode::Not:
      return ~a;
    case Opcode::Negate:
      return ~a + 1;
    case Opcode::Multiply:
      return a * b;
    case Opcode::MultiplyHigh:
      return static_cast<uint64_t>(static_cast<unsigned __int128>(a) * b >> 64);
    case Opcode::MultiplyHighSigned:
      return static_cast<uint64_t>(static_cast<__int128>(signed_a) * static_cast<int64_t>(b) >> 64);
    case Opcode::ShiftLeft:
      return a << b;
    case Opcode::ShiftRight:
      return a >> b;
    case Opcode::ShiftArithmetic:
      return static_cast<uint64_t>(signed_a >> b);
    case Opcode::RotateLeft:
      return b % bits == 0 ? a : a << b % bits | a >> (bits - b % bits);
    case Opcode::RotateRight:
      return b % bits == 0 ? a : a >> b % bits | a << (bits - b % bits);
    case Opcode::ByteSwap:
      return of == Type::I32 ? __builtin_bswap32(static_cast<uint32_t>(a)) : __builtin_bswap64(a);
    case Opcode::PopulationCount:
      return static_cast<uint64_t>(std::popcount(a));
    case Opcode::LeadingZeros:
      return static_cast<uint64_t>(std::countl_zero(a)) - (64 - bits);
    case Opcode::TrailingZeros:
      return a == 0 ? bits : static_cast<uint64_t>(std::countr_zero(a));
    case Opcode::Address:
      return a + (b << instruction.auxiliary) + instruction.immediate;
    case Opcode::Select:
      return a != 0 ? b : c;
    case Opcode::Truncate:
    case Opcode::ZeroExtend:
      return a;
    case Opcode::SignExtend:
      return static_cast<uint64_t>(signed_a);
    case Opcode::HighByte:
      return a >> 8;
    case Opcode::InsertLowByte:
      return (a & ~uint64_t{0xFF}) + b;
    case Opcode::InsertHighByte:
      return (a & ~uint64_t{0xFF00}) + (b << 8);
    case Opcode::InsertWord:
      return (a & ~uint64_t{0xFFFF}) + b;
    default:
      return 0;
  }
}

}  // namespace calco::jit::ir
