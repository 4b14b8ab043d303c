// Fused multiplication and addition (SDM vol. 1, 14.5). Each order of the operands is the host's own, as it says which
// of several NaNs is the answer.
#include <array>

#include "cpu/exec/vector/families.h"
#include "cpu/exec/vector/float_forms.h"

namespace calco::cpu::vector {
namespace {

using decode::Instruction;
using decode::Mnemonic;

using FusedFunction = Xmm (*)(Xmm first, Xmm second, Xmm third);

// Which operands the digits name: multiplicand, multiplier, addend, counted from 0.
struct Order {
  unsigned multiplicand, multiplier, addend;
};
constexpr Order k132{0, 2, 1}, k213{1, 0, 2}, k231{1, 2, 0};

enum class Addend : uint8_t { Add, Subtract, SubtractEven, SubtractOdd };
struct Fused {
  bool negate_product;
  Addend addend;
};

Xmm element(Xmm value, bool doubles, unsigned number) {
  alignas(16) std::array<uint64_t, 2> halves;
  _mm_store_si128(reinterpret_cast<Xmm*>(halves.data()), value);
  if (doubles) return from_qword(halves[number]);
  return from_qword(static_cast<uint32_t>(halves[number / 2] >> number % 2 * 32));
}
Xmm negated(Xmm value, bool doubles) {
  return _mm_xor_si128(value, from_qword(doubles ? uint64_t{1} << 63 : uint64_t{1} << 31));
}

// `operands`: of one lane.
FusedStep step_of(Fused fused, Order order, bool doubles, const std::array<Xmm, 3>& operands, unsigned number) {
  FusedStep step{doubles, element(operands[order.multiplicand], doubles, number),
                 element(operands[order.multiplier], doubles, number),
                 element(operands[order.addend], doubles, number)};
  const bool even = number % 2 == 0;
  const bool subtract = fused.addend == Addend::Subtract || (fused.addend == Addend::SubtractEven && even) ||
                        (fused.addend == Addend::SubtractOdd && !even);
  if (fused.negate_product) step.first = negated(step.first, doubles);
  if (subtract) step.third = negated(step.third, doubles);
  return step;
}

template <size_t kCount>
[[gnu::noinline]] void report(Cpu& cpu, Fused fused, Order order, Elements elements, const Lanes<kCount>& first,
                              const Lanes<kCount>& second, const Lanes<kCount>& third) {
  const bool doubles = elements == Elements::Doubles || elements == Elements::LowDouble;
  const bool packed = elements == Elements::Singles || elements == Elements::Doubles;
  const unsigned in_lane = packed ? (doubles ? 2 : 4) : 1;
  std::array<FusedStep, 8> steps;
  size_t count = 0;
  for (size_t lane = 0; lane < kCount; ++lane) {
    for (unsigned i = 0; i < in_lane; ++i)
      steps[count++] = step_of(fused, order, doubles, {first[lane], second[lane], third[lane]}, i);
  }
  report_fused_exceptions(cpu, {steps.data(), count});
}

// vector = F(vector, vector, vector/memory); scalar forms keep the rest of the destination's low lane.
template <FusedFunction F, unsigned kBytes, Fused kFused, Order kOrder, Elements kElements, Encoding kEncoding,
          Source kSource>
void fused_form(Cpu& cpu, const Op& op, TlbEntry* tlb) {
  constexpr size_t kCount = kLanes<kEncoding>;
  const auto third = source_lanes<kEncoding, kSource, kBytes>(cpu, op, tlb);
  const auto second = lanes<kCount>(cpu, op.extra);
  const auto first = lanes<kCount>(cpu, op.reg);
  const auto compute = [&] {
    Lanes<kCount> result;
    for (size_t i = 0; i < kCount; ++i) result[i] = F(first[i], second[i], third[i]);
    return result;
  };
  if (all_masked(cpu)) {
    set_lanes<kEncoding>(cpu, op.reg, result_all_masked(cpu, compute));
    return;
  }
  report(cpu, kFused, kOrder, kElements, first, second, third);
  uint32_t reported_already;
  set_lanes<kEncoding>(cpu, op.reg, masked_result(cpu, compute, reported_already));
}

template <FusedFunction F, Fused kFused, Order kOrder, Elements kElements>
Selection select_fused_form(const Instruction& instruction, const Op& op) {
  if constexpr (kElements == Elements::Singles || kElements == Elements::Doubles) {
    return by_operands(instruction, op, []<Encoding kEncoding, Source kSource>() {
      return select_sse<fused_form<F, 16, kFused, kOrder, kElements, kEncoding, kSource>, kEncoding>();
    });
  } else {
    constexpr unsigned kBytes = kElements == Elements::LowSingle ? 4 : 8;
    return by_scalar_operands(instruction, op, []<Encoding kEncoding, Source kSource>() {
      return select_sse<fused_form<F, kBytes, kFused, kOrder, kElements, kEncoding, kSource>, kEncoding>();
    });
  }
}

constexpr Fused kMultiplyAdd{false, Addend::Add}, kMultiplySubtract{false, Addend::Subtract},
    kNegativeMultiplyAdd{true, Addend::Add}, kNegativeMultiplySubtract{true, Addend::Subtract},
    kMultiplyAddSubtract{false, Addend::SubtractEven}, kMultiplySubtractAdd{false, Addend::SubtractOdd};

}  // namespace

#define CALCO_FUSED(Name, name, order, suffix, elements, kind) \
  case Mnemonic::Name##order##suffix:                          \
    return select_fused_form<host::name##order##suffix, kind, k##order, Elements::elements>(instruction, op);
#define CALCO_FUSED_ORDERS(Name, name, suffix, elements, kind) \
  CALCO_FUSED(Name, name, 132, suffix, elements, kind)         \
  CALCO_FUSED(Name, name, 213, suffix, elements, kind)         \
  CALCO_FUSED(Name, name, 231, suffix, elements, kind)
#define CALCO_FUSED_PACKED(Name, name, kind)        \
  CALCO_FUSED_ORDERS(Name, name, ps, Singles, kind) \
  CALCO_FUSED_ORDERS(Name, name, pd, Doubles, kind)
#define CALCO_FUSED_FAMILY(Name, name, kind)          \
  CALCO_FUSED_PACKED(Name, name, kind)                \
  CALCO_FUSED_ORDERS(Name, name, ss, LowSingle, kind) \
  CALCO_FUSED_ORDERS(Name, name, sd, LowDouble, kind)

Selection select_fused(const Instruction& instruction, Op& op) {
  switch (instruction.mnemonic) {
    CALCO_FUSED_FAMILY(Vfmadd, vfmadd, kMultiplyAdd)
    CALCO_FUSED_FAMILY(Vfmsub, vfmsub, kMultiplySubtract)
    CALCO_FUSED_FAMILY(Vfnmadd, vfnmadd, kNegativeMultiplyAdd)
    CALCO_FUSED_FAMILY(Vfnmsub, vfnmsub, kNegativeMultiplySubtract)
    CALCO_FUSED_PACKED(Vfmaddsub, vfmaddsub, kMultiplyAddSubtract)
    CALCO_FUSED_PACKED(Vfmsubadd, vfmsubadd, kMultiplySubtractAdd)
    default:
      return {};
  }
}

#undef CALCO_FUSED_FAMILY
#undef CALCO_FUSED_PACKED
#undef CALCO_FUSED_ORDERS
#undef CALCO_FUSED

}  // namespace calco::cpu::vector
