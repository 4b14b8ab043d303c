// Numbers as they are written in the monitor: "$rip + 0x10".
#pragma once

#include <cstdint>
#include <string_view>

#include "cpu/cpu.h"

namespace calco::machine {

// Integers (decimal, 0x hexadecimal, leading 0 octal), 'c' characters, registers of `cpu` ("$rax", "$cs.base", "$cr3"),
// + - * / % & | ^ ~ and parentheses; 64 bits, wrapping. Throws MonitorError. `cpu` is paused.
uint64_t evaluate(std::string_view text, const cpu::Cpu& cpu);

}  // namespace calco::machine
