// Model-specific registers (SDM vol. 4; APM vol. 2, appendix A).
#pragma once

#include <cstdint>

#include "cpu/cpu.h"

namespace calco::cpu {

// Both return false where the access is a #GP(0): no such register, reserved bits, a value that makes no sense.
bool read_msr(Cpu& cpu, uint32_t index, uint64_t& value);
bool write_msr(Cpu& cpu, uint32_t index, uint64_t value);

}  // namespace calco::cpu
