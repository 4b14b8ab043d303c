// Guest memory as a paused processor's code would see it, for debuggers.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "cpu/cpu.h"

namespace calco::machine {

// What lies at linear address `linear`, up to `size` bytes: ends early in front of a page that is not mapped or that a
// device answers for. Without side effects: no accessed bits, no faults.
std::vector<uint8_t> read_linear_memory(cpu::Cpu& cpu, uint64_t linear, uint64_t size);
// Writes RAM and ROM whatever the page tables permit. False, with nothing written, where any byte has no memory.
bool write_linear_memory(cpu::Cpu& cpu, uint64_t linear, std::span<const uint8_t> bytes);

}  // namespace calco::machine
