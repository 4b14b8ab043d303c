// The instruction families of cpu/exec/vector: one selector a file. Each answers a null handler for what is not its
// own.
#pragma once

#include "cpu/exec/handlers.h"

namespace calco::cpu::vector {

Selection select_integer_arithmetic(const decode::Instruction& instruction, Op& op);
Selection select_integer_compare(const decode::Instruction& instruction, Op& op);
Selection select_integer_shift(const decode::Instruction& instruction, Op& op);
Selection select_shuffle(const decode::Instruction& instruction, Op& op);
Selection select_element(const decode::Instruction& instruction, Op& op);
Selection select_vector_move(const decode::Instruction& instruction, Op& op);
Selection select_float_arithmetic(const decode::Instruction& instruction, Op& op);
Selection select_float_compare(const decode::Instruction& instruction, Op& op);
Selection select_conversion(const decode::Instruction& instruction, Op& op);
Selection select_string_compare(const decode::Instruction& instruction, Op& op);
Selection select_crypto(const decode::Instruction& instruction, Op& op);
Selection select_bit_field(const decode::Instruction& instruction, Op& op);
Selection select_lane(const decode::Instruction& instruction, Op& op);
Selection select_masked_access(const decode::Instruction& instruction, Op& op);
Selection select_fused(const decode::Instruction& instruction, Op& op);
Selection select_half_precision(const decode::Instruction& instruction, Op& op);

}  // namespace calco::cpu::vector
