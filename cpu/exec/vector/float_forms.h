// Forms of floating-point instructions: those of forms.h under the guest's MXCSR.
#pragma once

#include "cpu/exec/vector/float_environment.h"
#include "cpu/exec/vector/forms.h"

namespace calco::cpu::vector {

// xmm = F(xmm, xmm/memory)
template <auto F, unsigned kBytes, Tiny kTiny, Source kSource>
void float_binary(Cpu& cpu, const Op& op, TlbEntry* tlb) {
  const Xmm source = source_xmm<kSource, kBytes>(cpu, op, tlb);
  const Xmm destination = xmm(cpu, op.reg);
  set_xmm(cpu, op.reg, with_guest_mxcsr<kTiny>(cpu, [=] { return F(destination, source); }));
}
// xmm = F(imm8)(xmm, xmm/memory); F gives the function for an immediate.
template <auto F, unsigned kBytes, Tiny kTiny, Source kSource>
void float_immediate(Cpu& cpu, const Op& op, TlbEntry* tlb) {
  const Xmm source = source_xmm<kSource, kBytes>(cpu, op, tlb);
  const Xmm destination = xmm(cpu, op.reg);
  const auto function = F(static_cast<uint8_t>(op.immediate));
  set_xmm(cpu, op.reg, with_guest_mxcsr<kTiny>(cpu, [=] { return function(destination, source); }));
}

template <auto F, unsigned kBytes, Tiny kTiny>
Selection select_float(const Op& op) {
  return op.is_memory ? select_sse<float_binary<F, kBytes, kTiny, Source::Memory>>()
                      : select_sse<float_binary<F, kBytes, kTiny, Source::Register>>();
}
template <auto F, unsigned kBytes, Tiny kTiny>
Selection select_float_immediate(const Op& op) {
  return op.is_memory ? select_sse<float_immediate<F, kBytes, kTiny, Source::Memory>>()
                      : select_sse<float_immediate<F, kBytes, kTiny, Source::Register>>();
}

using HostFunction = Xmm (*)(Xmm destination, Xmm source);

}  // namespace calco::cpu::vector
