// The decoder behind decode() of instruction.h.
#pragma once

#include <span>

#include "cpu/decode/instruction.h"
#include "cpu/decode/lookup.h"

namespace calco::decode {

// Decodes one instruction; made for it and thrown away. Rules: SDM vol. 2, chapter 2 and AMD APM vol. 3, chapter 1.
class Decoder {
 public:
  Decoder(const Lookup& lookup, std::span<const uint8_t> bytes, CodeSize code_size, const FeatureSet& features,
          Instruction& instruction);
  Status run();

 private:
  static constexpr unsigned kMaximumLength = 15;

  bool in_64_bit_code() const { return code_size_ == CodeSize::Bits64; }

  // The next bytes as a little-endian number. Past the end gives zeros and `overrun_`.
  template <typename Integer>
  Integer take();
  uint8_t peek() const { return position_ < available_ ? bytes_[position_] : 0; }
  uint64_t take_unsigned(unsigned bytes);
  int64_t take_signed(unsigned bytes);

  void read_prefixes();
  void read_opcode();
  bool starts_vex(uint8_t opcode) const;
  void read_vex(uint8_t opcode);
  void compute_sizes();
  const Row* select_row();
  bool conditions_hold(const Row& row) const;
  void apply_row(const Row& row);
  void read_memory();
  void read_memory_16();
  void read_sib();
  uint8_t data_segment(uint8_t default_segment) const;
  bool read_operand(const OperandSpec& spec, Operand& operand);
  bool read_rm(const OperandSpec& spec, Operand& operand, OperandKind register_kind);
  void read_immediate(const OperandSpec& spec, Operand& operand);
  void implicit_memory(const OperandSpec& spec, Operand& operand);
  Operand general(uint8_t number, uint8_t size) const;
  // Outside of 64-bit code the highest bit names no register, but must be clear where none is named.
  uint8_t vvvv_register() const { return in_64_bit_code() ? vvvv_ : vvvv_ & 7; }
  uint8_t width_in_bytes(Width width, bool is_register) const;
  bool operands_are_valid(const Row& row) const;
  Status finish(bool valid);

  const Lookup& lookup_;
  const uint8_t* bytes_;
  unsigned available_;  // bytes that may be looked at
  bool more_may_come_;  // the instruction may be longer than `bytes`
  CodeSize code_size_;
  const FeatureSet& features_;
  Instruction& out_;

  unsigned position_ = 0;
  bool overrun_ = false;
  bool invalid_ = false;
  bool has_modrm_ = false;
  bool immediate_used_ = false;
  bool operand_size_prefix_ = false;
  bool address_size_prefix_ = false;
  bool vex_ = false;
  bool vex_w_ = false;
  uint8_t repeat_prefix_ = 0;  // 0, F2 or F3
  uint8_t rex_ = 0;            // REX, or the same bits from VEX with inversion undone
  uint8_t vvvv_ = 0;
  OpcodeKey key_{};
};

}  // namespace calco::decode
