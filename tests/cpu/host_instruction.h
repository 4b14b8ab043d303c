// Runs one instruction on the processor that the tests run on: the oracle for instructions that are legal in user mode.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "tests/cpu/native_x87.h"

namespace calco::cpu::test {

struct HostState {
  FxsaveImage fx;
  std::array<uint64_t, 16> registers{};  // RAX, RCX, RDX, RBX, RSI and RDI are loaded and stored
  uint64_t flags = 0x202;
};

enum class HostFault : uint8_t { None, InvalidOpcode, Protection, FloatingPoint };

class HostInstruction {
 public:
  HostInstruction();
  ~HostInstruction();
  HostInstruction(const HostInstruction&) = delete;
  HostInstruction& operator=(const HostInstruction&) = delete;

  // Executes the instruction of these bytes (no jumps, no use of other registers than HostState has). `state` is what
  // it leaves, or what it found where it faults.
  HostFault run(std::span<const uint8_t> bytes, HostState& state);

 private:
  uint8_t* code_;  // one page, owned
};

}  // namespace calco::cpu::test
