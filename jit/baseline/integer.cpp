// Integer operations, conversions, guest registers.
#include "jit/baseline/emitter.h"

namespace calco::jit::baseline {

void Emitter::emit_instruction() {
  const Instruction& instruction = block_[current_];
  switch (instruction.opcode) {
    case Opcode::Constant:
      places_[current_] = {Place::Kind::Constant, 0};
      return;
    case Opcode::GetRegister:
      places_[current_] = {Place::Kind::Guest, instruction.auxiliary};
      guest_values_[instruction.auxiliary].push_back(current_);
      return;
    case Opcode::PageBase:
      places_[current_] = {Place::Kind::PageBase, 0};
      return;
    case Opcode::SetRegister:
      return emit_set_register();
    case Opcode::SegmentBase:
      return emit_segment_base();
    case Opcode::SetFlags:
      return emit_set_flags(instruction);
    case Opcode::SetFlagsWithCarry:
      return emit_set_flags_with_carry(instruction);
    case Opcode::SetFlagsOfShift:
      return emit_set_flags_of_shift(instruction);
    case Opcode::ChangeFlags:
      return emit_change_flags(instruction);
    case Opcode::GetFlags:
      return emit_get_flags();
    case Opcode::Condition:
      return emit_condition(instruction);
    case Opcode::Carry:
      return emit_carry();
    case Opcode::Add:
    case Opcode::Subtract:
    case Opcode::And:
    case Opcode::Or:
    case Opcode::Xor:
      return emit_binary(instruction);
    case Opcode::AddWithCarry:
    case Opcode::SubtractWithBorrow:
      return emit_with_carry(instruction);
    case Opcode::Not:
    case Opcode::Negate:
    case Opcode::ByteSwap:
      return emit_unary(instruction);
    case Opcode::Multiply:
      return emit_multiply(instruction);
    case Opcode::MultiplyHigh:
    case Opcode::MultiplyHighSigned:
      return emit_multiply_high(instruction);
    case Opcode::ShiftLeft:
    case Opcode::ShiftRight:
    case Opcode::ShiftArithmetic:
    case Opcode::RotateLeft:
    case Opcode::RotateRight:
      return emit_shift(instruction);
    case Opcode::PopulationCount:
    case Opcode::LeadingZeros:
    case Opcode::TrailingZeros:
      return emit_bit_count(instruction);
    case Opcode::Address:
      return emit_address(instruction);
    case Opcode::WideMultiply:
    case Opcode::WideMultiplySigned:
    case Opcode::WideDivide:
    case Opcode::WideDivideSigned:
      return emit_wide(instruction);
    case Opcode::Compare:
      return emit_compare_value(instruction);
    case Opcode::Select:
      return emit_select(instruction);
    case Opcode::Truncate:
      return emit_truncate(instruction);
    case Opcode::ZeroExtend:
    case Opcode::SignExtend:
      return emit_extend(instruction);
    case Opcode::HighByte:
      return emit_high_byte(instruction);
    case Opcode::InsertLowByte:
    case Opcode::InsertHighByte:
    case Opcode::InsertWord:
      return emit_insert(instruction);
    case Opcode::Load:
      return emit_load(instruction);
    case Opcode::Store:
      return emit_store(instruction);
    case Opcode::HostAddress:
      return emit_host_address(instruction);
    case Opcode::LoadHost:
      return emit_load_host(instruction);
    case Opcode::StoreHost:
      return emit_store_host(instruction);
    case Opcode::AtomicExchange:
    case Opcode::AtomicAdd:
    case Opcode::AtomicAnd:
    case Opcode::AtomicOr:
    case Opcode::AtomicXor:
      return emit_atomic(instruction);
    case Opcode::AtomicCompareExchange:
      return emit_compare_exchange(instruction);
    case Opcode::ClearUpperVectors:
      return emit_clear_upper_vectors();
    case Opcode::Fence:
      return mfence();
    case Opcode::BailIf:
      return emit_bail_if(instruction);
    case Opcode::BailUnlessNextPage:
      return emit_bail_unless_next_page(instruction);
    case Opcode::Interpret:
      return emit_interpret(instruction);
    case Opcode::HostVector:
      return emit_host_vector(instruction);
    case Opcode::EnterX87:
      return emit_enter_x87(instruction);
    case Opcode::HostX87:
      return emit_host_x87(instruction);
    default:
      return emit_terminator(instruction);
  }
}

void Emitter::emit_set_register() {
  const Instruction& instruction = block_[current_];
  define_guest(instruction.auxiliary, instruction.arguments[0]);
}

void Emitter::emit_segment_base() {
  const Reg64 to = destination();
  const auto offset = offsetof(cpu::CpuState, segments) + block_[current_].auxiliary * sizeof(cpu::Segment) +
                      offsetof(cpu::Segment, base);
  mov(to, ptr[host::state(static_cast<int>(offset))]);
  give(current_, to);
}

// --- Arithmetic ------------------------------------------------------------------------------------------------------

void Emitter::apply_binary(Opcode opcode, const Reg64& to, Value b, Type type) {
  const Reg target = sized(to, type);
  const auto apply = [&](const auto& source) {
    switch (opcode) {
      case Opcode::Add:
        return add(target, source);
      case Opcode::Subtract:
        return sub(target, source);
      case Opcode::And:
        return and_(target, source);
      case Opcode::Or:
        return or_(target, source);
      case Opcode::AddWithCarry:
        return adc(target, source);
      case Opcode::SubtractWithBorrow:
        return sbb(target, source);
      default:
        return xor_(target, source);
    }
  };
  if (is_immediate(b)) {
    apply(static_cast<uint32_t>(signed_constant(b)));
  } else {
    with_operand(b, type, [&](const Xbyak::Operand& source) { apply(source); });
  }
}

void Emitter::emit_binary(const Instruction& instruction) {
  Value a = instruction.arguments[0];
  Value b = instruction.arguments[1];
  const bool commutes = instruction.opcode != Opcode::Subtract;
  if (commutes && is_constant(a)) std::swap(a, b);
  // Flags that are kept of the operands are kept before one of them is overwritten.
  if (early_flags_[current_] != kNoValue) emit_set_flags(block_[early_flags_[current_]]);
  const Type type = instruction.type == Type::I1 ? Type::I8 : instruction.type;
  Reg64 to = destination(a);
  const auto is_in = [&](Value value, const Reg64& reg) {
    if (is_constant(value)) return false;
    const Place& place = places_[root(value)];
    if (place.kind == Place::Kind::Scratch) return host::kScratch[place.number] == reg.getIdx();
    return place.kind == Place::Kind::Guest && host::kPinned[place.number] == reg.getIdx();
  };
  if (is_in(b, to) && !is_in(a, to)) {
    if (commutes) {
      std::swap(a, b);
    } else {
      to = allocate();
    }
  }
  move_to(to, a);
  apply_binary(instruction.opcode, to, b, type);
  give(current_, to);
  switch (instruction.opcode) {
    case Opcode::Subtract:
      host_flags_ = {HostFlags::Kind::Compare, instruction.arguments[0], instruction.arguments[1]};
      break;
    case Opcode::Add:
      host_flags_ = {HostFlags::Kind::ZeroSign, current_, kNoValue};
      break;
    default:
      host_flags_ = {HostFlags::Kind::Result, current_, kNoValue};
      break;
  }
}

void Emitter::emit_with_carry(const Instruction& instruction) {
  const Reg64 to = allocate();
  move_to(to, instruction.arguments[0]);
  if (is_constant(instruction.arguments[2])) {
    constant(instruction.arguments[2]) != 0 ? stc() : clc();
  } else {
    with_operand(instruction.arguments[2], Type::I32, [&](const Xbyak::Operand& carry) { bt(carry, 0); });
  }
  apply_binary(instruction.opcode, to, instruction.arguments[1], instruction.type);
  give(current_, to);
  host_flags_ = {};
}

void Emitter::emit_unary(const Instruction& instruction) {
  const Reg64 to = destination(instruction.arguments[0]);
  move_to(to, instruction.arguments[0]);
  const Reg target = sized(to, instruction.type);
  switch (instruction.opcode) {
    case Opcode::Not:
      not_(target);
      break;
    case Opcode::Negate:
      neg(target);
      host_flags_ = {HostFlags::Kind::ZeroSign, current_, kNoValue};
      break;
    default:
      bswap(Xbyak::Reg32e(target.getIdx(), target.getBit()));
      break;
  }
  give(current_, to);
}

void Emitter::emit_multiply(const Instruction& instruction) {
  Value a = instruction.arguments[0];
  Value b = instruction.arguments[1];
  if (is_constant(a)) std::swap(a, b);
  const Reg64 to = allocate();
  const Reg target = sized(to, instruction.type);
  if (is_immediate(b)) {
    with_operand(a, instruction.type,
                 [&](const Xbyak::Operand& source) { imul(target, source, static_cast<int>(signed_constant(b))); });
  } else {
    move_to(to, a);
    with_operand(b, instruction.type, [&](const Xbyak::Operand& source) { imul(target, source); });
  }
  give(current_, to);
  host_flags_ = {};
}

namespace {

// Frame slots that keep a pinned register while an instruction needs its host register.
constexpr int kKeptFirst = 30, kKeptSecond = 31;

}  // namespace

// The host's one-operand multiplication wants RAX and RDX, which are the guest's.
void Emitter::emit_multiply_high(const Instruction& instruction) {
  const Reg64 factor = allocate();
  move_to(factor, instruction.arguments[1]);
  const Reg64 to = allocate();
  move_to(to, instruction.arguments[0]);
  mov(ptr[rsp + frame_slot(kKeptFirst)], rax);
  mov(ptr[rsp + frame_slot(kKeptSecond)], rdx);
  mov(rax, to);
  instruction.opcode == Opcode::MultiplyHigh ? mul(factor) : imul(factor);
  mov(to, rdx);
  mov(rdx, ptr[rsp + frame_slot(kKeptSecond)]);
  mov(rax, ptr[rsp + frame_slot(kKeptFirst)]);
  give(current_, to);
  host_flags_ = {};
}

void Emitter::apply_shift(Opcode opcode, const Reg& to, Value count) {
  const auto apply = [&](const auto& by) {
    switch (opcode) {
      case Opcode::ShiftLeft:
        return shl(to, by);
      case Opcode::ShiftRight:
        return shr(to, by);
      case Opcode::ShiftArithmetic:
        return sar(to, by);
      case Opcode::RotateLeft:
        return rol(to, by);
      default:
        return ror(to, by);
    }
  };
  is_constant(count) ? apply(static_cast<int>(constant(count))) : apply(cl);
}

void Emitter::emit_shift(const Instruction& instruction) {
  const Value a = instruction.arguments[0];
  const Value count = instruction.arguments[1];
  if (is_constant(count)) {
    const Reg64 to = destination(a);
    move_to(to, a);
    apply_shift(instruction.opcode, sized(to, instruction.type), count);
    give(current_, to);
    const bool rotates = instruction.opcode == Opcode::RotateLeft || instruction.opcode == Opcode::RotateRight;
    if (rotates || constant(count) == 0) {
      host_flags_ = {};
    } else {
      host_flags_ = {HostFlags::Kind::ZeroSign, current_, kNoValue};
    }
    return;
  }
  const Reg64 to = allocate();
  move_to(to, a);
  const Place& place = places_[root(count)];
  const bool in_rcx = place.kind == Place::Kind::Guest && place.number == cpu::kRcx;
  if (!in_rcx) {
    const Reg64 by = in_register(count);
    mov(ptr[rsp + frame_slot(kKeptFirst)], rcx);
    mov(ecx, by.cvt32());
  }
  apply_shift(instruction.opcode, sized(to, instruction.type), count);
  if (!in_rcx) mov(rcx, ptr[rsp + frame_slot(kKeptFirst)]);
  give(current_, to);
  host_flags_ = {};
}

void Emitter::emit_bit_count(const Instruction& instruction) {
  const Reg64 to = allocate();
  const Reg target = sized(to, instruction.type);
  with_operand(instruction.arguments[0], instruction.type, [&](const Xbyak::Operand& source) {
    switch (instruction.opcode) {
      case Opcode::PopulationCount:
        return popcnt(target, source);
      case Opcode::LeadingZeros:
        return lzcnt(target, source);
      default:
        return tzcnt(target, source);
    }
  });
  give(current_, to);
  host_flags_ = {};
}

void Emitter::emit_address(const Instruction& instruction) {
  const Value base = instruction.arguments[0];
  const Value index = instruction.arguments[1];
  const int32_t displacement = static_cast<int32_t>(instruction.immediate);
  Xbyak::RegExp expression(static_cast<size_t>(static_cast<int64_t>(displacement)));
  if (base != kNoValue) expression = in_register(base) + displacement;
  if (index != kNoValue) {
    const Reg64 scaled = in_register(index);
    expression = expression + scaled * (1 << instruction.auxiliary);
  }
  const Reg64 to = destination();
  lea(Xbyak::Reg32e(to.getIdx(), static_cast<int>(ir::bits_of(instruction.type))), ptr[expression]);
  give(current_, to);
}

// RAX and RDX are pinned to the host registers that these instructions use.
void Emitter::emit_wide(const Instruction& instruction) {
  const Value operand = instruction.arguments[0];
  const Type type = block_[operand].type;
  preserve(cpu::kRax);
  preserve(cpu::kRdx);
  with_operand(operand, type, [&](const Xbyak::Operand& source) {
    switch (instruction.opcode) {
      case Opcode::WideMultiply:
        return mul(source);
      case Opcode::WideMultiplySigned:
        return imul(source);
      case Opcode::WideDivide:
        return div(source);
      default:
        return idiv(source);
    }
  });
  host_flags_ = {};
}

// --- Conversion ------------------------------------------------------------------------------------------------------

void Emitter::emit_truncate(const Instruction& instruction) {
  const Reg64 to = destination();
  move_to(to, instruction.arguments[0]);
  if (instruction.type == Type::I1) {
    and_(to.cvt32(), 1);
    host_flags_ = {};
  }
  give(current_, to);
}

void Emitter::emit_extend(const Instruction& instruction) {
  const Value source = instruction.arguments[0];
  const Type from = block_[source].type;
  if (from == Type::I1) {
    const uint8_t condition = emit_test(source);
    locked_ = 0;
    const Reg64 to = allocate();
    set_byte(to, condition);
    movzx(to.cvt32(), to.cvt8());
    if (instruction.opcode == Opcode::SignExtend) neg(to), host_flags_ = {};
    give(current_, to);
    return;
  }
  const Reg64 to = destination(source);
  if (is_constant(source)) {
    const uint64_t number =
        instruction.opcode == Opcode::SignExtend ? static_cast<uint64_t>(signed_constant(source)) : constant(source);
    mov(to, number);
    give(current_, to);
    return;
  }
  with_operand(source, from, [&](const Xbyak::Operand& operand) {
    if (instruction.opcode == Opcode::ZeroExtend) {
      from == Type::I32 ? mov(to.cvt32(), operand) : movzx(to.cvt32(), operand);
    } else if (from == Type::I32) {
      movsxd(to, operand);
    } else {
      movsx(sized(to, instruction.type == Type::I16 ? Type::I32 : instruction.type), operand);
    }
  });
  give(current_, to);
}

void Emitter::emit_high_byte(const Instruction& instruction) {
  const Reg64 to = allocate();
  move_to(to, instruction.arguments[0]);
  shr(to, 8);
  give(current_, to);
  host_flags_ = {};
}

void Emitter::emit_insert(const Instruction& instruction) {
  const Value old = instruction.arguments[0];
  const Value part = instruction.arguments[1];
  const Type type = block_[part].type;
  const Reg64 source = is_constant(part) ? Reg64(rsp) : in_register(part);
  Reg64 to = destination(old);
  if (to.getIdx() == source.getIdx()) to = allocate();
  move_to(to, old);
  const bool high = instruction.opcode == Opcode::InsertHighByte;
  if (high) ror(to, 8);
  const Reg target = sized(to, type);
  if (is_constant(part)) {
    mov(target, static_cast<uint32_t>(constant(part)));
  } else {
    mov(target, sized(source, type));
  }
  if (high) rol(to, 8), host_flags_ = {};
  give(current_, to);
}

// --- Choice ----------------------------------------------------------------------------------------------------------

void Emitter::set_byte(const Reg64& to, uint8_t condition) {
  db(0x40 | (to.getIdx() >= 8 ? 1 : 0));
  db(0x0F);
  db(0x90 | condition);
  db(0xC0 | (to.getIdx() & 7));
}

void Emitter::emit_compare_value(const Instruction&) {
  const uint8_t condition = emit_compare(current_);
  const Reg64 to = allocate();
  set_byte(to, condition);
  movzx(to.cvt32(), to.cvt8());
  give(current_, to);
}

void Emitter::emit_select(const Instruction& instruction) {
  const Value second = instruction.arguments[1];
  const Value third = instruction.arguments[2];
  const uint8_t condition = emit_test(instruction.arguments[0]);
  locked_ = 0;  // the comparison is done
  const Reg64 to = allocate();
  // MOV leaves the flags alone.
  move_to(to, third);
  const Type type = instruction.type == Type::I64 ? Type::I64 : Type::I32;
  const auto choose = [&](const Xbyak::Operand& source) {
    const Xbyak::Reg32e target(to.getIdx(), static_cast<int>(ir::bits_of(type)));
    switch (condition) {
      case 0:
        return cmovo(target, source);
      case 1:
        return cmovno(target, source);
      case 2:
        return cmovb(target, source);
      case 3:
        return cmovae(target, source);
      case 4:
        return cmove(target, source);
      case 5:
        return cmovne(target, source);
      case 6:
        return cmovbe(target, source);
      case 7:
        return cmova(target, source);
      case 8:
        return cmovs(target, source);
      case 9:
        return cmovns(target, source);
      case 10:
        return cmovp(target, source);
      case 11:
        return cmovnp(target, source);
      case 12:
        return cmovl(target, source);
      case 13:
        return cmovge(target, source);
      case 14:
        return cmovle(target, source);
      default:
        return cmovg(target, source);
    }
  };
  const bool narrow_memory = bytes_of(instruction.type) < 4;
  if (narrow_memory) {
    choose(sized(in_register(second), type));
  } else {
    with_operand(second, type, choose);
  }
  give(current_, to);
}

}  // namespace calco::jit::baseline
