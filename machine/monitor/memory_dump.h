// The monitor's x, xp and print.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "cpu/cpu.h"

namespace calco::machine {

// What stands behind the slash: count, format and size, each once at most.
struct DumpFormat {
  static constexpr uint64_t kMostUnits = 65'536;

  uint64_t count = 1;
  char format = 'x';  // x, d, u, o, c, or i for instructions
  unsigned size = 4;  // bytes of a unit: 1, 2, 4 or 8

  // "16xb"; may be empty. Throws MonitorError.
  static DumpFormat parse(std::string_view text);
};

enum class AddressKind : uint8_t { Linear, Physical };

// Units from `address` on as `cpu` sees them, several lines. Reads RAM and ROM; what devices answer is not read, for
// that could have effects. Where memory ends the text says so. Every processor paused, device lock held.
std::string dump_memory(cpu::Cpu& cpu, AddressKind kind, uint64_t address, const DumpFormat& format);

// A number in the format's form.
std::string format_unit(uint64_t value, const DumpFormat& format);

}  // namespace calco::machine
