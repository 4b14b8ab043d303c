// Where the host has guest state that translated code has not written to the CpuState.
//
// The ways out of a fast path are many and seldom taken. Code that stores all guest registers on each of them is larger
// than the fast paths themselves, and takes its compiler longer. It calls RuntimeEntries::put_state instead, with a
// table that says where each part of the state is at that call; the table costs no code.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "cpu/state.h"

namespace calco::jit {

struct StateLocation {
  enum class Kind : uint8_t {
    Unknown,   // until the code is there; `bytes` is right
    General,   // index: number of the host's general register
    Vector,    // index: number of the host's vector register
    Memory,    // the bytes at general register `index` + offset
    Constant,  // value
  };
  Kind kind{};
  uint8_t index = 0;
  uint16_t bytes = 0;
  int32_t offset = 0;
  uint64_t value = 0;
};

// Complete before the code that refers to it executes; as long-lived as that code.
struct StateTable {
  struct Entry {
    int destination = 0;  // bytes from the CpuState's first
    StateLocation location;
  };
  std::vector<Entry> entries;
  int32_t advance = 0;  // what is added to RIP; negative where a loop goes on in a page before
  bool complete = false;
};

// The host's registers at the call, by their numbers.
struct HostRegisters {
  static constexpr unsigned kVectorBytes = 32;
  std::array<std::array<uint8_t, kVectorBytes>, 16> vectors;
  std::array<uint64_t, 16> general;
};

// Copies what the table names to the state.
void put_state(cpu::CpuState* state, const StateTable* table, const HostRegisters* registers);

}  // namespace calco::jit
