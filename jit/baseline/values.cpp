// Which value is in which host register. One pass forward; what it needs to know of the future (last uses, the guest
// register that a value is meant for) one pass before collects.
#include <cassert>

#include "jit/baseline/emitter.h"

namespace calco::jit::baseline {

// --- Looking ahead ---------------------------------------------------------------------------------------------------

// True where the operation's host code clears the bits above a 32-bit (loads: any) result.
bool Emitter::keeps_upper_bits_clear(Value value) const {
  const Instruction& instruction = block_[value];
  if (roots_[value] != value) return false;
  switch (instruction.opcode) {
    case Opcode::Load:
    case Opcode::LoadHost:
    case Opcode::Constant:
      return true;
    case Opcode::ZeroExtend:
      return true;
    case Opcode::HostVector:
    case Opcode::AtomicAdd:
    case Opcode::AtomicExchange:
      return false;
    default:
      return instruction.type == Type::I32;
  }
}

bool Emitter::deferrable(Value compare) const {
  if (use_count_[compare] != 1) return false;
  const Instruction& user = block_[only_user_[compare]];
  switch (user.opcode) {
    case Opcode::Branch:
    case Opcode::BailIf:
    case Opcode::ZeroExtend:
      return true;
    case Opcode::Select:
      return user.arguments[0] == compare && user.arguments[1] != compare && user.arguments[2] != compare;
    default:
      return false;
  }
}

void Emitter::analyse() {
  const size_t count = block_.code.size();
  roots_.resize(count);
  last_use_.assign(count, 0);
  use_count_.assign(count, 0);
  only_user_.assign(count, kNoValue);
  places_.assign(count, Place{});
  hint_.assign(count, -1);
  hint_at_.assign(count, 0);
  early_flags_.assign(count, kNoValue);
  skip_.assign(count, 0);
  for (Value i = 0; i < count; ++i) analyse_instruction(i);
  // A deferred comparison happens where it is used, so its operands live until then.
  for (Value i = 0; i < count; ++i) {
    if (block_[i].opcode != Opcode::Compare || !deferrable(i)) continue;
    skip_[i] = 1;
    for (const Value argument : {block_[i].arguments[0], block_[i].arguments[1]}) {
      last_use_[roots_[argument]] = std::max(last_use_[roots_[argument]], only_user_[i]);
    }
  }
}

// Flags of a subtraction keep its operands: stored together with it, they need not outlive it.
bool Emitter::join_with_subtraction(Value index) {
  const Instruction& flags = block_[index];
  for (Value i = index; i-- > 0 && index - i <= 3 && block_[i].guest == flags.guest;) {
    const Instruction& candidate = block_[i];
    if ((info(candidate.opcode).effects & (ir::kMayLeave | ir::kWritesFlags)) != 0) return false;
    if (candidate.opcode != Opcode::Subtract) continue;
    if (candidate.arguments[0] != flags.arguments[0] || candidate.arguments[1] != flags.arguments[1]) return false;
    early_flags_[i] = index;
    skip_[index] = 1;
    return true;
  }
  return false;
}

void Emitter::analyse_instruction(Value index) {
  const Instruction& instruction = block_[index];
  roots_[index] = index;
  const Value first = instruction.arguments[0];
  if (instruction.opcode == Opcode::Truncate && instruction.type != Type::I1 && !is_constant(first)) {
    roots_[index] = roots_[first];
  } else if (instruction.opcode == Opcode::ZeroExtend && block_[first].type != Type::I1 &&
             keeps_upper_bits_clear(first) && !is_constant(first)) {
    roots_[index] = roots_[first];
  }
  if (instruction.opcode == Opcode::SetFlags && join_with_subtraction(index)) return;
  for (const Value argument : instruction.arguments) {
    if (argument == kNoValue) continue;
    last_use_[roots_[argument]] = index;
    ++use_count_[argument];
    only_user_[argument] = index;
  }
  if (roots_[index] != index) last_use_[roots_[index]] = index;
  if (instruction.opcode == Opcode::SetRegister) {
    const Value source = roots_[first];
    if (hint_[source] < 0) {
      hint_[source] = static_cast<int8_t>(instruction.auxiliary);
      hint_at_[source] = index;
    }
  }
}

// --- Constants -------------------------------------------------------------------------------------------------------

int64_t Emitter::signed_constant(Value value) const {
  if (block_[value].type == Type::I1) return static_cast<int64_t>(constant(value));
  const unsigned unused = 64 - ir::bits_of(block_[value].type);
  return static_cast<int64_t>(constant(value) << unused) >> unused;
}

uint64_t Emitter::immediate(Value value) const {
  return block_[value].type == Type::I64 ? static_cast<uint64_t>(signed_constant(value)) : constant(value);
}

bool Emitter::is_immediate(Value value) const {
  if (!is_constant(value)) return false;
  const int64_t number = signed_constant(value);
  return number == static_cast<int32_t>(number);
}

bool Emitter::same_value(Value a, Value b) const {
  if (a == b) return true;
  if (a == kNoValue || b == kNoValue || block_[a].type != block_[b].type) return false;
  if (is_constant(a) || is_constant(b)) return is_constant(a) && is_constant(b) && constant(a) == constant(b);
  return roots_[a] == roots_[b];
}

// --- Scratch registers -----------------------------------------------------------------------------------------------

Emitter::Reg64 Emitter::allocate() {
  unsigned best = 3;
  for (unsigned i = 0; i < 3; ++i) {
    if ((locked_ >> i & 1) != 0) continue;
    if (scratch_owner_[i] == kNoValue) {
      locked_ |= 1u << i;
      if (waits_for({Place::Kind::Scratch, static_cast<uint8_t>(i)})) settle_flags();
      return scratch(i);
    }
    if (best == 3 || last_use_[scratch_owner_[i]] > last_use_[scratch_owner_[best]]) best = i;
  }
  assert(best < 3 && "an operation needs more scratch registers than there are");
  spill(best);
  locked_ |= 1u << best;
  return scratch(best);
}

void Emitter::spill(unsigned index) {
  unsigned slot = kArgumentSlots;
  while ((slots_used_ >> slot & 1) != 0) ++slot;
  if (waits_for({Place::Kind::Spilled, static_cast<uint8_t>(slot)})) settle_flags();
  assert(slot < 28);
  slots_used_ |= 1u << slot;
  mov(ptr[rsp + frame_slot(static_cast<int>(slot))], scratch(index));
  places_[scratch_owner_[index]] = {Place::Kind::Spilled, static_cast<uint8_t>(slot)};
  scratch_owner_[index] = kNoValue;
}

void Emitter::unlock(const Reg64& reg) {
  for (unsigned i = 0; i < 3; ++i) {
    if (host::kScratch[i] == reg.getIdx()) locked_ &= ~(1u << i);
  }
}

void Emitter::release(const Reg64& reg) {
  for (unsigned i = 0; i < 3; ++i) {
    if (host::kScratch[i] != reg.getIdx()) continue;
    locked_ &= ~(1u << i);
    scratch_owner_[i] = kNoValue;
  }
}

void Emitter::give(Value value, const Reg64& reg) {
  for (unsigned i = 0; i < 3; ++i) {
    if (host::kScratch[i] != reg.getIdx()) continue;
    scratch_owner_[i] = root(value);
    locked_ |= 1u << i;
    places_[root(value)] = {Place::Kind::Scratch, static_cast<uint8_t>(i)};
    return;
  }
  for (uint8_t guest = 0; guest < 16; ++guest) {
    if (host::kPinned[guest] != reg.getIdx()) continue;
    places_[root(value)] = {Place::Kind::Guest, guest};
    guest_values_[guest].push_back(root(value));
    return;
  }
}

void Emitter::finish_instruction() {
  locked_ = 0;
  for (Value& owner : scratch_owner_) {
    if (owner != kNoValue && last_use_[owner] <= current_) owner = kNoValue;
  }
  if (slots_used_ == 0) return;
  // Slots are few; free those whose values are dead.
  uint32_t used = 0;
  for (Value i = 0; i <= current_; ++i) {
    if (places_[i].kind == Place::Kind::Spilled && roots_[i] == i && last_use_[i] > current_) {
      used |= 1u << places_[i].number;
    }
  }
  slots_used_ = used;
}

// --- Reading values --------------------------------------------------------------------------------------------------

Emitter::Reg Emitter::sized(const Reg64& reg, Type type) {
  switch (type) {
    case Type::I1:
    case Type::I8:
      return reg.cvt8();
    case Type::I16:
      return reg.cvt16();
    case Type::I32:
      return reg.cvt32();
    default:
      return reg;
  }
}

Emitter::Address Emitter::memory_place(const Place& place, unsigned bytes) {
  const Xbyak::AddressFrame frame(bytes * 8);
  switch (place.kind) {
    case Place::Kind::Guest:
      return frame[host::guest_register(place.number)];
    case Place::Kind::PageBase:
      return frame[host::guest_register(cpu::kRip)];
    default:
      return frame[rsp + frame_slot(place.number)];
  }
}

// The whole place of a value that is no constant.
void Emitter::load_place(const Reg64& to, Value value) {
  const Place& place = places_[root(value)];
  if (place.kind == Place::Kind::Scratch) {
    mov(to, scratch(place.number));
  } else if (place.kind == Place::Kind::Guest && host::kPinned[place.number] != host::kNotPinned) {
    mov(to, Reg64(host::kPinned[place.number]));
  } else {
    mov(to, memory_place(place, 8));
  }
}

void Emitter::move_to(const Reg64& to, Value value) {
  if (is_constant(value)) {
    const uint64_t number = constant(value);
    if (number == static_cast<uint32_t>(number)) {
      mov(to.cvt32(), static_cast<uint32_t>(number));
    } else {
      mov(to, number);
    }
    return;
  }
  const Place& place = places_[root(value)];
  if (place.kind == Place::Kind::Scratch && host::kScratch[place.number] == to.getIdx()) return;
  if (place.kind == Place::Kind::Guest && host::kPinned[place.number] == to.getIdx()) return;
  load_place(to, value);
}

Emitter::Reg64 Emitter::in_register(Value value) {
  if (!is_constant(value)) {
    const Place place = places_[root(value)];
    if (place.kind == Place::Kind::Scratch) {
      locked_ |= 1u << place.number;
      return scratch(place.number);
    }
    if (place.kind == Place::Kind::Guest && host::kPinned[place.number] != host::kNotPinned) {
      return Reg64(host::kPinned[place.number]);
    }
  }
  const Reg64 reg = allocate();
  move_to(reg, value);
  if (!is_constant(value)) give(value, reg);
  return reg;
}

// --- Results ---------------------------------------------------------------------------------------------------------

// Between here and the SetRegister nothing may look at the guest register, and nothing may leave the block.
bool Emitter::may_write_early(uint8_t guest) const {
  if (host::kPinned[guest] == host::kNotPinned) return false;
  constexpr uint32_t kLooks = ir::kMayLeave | ir::kTerminator | ir::kVector;
  for (Value i = current_ + 1; i < hint_at_[current_]; ++i) {
    const Instruction& between = block_[i];
    if ((info(between.opcode).effects & kLooks) != 0) return false;
    const bool touches = between.opcode == Opcode::GetRegister || between.opcode == Opcode::SetRegister;
    if (touches ? between.auxiliary == guest : (info(between.opcode).effects & ir::kReadsState) != 0) return false;
  }
  for (const Value other : guest_values_[guest]) {
    const Place& place = places_[other];
    if (place.kind == Place::Kind::Guest && place.number == guest && last_use_[other] > current_) return false;
  }
  return true;
}

Emitter::Reg64 Emitter::destination(Value reuse) {
  const int8_t guest = hint_[current_];
  if (guest >= 0 && may_write_early(static_cast<uint8_t>(guest))) {
    if (waits_for({Place::Kind::Guest, static_cast<uint8_t>(guest)})) settle_flags();
    return Reg64(host::kPinned[guest]);
  }
  if (reuse != kNoValue && !is_constant(reuse) && dies_here(reuse)) {
    const Place& place = places_[root(reuse)];
    if (place.kind == Place::Kind::Scratch) {
      if (waits_for(place)) settle_flags();
      locked_ |= 1u << place.number;
      return scratch(place.number);
    }
  }
  return allocate();
}

void Emitter::preserve(uint8_t guest) {
  if (waits_for({Place::Kind::Guest, guest})) settle_flags();
  std::vector<Value>& values = guest_values_[guest];
  for (const Value value : values) {
    const Place& place = places_[value];
    if (place.kind != Place::Kind::Guest || place.number != guest || last_use_[value] <= current_) continue;
    const Reg64 reg = allocate();
    load_place(reg, value);
    give(value, reg);
    // It need not stay where it is while the rest of this operation is emitted.
    unlock(reg);
  }
  values.clear();
}

void Emitter::preserve_all() {
  for (uint8_t guest = 0; guest < 16; ++guest) preserve(guest);
}

// SetRegister.
void Emitter::define_guest(uint8_t guest, Value value) {
  const int pinned = host::kPinned[guest];
  const auto place_of = [&] { return is_constant(value) ? Place{Place::Kind::Constant, 0} : places_[root(value)]; };
  if (const Place before = place_of(); before.kind == Place::Kind::Guest && before.number == guest) return;
  preserve(guest);
  const Place place = place_of();  // it may have been spilled
  if (pinned != host::kNotPinned) {
    move_to(Reg64(pinned), value);
  } else if (is_immediate(value)) {
    mov(qword[host::guest_register(guest)], static_cast<int32_t>(signed_constant(value)));
  } else {
    mov(ptr[host::guest_register(guest)], in_register(value));
  }
  // From a scratch register the value moves in, which frees it.
  if (pinned != host::kNotPinned && place.kind == Place::Kind::Scratch && last_use_[root(value)] > current_) {
    scratch_owner_[place.number] = kNoValue;
    places_[root(value)] = {Place::Kind::Guest, guest};
    guest_values_[guest].push_back(root(value));
  }
}

}  // namespace calco::jit::baseline
