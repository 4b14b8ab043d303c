// What operations give for constant arguments.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "jit/ir/ir.h"

namespace calco::jit::opt {

// The condition that CMP first, second gives for operands of the type.
bool holds(unsigned condition, ir::Type type, uint64_t first, uint64_t second);

constexpr uint64_t sign_extended(ir::Type type, uint64_t value) {
  const unsigned unused = 64 - bits_of(type);
  return static_cast<uint64_t>(static_cast<int64_t>(value << unused) >> unused);
}

// The result of an operation without effect whose arguments have these values, of `type` (the first argument's), all
// zero-extended; nothing for operations that are not worth it.
std::optional<uint64_t> evaluate_constant(const ir::Instruction& instruction, ir::Type type,
                                          const std::array<uint64_t, 3>& values);

}  // namespace calco::jit::opt
