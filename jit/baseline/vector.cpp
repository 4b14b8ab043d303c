// Guest vector instructions: the same instruction on the same registers. A block loads those that it reads when it
// first does, and writes changed ones back at its end.
#include <bit>

#include "jit/baseline/emitter.h"

namespace calco::jit::baseline {

namespace {

constexpr int kVectors = offsetof(cpu::CpuState, vectors);

template <typename Action>
void for_each(unsigned mask, Action&& action) {
  for (; mask != 0; mask &= mask - 1) action(static_cast<unsigned>(std::countr_zero(mask)));
}

}  // namespace

// In blocks without VEX instructions the upper halves stay in the state, untouched.
void Emitter::move_vector(unsigned number, bool store) {
  const Address place = ptr[host::state(kVectors + static_cast<int>(number * sizeof(cpu::VectorRegister)))];
  const auto index = static_cast<int>(number);
  if (wide_vectors_) {
    store ? vmovups(place, Xbyak::Ymm(index)) : vmovups(Xbyak::Ymm(index), place);
  } else {
    store ? movups(place, Xbyak::Xmm(index)) : movups(Xbyak::Xmm(index), place);
  }
}

void Emitter::load_vectors(unsigned mask) {
  for_each(mask, [&](unsigned number) { move_vector(number, false); });
}

void Emitter::store_vectors(unsigned mask) {
  for_each(mask, [&](unsigned number) { move_vector(number, true); });
}

void Emitter::flush_vectors() {
  store_vectors(vectors_dirty_);
  vectors_dirty_ = 0;
}

// Cached registers keep their lower halves, and are written back whole; of the others only the state is changed.
void Emitter::emit_clear_upper_vectors() {
  constexpr int kHalf = 16, kQuadword = 8;
  if (wide_vectors_) {
    vzeroupper();
    vectors_dirty_ |= vectors_loaded_;
  }
  const Reg64 zero = allocate();
  xor_(zero.cvt32(), zero.cvt32());
  host_flags_ = {};
  const unsigned cached = wide_vectors_ ? vectors_loaded_ : 0;
  for_each(0xFFFF & ~cached, [&](unsigned number) {
    const int upper = kVectors + static_cast<int>(number * sizeof(cpu::VectorRegister)) + kHalf;
    mov(ptr[host::state(upper)], zero);
    mov(ptr[host::state(upper + kQuadword)], zero);
  });
}

void Emitter::encode_indirect(uint8_t reg_bits, int base) {
  const int low = base & 7;
  if (low == 4) {  // RSP, R12: with SIB
    db(reg_bits | 4);
    db(0x24);
  } else if (low == 5) {  // RBP, R13: with displacement
    db(0x45 | reg_bits);
    db(0);
  } else {
    db(reg_bits | low);
  }
}

void Emitter::encode_vector(const ir::HostVectorInstruction& vector, int reg, int rm, bool memory) {
  const bool r = reg >= 8, b = rm >= 8;
  if (vector.vex) {
    const uint8_t pp = vector.prefix == 0x66 ? 1 : vector.prefix == 0xF3 ? 2 : vector.prefix == 0xF2 ? 3 : 0;
    db(0xC4);
    db((r ? 0 : 0x80) | 0x40 | (b ? 0 : 0x20) | vector.map);
    db((vector.wide ? 0x80 : 0) | ((~vector.vvvv & 15) << 3) | (vector.long_vector ? 4 : 0) | pp);
  } else {
    if (vector.prefix != 0) db(vector.prefix);
    // Byte registers beyond BL need a REX prefix of any kind; it harms nowhere.
    db(0x40 | (vector.wide ? 8 : 0) | (r ? 4 : 0) | (b ? 1 : 0));
    db(0x0F);
    if (vector.map == 2) db(0x38);
    if (vector.map == 3) db(0x3A);
  }
  db(vector.opcode);
  const auto reg_bits = static_cast<uint8_t>((reg & 7) << 3);
  memory ? encode_indirect(reg_bits, rm) : db(0xC0 | reg_bits | (rm & 7));
  if (vector.has_immediate) db(vector.immediate);
}

void Emitter::emit_host_vector(const Instruction& instruction) {
  const ir::HostVectorInstruction& vector = block_.vectors[instruction.immediate];
  // A legacy instruction leaves the upper half of what it writes alone.
  unsigned needed = vector.reads;
  if (wide_vectors_ && !vector.vex) needed |= vector.writes;
  load_vectors(needed & ~vectors_loaded_);
  vectors_loaded_ |= static_cast<uint16_t>(needed | vector.writes);
  vectors_dirty_ |= vector.writes;

  const bool memory = vector.source == ir::HostVectorInstruction::Source::Memory;
  const bool has_result = instruction.type != Type::Void;
  int reg = vector.reg;
  int rm = vector.rm;
  if (instruction.arguments[0] != kNoValue) rm = in_register(instruction.arguments[0]).getIdx();
  Reg64 result(0);
  if (has_result) {
    result = allocate();
    if (vector.reg_is_general) reg = result.getIdx();
    if (vector.rm_is_general_result) rm = result.getIdx();
  }
  encode_vector(vector, reg, rm, memory);
  if (!has_result) return;
  if (vector.sets_flags) {
    pushfq();
    pop(result);
    and_(result.cvt32(), static_cast<uint32_t>(cpu::rflags::kArithmetic));
    host_flags_ = {};
  }
  give(current_, result);
}

}  // namespace calco::jit::baseline
