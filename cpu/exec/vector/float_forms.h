// Forms of floating-point instructions: those of forms.h under the guest's MXCSR.
#pragma once

#include "cpu/exec/vector/float_environment.h"
#include "cpu/exec/vector/forms.h"

namespace calco::cpu::vector {

// Results that fill the lower half of each lane.
template <Encoding kEncoding, size_t kCount>
[[gnu::always_inline]] inline void set_narrowed(Cpu& cpu, uint8_t number, const Lanes<kCount>& value) {
  if constexpr (kCount == 2) {
    set_result<kEncoding>(cpu, number, _mm_unpacklo_epi64(value[0], value[1]));
  } else {
    set_lanes<kEncoding>(cpu, number, value);
  }
}

// vector = F(vector, vector/memory), which neither overflows nor underflows
template <auto F, unsigned kBytes, Encoding kEncoding, Source kSource>
void float_binary(Cpu& cpu, const Op& op, TlbEntry* tlb) {
  const auto source = source_lanes<kEncoding, kSource, kBytes>(cpu, op, tlb);
  const auto first = lanes<kLanes<kEncoding>>(cpu, first_source<kEncoding>(op));
  set_lanes<kEncoding>(cpu, op.reg, with_guest_mxcsr(cpu, [&] {
                         return each_lane(first, source, [](Xmm a, Xmm b) { return F(a, b); });
                       }));
}
// The same; F gives the function for an immediate.
template <auto F, unsigned kBytes, Encoding kEncoding, Source kSource>
void float_immediate(Cpu& cpu, const Op& op, TlbEntry* tlb) {
  const auto source = source_lanes<kEncoding, kSource, kBytes>(cpu, op, tlb);
  const auto first = lanes<kLanes<kEncoding>>(cpu, first_source<kEncoding>(op));
  const HostFunction function = F(static_cast<uint8_t>(op.immediate));
  set_lanes<kEncoding>(cpu, op.reg, with_guest_mxcsr(cpu, [&] { return each_lane(first, source, function); }));
}
// vector = F(vector, vector/memory), of the kind `kArithmetic`
template <auto F, unsigned kBytes, Arithmetic kArithmetic, Encoding kEncoding, Source kSource>
void float_arithmetic(Cpu& cpu, const Op& op, TlbEntry* tlb) {
  const auto source = source_lanes<kEncoding, kSource, kBytes>(cpu, op, tlb);
  const auto first = lanes<kLanes<kEncoding>>(cpu, first_source<kEncoding>(op));
  const auto compute = [&] { return each_lane(first, source, [](Xmm a, Xmm b) { return F(a, b); }); };
  const auto result =
      all_masked(cpu) ? result_all_masked(cpu, compute) : arithmetic_unmasked(cpu, kArithmetic, F, first, source, 0);
  if constexpr (kArithmetic.operation == Operation::Narrow && kArithmetic.elements == Elements::Doubles) {
    set_narrowed<kEncoding>(cpu, op.reg, result);
  } else {
    set_lanes<kEncoding>(cpu, op.reg, result);
  }
}

template <auto F>
Selection select_float(const decode::Instruction& instruction, const Op& op) {
  return by_operands(instruction, op, []<Encoding kEncoding, Source kSource>() {
    return select_sse<float_binary<F, 16, kEncoding, kSource>, kEncoding>();
  });
}
// On the low element of `kBytes` bytes.
template <auto F, unsigned kBytes>
Selection select_low_float(const decode::Instruction& instruction, const Op& op) {
  return by_scalar_operands(instruction, op, []<Encoding kEncoding, Source kSource>() {
    return select_sse<float_binary<F, kBytes, kEncoding, kSource>, kEncoding>();
  });
}
// From elements half as wide as the results.
template <auto F>
Selection select_widening_float(const decode::Instruction& instruction, const Op& op) {
  return by_operands(instruction, op, []<Encoding kEncoding, Source kSource>() {
    return select_sse<float_binary<F, 8, kEncoding, kSource>, kEncoding>();
  });
}
template <auto F>
Selection select_float_immediate(const decode::Instruction& instruction, const Op& op) {
  return by_operands(instruction, op, []<Encoding kEncoding, Source kSource>() {
    return select_sse<float_immediate<F, 16, kEncoding, kSource>, kEncoding>();
  });
}
template <auto F, unsigned kBytes>
Selection select_low_float_immediate(const decode::Instruction& instruction, const Op& op) {
  return by_scalar_operands(instruction, op, []<Encoding kEncoding, Source kSource>() {
    return select_sse<float_immediate<F, kBytes, kEncoding, kSource>, kEncoding>();
  });
}
template <auto F, Operation kOperation, Elements kElements>
Selection select_arithmetic(const decode::Instruction& instruction, const Op& op) {
  static constexpr Arithmetic kArithmetic{kOperation, kElements};
  if constexpr (kElements == Elements::LowSingle || kElements == Elements::LowDouble) {
    constexpr unsigned kBytes = kElements == Elements::LowSingle ? 4 : 8;
    return by_scalar_operands(instruction, op, []<Encoding kEncoding, Source kSource>() {
      return select_sse<float_arithmetic<F, kBytes, kArithmetic, kEncoding, kSource>, kEncoding>();
    });
  } else {
    return by_operands(instruction, op, []<Encoding kEncoding, Source kSource>() {
      return select_sse<float_arithmetic<F, 16, kArithmetic, kEncoding, kSource>, kEncoding>();
    });
  }
}

}  // namespace calco::cpu::vector
