// Floating-point operations under the guest's MXCSR.
#pragma once

#include <span>

#include "cpu/exec/vector/operands.h"

namespace calco::cpu::vector {

namespace mxcsr {
constexpr uint32_t kInvalid = 1u << 0, kDenormal = 1u << 1, kZeroDivide = 1u << 2, kOverflow = 1u << 3,
                   kUnderflow = 1u << 4, kPrecision = 1u << 5;
constexpr uint32_t kFlags = 0x3F, kDenormalsAreZeros = 1u << 6, kMaskShift = 7, kMasks = kFlags << kMaskShift,
                   kRoundingShift = 13, kFlushToZero = 1u << 15;
constexpr uint32_t kSupported = 0xFFFF;
// What every thread of this program runs with, but for the sticky flags.
constexpr uint32_t kHostDefault = kMasks;
}  // namespace mxcsr

// Sets the flags; if one of them is unmasked raises #XM, or #UD if the system does not take #XM. An unmasked exception
// of the operands (I, D, Z) hides those of the result (O, U, P): there is no result (SDM vol. 1, 11.5.2).
void report_exceptions(Cpu& cpu, uint32_t flags);

// Runs `compute` under the guest's rounding, DAZ and FTZ with all exceptions masked, and reports nothing. `flags` gets
// what it raised.
template <typename Compute>
auto masked_result(Cpu& cpu, Compute compute, uint32_t& flags) {
  host::load_mxcsr((cpu.mxcsr & mxcsr::kSupported & ~mxcsr::kFlags) | mxcsr::kMasks);
  const auto result = compute();
  flags = host::store_mxcsr() & mxcsr::kFlags;
  host::load_mxcsr(mxcsr::kHostDefault);
  return result;
}

inline bool all_masked(const Cpu& cpu) { return (cpu.mxcsr & mxcsr::kMasks) == mxcsr::kMasks; }

// The same, but for the case that nothing is unmasked, which is nearly always: flags go straight to the guest's.
template <typename Compute>
[[gnu::always_inline]] inline auto result_all_masked(Cpu& cpu, Compute compute) {
  const uint32_t guest = cpu.mxcsr & mxcsr::kSupported;
  host::load_mxcsr(guest);
  const auto result = compute();
  cpu.mxcsr = host::store_mxcsr();
  if ((guest & ~mxcsr::kFlags) != mxcsr::kHostDefault) host::load_mxcsr(mxcsr::kHostDefault);
  return result;
}

template <typename Compute>
[[gnu::noinline]] auto result_unmasked(Cpu& cpu, Compute compute) {
  uint32_t flags;
  const auto result = masked_result(cpu, compute, flags);
  report_exceptions(cpu, flags);
  return result;
}

// Runs `compute`, made of functions of vector::host that raise neither overflow nor underflow, under the guest's MXCSR.
// Raises #XM: to be called before anything is committed. The host never takes an exception, as all are masked.
template <typename Compute>
[[gnu::always_inline]] inline auto with_guest_mxcsr(Cpu& cpu, Compute compute) {
  return all_masked(cpu) ? result_all_masked(cpu, compute) : result_unmasked(cpu, compute);
}

// --- Arithmetic
// ----------------------------------------------------------------------------------------------------------

// What an instruction does to its elements, so that unmasked overflow and underflow can be told from masked ones.
enum class Operation : uint8_t {
  Add,
  Subtract,
  Multiply,
  Divide,
  AddSubtract,         // subtracts in even elements
  HorizontalAdd,       // neighbours of the destination, then of the source
  HorizontalSubtract,  // likewise
  Narrow,              // doubles of the source to singles
  DotProduct,          // as the immediate says
  MultiplyAdd,         // see report_fused_exceptions()
};
enum class Elements : uint8_t { Singles, Doubles, LowSingle, LowDouble };  // of the operands
struct Arithmetic {
  Operation operation;
  Elements elements;
};

using HostFunction = Xmm (*)(Xmm destination, Xmm source);

// For a guest that has unmasked an exception: reports what `arithmetic` on all lanes raises, as the masks say. SDM vol.
// 1, 4.9.1.5, 10.2.3.3:
//  - with underflow unmasked a tiny result is reported even if it is exact, and flush-to-zero has no effect;
//  - with overflow or underflow unmasked the result counts as inexact only if its significand had to be rounded.
void report_arithmetic_exceptions(Cpu& cpu, Arithmetic arithmetic, std::span<const Xmm> destination,
                                  std::span<const Xmm> source, uint8_t immediate);

// Arithmetic for such a guest: the masked result if it raises nothing. `function` is the whole instruction.
template <size_t kCount>
[[gnu::noinline]] Lanes<kCount> arithmetic_unmasked(Cpu& cpu, Arithmetic arithmetic, HostFunction function,
                                                    const Lanes<kCount>& destination, const Lanes<kCount>& source,
                                                    uint8_t immediate) {
  report_arithmetic_exceptions(cpu, arithmetic, destination, source, immediate);
  uint32_t reported_already;
  return masked_result(
      cpu,
      [&] {
        Lanes<kCount> result;
        for (size_t i = 0; i < kCount; ++i) result[i] = function(destination[i], source[i]);
        return result;
      },
      reported_already);
}

// --- Fused multiplication and addition
// ----------------------------------------------------------------------------------------------------------

// first * second + third in the low element, after the signs were applied.
struct FusedStep {
  bool doubles;
  Xmm first, second, third;
};
// The same report for such steps.
void report_fused_exceptions(Cpu& cpu, std::span<const FusedStep> steps);

}  // namespace calco::cpu::vector
