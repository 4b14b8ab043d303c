// x87 instructions: the host's own, as inline assembly. LLVM has no use for the x87 unit in this code and does not know
// that it is used.
#include <fmt/format.h>

#include "jit/llvm/assembly.h"
#include "jit/llvm/lowering.h"

namespace calco::jit {

using ir::HostX87Instruction;
using llvm::Value;
using Argument = HostX87Instruction::Argument;

namespace {

constexpr int kResidence = offsetof(cpu::CpuState, x87_residence);
constexpr int kInHost = kResidence + static_cast<int>(offsetof(cpu::X87Residence, in_host));

// Instructions with a memory operand, by the escape opcode and ModRM.reg (SDM vol. 2, tables ).
constexpr std::array<std::array<const char*, 8>, 8> kMemoryForms = {{
    {"fadd", "fmul", "fcom", "fcomp", "fsub", "fsubr", "fdiv", "fdivr"},
    {"fld", "", "fst", "fstp", "fldenv", "fldcw", "fnstenv", "fnstcw"},
    {"fiadd", "fimul", "ficom", "ficomp", "fisub", "fisubr", "fidiv", "fidivr"},
    {"fild", "fisttp", "fist", "fistp", "", "fld", "", "fstp"},
    {"fadd", "fmul", "fcom", "fcomp", "fsub", "fsubr", "fdiv", "fdivr"},
    {"fld", "fisttp", "fst", "fstp", "frstor", "", "fnsave", "fnstsw"},
    {"fiadd", "fimul", "ficom", "ficomp", "fisub", "fisubr", "fidiv", "fidivr"},
    {"fild", "fisttp", "fist", "fistp", "fbld", "fild", "fbstp", "fistp"},
}};

const char* operand_size(unsigned bytes) {
  switch (bytes) {
    case 2:
      return "word";
    case 4:
      return "dword";
    case 8:
      return "qword";
    default:
      return "tbyte";
  }
}

// Without a memory operand.
std::string bytes_of(const HostX87Instruction& x87) {
  if (x87.opcode == HostX87Instruction::kWait) return "wait";
  return fmt::format(".byte {:#x}, {:#x}", x87.opcode, x87.modrm);
}

std::string text_of(const HostX87Instruction& x87) {
  switch (x87.argument) {
    case Argument::Memory:
      return fmt::format("{} {} ptr [$0]", kMemoryForms[x87.opcode & 7][x87.modrm >> 3 & 7],
                         operand_size(x87.memory_bytes));
    case Argument::ControlWord:
      return "fldcw word ptr [$0]";
    case Argument::Condition:
      return "test ${0:b}, 1; " + bytes_of(x87);
    default:
      return bytes_of(x87);
  }
}

}  // namespace

void Lowering::lower_enter_x87(const ir::Instruction& instruction) {
  llvm::BasicBlock* const bail = bail_block(instruction);
  llvm::BasicBlock* const away = new_cold_block();
  Value* const in_host = load_state(builder_.getInt8Ty(), kInHost);
  branch_unlikely(builder_.CreateICmpEQ(in_host, builder_.getInt8(0)), away);
  llvm::BasicBlock* const done = builder_.GetInsertBlock();
  builder_.SetInsertPoint(away);
  put_state();
  builder_.CreateCondBr(builder_.CreateICmpNE(call_enter_x87(), builder_.getInt64(0)), done, bail);
  builder_.SetInsertPoint(done);
  x87_entered_ = true;
  x87_page_stored_ = false;
}

Value* Lowering::call_enter_x87() {
  return call_runtime("enter_x87", input_.entries.enter_x87, builder_.getInt64Ty(), {state_});
}

// Behind a call of C++, for which the guest's x87 registers left the host's unit.
void Lowering::enter_x87_again() {
  if (x87_entered_) call_enter_x87();
}

Value* Lowering::lower_x87(const ir::Instruction& instruction) {
#if !defined(__x86_64__)
  refusal_ = "the host has no x87 unit";
  return llvm::PoisonValue::get(builder_.getInt64Ty());
#endif
  const HostX87Instruction& x87 = source_->x87[instruction.immediate];
  Assembly assembly(builder_, text_of(x87));
  if (x87.sets_flags) {
    assembly.add_flags_output();
    assembly.give_flags();
  }
  if (x87.gives_status) assembly.add_output(builder_.getInt16Ty(), "={ax}");
  if (x87.argument == Argument::Memory) {
    assembly.add_input(host_pointer(argument(instruction, 0)), "r");
  } else if (x87.argument == Argument::ControlWord) {
    assembly.add_input(in_memory(argument(instruction, 0)), "r");
  } else if (x87.argument == Argument::Condition) {
    assembly.add_input(builder_.CreateZExt(argument(instruction, 0), builder_.getInt32Ty()), "r");
    assembly.add_clobber("~{flags}");
  }
  const bool touches_memory = x87.argument == Argument::Memory || x87.argument == Argument::ControlWord;
  Value* const result = assembly.emit(touches_memory, /*has_side_effects=*/true);
  if (x87.is_recorded) record_x87(instruction, x87);
  if (x87.sets_flags) return comparison_flags(result);
  return x87.gives_status ? result : nullptr;
}

// The address of a stack slot that holds the value.
Value* Lowering::in_memory(Value* value) {
  llvm::BasicBlock& entry = function_->getEntryBlock();
  auto* const slot = new llvm::AllocaInst(value->getType(), 0, "", entry.begin());
  builder_.CreateStore(value, slot);
  return slot;
}

void Lowering::record_x87(const ir::Instruction& instruction, const HostX87Instruction& x87) {
  if (!x87_page_stored_) {
    store_state(page_base(), kResidence + static_cast<int>(offsetof(cpu::X87Residence, page)));
    x87_page_stored_ = true;
  }
  const uint32_t last = source_->guest[instruction.guest].page_offset | static_cast<uint32_t>(x87.recorded_opcode)
                                                                            << 16;
  store_state(builder_.getInt32(last), kResidence + static_cast<int>(offsetof(cpu::X87Residence, last)));
  if (instruction.arguments[1] == ir::kNoValue) return;
  store_state(argument(instruction, 1),
              static_cast<int>(offsetof(cpu::CpuState, x87) + offsetof(cpu::X87State, data_pointer)));
  store_state(builder_.getInt8(x87.data_segment),
              kResidence + static_cast<int>(offsetof(cpu::X87Residence, data_segment)));
}

}  // namespace calco::jit
