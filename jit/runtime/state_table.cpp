#include "jit/runtime/state_table.h"

#include <algorithm>
#include <cassert>
#include <cstring>

namespace calco::jit {

namespace {

const void* address_of(const StateLocation& location, const HostRegisters& registers) {
  switch (location.kind) {
    case StateLocation::Kind::General:
      return &registers.general[location.index];
    case StateLocation::Kind::Vector:
      return &registers.vectors[location.index];
    case StateLocation::Kind::Memory:
      return reinterpret_cast<const uint8_t*>(registers.general[location.index]) + location.offset;
    default:
      return &location.value;
  }
}

}  // namespace

void put_state(cpu::CpuState* state, const StateTable* table, const HostRegisters* registers) {
  state->registers[cpu::kRip] += static_cast<uint64_t>(int64_t{table->advance});
  auto* const bytes = reinterpret_cast<uint8_t*>(state);
  for (const StateTable::Entry& entry : table->entries) {
    assert(entry.location.kind != StateLocation::Kind::Unknown);
    assert(entry.location.bytes != 0 && entry.location.bytes <= HostRegisters::kVectorBytes);
    std::memcpy(bytes + entry.destination, address_of(entry.location, *registers), entry.location.bytes);
  }
}

}  // namespace calco::jit
