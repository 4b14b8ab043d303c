// MUL, IMUL, DIV, IDIV.
#include "cpu/exec/address.h"
#include "cpu/exec/handlers.h"

namespace calco::cpu {

namespace {

using decode::Mnemonic;
using decode::OperandKind;

template <typename T>
struct Wider;
template <>
struct Wider<uint8_t> {
  using Unsigned = uint16_t;
  using Signed = int16_t;
};
template <>
struct Wider<uint16_t> {
  using Unsigned = uint32_t;
  using Signed = int32_t;
};
template <>
struct Wider<uint32_t> {
  using Unsigned = uint64_t;
  using Signed = int64_t;
};
template <>
struct Wider<uint64_t> {
  using Unsigned = unsigned __int128;
  using Signed = __int128;
};
template <typename T>
using Double = typename Wider<T>::Unsigned;
template <typename T>
using SignedDouble = typename Wider<T>::Signed;
template <typename T>
using Signed = std::make_signed_t<T>;
template <typename T>
constexpr unsigned kBits = sizeof(T) * 8;

constexpr uint8_t kAhField = 1;  // byte offset of AH

// The pair that multiplication writes and division reads: AX, DX:AX, EDX:EAX, RDX:RAX.
template <typename T>
void write_pair(Cpu& cpu, T low, T high) {
  if constexpr (sizeof(T) == 1) {
    write_register<uint8_t>(cpu, 0, low);
    write_register<uint8_t>(cpu, kAhField, high);
  } else {
    write_register<T>(cpu, kRax, low);
    write_register<T>(cpu, kRdx, high);
  }
}
template <typename T>
Double<T> read_pair(Cpu& cpu) {
  if constexpr (sizeof(T) == 1) return read_register<uint16_t>(cpu, kRax);
  return static_cast<Double<T>>(static_cast<Double<T>>(read_register<T>(cpu, kRdx)) << kBits<T> |
                                read_register<T>(cpu, kRax));
}

// CF = OF = the upper half says more than the lower; the other flags are undefined, and cleared or kept as the host
// does: SF, ZF, AF, PF stay as they were.
void set_overflow(Cpu& cpu, bool overflow) {
  change_arithmetic_flags(cpu.flags, rflags::kCf | rflags::kOf, overflow ? rflags::kCf | rflags::kOf : 0);
}

template <typename T>
void multiply(Cpu& cpu, const Op& op) {
  const auto product =
      static_cast<Double<T>>(static_cast<Double<T>>(read_register<T>(cpu, kRax)) * read_rm<T>(cpu, op));
  const T high = static_cast<T>(product >> kBits<T>);
  write_pair<T>(cpu, static_cast<T>(product), high);
  set_overflow(cpu, high != 0);
}

template <typename T>
SignedDouble<T> signed_product(T a, T b) {
  return static_cast<SignedDouble<T>>(static_cast<SignedDouble<T>>(static_cast<Signed<T>>(a)) *
                                      static_cast<Signed<T>>(b));
}

template <typename T>
void multiply_signed(Cpu& cpu, const Op& op) {
  const SignedDouble<T> product = signed_product<T>(read_register<T>(cpu, kRax), read_rm<T>(cpu, op));
  write_pair<T>(cpu, static_cast<T>(product), static_cast<T>(product >> kBits<T>));
  set_overflow(cpu, product != static_cast<Signed<T>>(product));
}
// Two operands (`kImmediate` false: reg *= rm) or three (reg = rm * immediate).
template <typename T, bool kImmediate>
void multiply_to_register(Cpu& cpu, const Op& op) {
  const T left = read_rm<T>(cpu, op);
  const T right = kImmediate ? static_cast<T>(op.immediate) : read_register<T>(cpu, op.reg);
  const SignedDouble<T> product = signed_product<T>(left, right);
  write_register<T>(cpu, op.reg, static_cast<T>(product));
  set_overflow(cpu, product != static_cast<Signed<T>>(product));
}

template <typename T>
void divide(Cpu& cpu, const Op& op) {
  const T divisor = read_rm<T>(cpu, op);
  if (divisor == 0) cpu.raise(kDivideError);
  const Double<T> dividend = read_pair<T>(cpu);
  if (static_cast<T>(dividend >> kBits<T>) >= divisor) cpu.raise(kDivideError);
  write_pair<T>(cpu, static_cast<T>(dividend / divisor), static_cast<T>(dividend % divisor));
}

template <typename T>
void divide_signed(Cpu& cpu, const Op& op) {
  const auto divisor = static_cast<Signed<T>>(read_rm<T>(cpu, op));
  if (divisor == 0) cpu.raise(kDivideError);
  const auto dividend = static_cast<SignedDouble<T>>(read_pair<T>(cpu));
  // The one quotient that even the wide type cannot hold.
  if (divisor == -1 && dividend == static_cast<SignedDouble<T>>(Double<T>{1} << (2 * kBits<T> - 1))) {
    cpu.raise(kDivideError);
  }
  const auto quotient = static_cast<SignedDouble<T>>(dividend / divisor);
  if (quotient != static_cast<Signed<T>>(quotient)) cpu.raise(kDivideError);
  write_pair<T>(cpu, static_cast<T>(quotient), static_cast<T>(dividend % divisor));
}

Selection select_imul(const decode::Instruction& instruction, Op& op) {
  const unsigned size = instruction.operands[0].size;
  if (instruction.operands[1].kind == OperandKind::None) {
    return {with_size(size, []<typename T>() -> Handler { return &plain<&multiply_signed<T>>; })};
  }
  op.reg = instruction.operands[0].number;
  const bool immediate = instruction.operands[2].kind == OperandKind::Immediate;
  switch (size) {
    case 2:
      return immediate ? select_plain<&multiply_to_register<uint16_t, true>>()
                       : select_plain<&multiply_to_register<uint16_t, false>>();
    case 4:
      return immediate ? select_plain<&multiply_to_register<uint32_t, true>>()
                       : select_plain<&multiply_to_register<uint32_t, false>>();
    default:
      return immediate ? select_plain<&multiply_to_register<uint64_t, true>>()
                       : select_plain<&multiply_to_register<uint64_t, false>>();
  }
}

}  // namespace

Selection select_multiply_divide(const decode::Instruction& instruction, Op& op) {
  const unsigned size = instruction.operands[0].size;
  switch (instruction.mnemonic) {
    case Mnemonic::Mul:
      return {with_size(size, []<typename T>() -> Handler { return &plain<&multiply<T>>; })};
    case Mnemonic::Imul:
      return select_imul(instruction, op);
    case Mnemonic::Div:
      return {with_size(size, []<typename T>() -> Handler { return &plain<&divide<T>>; })};
    case Mnemonic::Idiv:
      return {with_size(size, []<typename T>() -> Handler { return &plain<&divide_signed<T>>; })};
    default:
      return {};
  }
}

}  // namespace calco::cpu
