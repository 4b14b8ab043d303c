// One test: code, the state it starts in, and what of the result is not defined.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "cpu/decode/instruction.h"
#include "tests/oracle/layout.h"
#include "tests/oracle/machine_image.h"

namespace calco::oracle {

// Bytes to be written to the data pages before the test.
struct Poke {
  uint64_t address = 0;
  std::vector<uint8_t> bytes;
};

struct TestCase {
  MachineImage initial;
  std::vector<uint8_t> code;  // without the jump to kExit that is appended
  std::vector<Poke> pokes;
  decode::CodeSize code_size = decode::CodeSize::Bits64;
  uint64_t code_address = kCode + 0x100;  // linear; RIP counts from the base of CS
  unsigned instructions = 1;
  uint64_t open_flags = 0;  // RFLAGS bits that the manual leaves undefined afterwards
  // The instruction's operand is longer than one access, so that the part that faults first is the processor's choice.
  bool open_fault_address = false;
  // Bytes of the data pages that depend on the processor model (FXSAVE's MXCSR_MASK).
  uint64_t open_memory = 0;
  unsigned open_memory_size = 0;
  // Seed of the data pages' contents.
  uint64_t memory_seed = 0;

  bool code_64() const { return code_size == decode::CodeSize::Bits64; }
};

// The code with the jump to kExit behind it.
std::vector<uint8_t> complete_code(const TestCase& test);

}  // namespace calco::oracle
