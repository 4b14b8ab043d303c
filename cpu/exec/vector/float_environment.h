// Floating-point operations under the guest's MXCSR.
#pragma once

#include "cpu/exec/vector/operands.h"

namespace calco::cpu::vector {

namespace mxcsr {
constexpr uint32_t kInvalid = 1u << 0, kDenormal = 1u << 1, kZeroDivide = 1u << 2, kOverflow = 1u << 3,
                   kUnderflow = 1u << 4, kPrecision = 1u << 5;
constexpr uint32_t kFlags = 0x3F, kMaskShift = 7, kMasks = kFlags << kMaskShift, kFlushToZero = 1u << 15;
constexpr uint32_t kSupported = 0xFFFF;
// What every thread of this program runs with, but for the sticky flags.
constexpr uint32_t kHostDefault = kMasks;
}  // namespace mxcsr

// Which elements of a result can be tiny (SDM vol. 1, 4.9.1.5): where the operation computes them.
enum class Tiny : uint8_t { None, Singles, Doubles, LowSingle, LowDouble };

inline bool is_denormal_single(uint32_t bits) { return (bits & 0x7F800000) == 0 && (bits & 0x007FFFFF) != 0; }
inline bool is_denormal_double(uint64_t bits) {
  return (bits & 0x7FF0000000000000) == 0 && (bits & 0x000FFFFFFFFFFFFF) != 0;
}

template <Tiny kTiny, typename Result>
bool has_tiny_result(Result result) {
  if constexpr (kTiny == Tiny::LowSingle) {
    return is_denormal_single(low_dword(result));
  } else if constexpr (kTiny == Tiny::LowDouble) {
    return is_denormal_double(low_qword(result));
  } else if constexpr (kTiny == Tiny::Singles) {
    return is_denormal_single(static_cast<uint32_t>(low_qword(result))) ||
           is_denormal_single(static_cast<uint32_t>(low_qword(result) >> 32)) ||
           is_denormal_single(static_cast<uint32_t>(high_qword(result))) ||
           is_denormal_single(static_cast<uint32_t>(high_qword(result) >> 32));
  } else if constexpr (kTiny == Tiny::Doubles) {
    return is_denormal_double(low_qword(result)) || is_denormal_double(high_qword(result));
  } else {
    return false;
  }
}

// Sets the flags; if one of them is unmasked raises #XM, or #UD if the system does not take #XM.
void report_exceptions(Cpu& cpu, uint32_t flags);

// The guest has unmasked an exception: runs the operation masked, then finds out what it would have reported unmasked.
//  - With underflow unmasked, a tiny result is reported even if it is exact, and flush-to-zero has no effect.
//  - An unmasked exception of the operands (I, D, Z) hides those of the result (O, U, P): there is no result.
// SDM vol. 1, 4.9.1.5, 10.2.3.3 and 11.5.2-11.5.3.
template <Tiny kTiny, typename Compute>
[[gnu::noinline]] auto with_unmasked_exceptions(Cpu& cpu, Compute compute) {
  const uint32_t guest = cpu.mxcsr & mxcsr::kSupported;
  const bool underflow_unmasked = (guest >> mxcsr::kMaskShift & mxcsr::kUnderflow) == 0;
  const uint32_t control = (guest & ~mxcsr::kFlags) | mxcsr::kMasks;
  host::load_mxcsr(underflow_unmasked ? control & ~mxcsr::kFlushToZero : control);
  const auto result = compute();
  uint32_t flags = host::store_mxcsr() & mxcsr::kFlags;
  host::load_mxcsr(mxcsr::kHostDefault);
  if (underflow_unmasked && has_tiny_result<kTiny>(result)) flags |= mxcsr::kUnderflow;
  report_exceptions(cpu, flags);
  return result;
}

// Runs `compute`, made of functions of vector::host, under the guest's rounding, DAZ and FTZ, and adds the flags that
// it raises to the guest's. Raises #XM: to be called before anything is committed. The host never takes an exception,
// as all are masked.
template <Tiny kTiny, typename Compute>
[[gnu::always_inline]] inline auto with_guest_mxcsr(Cpu& cpu, Compute compute) {
  const uint32_t guest = cpu.mxcsr & mxcsr::kSupported;
  if ((guest & mxcsr::kMasks) != mxcsr::kMasks) [[unlikely]]
    return with_unmasked_exceptions<kTiny>(cpu, compute);
  host::load_mxcsr(guest);
  const auto result = compute();
  cpu.mxcsr = host::store_mxcsr();
  if ((guest & ~mxcsr::kFlags) != mxcsr::kHostDefault) host::load_mxcsr(mxcsr::kHostDefault);
  return result;
}

}  // namespace calco::cpu::vector
