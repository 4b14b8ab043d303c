// Where a debugger outside of the guest wants a processor to stop; the guest's own DR0-DR7 know nothing of it.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

namespace calco::cpu {

// A plain value: the debugger makes one and gives it to each paused processor (Cpu::set_debugger_stops).
class DebuggerStops {
 public:
  // What made the processor stop.
  struct Hit {
    enum class Kind : uint8_t { Breakpoint, Write, Read, Access };
    Kind kind;
    uint64_t linear;  // address of the breakpoint, or the first one of the watchpoint
    bool operator==(const Hit&) const = default;
  };
  struct Watchpoint {
    Hit::Kind kind;  // Write, Read or Access
    uint64_t linear;
    uint64_t size;  // bytes
    bool operator==(const Watchpoint&) const = default;
  };

  std::vector<uint64_t> breakpoints;  // linear addresses of instructions
  std::vector<Watchpoint> watchpoints;

  // Whether any breakpoint has the same place in its page as `linear`: blocks, which are kept by physical address, end
  // in front of such instructions.
  bool breakpoint_at_page_offset(uint64_t linear) const;
  bool watches_page(uint64_t linear_page) const;

  // Take note where a breakpoint or watchpoint is hit; true: it is. The first hit is kept.
  bool note_instruction(uint64_t linear);
  bool note_access(uint64_t linear, unsigned size, bool write);
  const std::optional<Hit>& hit() const { return hit_; }

 private:
  std::optional<Hit> hit_;
};

}  // namespace calco::cpu
