// Control and status words, stack pointer, tags, waiting (SDM vol. 1, 8.3.9 to 8.3.11).
#include "cpu/exec/x87_state.h"

namespace calco::cpu {
namespace {

using decode::Mnemonic;

void load_control(Cpu& cpu, const Op& op) {
  x87_set_words(cpu, load_operand<uint16_t>(cpu, op), x87_status_word(cpu.x87));
}

// The instructions without a wait check CR0 only; a pending exception does not stop them.
void store_control(Cpu& cpu, const Op& op) {
  check_x87_available(cpu);
  store_operand<uint16_t>(cpu, op, cpu.x87.control);
}
void store_status(Cpu& cpu, const Op& op) {
  check_x87_available(cpu);
  store_operand<uint16_t>(cpu, op, x87_status_word(cpu.x87));
}
void store_status_ax(Cpu& cpu, const Op&) {
  check_x87_available(cpu);
  write_register<uint16_t>(cpu, kRax, x87_status_word(cpu.x87));
}
void initialize(Cpu& cpu, const Op&) {
  check_x87_available(cpu);
  x87_initialize(cpu);
}
void clear_exceptions(Cpu& cpu, const Op&) {
  check_x87_available(cpu);
  x87_set_words(cpu, cpu.x87.control, x87_status_word(cpu.x87) & (x87_status::kConditions | x87_status::kTop));
}

template <int kStep>
void step_top(Cpu& cpu, const Op&) {
  x87_clear_c1(cpu.x87);
  cpu.x87.top = static_cast<uint8_t>((cpu.x87.top + kStep) & 7);
}
template <bool kPop>
void free_register(Cpu& cpu, const Op& op) {
  x87_clear_c1(cpu.x87);
  cpu.x87.empty |= static_cast<uint8_t>(1u << x87_physical(cpu.x87, op.rm));
  if (kPop) x87_pop(cpu.x87);
}
void nothing(Cpu&, const Op&) {}
// FENI, FDISI, FSETPM: control instructions of older coprocessors, without a wait.
void nothing_since_287(Cpu& cpu, const Op&) { check_x87_available(cpu); }

// WAIT looks at CR0.TS only with MP set, and never at EM (SDM vol. 3, 2.5).
CALCO_HANDLER_CONVENTION void wait(Cpu* cpu, const Op* op, TlbEntry* tlb) {
  cpu->current_op = op;
  if ((cpu->cr0 & (cr0::kMp | cr0::kTs)) == (cr0::kMp | cr0::kTs)) cpu->raise(kDeviceNotAvailable);
  if ((cpu->x87.status & x87_status::kErrorSummary) != 0) [[unlikely]] {
    if (!x87_error_may_go_on(*cpu, *op)) return;
  }
  [[clang::musttail]] return op[1].handler(cpu, op + 1, tlb);
}

}  // namespace

Selection select_x87_control_word(const decode::Instruction& instruction) {
  switch (instruction.mnemonic) {
    case Mnemonic::Fldcw:
      return select_x87_control<load_control>();
    case Mnemonic::Fnstcw:
      return select_plain<store_control>();
    case Mnemonic::Fnstsw:
      return instruction.has_memory() ? select_plain<store_status>() : select_plain<store_status_ax>();
    case Mnemonic::Fninit:
      return select_plain<initialize>();
    case Mnemonic::Fnclex:
      return select_plain<clear_exceptions>();
    case Mnemonic::Fincstp:
      return select_x87_instruction<step_top<1>>();
    case Mnemonic::Fdecstp:
      return select_x87_instruction<step_top<-1>>();
    case Mnemonic::Ffree:
      return select_x87_instruction<free_register<false>>();
    case Mnemonic::Ffreep:
      return select_x87_instruction<free_register<true>>();
    case Mnemonic::Fnop:
      return instruction.opcode == 0xDB ? select_plain<nothing_since_287>() : select_x87_instruction<nothing>();
    case Mnemonic::Fwait:
      return {&wait, false};
    default:
      return {};
  }
}

}  // namespace calco::cpu
