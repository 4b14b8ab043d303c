// A processor's registers as gdb numbers and describes them.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "cpu/cpu.h"

namespace calco::machine {

// The target description (gdb's manual, appendix G): 64-bit registers in every mode, as features
// org.gnu.gdb.i386.core, .sse and .segments, and one of our own with control registers.
//
// Threads: the processor is paused.
std::string gdb_target_description();

unsigned gdb_register_count();
// Size in bytes of register `number`; 0 where there is none of that number.
size_t gdb_register_size(unsigned number);
// The value, least significant byte first; empty where there is none of that number.
std::vector<uint8_t> read_gdb_register(const cpu::Cpu& cpu, unsigned number);
// False where the register does not exist, cannot be changed from outside to this value (selectors, control registers)
// or `bytes` are not as many as the register has. Writing what a register holds already always succeeds.
bool write_gdb_register(cpu::Cpu& cpu, unsigned number, std::span<const uint8_t> bytes);

}  // namespace calco::machine
