// Guest code in readable form, for -d in_asm.
#pragma once

#include <cstdint>
#include <string>

#include "cpu/decode/instruction.h"

namespace calco::machine {

// One line an instruction: address, bytes, Intel syntax. Bytes that are no instruction are shown as such. Any thread.
std::string disassemble(const uint8_t* bytes, size_t size, decode::CodeSize code_size, uint64_t address);

}  // namespace calco::machine
