// FNSTENV, FLDENV, FNSAVE, FRSTOR in the four formats of SDM vol. 1, 8.1.10 (figures 8-9 to 8-12).
#include <array>
#include <cstring>

#include "cpu/exec/memory_block.h"
#include "cpu/exec/x87_state.h"

namespace calco::cpu {
namespace {

using decode::Mnemonic;

// The seven fields of every format: words, or the low halves of doublewords.
enum Field : uint8_t { kControl, kStatus, kTag, kInstructionOffset, kInstructionHigh, kDataOffset, kDataHigh, kFields };

constexpr size_t kRegisterBytes = 10;
constexpr size_t kMaximumSize = size_t{4} * kFields;

// Two bits for each of R0-R7 (SDM vol. 1, 8.1.7).
constexpr unsigned kTagValid = 0, kTagZero = 1, kTagSpecial = 2, kTagEmpty = 3;

unsigned tag_of(const X87Register& value) {
  const unsigned exponent = value.sign_exponent & 0x7FFF;
  if (exponent == 0) return value.significand == 0 ? kTagZero : kTagSpecial;
  const bool normal = exponent != 0x7FFF && (value.significand >> 63) != 0;
  return normal ? kTagValid : kTagSpecial;
}
uint16_t tag_word(const X87State& x87) {
  unsigned word = 0;
  for (unsigned i = 0; i < 8; ++i) {
    const unsigned tag = (x87.empty >> i & 1) != 0 ? kTagEmpty : tag_of(x87.physical[i]);
    word |= tag << (2 * i);
  }
  return static_cast<uint16_t>(word);
}
uint8_t empty_of_tag_word(unsigned word) {
  unsigned empty = 0;
  for (unsigned i = 0; i < 8; ++i) empty |= static_cast<unsigned>((word >> (2 * i) & 3) == kTagEmpty) << i;
  return static_cast<uint8_t>(empty);
}

bool is_real_format(const Cpu& cpu) { return !cpu.protected_mode() || cpu.virtual_8086(); }
// In 64-bit code as in 32-bit code.
bool is_16_bit_format(const Op& op) { return op.operand_size == 2; }
unsigned environment_size(const Op& op) { return kFields * (is_16_bit_format(op) ? 2u : 4u); }

// Real and virtual-8086 mode keep linear addresses, bits 16 and up beside the opcode from bit 12 on.
constexpr unsigned kHighShift = 12;
uint32_t linear_pointer(uint64_t offset, uint16_t selector) {
  return static_cast<uint32_t>(offset) + (static_cast<uint32_t>(selector) << 4);
}

// The fields as doublewords; reserved upper halves read as ones.
std::array<uint32_t, kFields> environment_fields(const Cpu& cpu, bool wide) {
  const X87State& x87 = cpu.x87;
  constexpr uint32_t kReserved = 0xFFFF0000;
  std::array<uint32_t, kFields> fields{kReserved | x87.control, kReserved | x87_status_word(x87),
                                       kReserved | tag_word(x87)};
  if (is_real_format(cpu)) {
    const uint32_t instruction = linear_pointer(x87.instruction_pointer, x87.code_selector);
    const uint32_t data = linear_pointer(x87.data_pointer, x87.data_selector);
    const uint32_t high_mask = wide ? 0xFFFF : 0xF;
    fields[kInstructionOffset] = kReserved | (instruction & 0xFFFF);
    fields[kInstructionHigh] = (instruction >> 16 & high_mask) << kHighShift | x87.opcode;
    fields[kDataOffset] = kReserved | (data & 0xFFFF);
    fields[kDataHigh] = (data >> 16 & high_mask) << kHighShift;
  } else {
    fields[kInstructionOffset] = static_cast<uint32_t>(x87.instruction_pointer);
    fields[kInstructionHigh] = x87.code_selector | static_cast<uint32_t>(x87.opcode) << 16;
    fields[kDataOffset] = static_cast<uint32_t>(x87.data_pointer);
    fields[kDataHigh] = kReserved | x87.data_selector;
  }
  return fields;
}

// Writes the environment as it lies in memory; returns its size.
unsigned write_environment(const Cpu& cpu, const Op& op, uint8_t* image) {
  const bool wide = !is_16_bit_format(op);
  const size_t field_size = wide ? 4 : 2;
  const std::array<uint32_t, kFields> fields = environment_fields(cpu, wide);
  for (unsigned i = 0; i < kFields; ++i) std::memcpy(image + i * field_size, &fields[i], field_size);
  return environment_size(op);
}

void read_pointers(Cpu& cpu, const std::array<uint32_t, kFields>& fields, bool wide) {
  X87State& x87 = cpu.x87;
  if (is_real_format(cpu)) {
    x87.instruction_pointer = (fields[kInstructionOffset] & 0xFFFF) | (fields[kInstructionHigh] >> kHighShift) << 16;
    x87.data_pointer = (fields[kDataOffset] & 0xFFFF) | (fields[kDataHigh] >> kHighShift) << 16;
    x87.code_selector = x87.data_selector = 0;
    x87.opcode = fields[kInstructionHigh] & 0x7FF;
    return;
  }
  x87.instruction_pointer = fields[kInstructionOffset];
  x87.data_pointer = fields[kDataOffset];
  x87.code_selector = static_cast<uint16_t>(fields[kInstructionHigh]);
  x87.data_selector = static_cast<uint16_t>(fields[kDataHigh]);
  x87.opcode = wide ? fields[kInstructionHigh] >> 16 & 0x7FF : 0;
}

void read_environment(Cpu& cpu, const Op& op, const uint8_t* image) {
  const bool wide = !is_16_bit_format(op);
  const size_t field_size = wide ? 4 : 2;
  std::array<uint32_t, kFields> fields{};
  for (unsigned i = 0; i < kFields; ++i) std::memcpy(&fields[i], image + i * field_size, field_size);
  read_pointers(cpu, fields, wide);
  cpu.x87.empty = empty_of_tag_word(fields[kTag]);
  x87_set_words(cpu, static_cast<uint16_t>(fields[kControl]), static_cast<uint16_t>(fields[kStatus]));
}

void store_environment(Cpu& cpu, const Op& op) {
  check_x87_available(cpu);
  std::array<uint8_t, kMaximumSize> image;
  const unsigned size = write_environment(cpu, op, image.data());
  store_block(cpu, operand_linear(cpu, op, size, true), image.data(), size, op.segment == kSs);
  x87_set_words(cpu, cpu.x87.control | x87_status::kExceptions, x87_status_word(cpu.x87));
}
void load_environment(Cpu& cpu, const Op& op) {
  std::array<uint8_t, kMaximumSize> image;
  const unsigned size = environment_size(op);
  load_block(cpu, operand_linear(cpu, op, size, false), image.data(), size, op.segment == kSs);
  read_environment(cpu, op, image.data());
}

using SaveImage = std::array<uint8_t, kMaximumSize + 8 * kRegisterBytes>;

void save(Cpu& cpu, const Op& op) {
  check_x87_available(cpu);
  SaveImage image;
  unsigned size = write_environment(cpu, op, image.data());
  for (unsigned i = 0; i < 8; ++i, size += kRegisterBytes) {
    std::memcpy(image.data() + size, &x87_st(cpu.x87, i), kRegisterBytes);
  }
  store_block(cpu, operand_linear(cpu, op, size, true), image.data(), size, op.segment == kSs);
  x87_initialize(cpu);
}
void restore(Cpu& cpu, const Op& op) {
  SaveImage image;
  unsigned offset = environment_size(op);
  const unsigned size = offset + 8 * kRegisterBytes;
  load_block(cpu, operand_linear(cpu, op, size, false), image.data(), size, op.segment == kSs);
  read_environment(cpu, op, image.data());
  for (unsigned i = 0; i < 8; ++i, offset += kRegisterBytes) {
    std::memcpy(&x87_st(cpu.x87, i), image.data() + offset, kRegisterBytes);
  }
}

}  // namespace

Selection select_x87_environment(const decode::Instruction& instruction) {
  switch (instruction.mnemonic) {
    case Mnemonic::Fnstenv:
      return select_plain<store_environment>();
    case Mnemonic::Fldenv:
      return select_x87_control<load_environment>();
    case Mnemonic::Fnsave:
      return select_plain<save>();
    case Mnemonic::Frstor:
      return select_x87_control<restore>();
    default:
      return {};
  }
}

}  // namespace calco::cpu
