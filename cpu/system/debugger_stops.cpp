#include "cpu/system/debugger_stops.h"

#include <algorithm>

#include "machine/core/guest_memory.h"

namespace calco::cpu {

namespace {

bool overlaps(const DebuggerStops::Watchpoint& watchpoint, uint64_t first, uint64_t size) {
  // Differences, because a watchpoint may end where the address space does.
  return first - watchpoint.linear < watchpoint.size || watchpoint.linear - first < size;
}

}  // namespace

bool DebuggerStops::breakpoint_at_page_offset(uint64_t linear) const {
  return std::ranges::any_of(breakpoints,
                             [linear](uint64_t breakpoint) { return ((breakpoint ^ linear) & ~kPageMask) == 0; });
}

bool DebuggerStops::watches_page(uint64_t linear_page) const {
  return std::ranges::any_of(watchpoints, [linear_page](const Watchpoint& watchpoint) {
    return overlaps(watchpoint, linear_page, kPageSize);
  });
}

bool DebuggerStops::note_instruction(uint64_t linear) {
  if (std::ranges::find(breakpoints, linear) == breakpoints.end()) return false;
  if (!hit_) hit_ = Hit{Hit::Kind::Breakpoint, linear};
  return true;
}

bool DebuggerStops::note_access(uint64_t linear, unsigned size, bool write) {
  const auto found = std::ranges::find_if(watchpoints, [&](const Watchpoint& watchpoint) {
    const bool wanted = watchpoint.kind == Hit::Kind::Access || (watchpoint.kind == Hit::Kind::Write) == write;
    return wanted && overlaps(watchpoint, linear, size);
  });
  if (found == watchpoints.end()) return false;
  if (!hit_) hit_ = Hit{found->kind, found->linear};
  return true;
}

}  // namespace calco::cpu
