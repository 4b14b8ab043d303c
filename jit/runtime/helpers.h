// What translated code calls for everything that is not on its fast path. All take the CpuState; while they run its
// registers are whole and registers[kRip] is the page of the code, which they leave so unless they raise a fault.
#pragma once

#include <cstdint>

#include "cpu/cpu.h"
#include "cpu/exec/op.h"
#include "jit/runtime/state_table.h"

namespace calco::jit {

// Value of `site_size` bytes at a linear address.
uint64_t load_slowly(cpu::CpuState* state, uint64_t linear, uint32_t site);
// 1: nothing was stored, the instruction is for the interpreter (it changes code).
uint64_t store_slowly(cpu::CpuState* state, uint64_t linear, uint32_t site, uint64_t value);
// Null: the interpreter's (devices, page crossing, code, alignment).
uint8_t* find_host_address(cpu::CpuState* state, uint64_t linear, uint32_t site);
// The same for regions, whose registers the CpuState lacks: `table` and `registers` say where they are.
uint64_t load_for_region(cpu::CpuState* state, uint64_t linear, uint32_t site, uint64_t unused, const StateTable* table,
                         const HostRegisters* registers);
uint64_t store_for_region(cpu::CpuState* state, uint64_t linear, uint32_t site, uint64_t value, const StateTable* table,
                          const HostRegisters* registers);
uint8_t* find_host_address_for_region(cpu::CpuState* state, uint64_t linear, uint32_t site, uint64_t unused,
                                      const StateTable* table, const HostRegisters* registers);
// Runs operations up to stop_operation().
void interpret(cpu::CpuState* state, const cpu::Op* op);
// Runs one operation that hands the state back with RIP behind it. 0: the dispatch loop must go on; 1: translated code
// may, at RIP.
uint64_t interpret_at_end(cpu::CpuState* state, const cpu::Op* op);

// An operation that returns to whoever called the one in front of it, and its handler.
cpu::Op stop_operation();
CALCO_HANDLER_CONVENTION void stop(cpu::Cpu* cpu, const cpu::Op* op, cpu::TlbEntry* tlb);

}  // namespace calco::jit
