// The shapes that vector instructions come in, and the handlers made of them.
//
// An instruction is a function of its operand values; a form fetches the operands, calls it and writes the result; a
// handler makes the availability checks, runs the form and goes on. So each check and each kind of operand is written
// once. The functions are those of the legacy encodings, on 16 bytes: a VEX encoding takes its first operand from
// VEX.vvvv, does the same in each lane, and clears the rest of its destination.
#pragma once

#include "cpu/exec/handlers.h"
#include "cpu/exec/vector/operands.h"
#include "cpu/exec/vector_state.h"

namespace calco::cpu::vector {

// A form. Commits last, so that a fault leaves the state as it was.
using Form = void (*)(Cpu& cpu, const Op& op, TlbEntry* tlb);

// --- Handlers --------------------------------------------------------------------------------------------------------

// Instructions on XMM and YMM registers.
template <Form kForm, Encoding kEncoding>
CALCO_HANDLER_CONVENTION void sse_handler(Cpu* cpu, const Op* op, TlbEntry* tlb) {
  cpu->current_op = op;
  if constexpr (kEncoding == Encoding::Legacy) {
    check_sse_available(*cpu);
  } else {
    check_avx_available(*cpu);
  }
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

template <Form kForm, Encoding kEncoding = Encoding::Legacy>
constexpr Selection select_sse() {
  return {&sse_handler<kForm, kEncoding>, false};
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

template <size_t kCount>
[[gnu::always_inline]] inline Lanes<kCount> each_lane(const Lanes<kCount>& first, const Lanes<kCount>& second,
                                                      auto function) {
  Lanes<kCount> result;
  for (size_t i = 0; i < kCount; ++i) result[i] = function(first[i], second[i]);
  return result;
}

// vector = F(vector, vector/memory)
template <auto F, unsigned kBytes, Encoding kEncoding, Source kSource>
void xmm_binary(Cpu& cpu, const Op& op, TlbEntry* tlb) {
  const auto source = source_lanes<kEncoding, kSource, kBytes>(cpu, op, tlb);
  const auto first = lanes<kLanes<kEncoding>>(cpu, first_source<kEncoding>(op));
  set_lanes<kEncoding>(cpu, op.reg, each_lane(first, source, [](Xmm a, Xmm b) { return F(a, b); }));
}
// vector = F(vector/memory)
template <auto F, unsigned kBytes, Encoding kEncoding, Source kSource>
void xmm_unary(Cpu& cpu, const Op& op, TlbEntry* tlb) {
  auto value = source_lanes<kEncoding, kSource, kBytes>(cpu, op, tlb);
  for (Xmm& lane : value) lane = F(lane);
  set_lanes<kEncoding>(cpu, op.reg, value);
}
// vector = F(vector, vector/memory, imm8); the upper lane has its control `kUpperShift` bits higher.
template <auto F, unsigned kBytes, unsigned kUpperShift, Encoding kEncoding, Source kSource>
void xmm_immediate(Cpu& cpu, const Op& op, TlbEntry* tlb) {
  const auto source = source_lanes<kEncoding, kSource, kBytes>(cpu, op, tlb);
  auto value = lanes<kLanes<kEncoding>>(cpu, first_source<kEncoding>(op));
  const unsigned immediate = op.immediate & 0xFF;
  for (size_t i = 0; i < value.size(); ++i) {
    value[i] = F(value[i], source[i], static_cast<uint8_t>(immediate >> i * kUpperShift));
  }
  set_lanes<kEncoding>(cpu, op.reg, value);
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

// Calls `pick.template operator()<kEncoding>()` for the instruction's encoding.
template <typename Pick>
Selection by_encoding(const decode::Instruction& instruction, Pick pick) {
  switch (instruction.vector_length) {
    case 0:
      return pick.template operator()<Encoding::Legacy>();
    case 16:
      return pick.template operator()<Encoding::Vex128>();
    default:
      return pick.template operator()<Encoding::Vex256>();
  }
}
// The same for instructions on the low element, which do not look at VEX.L.
template <typename Pick>
Selection by_scalar_encoding(const decode::Instruction& instruction, Pick pick) {
  return instruction.vector_length == 0 ? pick.template operator()<Encoding::Legacy>()
                                        : pick.template operator()<Encoding::Vex128>();
}
// Forms that change no vector register differ only in when they are available.
template <Form kForm>
Selection either_encoding(const decode::Instruction& instruction) {
  return by_scalar_encoding(instruction, []<Encoding kEncoding>() { return select_sse<kForm, kEncoding>(); });
}
// Calls `pick.template operator()<kEncoding, kSource>()`.
template <typename Pick>
Selection by_operands(const decode::Instruction& instruction, const Op& op, Pick pick) {
  return by_encoding(instruction, [&]<Encoding kEncoding>() {
    return by_source(op, [&]<Source kSource>() { return pick.template operator()<kEncoding, kSource>(); });
  });
}
template <typename Pick>
Selection by_operands_hot(const decode::Instruction& instruction, const Op& op, Pick pick) {
  return by_encoding(instruction, [&]<Encoding kEncoding>() {
    return by_source_hot(op, [&]<Source kSource>() { return pick.template operator()<kEncoding, kSource>(); });
  });
}
template <typename Pick>
Selection by_scalar_operands(const decode::Instruction& instruction, const Op& op, Pick pick) {
  return by_scalar_encoding(instruction, [&]<Encoding kEncoding>() {
    return by_source(op, [&]<Source kSource>() { return pick.template operator()<kEncoding, kSource>(); });
  });
}

template <auto F>
Selection sse_binary(const decode::Instruction& instruction, const Op& op) {
  return by_operands(instruction, op, []<Encoding kEncoding, Source kSource>() {
    return select_sse<xmm_binary<F, 16, kEncoding, kSource>, kEncoding>();
  });
}
template <auto F>
Selection sse_binary_hot(const decode::Instruction& instruction, const Op& op) {
  return by_operands_hot(instruction, op, []<Encoding kEncoding, Source kSource>() {
    return select_sse<xmm_binary<F, 16, kEncoding, kSource>, kEncoding>();
  });
}
// Each lane uses `kBytes` bytes of the source.
template <auto F, unsigned kBytes = 16>
Selection sse_unary(const decode::Instruction& instruction, const Op& op) {
  return by_operands(instruction, op, []<Encoding kEncoding, Source kSource>() {
    return select_sse<xmm_unary<F, kBytes, kEncoding, kSource>, kEncoding>();
  });
}
template <auto F, unsigned kUpperShift = 0>
Selection sse_immediate(const decode::Instruction& instruction, const Op& op) {
  return by_operands(instruction, op, []<Encoding kEncoding, Source kSource>() {
    return select_sse<xmm_immediate<F, 16, kUpperShift, kEncoding, kSource>, kEncoding>();
  });
}
// vector = F(vector, low `kBytes` bytes of vector/memory): 128 bits only
template <auto F, unsigned kBytes>
Selection sse_low_binary(const decode::Instruction& instruction, const Op& op) {
  return by_scalar_operands(instruction, op, []<Encoding kEncoding, Source kSource>() {
    return select_sse<xmm_binary<F, kBytes, kEncoding, kSource>, kEncoding>();
  });
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
  return is_mmx(instruction) ? mmx_binary<F>(op) : sse_binary<F>(instruction, op);
}
template <auto F>
Selection both_hot(const decode::Instruction& instruction, const Op& op) {
  return is_mmx(instruction) ? mmx_binary<F>(op) : sse_binary_hot<F>(instruction, op);
}
template <auto F>
Selection both_unary(const decode::Instruction& instruction, const Op& op) {
  return is_mmx(instruction) ? mmx_unary<F>(op) : sse_unary<F>(instruction, op);
}

}  // namespace calco::cpu::vector
