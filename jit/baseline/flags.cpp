// The lazy triple of guest flags, and the host's own flags where they say the same.
#include "cpu/flags.h"

#include "jit/baseline/emitter.h"

namespace calco::jit::baseline {

namespace {

using cpu::FlagKind;

constexpr int kFirst = offsetof(cpu::CpuState, flags) + offsetof(cpu::LazyFlags, first);
constexpr int kSecond = offsetof(cpu::CpuState, flags) + offsetof(cpu::LazyFlags, second);
constexpr int kKind = offsetof(cpu::CpuState, flags) + offsetof(cpu::LazyFlags, kind);

unsigned size_log2(Type type) { return type == Type::I64 ? 3u : type == Type::I32 ? 2u : type == Type::I16 ? 1u : 0u; }

// Conditions that ZF, SF and PF alone decide.
bool needs_only_zero_sign(uint8_t condition) {
  return condition == 4 || condition == 5 || (condition >= 8 && condition <= 11);
}

}  // namespace

// --- Into the state --------------------------------------------------------------------------------------------------

// Sign-extended to 64 bits; a carry (I1) as 0 or 1.
void Emitter::store_flag_part(int offset, Value value) {
  const Type type = block_[value].type;
  const unsigned before = locked_;
  if (is_constant(value) && type != Type::I1 && is_immediate(value)) {
    mov(qword[host::state(offset)], static_cast<int32_t>(signed_constant(value)));
  } else if (is_constant(value) && type == Type::I1) {
    mov(qword[host::state(offset)], static_cast<int32_t>(constant(value)));
  } else if (type == Type::I64 || is_constant(value)) {
    mov(ptr[host::state(offset)], in_register(value));
  } else {
    const Reg64 extended = allocate();
    with_operand(value, type == Type::I1 ? Type::I8 : type, [&](const Xbyak::Operand& source) {
      if (type == Type::I1) {
        movzx(extended.cvt32(), source);
      } else {
        type == Type::I32 ? movsxd(extended, source) : movsx(extended, source);
      }
    });
    mov(ptr[host::state(offset)], extended);
  }
  locked_ = before;
}

void Emitter::store_flag_kind(uint32_t kind) { mov(dword[host::state(kKind)], kind); }

void Emitter::emit_set_flags(const Instruction& instruction) {
  waiting_flags_ = kNoValue;
  const auto number = static_cast<Value>(&instruction - block_.code.data());
  if ((instruction.marks & ir::kFlagsOnlyForFaults) != 0 && number == current_) {
    waiting_flags_ = number;
    return;
  }
  store_flags(instruction);
}

void Emitter::store_flags(const Instruction& instruction) {
  const auto kind = static_cast<FlagKind>(instruction.auxiliary);
  const Value first = instruction.arguments[0];
  const Type type = block_[first].type;
  store_flag_part(kFirst, first);
  if (instruction.arguments[1] != kNoValue) store_flag_part(kSecond, instruction.arguments[1]);
  store_flag_kind(cpu::flag_kind(kind, size_log2(type)));
  static_kind_ = instruction.auxiliary;
  static_type_ = type;
}

// The kind says whether there was a carry in.
void Emitter::emit_set_flags_with_carry(const Instruction& instruction) {
  waiting_flags_ = kNoValue;
  const auto kind = static_cast<FlagKind>(instruction.auxiliary);
  const Type type = block_[instruction.arguments[0]].type;
  store_flag_part(kFirst, instruction.arguments[0]);
  store_flag_part(kSecond, instruction.arguments[1]);
  static_assert(static_cast<int>(FlagKind::AddCarry) == static_cast<int>(FlagKind::Add) + 1);
  static_assert(static_cast<int>(FlagKind::SubtractBorrow) == static_cast<int>(FlagKind::Subtract) + 1);
  const Reg64 carry = allocate();
  move_to(carry, instruction.arguments[2]);
  lea(carry.cvt32(), ptr[carry + static_cast<int>(cpu::flag_kind(kind, size_log2(type)))]);
  mov(dword[host::state(kKind)], carry.cvt32());
  static_kind_ = -1;
}

void Emitter::emit_set_flags_of_shift(const Instruction& instruction) {
  settle_flags();
  const Value count = instruction.arguments[2];
  if (is_constant(count) && constant(count) == 0) return;
  size_t skip = 0;
  if (!is_constant(count)) {
    // Everything that may move between registers does so on both ways.
    for (const Value value : {instruction.arguments[0], instruction.arguments[1]}) {
      if (!is_constant(value)) in_register(value);
    }
    const Reg64 by = in_register(count);
    // The stores need one more register, and what is spilled for it must be so on both ways: make room now, or take
    // the count's own when its work is done.
    const bool all_locked = locked_ == 7;
    if (!all_locked) {
      release(allocate());
    } else if (!dies_here(count)) {
      spill(places_[root(count)].number);
    }
    test(by.cvt8(), by.cvt8());
    skip = jump_if(4);
    host_flags_ = {};
    if (all_locked) release(by);
  }
  const auto kind = static_cast<FlagKind>(instruction.auxiliary);
  const Type type = block_[instruction.arguments[0]].type;
  store_flag_part(kFirst, instruction.arguments[0]);
  store_flag_part(kSecond, instruction.arguments[1]);
  store_flag_kind(cpu::flag_kind(kind, size_log2(type)));
  if (skip != 0) bind(skip);
  static_kind_ = skip != 0 ? -1 : instruction.auxiliary;
  static_type_ = type;
}

void Emitter::emit_change_flags(const Instruction& instruction) {
  settle_flags();
  const auto mask = static_cast<uint32_t>(instruction.immediate & cpu::rflags::kArithmetic);
  const Reg64 flags = current_flags();
  and_(flags.cvt32(), static_cast<uint32_t>(cpu::rflags::kArithmetic) & ~mask);
  const Value value = instruction.arguments[0];
  if (is_constant(value)) {
    or_(flags.cvt32(), static_cast<uint32_t>(constant(value)) & mask);
  } else {
    const Reg64 changed = allocate();
    move_to(changed, value);
    and_(changed.cvt32(), mask);
    or_(flags.cvt32(), changed.cvt32());
  }
  mov(ptr[host::state(kFirst)], flags);
  store_flag_kind(cpu::flag_kind(FlagKind::Explicit, 3));
  static_kind_ = static_cast<int>(FlagKind::Explicit);
  static_type_ = Type::I64;
  host_flags_ = {};
}

// --- Waiting flags ---------------------------------------------------------------------------------------------------

void Emitter::settle_flags() {
  if (waiting_flags_ == kNoValue) return;
  const Instruction& instruction = block_[waiting_flags_];
  // Not as store_flags() does, which takes registers: this may stand in the middle of an operation.
  Cold here{.kind = Cold::Kind::Bail};
  note_waiting_flags(here);
  store_waiting_flags(here);
  static_kind_ = instruction.auxiliary;
  static_type_ = block_[instruction.arguments[0]].type;
  waiting_flags_ = kNoValue;
}

// At the beginning of an operation that may leave: what is in a register that nobody keeps is stored now, before the
// operation takes the register.
void Emitter::settle_flags_before_leaving() {
  if (waiting_flags_ == kNoValue) return;
  for (const Value value : {block_[waiting_flags_].arguments[0], block_[waiting_flags_].arguments[1]}) {
    if (value == kNoValue || is_constant(value)) continue;
    const Place& place = places_[root(value)];
    const bool held = place.kind == Place::Kind::Scratch ? scratch_owner_[place.number] == root(value)
                                                         : place.kind == Place::Kind::Guest;
    if (!held) return settle_flags();
  }
}

// Whether they need what is at this place.
bool Emitter::waits_for(const Place& place) const {
  if (waiting_flags_ == kNoValue) return false;
  for (const Value value : {block_[waiting_flags_].arguments[0], block_[waiting_flags_].arguments[1]}) {
    if (value == kNoValue || is_constant(value)) continue;
    const Place& at = places_[root(value)];
    if (at.kind == place.kind && at.number == place.number) return true;
  }
  return false;
}

void Emitter::note_waiting_flags(Cold& cold) const {
  cold.flags = waiting_flags_;
  if (waiting_flags_ == kNoValue) return;
  const auto& arguments = block_[waiting_flags_].arguments;
  const auto place_of = [this](Value value) {
    return value == kNoValue || is_constant(value) ? Place{Place::Kind::Constant, 0} : places_[root(value)];
  };
  cold.flags_first = place_of(arguments[0]);
  cold.flags_second = place_of(arguments[1]);
}

// Every register may be in use: where one is needed it is kept in the frame meanwhile.
void Emitter::store_waiting_part(int offset, Value value, const Place& place) {
  constexpr int kKeptSlot = 29;
  const Type type = block_[value].type;
  if (is_immediate(value)) {
    mov(qword[host::state(offset)], static_cast<int32_t>(signed_constant(value)));
    return;
  }
  const bool pinned_place = place.kind == Place::Kind::Guest && host::kPinned[place.number] != host::kNotPinned;
  if (type == Type::I64 && (pinned_place || place.kind == Place::Kind::Scratch)) {
    mov(ptr[host::state(offset)], pinned_place ? Reg64(host::kPinned[place.number]) : scratch(place.number));
    return;
  }
  mov(ptr[rsp + frame_slot(kKeptSlot)], rbx);
  if (is_constant(value)) {
    mov(rbx, static_cast<uint64_t>(signed_constant(value)));
  } else {
    if (place.kind == Place::Kind::Scratch) {
      mov(rbx, scratch(place.number));
    } else if (pinned_place) {
      mov(rbx, Reg64(host::kPinned[place.number]));
    } else {
      mov(rbx, memory_place(place, 8));
    }
    if (type == Type::I1) {
      movzx(ebx, bl);
    } else if (type == Type::I32) {
      movsxd(rbx, ebx);
    } else if (type != Type::I64) {
      movsx(rbx, sized(rbx, type));
    }
  }
  mov(ptr[host::state(offset)], rbx);
  mov(rbx, ptr[rsp + frame_slot(kKeptSlot)]);
}

void Emitter::store_waiting_flags(const Cold& cold) {
  if (cold.flags == kNoValue) return;
  const Instruction& instruction = block_[cold.flags];
  const auto kind = static_cast<FlagKind>(instruction.auxiliary);
  store_waiting_part(kFirst, instruction.arguments[0], cold.flags_first);
  if (instruction.arguments[1] != kNoValue) {
    store_waiting_part(kSecond, instruction.arguments[1], cold.flags_second);
  }
  store_flag_kind(cpu::flag_kind(kind, size_log2(block_[instruction.arguments[0]].type)));
}

// --- Out of the state ------------------------------------------------------------------------------------------------

// The six flags.
void Emitter::load_flags(const Reg64& to) {
  host_flags_ = {};
  if (static_kind_ == static_cast<int>(FlagKind::Explicit)) {
    mov(to, ptr[host::state(kFirst)]);
    return;
  }
  call_entry(entries_.flags);
  mov(to, ptr[rsp + frame_slot(0)]);
}

Emitter::Reg64 Emitter::current_flags() {
  const Reg64 flags = allocate();
  load_flags(flags);
  return flags;
}

// Where nothing is known of the flags it is a comparison in the block in front, as a rule: its operands are kept
// sign-extended, so that 64-bit ones compare as they do. Answers the position of the jump behind the other way, which
// follows; 0 where there is but that way. Nothing may be allocated in between.
size_t Emitter::emit_condition_of_comparison(const Reg64& to, uint8_t condition) {
  const unsigned pair = condition >> 1;
  const bool by_order = (pair >= 1 && pair <= 3) || pair >= 6;
  if (static_kind_ >= 0 || !by_order) return 0;
  cmp(byte[host::state(kKind)], static_cast<uint8_t>(FlagKind::Subtract));
  const size_t other = jump_if(5);
  mov(to, ptr[host::state(kFirst)]);
  cmp(to, ptr[host::state(kSecond)]);
  set_byte(to, condition);
  const size_t done = jump_near();
  bind(other);
  return done;
}

void Emitter::emit_get_flags() { give(current_, current_flags()); }

void Emitter::emit_carry() {
  host_flags_ = {};
  switch (static_cast<FlagKind>(static_kind_)) {
    case FlagKind::Add:
    case FlagKind::Subtract: {
      const Reg64 to = allocate();
      mov(to, ptr[host::state(kFirst)]);
      cmp(to, ptr[host::state(kSecond)]);
      set_byte(to, 2);
      movzx(to.cvt32(), to.cvt8());
      return give(current_, to);
    }
    case FlagKind::Increment:
    case FlagKind::Decrement: {
      const Reg64 to = allocate();
      mov(to, ptr[host::state(kSecond)]);
      return give(current_, to);
    }
    default: {
      constexpr uint8_t kBelow = 2;
      const Reg64 to = allocate();
      const size_t done = emit_condition_of_comparison(to, kBelow);
      load_flags(to);
      if (done != 0) bind(done);
      and_(to.cvt32(), 1);
      return give(current_, to);
    }
  }
}

void Emitter::emit_condition(const Instruction& instruction) {
  const uint8_t condition = instruction.auxiliary;
  const unsigned bits = ir::bits_of(static_type_ == Type::Void ? Type::I64 : static_type_);
  if (static_kind_ == static_cast<int>(FlagKind::Subtract)) {
    const Reg64 to = allocate();
    mov(to, ptr[host::state(kFirst)]);
    cmp(sized(to, static_type_), Xbyak::AddressFrame(bits)[host::state(kSecond)]);
    set_byte(to, condition);
    movzx(to.cvt32(), to.cvt8());
    host_flags_ = {};
    return give(current_, to);
  }
  if (static_kind_ == static_cast<int>(FlagKind::Logic)) {
    const Reg64 to = allocate();
    cmp(Xbyak::AddressFrame(bits)[host::state(kFirst)], 0);
    set_byte(to, condition);
    movzx(to.cvt32(), to.cvt8());
    host_flags_ = {};
    return give(current_, to);
  }
  using namespace cpu::rflags;
  const Reg64 flags = allocate();
  const Reg64 overflow = condition >> 1 >= 6 ? allocate() : flags;
  const size_t done = emit_condition_of_comparison(flags, condition);
  load_flags(flags);
  constexpr uint32_t kMasks[] = {kOf, kCf, kZf, kCf | kZf, kSf, kPf};
  const unsigned pair = condition >> 1;
  uint32_t mask = pair < 6 ? kMasks[pair] : static_cast<uint32_t>(kSf);
  if (pair >= 6) {
    // SF != OF in the place of SF; ZF beside it.
    static_assert(kOf >> 4 == kSf);
    mov(overflow.cvt32(), flags.cvt32());
    shr(overflow.cvt32(), 4);
    and_(overflow.cvt32(), static_cast<uint32_t>(kSf));
    xor_(flags.cvt32(), overflow.cvt32());
    if (pair == 7) mask |= kZf;
  }
  test(flags.cvt32(), mask);
  set_byte(flags, (condition & 1) != 0 ? 4 : 5);
  if (done != 0) bind(done);
  movzx(flags.cvt32(), flags.cvt8());
  give(current_, flags);
}

// --- Comparisons -----------------------------------------------------------------------------------------------------

uint8_t Emitter::emit_compare(Value compare) {
  const Instruction& instruction = block_[compare];
  const uint8_t condition = instruction.auxiliary;
  const Value a = instruction.arguments[0];
  const Value b = instruction.arguments[1];
  const bool with_zero = is_constant(b) && constant(b) == 0;
  switch (host_flags_.kind) {
    case HostFlags::Kind::Compare:
      if (same_value(host_flags_.first, a) && same_value(host_flags_.second, b)) return condition;
      break;
    case HostFlags::Kind::Result:
      if (with_zero && same_value(host_flags_.first, a)) return condition;
      break;
    case HostFlags::Kind::ZeroSign:
      if (with_zero && same_value(host_flags_.first, a) && needs_only_zero_sign(condition)) return condition;
      break;
    default:
      break;
  }
  const Type type = block_[a].type == Type::I1 ? Type::I8 : block_[a].type;
  const Reg left = sized(in_register(a), type);
  if (with_zero) {
    test(left, left);
  } else if (is_immediate(b)) {
    cmp(left, static_cast<uint32_t>(signed_constant(b)));
  } else {
    with_operand(b, type, [&](const Xbyak::Operand& right) { cmp(left, right); });
  }
  host_flags_ = {HostFlags::Kind::Compare, a, b};
  return condition;
}

uint8_t Emitter::emit_test(Value flag) {
  if (block_[flag].opcode == Opcode::Compare && skip_[flag] != 0) return emit_compare(flag);
  const Reg64 reg = in_register(flag);
  test(reg.cvt8(), reg.cvt8());
  host_flags_ = {};
  return 5;
}

}  // namespace calco::jit::baseline
