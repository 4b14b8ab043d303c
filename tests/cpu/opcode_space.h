// Walks the opcode space for the decoder's comparisons.
#pragma once

#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <initializer_list>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "cpu/decode/instruction.h"

namespace calco::decode {

constexpr size_t kCaseBytes = 15;
using CaseBytes = std::array<uint8_t, kCaseBytes>;

inline bool is_legacy_prefix(uint8_t byte) {
  for (const uint8_t prefix : {0x26, 0x2E, 0x36, 0x3E, 0x64, 0x65, 0x66, 0x67, 0xF0, 0xF2, 0xF3}) {
    if (byte == prefix) return true;
  }
  return false;
}
inline bool is_rex(uint8_t byte, CodeSize code_size) { return code_size == CodeSize::Bits64 && (byte & 0xF0) == 0x40; }

// The given bytes, then a tail that is different in every place.
inline CaseBytes case_bytes(std::initializer_list<std::span<const uint8_t>> parts) {
  CaseBytes bytes{};
  size_t size = 0;
  for (const auto part : parts) {
    for (const uint8_t byte : part) bytes[size++] = byte;
  }
  for (uint8_t fill = 0x24; size < kCaseBytes; ++fill) bytes[size++] = fill;
  return bytes;
}

// Every prefix combination of interest, map, opcode and ModRM byte in one code size.
template <typename Visit>
void for_each_legacy_case(CodeSize code_size, Visit visit) {
  static const std::vector<std::vector<uint8_t>> kPrefixes = {
      {},
      {0x66},
      {0xF3},
      {0xF2},
      {0xF0},
      {0x67},
      {0x64},
      {0x66, 0xF3},
      {0xF2, 0x66},
      {0xF2, 0xF3},
      {0x48},
      {0x41},
      {0x66, 0x48},
      {0xF3, 0x48},
      {0xF2, 0x4C},
      {0x48, 0x66},
      {0xF0, 0x48},
      {0x67, 0x2E},
      {0x66, 0x66, 0x66},
  };
  static const std::vector<std::vector<uint8_t>> kMaps = {{}, {0x0F}, {0x0F, 0x38}, {0x0F, 0x3A}};
  for (const auto& prefixes : kPrefixes) {
    const bool has_rex = !prefixes.empty() && ((prefixes.back() & 0xF0) == 0x40 || (prefixes[0] & 0xF0) == 0x40);
    if (has_rex && code_size != CodeSize::Bits64) continue;
    for (const auto& map : kMaps) {
      for (unsigned opcode = 0; opcode < 256; ++opcode) {
        const auto byte = static_cast<uint8_t>(opcode);
        if (map.empty() && (is_legacy_prefix(byte) || is_rex(byte, code_size) || byte == 0x0F)) continue;
        if (map.size() == 1 && (byte == 0x38 || byte == 0x3A)) continue;
        for (unsigned modrm = 0; modrm < 256; ++modrm) {
          visit(case_bytes({prefixes, map, std::array{byte, static_cast<uint8_t>(modrm)}}));
        }
      }
    }
  }
}

// Every VEX map, W, L, pp and opcode, with and without a register in vvvv.
template <typename Visit>
void for_each_vex_case(Visit visit) {
  for (unsigned map = 1; map < 4; ++map) {
    for (unsigned bits = 0; bits < 16; ++bits) {  // W, L, pp
      for (const unsigned vvvv : {15u, 12u}) {
        const std::array vex = {uint8_t{0xC4}, static_cast<uint8_t>(0xE0 | map),
                                static_cast<uint8_t>((bits & 8) << 4 | vvvv << 3 | (bits & 4) | (bits & 3))};
        for (unsigned opcode = 0; opcode < 256; ++opcode) {
          for (unsigned modrm = 0; modrm < 256; modrm += 5) {
            visit(case_bytes({vex, std::array{static_cast<uint8_t>(opcode), static_cast<uint8_t>(modrm)}}));
          }
        }
      }
    }
  }
}

// For the names of tests that run once a code size.
inline std::string code_size_name(const testing::TestParamInfo<CodeSize>& info) {
  constexpr const char* kNames[] = {"Bits16", "Bits32", "Bits64"};
  return kNames[static_cast<size_t>(info.param)];
}

template <typename Visit>
void for_each_random_case(unsigned count, Visit visit) {
  std::mt19937_64 random(20);
  for (unsigned i = 0; i < count; ++i) {
    CaseBytes bytes;
    for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random());
    visit(bytes);
  }
}

}  // namespace calco::decode
