// The registers as text, for logs and the monitor.
#pragma once

#include <string>

#include "cpu/cpu.h"

namespace calco::cpu {

// Several lines, each ended: general registers, flags, segments, tables, control and debug registers. RIP must be
// exact.
std::string describe_registers(const Cpu& cpu);

}  // namespace calco::cpu
