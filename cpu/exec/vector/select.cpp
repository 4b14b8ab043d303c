// Finds the family of a vector instruction.
#include "cpu/decode/row.h"
#include "cpu/exec/vector/families.h"

namespace calco::cpu {

namespace {

using decode::Mnemonic;

// Only VEX encodings have them.
constexpr Selector kVexFamilies[] = {
    vector::select_vector_move,   vector::select_integer_compare,
    vector::select_integer_shift, vector::select_shuffle,
    vector::select_lane,          vector::select_masked_access,
    vector::select_fused,         vector::select_half_precision,
    vector::select_float_compare,
};
constexpr Selector kFamilies[] = {
    vector::select_vector_move,      vector::select_integer_arithmetic,
    vector::select_integer_compare,  vector::select_integer_shift,
    vector::select_shuffle,          vector::select_element,
    vector::select_float_arithmetic, vector::select_float_compare,
    vector::select_conversion,       vector::select_string_compare,
    vector::select_crypto,           vector::select_bit_field,
};

Selection first_of(std::span<const Selector> families, const decode::Instruction& instruction, Op& op) {
  for (const Selector select : families) {
    const Selection selection = select(instruction, op);
    if (selection.handler != nullptr) return selection;
  }
  return {};
}

}  // namespace

// Most VEX encodings do what the legacy ones do that are called the same but for the V.
Selection select_vector(const decode::Instruction& instruction, Op& op) {
  if (instruction.vector_length == 0) return first_of(kFamilies, instruction, op);
  const Selection selection = first_of(kVexFamilies, instruction, op);
  if (selection.handler != nullptr) return selection;
  decode::Instruction like_legacy = instruction;
  like_legacy.mnemonic = decode::legacy_counterpart(instruction.mnemonic);
  return first_of(kFamilies, like_legacy, op);
}

}  // namespace calco::cpu
