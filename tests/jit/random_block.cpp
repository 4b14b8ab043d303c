#include "tests/jit/random_block.h"

#include "jit/ir/builder.h"

namespace calco::jit::ir {

namespace {

using cpu::FlagKind;

class Generator {
 public:
  Generator(Random& random, Block& block) : random_(random), builder_(block) {}

  void guest_instruction(uint16_t offset) {
    builder_.begin_guest_instruction(offset, 1);
    switch (below(16)) {
      case 0:
      case 1:
      case 2:
        arithmetic();
        break;
      case 3:
        logic();
        break;
      case 4:
        carry_chain();
        break;
      case 5:
        step();
        break;
      case 6:
        shift();
        break;
      case 7:
        rotate();
        break;
      case 8:
        set_or_move_on_condition();
        break;
      case 9:
        push_or_pop();
        break;
      case 10:
        write_part(below(16), random_type(), address(Type::I64));
        break;
      case 11:
        conversions();
        break;
      case 12:
        atomics_and_host();
        break;
      case 13:
        multiply_or_divide();
        break;
      case 14:
        flags_as_data();
        break;
      default:
        rare();
        break;
    }
  }

  void end(uint16_t offset) {
    builder_.begin_guest_instruction(offset, 1);
    builder_.block().flags_dead_if_taken = below(3) == 0;
    builder_.block().flags_dead_if_not_taken = below(3) == 0;
    switch (below(5)) {
      case 0:
        finish(Opcode::Jump, kNoValue, 0x40);
        break;
      case 1:
        finish(Opcode::JumpIndirect, reg(below(16)), 0);
        break;
      case 2:
        finish(Opcode::Leave, kNoValue, offset);
        break;
      default:
        finish(Opcode::Branch, condition(), branch_targets(-0x20, offset + 1));
        break;
    }
  }

 private:
  unsigned below(unsigned bound) { return static_cast<unsigned>(random_() % bound); }
  Type random_type() { return static_cast<Type>(static_cast<unsigned>(Type::I8) + below(4)); }
  Value append(Opcode opcode, Type type, Value a = kNoValue, Value b = kNoValue, Value c = kNoValue,
               uint8_t auxiliary = 0, uint64_t immediate = 0) {
    return builder_.append(opcode, type, {a, b, c}, auxiliary, immediate);
  }
  void finish(Opcode opcode, Value argument, uint64_t immediate) {
    append(opcode, Type::Void, argument, kNoValue, kNoValue, 0, immediate);
  }
  Value reg(unsigned number) { return builder_.get_register(static_cast<uint8_t>(number)); }

  // Few registers, so that instructions depend on each other.
  Value part(Type type) {
    const Value whole = reg(below(5));
    if (type == Type::I64) return whole;
    if (type == Type::I8 && below(3) == 0) return append(Opcode::HighByte, Type::I8, whole);
    return builder_.truncate(type, whole);
  }
  Value small_constant(Type type) {
    constexpr std::array<uint64_t, 9> kNumbers = {0, 1, 2, 3, 8, 9, 0x7F, ~uint64_t{0}, 0x8000000000000000};
    return builder_.constant(type, kNumbers[below(kNumbers.size())]);
  }
  Value source(Type type) {
    const unsigned kind = below(4);
    if (kind == 0) return small_constant(type);
    return kind == 1 ? builder_.load(type, address(Type::I64), below(2) == 0) : part(type);
  }
  void write_part(unsigned number, Type type, Value value) {
    number %= 5;
    const Value cut = builder_.type(value) > type ? builder_.truncate(type, value) : value;
    const bool high = below(3) == 0;
    Value whole = cut;
    if (type == Type::I32) whole = builder_.zero_extend(Type::I64, cut);
    if (type == Type::I16) whole = append(Opcode::InsertWord, Type::I64, reg(number), cut);
    if (type == Type::I8)
      whole = append(high ? Opcode::InsertHighByte : Opcode::InsertLowByte, Type::I64, reg(number), cut);
    builder_.set_register(static_cast<uint8_t>(number), whole);
  }
  void set_flags(FlagKind kind, Value first, Value second = kNoValue) {
    append(Opcode::SetFlags, Type::Void, first, second, kNoValue, static_cast<uint8_t>(kind));
  }
  Value condition() {
    return append(Opcode::Condition, Type::I1, kNoValue, kNoValue, kNoValue, static_cast<uint8_t>(below(16)));
  }
  Value carry() { return append(Opcode::Carry, Type::I1); }

