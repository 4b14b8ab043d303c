// Finds the family of a vector instruction.
#include "cpu/exec/vector/families.h"

namespace calco::cpu {

Selection select_vector(const decode::Instruction& instruction, Op& op) {
  if (instruction.vector_length != 0) return {};  // VEX encodings have their own forms
  static constexpr Selector kFamilies[] = {
      vector::select_vector_move,      vector::select_integer_arithmetic,
      vector::select_integer_compare,  vector::select_integer_shift,
      vector::select_shuffle,          vector::select_element,
      vector::select_float_arithmetic, vector::select_float_compare,
      vector::select_conversion,       vector::select_string_compare,
      vector::select_crypto,           vector::select_bit_field,
  };
  for (const Selector select : kFamilies) {
    const Selection selection = select(instruction, op);
    if (selection.handler != nullptr) return selection;
  }
  return {};
}

}  // namespace calco::cpu
