// LLVM's stack maps (docs: StackMaps, version 3): where a call's "deopt" operands are.
#pragma once

#include <deque>
#include <span>
#include <string>

#include "jit/runtime/state_table.h"

namespace calco::jit {

// What a location holds until the object says where it is, with the size that it should have.
constexpr uint64_t kUnknownLocation = 0x6E776F6E6B6E75;

// Completes the tables of an object's calls; the number of a call ("statepoint-id") is its table's place. False, with
// `error` set, where the object says something that a table cannot.
bool read_stack_maps(std::span<const char> object, std::deque<StateTable>& tables, std::string& error);

}  // namespace calco::jit
