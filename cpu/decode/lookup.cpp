#include "cpu/decode/lookup.h"

#include <algorithm>

namespace calco::decode {
namespace {

// How many opcodes a row covers, a power of two.
unsigned opcode_span(const Row& row) {
  switch (row.form) {
    case Form::RegisterInOpcode:
      return 8;
    case Form::ConditionInOpcode:
      return 16;
    default:
      return 1;
  }
}

bool covers_opcode(const Row& row, OpcodeKey key) {
  if (row.map != key.map || (row.prefixes >> key.prefix & 1) == 0) return false;
  if ((key.opcode & ~(opcode_span(row) - 1)) != row.opcode) return false;
  if (key.map >= OpcodeMap::Vex0F) return !row.has(key.variant == 1 ? attribute::kW0 : attribute::kW1);
  return !row.has(key.variant == 1 ? attribute::kInvalid64 : attribute::kOnly64);
}

bool covers_modrm(const Row& row, uint8_t modrm) {
  if (!row.register_form && !row.memory_form) return true;
  const bool is_register = modrm >= 0xC0;
  if (is_register ? !row.register_form : !row.memory_form) return false;
  return (row.digit < 0 || row.digit == (modrm >> 3 & 7)) && (row.rm < 0 || row.rm == (modrm & 7));
}

}  // namespace

uint16_t Lookup::next(uint16_t row, OpcodeKey key, uint8_t modrm) {
  const std::span<const Row> all = rows();
  for (size_t i = row + 1u; i < all.size(); ++i) {
    if (covers_opcode(all[i], key) && covers_modrm(all[i], modrm)) return static_cast<uint16_t>(i);
  }
  return kInvalid;
}

Lookup::ModRmTable Lookup::matches(OpcodeKey key, const std::vector<uint16_t>& candidates) {
  ModRmTable table;
  for (unsigned i = 0; i < kModRmClasses; ++i) {
    const auto modrm = static_cast<uint8_t>(i < 8 ? i << 3 : 0xC0 + i - 8);
    const auto match = std::find_if(candidates.begin(), candidates.end(), [&](uint16_t number) {
      return covers_opcode(rows()[number], key) && covers_modrm(rows()[number], modrm);
    });
    table[i] = match == candidates.end() ? kInvalid : *match;
  }
  return table;
}

Lookup::Lookup() {
  // Row numbers by map and opcode, in table order.
  std::array<std::array<std::vector<uint16_t>, 256>, static_cast<size_t>(OpcodeMap::Count)> by_opcode;
  for (size_t number = 0; number < rows().size(); ++number) {
    const Row& row = rows()[number];
    for (unsigned i = 0; i < opcode_span(row); ++i) {
      by_opcode[static_cast<size_t>(row.map)][row.opcode + i].push_back(static_cast<uint16_t>(number));
    }
  }
  for (size_t map = 0; map < by_opcode.size(); ++map) {
    for (unsigned rest = 0; rest < 2 * 4 * 256; ++rest) {
      const OpcodeKey key{static_cast<OpcodeMap>(map), rest >> 10, rest >> 8 & 3, static_cast<uint8_t>(rest)};
      const ModRmTable table = matches(key, by_opcode[map][key.opcode]);
      const bool uniform = std::all_of(table.begin(), table.end(), [&](uint16_t row) { return row == table[0]; });
      if (uniform) {
        slots_[slot(key)] = table[0];
        continue;
      }
      const auto known = std::find(tables_.begin(), tables_.end(), table);
      slots_[slot(key)] = static_cast<uint16_t>(kIndirect + (known - tables_.begin()));
      if (known == tables_.end()) tables_.push_back(table);
    }
  }
}

}  // namespace calco::decode
