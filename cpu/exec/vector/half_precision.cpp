// Conversions between halves (16-bit floating point) and singles: VCVTPH2PS, VCVTPS2PH (SDM vol. 1, 14.4).
#include <array>
#include <bit>

#include "cpu/exec/vector/families.h"
#include "cpu/exec/vector/float_forms.h"

namespace calco::cpu::vector {
namespace {

using decode::Instruction;
using decode::Mnemonic;

template <Encoding kEncoding, Source kSource>
void from_halves(Cpu& cpu, const Op& op, TlbEntry* tlb) {
  auto value = source_lanes<kEncoding, kSource, 8>(cpu, op, tlb);
  value = with_guest_mxcsr(cpu, [&] {
    Lanes<kLanes<kEncoding>> result;
    for (size_t i = 0; i < result.size(); ++i) result[i] = host::vcvtph2ps(value[i]);
    return result;
  });
  set_lanes<kEncoding>(cpu, op.reg, value);
}

// Bits 0-1 of the immediate say how to round, or bit 2 that MXCSR says it.
using ToHalves = Xmm (*)(Xmm source);
constexpr std::array<ToHalves, 8> kToHalves = {host::vcvtps2ph<0>, host::vcvtps2ph<1>, host::vcvtps2ph<2>,
                                               host::vcvtps2ph<3>, host::vcvtps2ph<4>, host::vcvtps2ph<5>,
                                               host::vcvtps2ph<6>, host::vcvtps2ph<7>};

// More digits than a half has, whatever its exponent.
bool is_inexact(uint32_t single) {
  constexpr int kDigits = 11;
  const uint32_t fraction = single & 0x7FFFFF;
  const uint32_t significand = (single & 0x7F800000) != 0 ? fraction | 0x800000 : fraction;
  return significand != 0 && 32 - std::countl_zero(significand) - std::countr_zero(significand) > kDigits;
}
bool is_denormal_half(uint16_t half) { return (half & 0x7C00) == 0 && (half & 0x03FF) != 0; }

// What report_arithmetic_exceptions() does for other arithmetic, for each element of a lane.
uint32_t unmasked_flags(Cpu& cpu, ToHalves function, Xmm source) {
  const uint32_t unmasked = ~(cpu.mxcsr >> mxcsr::kMaskShift) & mxcsr::kFlags;
  const auto singles = std::bit_cast<std::array<uint32_t, 4>>(source);
  uint32_t all = 0;
  for (const uint32_t single : singles) {
    uint32_t flags;
    const Xmm half = masked_result(cpu, [&] { return function(from_qword(single)); }, flags);
    if (is_denormal_half(static_cast<uint16_t>(low_qword(half)))) flags |= mxcsr::kUnderflow & unmasked;
    if ((flags & unmasked & (mxcsr::kOverflow | mxcsr::kUnderflow)) != 0)
      flags = (flags & ~mxcsr::kPrecision) | (is_inexact(single) ? mxcsr::kPrecision : 0);
    all |= flags;
  }
  return all;
}

template <Encoding kEncoding>
[[gnu::noinline]] Lanes<kLanes<kEncoding>> to_halves_unmasked(Cpu& cpu, ToHalves function,
                                                              Lanes<kLanes<kEncoding>> value) {
  uint32_t flags = 0, ignored;
  for (const Xmm lane : value) flags |= unmasked_flags(cpu, function, lane);
  report_exceptions(cpu, flags);
  for (Xmm& lane : value) lane = masked_result(cpu, [&] { return function(lane); }, ignored);
  return value;
}

// Faults of the destination in memory come before exceptions of the conversion.
template <Encoding kEncoding>
void to_halves(Cpu& cpu, const Op& op, TlbEntry* tlb) {
  auto value = lanes<kLanes<kEncoding>>(cpu, op.reg);
  const ToHalves function = kToHalves[op.immediate & 7];
  if (op.is_memory) {
    constexpr unsigned kBytes = kLanes<kEncoding> * 8;
    probe_store(cpu, memory_linear(cpu, op, kBytes, true), kBytes, op.segment == kSs);
  }
  if (all_masked(cpu)) {
    value = result_all_masked(cpu, [&] {
      Lanes<kLanes<kEncoding>> result;
      for (size_t i = 0; i < result.size(); ++i) result[i] = function(value[i]);
      return result;
    });
  } else {
    value = to_halves_unmasked<kEncoding>(cpu, function, value);
  }
  if (!op.is_memory) {
    set_narrowed<kEncoding>(cpu, op.rm, value);
    return;
  }
  if constexpr (kEncoding == Encoding::Vex256) {
    store_xmm<Source::Memory, Alignment::Any>(cpu, op, tlb, _mm_unpacklo_epi64(value[0], value[1]));
  } else {
    store_memory(cpu, op, tlb, low_qword(value[0]));
  }
}

}  // namespace

Selection select_half_precision(const Instruction& instruction, Op& op) {
  switch (instruction.mnemonic) {
    case Mnemonic::Vcvtph2ps:
      return by_operands(instruction, op, []<Encoding kEncoding, Source kSource>() {
        return select_sse<from_halves<kEncoding, kSource>, kEncoding>();
      });
    case Mnemonic::Vcvtps2ph:
      return by_encoding(instruction,
                         []<Encoding kEncoding>() { return select_sse<to_halves<kEncoding>, kEncoding>(); });
    default:
      return {};
  }
}

}  // namespace calco::cpu::vector
