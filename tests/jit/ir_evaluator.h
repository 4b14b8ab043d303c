// What a block does, operation by operation, on a small state: the reference that passes are checked against.
#pragma once

#include <array>
#include <cstdint>

#include "cpu/flags.h"
#include "jit/ir/ir.h"

namespace calco::jit::ir {

struct EvaluatedState {
  std::array<uint64_t, 16> registers{};
  uint64_t fs_base = 0;
  uint64_t gs_base = 0;
  uint64_t page_base = 0;
  uint64_t vectors = 0;  // stands for all vector registers
  cpu::LazyFlags flags;
  std::array<uint8_t, 256> memory{};  // linear addresses wrap around; host addresses are linear addresses

  uint64_t flag_bits() const { return cpu::arithmetic_flags(flags); }
};

struct Outcome {
  bool left = false;  // an operation that may leave did
  bool flags_matter = true;
  Opcode end = Opcode::Leave;
  unsigned guest = 0;   // the guest instruction that was not done, where it left
  uint64_t target = 0;  // RIP otherwise

  friend bool operator==(const Outcome&, const Outcome&) = default;
};

// The access to memory with this number, counted from 0 over Load, Store and HostAddress, leaves the block.
constexpr unsigned kNoFault = ~0u;

// Operations marked kFlagsOnlyForFaults are executed as late as a back end may: where the block is left.
Outcome evaluate(const Block& block, EvaluatedState& state, unsigned faulting_access = kNoFault);

}  // namespace calco::jit::ir
