// Control registers with the checks and effects of MOV to CR (SDM vol. 2, MOV; vol. 3, 2.5 and 4.1).
#pragma once

#include <cstdint>

#include "cpu/cpu.h"

namespace calco::cpu {

// Each raises #GP(0) for what the manual forbids, and otherwise changes modes and flushes what the change invalidates.
void write_cr0(Cpu& cpu, uint64_t value);
void write_cr3(Cpu& cpu, uint64_t value);
void write_cr4(Cpu& cpu, uint64_t value);
void write_cr8(Cpu& cpu, uint64_t value);
void write_efer(Cpu& cpu, uint64_t value);

// CR3 as a task switch loads it.
void load_task_cr3(Cpu& cpu, uint64_t value);

// Reads the PDPTEs again where PAE paging is on, without any check (RSM).
void reload_pae_pointers(Cpu& cpu);

// CR4 bits that the CPU model has.
uint64_t supported_cr4(const Cpu& cpu);

}  // namespace calco::cpu
