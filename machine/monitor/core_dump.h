// Guest memory and registers as an ELF core file, which gdb and crash read.
#pragma once

#include <cstdint>
#include <string>

#include "machine/pc/pc_board.h"

namespace calco::machine {

// Which part of guest physical memory.
struct CoreRange {
  uint64_t first = 0;
  uint64_t last = UINT64_MAX;
};

enum class CoreAddresses : uint8_t {
  Physical,  // segments carry guest physical addresses as their virtual ones too
  Linear,    // one segment a run of pages that the first processor's page tables map
};

// Writes an ELF64 core to the host file `path`, replacing it: one NT_PRSTATUS note a processor, and a PT_LOAD for every
// run of RAM in `range`. Throws MonitorError where the host refuses; what was written of the file is removed.
//
// Threads: every processor paused. Takes the device lock for as long as it looks, not while the host's file lets it
// wait.
void write_core_dump(PcBoard& board, const std::string& path, CoreAddresses addresses, CoreRange range);

}  // namespace calco::machine
