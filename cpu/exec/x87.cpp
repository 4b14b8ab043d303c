// The x87 unit's selector and what its instruction groups share.
#include "cpu/exec/x87_state.h"

namespace calco::cpu {
void x87_set_words(Cpu& cpu, uint16_t control, uint16_t status) {
  X87State& x87 = cpu.x87;
  constexpr uint16_t kSummary = x87_status::kErrorSummary | x87_status::kBusy;
  const bool was_pending = (x87.status & kSummary) != 0;
  x87.control = (control & kX87ControlWritable) | kX87ControlFixed;
  x87.status = static_cast<uint16_t>(status & ~(x87_status::kTop | kSummary));
  x87.top = status >> x87_status::kTopShift & 7;
  if (x87_unmasked(x87, status) != 0) {
    x87.status |= kSummary;
  } else if (was_pending && (cpu.cr0 & cr0::kNe) == 0 && cpu.environment().x87_error) {
    cpu.environment().x87_error(false);
  }
}

void x87_initialize(Cpu& cpu) {
  X87State& x87 = cpu.x87;
  x87.empty = 0xFF;
  x87.opcode = x87.code_selector = x87.data_selector = 0;
  x87.instruction_pointer = x87.data_pointer = 0;
  x87_set_words(cpu, kX87ControlInitial, 0);
}

namespace {
// Where the sign and exponent of a ten-byte operand lie: an access of its own, with its own checks.
uint64_t sign_exponent_linear(Cpu& cpu, const Op& op, bool write) {
  return segment_linear(cpu, op.segment, effective_address(cpu, op) + 8, 2, write);
}
}  // namespace

X87Register x87_load_extended(Cpu& cpu, const Op& op) {
  const bool stack = op.segment == kSs;
  X87Register value;
  value.significand = load_linear<uint64_t>(cpu, cpu.tlb, operand_linear(cpu, op, 8, false), stack);
  value.sign_exponent = load_linear<uint16_t>(cpu, cpu.tlb, sign_exponent_linear(cpu, op, false), stack);
  return value;
}

void x87_probe_extended(Cpu& cpu, const Op& op) {
  const Protection protection = cpu.mmu().current_protection();
  const bool stack = op.segment == kSs;
  cpu.mmu().probe_write(operand_linear(cpu, op, 8, true), 8, protection, stack);
  cpu.mmu().probe_write(sign_exponent_linear(cpu, op, true), 2, protection, stack);
}

void x87_store_extended(Cpu& cpu, const Op& op, const X87Register& value) {
  const bool stack = op.segment == kSs;
  const uint64_t linear = operand_linear(cpu, op, 8, true);
  if ((linear & 0xFFF) > 0xFF6) x87_probe_extended(cpu, op);
  const uint64_t second = sign_exponent_linear(cpu, op, true);
  store_linear<uint64_t>(cpu, cpu.tlb, linear, value.significand, stack);
  store_linear<uint16_t>(cpu, cpu.tlb, second, value.sign_exponent, stack);
}

bool x87_may_go_on(Cpu& cpu, const Op& op) {
  check_x87_available(cpu);
  return (cpu.x87.status & x87_status::kErrorSummary) == 0 || x87_error_may_go_on(cpu, op);
}

bool x87_error_may_go_on(Cpu& cpu, const Op& op) {
  if ((cpu.cr0 & cr0::kNe) != 0 || !cpu.environment().x87_error) cpu.raise(kX87Error);
  if (cpu.environment().x87_error(true)) return true;
  cpu.registers[kRip] += op.offset;
  cpu.instructions_retired += op.instructions - 1u;
  cpu.current_op = nullptr;
  return false;
}

Selection select_x87(const decode::Instruction& instruction, Op& op) {
  // ST(i) is ModRM.rm; the immediate is free for what FOP will say: ModRM and the low bits of the escape opcode.
  // The environment's format goes by the operand size attribute.
  op.rm = instruction.modrm & 7;
  op.immediate = static_cast<uint64_t>(instruction.opcode & 7) << 8 | instruction.modrm;
  op.operand_size = instruction.operand_size;
  for (const auto select : {select_x87_arithmetic, select_x87_transfer, select_x87_compare, select_x87_function,
                            select_x87_control_word, select_x87_environment}) {
    if (const Selection selection = select(instruction); selection.handler != nullptr) return selection;
  }
  return {};
}

}  // namespace calco::cpu
