// Which flags operations read.
#pragma once

#include <array>
#include <cstdint>

#include "cpu/state.h"

namespace calco::jit::opt {

// Of condition code 0-15 (SDM vol. 1, appendix B), as RFLAGS bits.
constexpr uint64_t flags_of_condition(unsigned condition) {
  namespace rflags = cpu::rflags;
  constexpr std::array<uint64_t, 8> kFlags = {rflags::kOf,
                                              rflags::kCf,
                                              rflags::kZf,
                                              rflags::kCf | rflags::kZf,
                                              rflags::kSf,
                                              rflags::kPf,
                                              rflags::kSf | rflags::kOf,
                                              rflags::kZf | rflags::kSf | rflags::kOf};
  return kFlags[condition >> 1 & 7];
}

}  // namespace calco::jit::opt
