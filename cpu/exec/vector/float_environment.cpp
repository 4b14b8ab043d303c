#include "cpu/exec/vector/float_environment.h"

#include <array>

namespace calco::cpu::vector {
namespace {

uint32_t unmasked_exceptions(const Cpu& cpu) { return ~(cpu.mxcsr >> mxcsr::kMaskShift) & mxcsr::kFlags; }

// --- One element
// ---------------------------------------------------------------------------------------------------------

// An element's operation: Add, Subtract, Multiply, Divide, Narrow or MultiplyAdd, on values in the low element.
struct Step {
  Operation operation;
  bool doubles;
  Xmm first, second;
  Xmm third = {};
};

HostFunction scalar_function(const Step& step) {
  switch (step.operation) {
    case Operation::Add:
      return step.doubles ? host::addsd : host::addss;
    case Operation::Subtract:
      return step.doubles ? host::subsd : host::subss;
    case Operation::Multiply:
      return step.doubles ? host::mulsd : host::mulss;
    case Operation::Divide:
      return step.doubles ? host::divsd : host::divss;
    default:
      return host::cvtsd2ss;
  }
}

Xmm result_of(const Step& step) {
  if (step.operation != Operation::MultiplyAdd) return scalar_function(step)(step.first, step.second);
  return step.doubles ? host::vfmadd213sd(step.first, step.second, step.third)
                      : host::vfmadd213ss(step.first, step.second, step.third);
}

bool is_denormal(Xmm result, bool single) {
  if (single) return (low_dword(result) & 0x7F800000) == 0 && (low_dword(result) & 0x007FFFFF) != 0;
  return (low_qword(result) & 0x7FF0000000000000) == 0 && (low_qword(result) & 0x000FFFFFFFFFFFFF) != 0;
}

// The element as a double; with DAZ a denormal is 0.
double value_of(const Cpu& cpu, const Step& step, Xmm bits) {
  const double value = step.doubles ? _mm_cvtsd_f64(_mm_castsi128_pd(bits)) : _mm_cvtss_f32(_mm_castsi128_ps(bits));
  return (cpu.mxcsr & mxcsr::kDenormalsAreZeros) != 0 && is_denormal(bits, !step.doubles) ? 0.0 : value;
}

// Whether the result must be rounded though the exponent be unbounded.
bool is_inexact(const Cpu& cpu, const Step& step) {
  const host::Precision precision =
      step.doubles && step.operation != Operation::Narrow ? host::Precision::Double : host::Precision::Single;
  const unsigned rounding = cpu.mxcsr >> mxcsr::kRoundingShift & 3;
  const auto value = [&](Xmm bits) { return value_of(cpu, step, bits); };
  switch (step.operation) {
    case Operation::Add:
      return host::add_is_inexact(value(step.first), value(step.second), precision, rounding);
    case Operation::Subtract:
      return host::add_is_inexact(value(step.first), -value(step.second), precision, rounding);
    case Operation::Multiply:
      return host::multiply_is_inexact(value(step.first), value(step.second), precision, rounding);
    case Operation::Divide:
      return host::divide_is_inexact(value(step.first), value(step.second), precision, rounding);
    case Operation::MultiplyAdd:
      return host::multiply_add_is_inexact(value(step.first), value(step.second), value(step.third), precision);
    default:
      return host::multiply_is_inexact(value(step.second), 1.0, precision, rounding);
  }
}

// Flags of one element as the guest's masks make them. `result` gets what the masked operation gives.
uint32_t flags_of(const Cpu& cpu, const Step& step, Xmm& result) {
  const uint32_t unmasked = unmasked_exceptions(cpu);
  const uint32_t ignored = (unmasked & mxcsr::kUnderflow) != 0 ? mxcsr::kFlushToZero : 0;
  host::load_mxcsr((cpu.mxcsr & mxcsr::kSupported & ~(mxcsr::kFlags | ignored)) | mxcsr::kMasks);
  result = result_of(step);
  uint32_t flags = host::store_mxcsr() & mxcsr::kFlags;
  host::load_mxcsr(mxcsr::kHostDefault);

  const bool single = !step.doubles || step.operation == Operation::Narrow;
  if (is_denormal(result, single)) flags |= mxcsr::kUnderflow & unmasked;
  if ((flags & unmasked & (mxcsr::kOverflow | mxcsr::kUnderflow)) != 0) {
    flags = (flags & ~mxcsr::kPrecision) | (is_inexact(cpu, step) ? mxcsr::kPrecision : 0);
  }
  return flags;
}

// --- All elements
// ----------------------------------------------------------------------------------------------------------

constexpr unsigned kMaximumSteps = 8;
using Results = std::array<Xmm, kMaximumSteps>;

struct Steps {
  std::array<Step, kMaximumSteps> list;
  unsigned count = 0;
  void add(const Step& step) { list[count++] = step; }
};

Xmm element(Xmm value, bool doubles, unsigned number) {
  const uint64_t half = number >= (doubles ? 1u : 2u) ? high_qword(value) : low_qword(value);
  if (doubles) return from_qword(half);
  return from_qword((number & 1) != 0 ? half >> 32 : static_cast<uint32_t>(half));
}

bool is_horizontal(Operation operation) {
  return operation == Operation::HorizontalAdd || operation == Operation::HorizontalSubtract;
}

// What becomes of element `number` of a lane.
Step step_of(Arithmetic arithmetic, bool doubles, Xmm destination, Xmm source, unsigned number, unsigned count) {
  const bool even = number % 2 == 0;
  if (is_horizontal(arithmetic.operation)) {
    const Operation operation = arithmetic.operation == Operation::HorizontalAdd ? Operation::Add : Operation::Subtract;
    const unsigned first = number * 2 % count;
    const Xmm both = number * 2 < count ? destination : source;
    return {operation, doubles, element(both, doubles, first), element(both, doubles, first + 1)};
  }
  Operation operation = arithmetic.operation;
  if (operation == Operation::AddSubtract) operation = even ? Operation::Subtract : Operation::Add;
  return {operation, doubles, element(destination, doubles, number), element(source, doubles, number)};
}

Steps steps_of(Arithmetic arithmetic, std::span<const Xmm> destination, std::span<const Xmm> source) {
  const bool doubles = arithmetic.elements == Elements::Doubles || arithmetic.elements == Elements::LowDouble;
  const bool packed = arithmetic.elements == Elements::Singles || arithmetic.elements == Elements::Doubles;
  const unsigned count = packed ? (doubles ? 2 : 4) : 1;
  Steps steps;
  for (size_t lane = 0; lane < source.size(); ++lane) {
    for (unsigned i = 0; i < count; ++i)
      steps.add(step_of(arithmetic, doubles, destination[lane], source[lane], i, count));
  }
  return steps;
}

// Reports the steps as one operation; `results` gets their results.
void report_steps(Cpu& cpu, const Steps& steps, Results& results) {
  uint32_t flags = 0;
  for (unsigned i = 0; i < steps.count; ++i) flags |= flags_of(cpu, steps.list[i], results[i]);
  report_exceptions(cpu, flags);
}

// Products of the chosen elements (0 for the others), sums of neighbours, and for singles the sum of these: each step
// reports before the next begins (SDM vol. 2, DPPS).
void report_dot_product(Cpu& cpu, bool doubles, std::span<const Xmm> destination, std::span<const Xmm> source,
                        uint8_t immediate) {
  const unsigned count = doubles ? 2 : 4;
  const auto all = static_cast<unsigned>(count * source.size());
  const auto is_chosen = [&](unsigned i) { return (immediate >> (4 + i % count) & 1) != 0; };
  Results products{}, chosen{}, sums{};
  Steps steps;
  for (unsigned i = 0; i < all; ++i) {
    if (!is_chosen(i)) continue;
    steps.add({Operation::Multiply, doubles, element(destination[i / count], doubles, i % count),
               element(source[i / count], doubles, i % count)});
  }
  report_steps(cpu, steps, chosen);
  for (unsigned i = 0, next = 0; i < all; ++i) {
    if (is_chosen(i)) products[i] = chosen[next++];
  }
  for (unsigned added = count; added > 1; added /= 2) {
    Steps additions;
    for (unsigned i = 0; i < added * source.size(); i += 2)
      additions.add({Operation::Add, doubles, products[i], products[i + 1]});
    report_steps(cpu, additions, sums);
    products = sums;
  }
}

}  // namespace

void report_exceptions(Cpu& cpu, uint32_t flags) {
  constexpr uint32_t kOfOperands = mxcsr::kInvalid | mxcsr::kDenormal | mxcsr::kZeroDivide;
  const uint32_t unmasked = unmasked_exceptions(cpu);
  const uint32_t reported = (flags & unmasked & kOfOperands) != 0 ? flags & kOfOperands : flags;
  cpu.mxcsr |= reported;
  if ((reported & unmasked) == 0) return;
  cpu.raise((cpu.cr4 & cr4::kOsxmmexcpt) != 0 ? kSimdError : kInvalidOpcode);
}

void report_arithmetic_exceptions(Cpu& cpu, Arithmetic arithmetic, std::span<const Xmm> destination,
                                  std::span<const Xmm> source, uint8_t immediate) {
  if (arithmetic.operation == Operation::DotProduct) {
    report_dot_product(cpu, arithmetic.elements == Elements::Doubles, destination, source, immediate);
    return;
  }
  Results results;
  report_steps(cpu, steps_of(arithmetic, destination, source), results);
}

void report_fused_exceptions(Cpu& cpu, std::span<const FusedStep> fused) {
  Steps steps;
  for (const FusedStep& step : fused)
    steps.add({Operation::MultiplyAdd, step.doubles, step.first, step.second, step.third});
  Results results;
  report_steps(cpu, steps, results);
}

}  // namespace calco::cpu::vector
