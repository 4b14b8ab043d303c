// Debug exceptions: single steps and the breakpoints of DR0-DR3 (SDM vol. 3, chapter 17).
#pragma once

#include <cstdint>

#include "cpu/cpu.h"

namespace calco::cpu {

namespace dr6 {
constexpr uint64_t kBreakpoints = 0xF, kGeneralDetect = 1u << 13, kSingleStep = 1u << 14, kTaskSwitch = 1u << 15,
                   kFixed = 0xFFFF0FF0;
}
namespace dr7 {
constexpr uint64_t kLocalEnables = 0x55, kEnables = 0xFF, kGeneralDetect = 1u << 13, kFixed = 1u << 10;
}

// True while instructions must be executed one a block, with the two calls below around each: TF or RF is set, a
// breakpoint is enabled, or a trap is pending.
bool single_step_needed(const Cpu& cpu);
// Before an instruction: raises #DB for a trap that is still pending, and for a breakpoint on the instruction's address
// unless RF is set.
void check_instruction_breakpoint(Cpu& cpu);
// After an instruction that completed: clears RF and delivers the traps that it caused. `flags_before` are the
// system_flags it started with. May raise.
void after_instruction(Cpu& cpu, uint64_t flags_before);

// True where an enabled data breakpoint lies in the page at `linear_page`: accesses must then take the slow path.
bool data_breakpoint_in_page(const Cpu& cpu, uint64_t linear_page);
// True where any data breakpoint is enabled.
bool data_breakpoints_enabled(const Cpu& cpu);
// An access that is going to complete: remembers the trap that it causes.
void check_data_breakpoint(Cpu& cpu, uint64_t linear, unsigned size, bool write);
void check_io_breakpoint(Cpu& cpu, uint16_t port, unsigned size);

// Sets DR6 as a debug exception with these causes does.
void report_debug_status(Cpu& cpu, uint64_t status);
// For a debug exception that comes for another reason: moves the causes of traps that are still pending to DR6.
void report_pending_traps(Cpu& cpu);

// MOV from and to DR4-DR7 without their checks of privilege, aliases and reserved bits.
uint64_t debug_register_value(const Cpu& cpu, unsigned number);
void set_debug_register(Cpu& cpu, unsigned number, uint64_t value);

}  // namespace calco::cpu
