// The x87 register stack, its exceptions and how its instructions become handlers (SDM vol. 1, chapter 8).
#pragma once

#include <cstdint>

#include "cpu/cpu.h"
#include "cpu/exec/handlers.h"
#include "cpu/exec/op.h"
#include "cpu/exec/vector_state.h"
#include "cpu/exec/x87_host.h"
#include "cpu/mmu/access.h"
#include "cpu/state.h"

namespace calco::cpu {

// Status word (SDM vol. 1, 8.1.3). X87State::status keeps it without TOP.
namespace x87_status {
constexpr uint16_t kInvalid = 1u << 0, kDenormal = 1u << 1, kZeroDivide = 1u << 2, kOverflow = 1u << 3,
                   kUnderflow = 1u << 4, kPrecision = 1u << 5, kStackFault = 1u << 6, kErrorSummary = 1u << 7,
                   kC0 = 1u << 8, kC1 = 1u << 9, kC2 = 1u << 10, kTopShift = 11, kTop = 7u << 11, kC3 = 1u << 14,
                   kBusy = 1u << 15;
constexpr uint16_t kExceptions = 0x3F;
constexpr uint16_t kConditions = kC0 | kC1 | kC2 | kC3;
// Found before the operation: unmasked, they prevent it. The others are found with the result.
constexpr uint16_t kPreComputation = kInvalid | kDenormal | kZeroDivide;
}  // namespace x87_status

// Control word: exception masks in the places of the status word's flags; bit 6 reads as 1, bits 7 and 13-15 as 0.
constexpr uint16_t kX87ControlFixed = 0x0040, kX87ControlWritable = 0x1F3F, kX87ControlInitial = 0x037F;

// The real indefinite, a quiet NaN: the masked response to invalid operations.
constexpr X87Register kX87Indefinite{0xC000000000000000, 0xFFFF, {}};

// --- Register stack ------------------------------------------------------------------------------------------------

inline unsigned x87_physical(const X87State& x87, unsigned index) { return (x87.top + index) & 7; }
inline X87Register& x87_st(X87State& x87, unsigned index) { return x87.physical[x87_physical(x87, index)]; }
inline bool x87_is_empty(const X87State& x87, unsigned index) {
  return (x87.empty >> x87_physical(x87, index) & 1) != 0;
}
// ST(index) = value, valid.
inline void x87_write(X87State& x87, unsigned index, const X87Register& value) {
  x87_st(x87, index) = value;
  x87.empty &= static_cast<uint8_t>(~(1u << x87_physical(x87, index)));
}
inline void x87_push(X87State& x87, const X87Register& value) {
  x87.top = (x87.top - 1) & 7;
  x87_write(x87, 0, value);
}
inline void x87_pop(X87State& x87) {
  x87.empty |= static_cast<uint8_t>(1u << x87.top);
  x87.top = (x87.top + 1) & 7;
}

// --- Exceptions ------------------------------------------------------------------------------------------------------

// Raised by `status` and not masked.
inline uint16_t x87_unmasked(const X87State& x87, uint16_t status) {
  return status & ~x87.control & x87_status::kExceptions;
}

// Takes over the exception flags of an operation and those of its condition codes that `conditions` names; unmasked
// exceptions become pending.
inline void x87_finish(X87State& x87, uint16_t operation_status, uint16_t conditions = x87_status::kC1) {
  x87.status =
      static_cast<uint16_t>((x87.status & ~conditions) | (operation_status & (conditions | x87_status::kExceptions)));
  if (x87_unmasked(x87, operation_status) != 0) x87.status |= x87_status::kErrorSummary | x87_status::kBusy;
}

inline x87_host::Mode x87_mode(const X87State& x87) {
  return {x87.control, static_cast<uint16_t>(x87.status & x87.control & x87_status::kExceptions)};
}

inline void x87_clear_c1(X87State& x87) { x87.status &= static_cast<uint16_t>(~x87_status::kC1); }

// Stack faults (SDM vol. 1, 8.5.1.1): an empty source, C1 clear; a destination that is not empty, C1 set. True: masked,
// the response is the indefinite; false: operands stay as they are.
inline bool x87_stack_fault(X87State& x87, bool overflow) {
  x87.status |= x87_status::kStackFault;
  x87_finish(x87, static_cast<uint16_t>(x87_status::kInvalid | (overflow ? x87_status::kC1 : 0)));
  return (x87.control & x87_status::kInvalid) != 0;
}
inline bool x87_stack_underflow(X87State& x87) { return x87_stack_fault(x87, false); }
inline bool x87_stack_overflow(X87State& x87) { return x87_stack_fault(x87, true); }

// The status word as the guest sees it.
inline uint16_t x87_status_word(const X87State& x87) {
  return static_cast<uint16_t>(x87.status | x87.top << x87_status::kTopShift);
}

// Loads the control and the status word: exceptions become pending or stop being so, as the masks say.
void x87_set_words(Cpu& cpu, uint16_t control, uint16_t status);
// FNINIT (SDM vol. 2, FINIT): registers keep their contents.
void x87_initialize(Cpu& cpu);

// --- 80-bit memory operands ------------------------------------------------------------------------------------------

X87Register x87_load_extended(Cpu& cpu, const Op& op);
// The faults of a store of 10 bytes, which counts as one of 8 and one of 2.
void x87_probe_extended(Cpu& cpu, const Op& op);
void x87_store_extended(Cpu& cpu, const Op& op, const X87Register& value);

// --- Handlers --------------------------------------------------------------------------------------------------------

inline bool x87_must_stop(const Cpu& cpu) {
  return ((cpu.cr0 & (cr0::kEm | cr0::kTs)) | (cpu.x87.status & x87_status::kErrorSummary)) != 0;
}
// An exception is pending: raises #MF. With CR0.NE clear it is reported through FERR# instead and the processor waits
// for an interrupt: false, the operation shall return to the dispatch loop, RIP is its own. True: go on after all
// (IGNNE#).
bool x87_error_may_go_on(Cpu& cpu, const Op& op);
// The same where an exception may be pending, or CR0 may forbid x87 instructions (#NM).
bool x87_may_go_on(Cpu& cpu, const Op& op);

// FIP, FDP and FOP (SDM vol. 1, 8.1.8). Op::immediate holds the opcode.
inline void x87_record_instruction(Cpu& cpu, const Op& op) {
  cpu.x87.instruction_pointer = cpu.registers[kRip] + op.offset;
  cpu.x87.code_selector = cpu.segments[kCs].selector;
  cpu.x87.opcode = static_cast<uint16_t>(op.immediate);
  if (op.is_memory) {
    cpu.x87.data_pointer = effective_address(cpu, op);
    // 64-bit code has no DS base, but the selector is recorded.
    cpu.x87.data_selector = cpu.segments[op.segment == kNoSegment ? kDs : op.segment].selector;
  }
}

// A waiting instruction that computes, loads or stores.
template <Function F>
CALCO_HANDLER_CONVENTION void x87_instruction(Cpu* cpu, const Op* op, TlbEntry* tlb) {
  cpu->current_op = op;
  if (x87_must_stop(*cpu)) [[unlikely]] {
    if (!x87_may_go_on(*cpu, *op)) return;
  }
  F(*cpu, *op);
  x87_record_instruction(*cpu, *op);
  [[clang::musttail]] return op[1].handler(cpu, op + 1, tlb);
}
// A waiting control instruction: leaves the pointers alone.
template <Function F>
CALCO_HANDLER_CONVENTION void x87_control_instruction(Cpu* cpu, const Op* op, TlbEntry* tlb) {
  cpu->current_op = op;
  if (x87_must_stop(*cpu)) [[unlikely]] {
    if (!x87_may_go_on(*cpu, *op)) return;
  }
  F(*cpu, *op);
  [[clang::musttail]] return op[1].handler(cpu, op + 1, tlb);
}

template <Function F>
constexpr Selection select_x87_instruction() {
  return {&x87_instruction<F>, false};
}
template <Function F>
constexpr Selection select_x87_control() {
  return {&x87_control_instruction<F>, false};
}

// Parts of select_x87; each answers a null handler for mnemonics of another part.
Selection select_x87_arithmetic(const decode::Instruction& instruction);
Selection select_x87_transfer(const decode::Instruction& instruction);
Selection select_x87_compare(const decode::Instruction& instruction);
Selection select_x87_function(const decode::Instruction& instruction);
Selection select_x87_control_word(const decode::Instruction& instruction);
Selection select_x87_environment(const decode::Instruction& instruction);

}  // namespace calco::cpu
