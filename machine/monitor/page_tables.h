// What the guest's page tables map, for `info tlb`, `info mem` and core dumps.
#pragma once

#include <cstdint>
#include <functional>

#include "cpu/cpu.h"

namespace calco::machine {

// One page that is mapped.
struct PageMapping {
  uint64_t linear = 0;
  uint64_t physical = 0;
  uint64_t size = 0;   // bytes: 4 KiB, 2 MiB, 4 MiB or 1 GiB
  uint64_t entry = 0;  // the entry that maps it
  bool user = false;   // as all levels together say, as is `writable`
  bool writable = false;
};

// Entries that are looked at in all: tables that contain themselves can map all of the address space.
constexpr uint64_t kMostTableEntries = 4'000'000;

// Calls `visit` for every mapped page in the order of linear addresses (SDM vol. 3, 4.3 to 4.5); for none where paging
// is off. False where the walk was cut short at kMostTableEntries. `cpu` is paused; nothing is changed in its tables.
bool for_each_mapping(cpu::Cpu& cpu, const std::function<void(const PageMapping&)>& visit);

}  // namespace calco::machine
