// Which exception an instruction on EmulatedInstruction raised.
#pragma once

#include <optional>

#include "tests/cpu/emulated_instruction.h"

namespace calco::cpu::test {

// Its handlers stand 16 bytes apart, and none of their instructions has been executed.
inline std::optional<unsigned> exception_taken(EmulatedInstruction& machine) {
  constexpr uint64_t kHandlers = 0x180000, kBytesApart = 16, kVectors = 32;
  const uint64_t offset = machine.processor().registers[kRip] - kHandlers;
  if (offset >= kVectors * kBytesApart) return std::nullopt;
  return static_cast<unsigned>(offset / kBytesApart);
}

}  // namespace calco::cpu::test
