// Loads, stores, constants, exchanges, conditional moves (SDM vol. 1, 8.3.3 and 8.3.4).
#include "cpu/exec/x87_host.h"
#include "cpu/exec/x87_state.h"

namespace calco::cpu {
namespace {

using decode::Mnemonic;
using x87_host::Constant;
using x87_host::Format;
using x87_host::Outcome;

// True: there is room for a push, or not and the indefinite was pushed instead: nothing is left to do for the latter.
bool has_room(X87State& x87) {
  if (x87_is_empty(x87, 7)) return true;
  if (x87_stack_overflow(x87)) x87_push(x87, kX87Indefinite);
  return false;
}

template <Format kFormat, typename T>
void load_memory(Cpu& cpu, const Op& op) {
  const T source = load_operand<T>(cpu, op);
  X87State& x87 = cpu.x87;
  if (!has_room(x87)) return;
  X87Register value;
  const Outcome outcome = x87_host::load<kFormat>(x87_mode(x87), &source, value);
  x87_finish(x87, outcome.status);
  if (outcome.done) x87_push(x87, value);
}
void load_extended(Cpu& cpu, const Op& op) {
  const X87Register value = x87_load_extended(cpu, op);
  X87State& x87 = cpu.x87;
  if (!has_room(x87)) return;
  x87_clear_c1(x87);
  x87_push(x87, value);
}
void load_bcd(Cpu& cpu, const Op& op) {
  const X87Register source = x87_load_extended(cpu, op);
  X87State& x87 = cpu.x87;
  if (!has_room(x87)) return;
  X87Register value;
  const Outcome outcome = x87_host::load<Format::Bcd>(x87_mode(x87), &source, value);
  x87_finish(x87, outcome.status);
  if (outcome.done) x87_push(x87, value);
}
void load_register(Cpu& cpu, const Op& op) {
  X87State& x87 = cpu.x87;
  if (x87_is_empty(x87, op.rm)) {
    if (x87_stack_underflow(x87)) x87_push(x87, kX87Indefinite);
    return;
  }
  if (!has_room(x87)) return;
  x87_clear_c1(x87);
  x87_push(x87, X87Register{x87_st(x87, op.rm)});
}
template <Constant kConstant>
void load_constant(Cpu& cpu, const Op&) {
  X87State& x87 = cpu.x87;
  if (!has_room(x87)) return;
  x87_clear_c1(x87);
  x87_push(x87, x87_host::constant(x87_mode(x87), kConstant));
}

// What a store to memory of ST(0) gives. An unmasked stack fault or exception stores nothing and does not pop.
template <Format kFormat, bool kTruncate>
Outcome convert(X87State& x87, void* destination) {
  if (!x87_is_empty(x87, 0)) return x87_host::store<kFormat, kTruncate>(x87_mode(x87), x87_st(x87, 0), destination);
  const uint16_t status = x87_status::kInvalid | x87_status::kStackFault;
  if ((x87.control & x87_status::kInvalid) == 0) return {status, false};
  x87_host::store<kFormat, kTruncate>({kX87ControlInitial, 0}, kX87Indefinite, destination);
  return {status, true};
}
void finish_store(X87State& x87, const Outcome& outcome, bool pop) {
  x87.status |= outcome.status & x87_status::kStackFault;
  x87_finish(x87, outcome.status);
  if (pop && outcome.done) x87_pop(x87);
}

// Faults of the destination come before unmasked exceptions, which store nothing.
void check_destination(Cpu& cpu, const Op& op, unsigned size) {
  const uint64_t linear = operand_linear(cpu, op, size, true);
  cpu.mmu().probe_write(linear, size, cpu.mmu().current_protection(), op.segment == kSs);
}

template <Format kFormat, typename T, bool kPop, bool kTruncate>
void store_memory(Cpu& cpu, const Op& op) {
  T result;
  const Outcome outcome = convert<kFormat, kTruncate>(cpu.x87, &result);
  if (outcome.done) {
    store_operand<T>(cpu, op, result);
  } else {
    check_destination(cpu, op, sizeof(T));
  }
  finish_store(cpu.x87, outcome, kPop);
}
void store_bcd(Cpu& cpu, const Op& op) {
  X87Register result;
  const Outcome outcome = convert<Format::Bcd, false>(cpu.x87, &result);
  if (outcome.done) {
    x87_store_extended(cpu, op, result);
  } else {
    x87_probe_extended(cpu, op);
  }
  finish_store(cpu.x87, outcome, true);
}
void store_extended(Cpu& cpu, const Op& op) {
  X87State& x87 = cpu.x87;
  if (x87_is_empty(x87, 0)) {
    const bool masked = (x87.control & x87_status::kInvalid) != 0;
    if (masked) {
      x87_store_extended(cpu, op, kX87Indefinite);
    } else {
      x87_probe_extended(cpu, op);
    }
    x87_stack_underflow(x87);
    if (masked) x87_pop(x87);
    return;
  }
  x87_store_extended(cpu, op, x87_st(x87, 0));
  x87_clear_c1(x87);
  x87_pop(x87);
}
template <bool kPop>
void store_register(Cpu& cpu, const Op& op) {
  X87State& x87 = cpu.x87;
  if (x87_is_empty(x87, 0)) {
    if (!x87_stack_underflow(x87)) return;
    x87_write(x87, op.rm, kX87Indefinite);
  } else {
    x87_clear_c1(x87);
    x87_write(x87, op.rm, X87Register{x87_st(x87, 0)});
  }
  if (kPop) x87_pop(x87);
}

// The undocumented D9 /3 has no stack fault: an empty register is popped and not copied.
void store_register_unchecked(Cpu& cpu, const Op& op) {
  X87State& x87 = cpu.x87;
  x87_clear_c1(x87);
  if (!x87_is_empty(x87, 0)) x87_write(x87, op.rm, X87Register{x87_st(x87, 0)});
  x87_pop(x87);
}

void exchange(Cpu& cpu, const Op& op) {
  X87State& x87 = cpu.x87;
  if (x87_is_empty(x87, 0) || x87_is_empty(x87, op.rm)) {
    if (!x87_stack_underflow(x87)) return;
    if (x87_is_empty(x87, 0)) x87_write(x87, 0, kX87Indefinite);
    if (x87_is_empty(x87, op.rm)) x87_write(x87, op.rm, kX87Indefinite);
  } else {
    x87_clear_c1(x87);
  }
  std::swap(x87_st(x87, 0), x87_st(x87, op.rm));
}

// FCMOVcc: moves where any of `kFlags` is set, or where none is. C1 stays.
template <uint64_t kFlags, bool kWanted>
void conditional_move(Cpu& cpu, const Op& op) {
  X87State& x87 = cpu.x87;
  if (x87_is_empty(x87, 0) || x87_is_empty(x87, op.rm)) {
    if (x87_stack_underflow(x87)) x87_write(x87, 0, kX87Indefinite);
    return;
  }
  if (((arithmetic_flags(cpu.flags) & kFlags) != 0) == kWanted) x87_write(x87, 0, X87Register{x87_st(x87, op.rm)});
}

void change_sign(Cpu& cpu, const Op&) {
  X87State& x87 = cpu.x87;
  if (x87_is_empty(x87, 0)) {
    if (x87_stack_underflow(x87)) x87_write(x87, 0, kX87Indefinite);
    return;
  }
  x87_clear_c1(x87);
  x87_st(x87, 0).sign_exponent ^= 0x8000;
}
void absolute(Cpu& cpu, const Op&) {
  X87State& x87 = cpu.x87;
  if (x87_is_empty(x87, 0)) {
    if (x87_stack_underflow(x87)) x87_write(x87, 0, kX87Indefinite);
    return;
  }
  x87_clear_c1(x87);
  x87_st(x87, 0).sign_exponent &= 0x7FFF;
}

Selection select_load(const decode::Instruction& instruction) {
  if (!instruction.has_memory()) return select_x87_instruction<load_register>();
  switch (instruction.opcode) {
    case 0xD9:
      return select_x87_instruction<load_memory<Format::Single, uint32_t>>();
    case 0xDD:
      return select_x87_instruction<load_memory<Format::Double, uint64_t>>();
    default:
      return select_x87_instruction<load_extended>();
  }
}
Selection select_integer_load(const decode::Instruction& instruction) {
  if (instruction.opcode == 0xDB) return select_x87_instruction<load_memory<Format::Int32, uint32_t>>();
  // DF /0 is 16 bits wide, DF /5 is 64.
  if ((instruction.modrm >> 3 & 7) == 0) return select_x87_instruction<load_memory<Format::Int16, uint16_t>>();
  return select_x87_instruction<load_memory<Format::Int64, uint64_t>>();
}

template <bool kPop>
Selection select_store(const decode::Instruction& instruction) {
  if (!instruction.has_memory()) {
    if (instruction.opcode == 0xD9) return select_x87_instruction<store_register_unchecked>();
    return select_x87_instruction<store_register<kPop>>();
  }
  switch (instruction.opcode) {
    case 0xD9:
      return select_x87_instruction<store_memory<Format::Single, uint32_t, kPop, false>>();
    case 0xDD:
      return select_x87_instruction<store_memory<Format::Double, uint64_t, kPop, false>>();
    default:
      return select_x87_instruction<store_extended>();
  }
}
template <bool kPop>
Selection select_integer_store(const decode::Instruction& instruction) {
  if (instruction.opcode == 0xDB) {
    return select_x87_instruction<store_memory<Format::Int32, uint32_t, kPop, false>>();
  }
  // DF /2 and /3 are 16 bits wide, DF /7 is 64.
  if ((instruction.modrm >> 3 & 7) == 7) {
    return select_x87_instruction<store_memory<Format::Int64, uint64_t, kPop, false>>();
  }
  return select_x87_instruction<store_memory<Format::Int16, uint16_t, kPop, false>>();
}
Selection select_truncating_store(const decode::Instruction& instruction) {
  switch (instruction.opcode) {
    case 0xDB:
      return select_x87_instruction<store_memory<Format::Int32, uint32_t, true, true>>();
    case 0xDD:
      return select_x87_instruction<store_memory<Format::Int64, uint64_t, true, true>>();
    default:
      return select_x87_instruction<store_memory<Format::Int16, uint16_t, true, true>>();
  }
}

}  // namespace

Selection select_x87_transfer(const decode::Instruction& instruction) {
  using namespace rflags;
  switch (instruction.mnemonic) {
    case Mnemonic::Fld:
      return select_load(instruction);
    case Mnemonic::Fild:
      return select_integer_load(instruction);
    case Mnemonic::Fbld:
      return select_x87_instruction<load_bcd>();
    case Mnemonic::Fst:
      return select_store<false>(instruction);
    case Mnemonic::Fstp:
      return select_store<true>(instruction);
    case Mnemonic::Fist:
      return select_integer_store<false>(instruction);
    case Mnemonic::Fistp:
      return select_integer_store<true>(instruction);
    case Mnemonic::Fisttp:
      return select_truncating_store(instruction);
    case Mnemonic::Fbstp:
      return select_x87_instruction<store_bcd>();
    case Mnemonic::Fld1:
      return select_x87_instruction<load_constant<Constant::One>>();
    case Mnemonic::Fldl2t:
      return select_x87_instruction<load_constant<Constant::Log2Ten>>();
    case Mnemonic::Fldl2e:
      return select_x87_instruction<load_constant<Constant::Log2E>>();
    case Mnemonic::Fldpi:
      return select_x87_instruction<load_constant<Constant::Pi>>();
    case Mnemonic::Fldlg2:
      return select_x87_instruction<load_constant<Constant::Log10Two>>();
    case Mnemonic::Fldln2:
      return select_x87_instruction<load_constant<Constant::LogETwo>>();
    case Mnemonic::Fldz:
      return select_x87_instruction<load_constant<Constant::Zero>>();
    case Mnemonic::Fxch:
      return select_x87_instruction<exchange>();
    case Mnemonic::Fchs:
      return select_x87_instruction<change_sign>();
    case Mnemonic::Fabs:
      return select_x87_instruction<absolute>();
    case Mnemonic::Fcmovb:
      return select_x87_instruction<conditional_move<kCf, true>>();
    case Mnemonic::Fcmove:
      return select_x87_instruction<conditional_move<kZf, true>>();
    case Mnemonic::Fcmovbe:
      return select_x87_instruction<conditional_move<kCf | kZf, true>>();
    case Mnemonic::Fcmovu:
      return select_x87_instruction<conditional_move<kPf, true>>();
    case Mnemonic::Fcmovnb:
      return select_x87_instruction<conditional_move<kCf, false>>();
    case Mnemonic::Fcmovne:
      return select_x87_instruction<conditional_move<kZf, false>>();
    case Mnemonic::Fcmovnbe:
      return select_x87_instruction<conditional_move<kCf | kZf, false>>();
    case Mnemonic::Fcmovnu:
      return select_x87_instruction<conditional_move<kPf, false>>();
    default:
      return {};
  }
}

}  // namespace calco::cpu
