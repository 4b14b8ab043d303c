// The shapes that vector instructions come in, and the handlers made of them.
//
// An instruction is a function of its operand values; a form fetches the operands, calls it and writes the result; a
// handler makes the availability checks, runs the form and goes on. So each check and each kind of operand is written
// once. VEX encodings will add forms with three operands and a vector length; the operation functions stay.
#pragma once

#include "cpu/exec/handlers.h"
#include "cpu/exec/vector/operands.h"
#include "cpu/exec/vector_state.h"

namespace calco::cpu::vector {

// A form. Commits last, so that a fault leaves the state as it was.
using Form = void (*)(Cpu& cpu, const Op& op, TlbEntry* tlb);

// --- Handlers --------------------------------------------------------------------------------------------------------

// Instructions on XMM registers.
template <Form kForm>
CALCO_HANDLER_CONVENTION void sse_handler(Cpu* cpu, const Op* op, TlbEntry* tlb) {
  cpu->current_op = op;
  check_sse_available(*cpu);
  kForm(*cpu, *op, tlb);
  CALCO_NEXT_OPERATION;
}

// TOP becomes 0 and all registers valid (SDM vol. 1, 9.5.1).
[[gnu::always_inline]] inline void enter_mmx(Cpu& cpu) {
  cpu.x87.top = 0;
  cpu.x87.empty = 0;
}

// Instructions on MMX registers only.
template <Form kForm>
CALCO_HANDLER_CONVENTION void mmx_handler(Cpu* cpu, const Op* op, TlbEntry* tlb) {
  cpu->current_op = op;
  check_mmx_available(*cpu);
  kForm(*cpu, *op, tlb);
  enter_mmx(*cpu);
  CALCO_NEXT_OPERATION;
}

// Instructions between MMX and XMM registers.
template <Form kForm>
CALCO_HANDLER_CONVENTION void mmx_sse_handler(Cpu* cpu, const Op* op, TlbEntry* tlb) {
  cpu->current_op = op;
  check_sse_available(*cpu);
  check_mmx_available(*cpu);
  kForm(*cpu, *op, tlb);
  enter_mmx(*cpu);
  CALCO_NEXT_OPERATION;
}

template <Form kForm>
constexpr Selection select_sse() {
  return {&sse_handler<kForm>, false};
}
template <Form kForm>
constexpr Selection select_mmx() {
  return {&mmx_handler<kForm>, false};
}
template <Form kForm>
constexpr Selection select_mmx_sse() {
  return {&mmx_sse_handler<kForm>, false};
}

// --- Forms with two operands
// -------------------------------------------------------------------------------------------

// xmm = F(xmm, xmm/memory)
template <auto F, unsigned kBytes, Source kSource>
void xmm_binary(Cpu& cpu, const Op& op, TlbEntry* tlb) {
  const Xmm source = source_xmm<kSource, kBytes>(cpu, op, tlb);
  set_xmm(cpu, op.reg, F(xmm(cpu, op.reg), source));
}
// xmm = F(xmm/memory)
template <auto F, unsigned kBytes, Source kSource>
void xmm_unary(Cpu& cpu, const Op& op, TlbEntry* tlb) {
  set_xmm(cpu, op.reg, F(source_xmm<kSource, kBytes>(cpu, op, tlb)));
}
// xmm = F(xmm, xmm/memory, imm8)
template <auto F, unsigned kBytes, Source kSource>
void xmm_immediate(Cpu& cpu, const Op& op, TlbEntry* tlb) {
  const Xmm source = source_xmm<kSource, kBytes>(cpu, op, tlb);
  set_xmm(cpu, op.reg, F(xmm(cpu, op.reg), source, static_cast<uint8_t>(op.immediate)));
}
// The same for MMX registers; operands and result are in the low half.
template <auto F, unsigned kBytes, Source kSource>
void mmx_binary(Cpu& cpu, const Op& op, TlbEntry* tlb) {
  const Xmm source = source_mmx<kSource, kBytes>(cpu, op, tlb);
  set_mmx(cpu, op.reg, low_qword(F(from_qword(mmx(cpu, op.reg)), source)));
}
template <auto F, Source kSource>
void mmx_unary(Cpu& cpu, const Op& op, TlbEntry* tlb) {
  set_mmx(cpu, op.reg, low_qword(F(source_mmx<kSource>(cpu, op, tlb))));
}
template <auto F, Source kSource>
void mmx_immediate(Cpu& cpu, const Op& op, TlbEntry* tlb) {
  const Xmm source = source_mmx<kSource>(cpu, op, tlb);
  set_mmx(cpu, op.reg, low_qword(F(from_qword(mmx(cpu, op.reg)), source, static_cast<uint8_t>(op.immediate))));
}

// --- Selection
// -----------------------------------------------------------------------------------------------------------

inline bool is_mmx(const decode::Instruction& instruction) {
  return instruction.operands[0].kind == decode::OperandKind::Mmx;
}

// Calls `pick.template operator()<kSource>()` for the operation's source: in a register or anywhere in memory.
template <typename Pick>
Selection by_source(const Op& op, Pick pick) {
  return op.is_memory ? pick.template operator()<Source::Memory>() : pick.template operator()<Source::Register>();
}
// With a form for each shape of address, for the instructions that string and memory functions are made of.
template <typename Pick>
Selection by_source_hot(const Op& op, Pick pick) {
  if (!op.is_memory || !is_flat(op)) return by_source(op, pick);
  return op.index == kZero ? pick.template operator()<Source::Base>() : pick.template operator()<Source::Indexed>();
}

template <auto F, unsigned kBytes = 16>
Selection sse_binary(const Op& op) {
  return by_source(op, []<Source kSource>() { return select_sse<xmm_binary<F, kBytes, kSource>>(); });
}
template <auto F>
Selection sse_binary_hot(const Op& op) {
  return by_source_hot(op, []<Source kSource>() { return select_sse<xmm_binary<F, 16, kSource>>(); });
}
template <auto F, unsigned kBytes = 16>
Selection sse_unary(const Op& op) {
  return by_source(op, []<Source kSource>() { return select_sse<xmm_unary<F, kBytes, kSource>>(); });
}
template <auto F, unsigned kBytes = 16>
Selection sse_immediate(const Op& op) {
  return by_source(op, []<Source kSource>() { return select_sse<xmm_immediate<F, kBytes, kSource>>(); });
}
template <auto F, unsigned kBytes = 8>
Selection mmx_binary(const Op& op) {
  return by_source(op, []<Source kSource>() { return select_mmx<mmx_binary<F, kBytes, kSource>>(); });
}
template <auto F>
Selection mmx_unary(const Op& op) {
  return by_source(op, []<Source kSource>() { return select_mmx<mmx_unary<F, kSource>>(); });
}
template <auto F>
Selection mmx_immediate(const Op& op) {
  return by_source(op, []<Source kSource>() { return select_mmx<mmx_immediate<F, kSource>>(); });
}

// Instructions that do the same to each element, so that the MMX form is the low half of the SSE2 form.
template <auto F>
Selection both(const decode::Instruction& instruction, const Op& op) {
  return is_mmx(instruction) ? mmx_binary<F>(op) : sse_binary<F>(op);
}
template <auto F>
Selection both_hot(const decode::Instruction& instruction, const Op& op) {
  return is_mmx(instruction) ? mmx_binary<F>(op) : sse_binary_hot<F>(op);
}
template <auto F>
Selection both_unary(const decode::Instruction& instruction, const Op& op) {
  return is_mmx(instruction) ? mmx_unary<F>(op) : sse_unary<F>(op);
}

}  // namespace calco::cpu::vector
