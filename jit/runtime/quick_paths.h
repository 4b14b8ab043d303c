// The commoner half of what translated code calls where its own look at the TLB does not help, done without leaving
// translated code's surroundings: the functions keep every register but R11 and the result (clang's preserve_all), call
// nothing, compute no floating point and raise nothing, so there is nothing to save around them. Where they answer null
// they have done nothing, and helpers.h has the function for all cases.
#pragma once

#include <cstdint>

#include "cpu/exec/op.h"
#include "cpu/state.h"

namespace calco::jit {

#define CALCO_QUICK_CONVENTION __attribute__((preserve_all))

// As load_slowly(); where the value lies, extended to 64 bits.
CALCO_QUICK_CONVENTION const uint64_t* load_quickly(cpu::CpuState* state, uint64_t linear, uint32_t site);
// As store_slowly(); not null: stored.
CALCO_QUICK_CONVENTION const void* store_quickly(cpu::CpuState* state, uint64_t linear, uint32_t site, uint64_t value);
CALCO_QUICK_CONVENTION uint8_t* find_host_address_quickly(cpu::CpuState* state, uint64_t linear, uint32_t site);
// As interpret(); not null: done. Only for REP MOVS and REP STOS alone, and at most a page of them.
CALCO_QUICK_CONVENTION const void* interpret_quickly(cpu::CpuState* state, const cpu::Op* op);
// The six flags of the lazy triple in the state; always.
CALCO_QUICK_CONVENTION uint64_t compute_flags(const cpu::CpuState* state);

}  // namespace calco::jit
