// Forms of floating-point instructions: those of forms.h under the guest's MXCSR.
#pragma once

#include "cpu/exec/vector/float_environment.h"
#include "cpu/exec/vector/forms.h"

namespace calco::cpu::vector {

// xmm = F(xmm, xmm/memory), which neither overflows nor underflows
template <auto F, unsigned kBytes, Source kSource>
void float_binary(Cpu& cpu, const Op& op, TlbEntry* tlb) {
  const Xmm source = source_xmm<kSource, kBytes>(cpu, op, tlb);
  const Xmm destination = xmm(cpu, op.reg);
  set_xmm(cpu, op.reg, with_guest_mxcsr(cpu, [=] { return F(destination, source); }));
}
// The same; F gives the function for an immediate.
template <auto F, unsigned kBytes, Source kSource>
void float_immediate(Cpu& cpu, const Op& op, TlbEntry* tlb) {
  const Xmm source = source_xmm<kSource, kBytes>(cpu, op, tlb);
  const Xmm destination = xmm(cpu, op.reg);
  const HostFunction function = F(static_cast<uint8_t>(op.immediate));
  set_xmm(cpu, op.reg, with_guest_mxcsr(cpu, [=] { return function(destination, source); }));
}
// xmm = F(xmm, xmm/memory), of the kind `kArithmetic`
template <auto F, unsigned kBytes, Arithmetic kArithmetic, Source kSource>
void float_arithmetic(Cpu& cpu, const Op& op, TlbEntry* tlb) {
  const Xmm source = source_xmm<kSource, kBytes>(cpu, op, tlb);
  const Xmm destination = xmm(cpu, op.reg);
  set_xmm(cpu, op.reg,
          all_masked(cpu) ? result_all_masked(cpu, [=] { return F(destination, source); })
                          : arithmetic_unmasked(cpu, kArithmetic, F, destination, source, 0));
}

template <auto F, unsigned kBytes>
Selection select_float(const Op& op) {
  return by_source(op, []<Source kSource>() { return select_sse<float_binary<F, kBytes, kSource>>(); });
}
template <auto F, unsigned kBytes>
Selection select_float_immediate(const Op& op) {
  return by_source(op, []<Source kSource>() { return select_sse<float_immediate<F, kBytes, kSource>>(); });
}
template <auto F, Operation kOperation, Elements kElements>
Selection select_arithmetic(const Op& op) {
  constexpr unsigned kBytes = kElements == Elements::LowSingle ? 4 : kElements == Elements::LowDouble ? 8 : 16;
  static constexpr Arithmetic kArithmetic{kOperation, kElements};
  return by_source(op,
                   []<Source kSource>() { return select_sse<float_arithmetic<F, kBytes, kArithmetic, kSource>>(); });
}

}  // namespace calco::cpu::vector
