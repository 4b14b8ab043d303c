// From opcode to table row in two array accesses.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "cpu/decode/row.h"

namespace calco::decode {

// What selects a row. `variant`: 1 in 64-bit code; for VEX maps VEX.W.
struct OpcodeKey {
  OpcodeMap map;
  unsigned variant;
  unsigned prefix;  // 0 none, 1 66, 2 F3, 3 F2
  uint8_t opcode;
};

// Immutable once built. The rows that it names may still have conditions (features, REX.W, operand size); the next
// rows of the table are then the alternatives, see next().
class Lookup {
 public:
  static constexpr uint16_t kInvalid = 0xFFFF;

  Lookup();

  // A row number, kInvalid, or a value that needs ModRM (needs_modrm()) and is given to with_modrm().
  uint16_t find(OpcodeKey key) const { return slots_[slot(key)]; }
  static bool needs_modrm(uint16_t found) { return found >= kIndirect && found != kInvalid; }
  uint16_t with_modrm(uint16_t found, uint8_t modrm) const { return tables_[found - kIndirect][modrm_class(modrm)]; }
  // The row after `row` that covers the same opcode, or kInvalid.
  static uint16_t next(uint16_t row, OpcodeKey key, uint8_t modrm);

 private:
  static constexpr uint16_t kIndirect = 0x8000;
  // Memory forms by ModRM.reg, then the 64 register forms.
  static constexpr size_t kModRmClasses = 72;
  using ModRmTable = std::array<uint16_t, kModRmClasses>;

  static size_t slot(OpcodeKey key) {
    return ((static_cast<size_t>(key.map) * 2 + key.variant) * 4 + key.prefix) * 256 + key.opcode;
  }
  static unsigned modrm_class(uint8_t modrm) { return modrm >= 0xC0 ? 8 + (modrm & 0x3F) : modrm >> 3 & 7; }
  static ModRmTable matches(OpcodeKey key, const std::vector<uint16_t>& candidates);

  std::array<uint16_t, static_cast<size_t>(OpcodeMap::Count) * 2 * 4 * 256> slots_;
  std::vector<ModRmTable> tables_;
};

}  // namespace calco::decode
