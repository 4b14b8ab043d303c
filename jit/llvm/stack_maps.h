// LLVM's stack maps (docs: StackMaps, version 3): where a call's "deopt" operands are.
#pragma once

#include <deque>
#include <span>
#include <string>

#include "jit/runtime/state_table.h"

namespace calco::jit {

// Completes the tables of an object's calls; the number of a call ("statepoint-id") is its table's place. False, with
// `error` set, where the object says something that a table cannot.
bool read_stack_maps(std::span<const char> object, std::deque<StateTable>& tables, std::string& error);

}  // namespace calco::jit
