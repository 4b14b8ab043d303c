// State components of XSAVE that the interpreter moves without knowing what they are.
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <span>

namespace calco::cpu {

// Components 3 to 62 (SDM vol. 1, 13.1) of a processor that another engine executes, AVX-512 for example: kept in an
// XSAVE area of the standard form, to which CPUID leaf DH gave their places.
struct ForeignComponents {
  struct Place {
    uint32_t offset = 0;   // in the standard form, bytes
    uint32_t size = 0;     // bytes, even
    bool aligned = false;  // to 64 bytes in the compacted form
  };
  static constexpr unsigned kFirst = 3, kCount = 63;
  static constexpr uint64_t kAll = ~uint64_t{7} & ~(uint64_t{1} << 63);
  static constexpr unsigned kLargestArea = 4096;   // components that lie beyond are left out
  static constexpr unsigned kPresentOffset = 512;  // XSTATE_BV

  uint64_t mask = 0;  // those that exist, bits as in XCR0
  std::array<Place, kCount> places{};
  std::span<uint8_t> area;

  // Calls `visit(component, place)` for those of `components` that exist, in order.
  template <typename Visitor>
  void for_each(uint64_t components, Visitor&& visit) const {
    for (uint64_t left = components & mask; left != 0; left &= left - 1) {
      const unsigned component = static_cast<unsigned>(std::countr_zero(left));
      visit(component, places[component]);
    }
  }
};

}  // namespace calco::cpu