  Value address(Type type) {
    const auto scale = static_cast<uint8_t>(below(4));
    const auto displacement = static_cast<int32_t>(below(3) == 0 ? random_() : below(64));
    if (below(4) == 0) {
      const Value page = append(Opcode::PageBase, Type::I64);
      return builder_.truncate(type, builder_.address(Type::I64, page, kNoValue, 0, displacement));
    }
    const Value base = below(4) == 0 ? kNoValue : below(4) == 0 ? small_constant(type) : part(type);
    const Value index = below(2) == 0 ? kNoValue : below(4) == 0 ? small_constant(type) : part(type);
    const Value inner = builder_.address(type, base, index, index == kNoValue ? 0 : scale, displacement);
    if (below(4) != 0) return inner;
    const Value segment =
        append(Opcode::SegmentBase, Type::I64, kNoValue, kNoValue, kNoValue, below(2) == 0 ? cpu::kFs : cpu::kGs);
    return builder_.truncate(type, builder_.binary(Opcode::Add, segment, builder_.zero_extend(Type::I64, inner)));
  }

  void arithmetic() {
    const Type type = random_type();
    const Value a = part(type), b = source(type);
    const bool add = below(2) == 0;
    const bool keeps_result = add || below(2) == 0;
    if (!keeps_result) return set_flags(FlagKind::Subtract, a, b);
    const Value result = builder_.binary(add ? Opcode::Add : Opcode::Subtract, a, b);
    const bool to_memory = below(4) == 0;
    if (to_memory) builder_.store(address(Type::I64), result, false);
    set_flags(add ? FlagKind::Add : FlagKind::Subtract, add ? result : a, b);
    if (!to_memory) write_part(below(5), type, result);
  }

  void logic() {
    constexpr std::array<Opcode, 3> kOpcodes = {Opcode::And, Opcode::Or, Opcode::Xor};
    const Type type = random_type();
    const Value a = part(type);
    const Value result = builder_.binary(kOpcodes[below(3)], a, below(3) == 0 ? a : source(type));
    set_flags(FlagKind::Logic, result);
    if (below(2) == 0) write_part(below(5), type, result);
  }

  void carry_chain() {
    const Type type = random_type();
    const bool add = below(2) == 0;
    const Value a = part(type), b = source(type);
    const Value in = below(4) == 0 ? small_constant(Type::I1) : carry();
    const Value result = builder_.append(add ? Opcode::AddWithCarry : Opcode::SubtractWithBorrow, type, {a, b, in});
    append(Opcode::SetFlagsWithCarry, Type::Void, add ? result : a, b, in,
           static_cast<uint8_t>(add ? FlagKind::Add : FlagKind::Subtract));
    write_part(below(5), type, result);
  }

  void step() {
    const Type type = random_type();
    const bool up = below(2) == 0;
    const Value in = carry();
    const Value result = builder_.binary(up ? Opcode::Add : Opcode::Subtract, part(type), builder_.constant(type, 1));
    set_flags(up ? FlagKind::Increment : FlagKind::Decrement, result, in);
    write_part(below(5), type, result);
  }

  void shift() {
    constexpr std::array<Opcode, 3> kOpcodes = {Opcode::ShiftLeft, Opcode::ShiftRight, Opcode::ShiftArithmetic};
    const Type type = random_type();
    const unsigned which = below(3);
    const auto kind = static_cast<uint8_t>(static_cast<unsigned>(FlagKind::ShiftLeft) + which);
    const uint64_t mask = type == Type::I64 ? 63 : 31;
    const Value a = part(type), one = builder_.constant(Type::I8, 1);
    const Value count = below(2) == 0 ? builder_.constant(Type::I8, below(4))
                                      : builder_.binary(Opcode::And, part(Type::I8), builder_.constant(Type::I8, mask));
    const Value less =
        builder_.binary(Opcode::And, builder_.binary(Opcode::Subtract, count, one), builder_.constant(Type::I8, mask));
    const Value before_last = append(kOpcodes[which], type, a, less);
    const Value result = append(kOpcodes[which], type, a, count);
    append(Opcode::SetFlagsOfShift, Type::Void, result, before_last, count, kind);
    write_part(below(5), type, result);
  }

  void rotate() {
    const Type type = random_type();
    const Value count = builder_.constant(Type::I8, below(32));
    const Value result = append(below(2) == 0 ? Opcode::RotateLeft : Opcode::RotateRight, type, part(type), count);
    const Value bit = builder_.zero_extend(Type::I64, builder_.truncate(Type::I1, result));
    append(Opcode::ChangeFlags, Type::Void, bit, kNoValue, kNoValue, 0, cpu::rflags::kCf);
    write_part(below(5), type, result);
  }

  void set_or_move_on_condition() {
    const Value holds = condition();
    if (below(2) == 0) return write_part(below(5), Type::I8, builder_.zero_extend(Type::I8, holds));
    const Type type = random_type();
    write_part(below(5), type, builder_.select(holds, source(type), part(type)));
  }

