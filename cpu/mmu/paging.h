// Constants of paging that several files share.
#pragma once

#include <cstdint>

namespace calco::cpu {

// MAXPHYADDR: width of guest physical addresses, reported by CPUID 8000_0008H and enforced by page walks.
constexpr unsigned kPhysicalAddressBits = 40;

constexpr bool canonical(uint64_t linear) {
  return static_cast<uint64_t>(static_cast<int64_t>(linear << 16) >> 16) == linear;
}

}  // namespace calco::cpu