  void push_or_pop() {
    const Value rsp = reg(cpu::kRsp);
    if (below(2) == 0) {
      const Value below_it = builder_.binary(Opcode::Add, rsp, builder_.constant(Type::I64, ~uint64_t{7}));
      builder_.store(below_it, part(Type::I64), true);
      return builder_.set_register(cpu::kRsp, below_it);
    }
    const Value popped = builder_.load(Type::I64, rsp, true);
    builder_.set_register(cpu::kRsp, builder_.binary(Opcode::Add, rsp, builder_.constant(Type::I64, 8)));
    builder_.set_register(static_cast<uint8_t>(below(5)), popped);
  }

  void conversions() {
    const Type narrow = below(2) == 0 ? Type::I8 : Type::I16;
    const Opcode opcode = below(2) == 0 ? Opcode::ZeroExtend : Opcode::SignExtend;
    const Type wide = below(2) == 0 ? Type::I32 : Type::I64;
    Value value = builder_.convert(opcode, wide, source(narrow));
    if (below(2) == 0) value = builder_.unary(below(2) == 0 ? Opcode::ByteSwap : Opcode::PopulationCount, value);
    if (below(2) == 0) value = builder_.unary(below(2) == 0 ? Opcode::Not : Opcode::Negate, value);
    write_part(below(5), wide, value);
  }

  void atomics_and_host() {
    const Type type = random_type();
    const Value host =
        append(Opcode::HostAddress, Type::I64, address(Type::I64), kNoValue, kNoValue, 0, bytes_of(type) | kHostWrite);
    const Value old = append(below(2) == 0 ? Opcode::AtomicAdd : Opcode::LoadHost, type, host);
    Instruction& atomic = builder_.block().code.back();
    if (atomic.opcode == Opcode::AtomicAdd) {
      const Instruction saved = atomic;
      builder_.block().code.pop_back();
      const Value operand = part(type);
      const Value result = append(saved.opcode, type, host, operand);
      set_flags(FlagKind::Add, builder_.binary(Opcode::Add, result, operand), operand);
      return write_part(below(5), type, result);
    }
    append(Opcode::StoreHost, Type::Void, host, part(type));
    write_part(below(5), type, old);
  }

  void multiply_or_divide() {
    const Type type = below(2) == 0 ? Type::I32 : Type::I64;
    switch (below(4)) {
      case 0:
        append(Opcode::WideMultiply, Type::Void, source(type));
        break;
      case 1: {
        const Value divisor = part(type);
        append(Opcode::BailIf, Type::Void, builder_.compare(4, divisor, builder_.constant(type, 0)));
        append(Opcode::WideDivide, Type::Void, divisor);
        break;
      }
      default: {
        const Value result = builder_.binary(Opcode::Multiply, part(type), source(type));
        write_part(below(5), type, result);
        break;
      }
    }
  }

  void flags_as_data() {
    const uint64_t mask = random_() & cpu::rflags::kArithmetic;
    switch (below(4)) {
      case 0:
        write_part(below(5), Type::I64, append(Opcode::GetFlags, Type::I64));
        break;
      case 1:
        set_flags(FlagKind::Explicit, builder_.binary(Opcode::And, part(Type::I64),
                                                      builder_.constant(Type::I64, cpu::rflags::kArithmetic)));
        break;
      case 2:
        set_flags(FlagKind::Explicit, append(Opcode::HostVector, Type::I64, kNoValue, kNoValue, kNoValue, 0, 1));
        break;
      default:
        append(Opcode::ChangeFlags, Type::Void, part(Type::I64), kNoValue, kNoValue, 0, mask | cpu::rflags::kZf);
        break;
    }
  }

  void rare() {
    switch (below(4)) {
      case 0:
        append(Opcode::Interpret, Type::Void);
        break;
      case 1:
        write_part(below(5), Type::I32, append(Opcode::HostVector, Type::I32, source(Type::I64)));
        break;
      default:
        builder_.store(address(Type::I64), source(random_type()), false);
        break;
    }
  }

  Random& random_;
  Builder builder_;
};

}  // namespace

Block random_block(Random& random, unsigned guest_instructions) {
  Block block;
  block.byte_length = static_cast<uint16_t>(guest_instructions + 1);
  block.interpreted.resize(1);
  block.vectors.resize(2);
  block.vectors[1].sets_flags = true;
  Generator generator(random, block);
  for (unsigned i = 0; i < guest_instructions; ++i) generator.guest_instruction(static_cast<uint16_t>(i));
  generator.end(static_cast<uint16_t>(guest_instructions));
  return block;
}

EvaluatedState random_state(Random& random) {
  // Small numbers beside any numbers: comparisons should come out either way.
  const auto number = [&] { return random() % 2 == 0 ? random() : random() % 4 - 2; };
  EvaluatedState state;
  for (uint64_t& reg : state.registers) reg = number();
  state.fs_base = random();
  state.gs_base = random();
  state.page_base = random() & ~uint64_t{0xFFF};
  for (uint8_t& byte : state.memory) byte = static_cast<uint8_t>(number());
  cpu::set_arithmetic_flags(state.flags, random());
  return state;
}

}  // namespace calco::jit::ir
