// Guest x87 instructions: the same instruction of the host's unit, which holds the guest's registers.
#include "jit/baseline/emitter.h"

namespace calco::jit::baseline {

namespace {

using ir::HostX87Instruction;
using Argument = HostX87Instruction::Argument;

constexpr int kResidence = offsetof(cpu::CpuState, x87_residence);
constexpr int kDataPointer = offsetof(cpu::CpuState, x87) + offsetof(cpu::X87State, data_pointer);

}  // namespace

void Emitter::emit_enter_x87(const Instruction& instruction) {
  settle_flags_before_leaving();
  cmp(byte[host::state(kResidence + static_cast<int>(offsetof(cpu::X87Residence, in_host)))], 0);
  host_flags_ = {};
  Cold cold = cold_access(Cold::Kind::EnterX87, instruction);
  cold.jump = jump_if(4);
  cold.back = getSize();
  cold_.push_back(cold);
  x87_entered_ = true;
  x87_page_stored_ = false;
}

void Emitter::emit_cold_enter_x87(const Cold& cold) {
  bind(cold.jump);
  vectors_loaded_ = cold.vectors_loaded;
  vectors_dirty_ = cold.vectors_dirty;
  store_vectors(cold.vectors_dirty);
  store_waiting_flags(cold);
  call_entry(entries_.enter_x87);
  cmp(dword[rsp + frame_slot(0)], 0);
  const size_t bail = jump_if(4);
  load_vectors(cold.vectors_loaded);
  jump_to(cold.back);
  bind(bail);
  vectors_dirty_ = 0;
  emit_bail(cold.page_offset);
}

void Emitter::emit_host_x87(const Instruction& instruction) {
  const HostX87Instruction& x87 = block_.x87[instruction.immediate];
  switch (x87.argument) {
    case Argument::Memory:
      encode_x87(x87, in_register(instruction.arguments[0]).getIdx());
      break;
    case Argument::ControlWord:
      mov(word[rsp + frame_slot(0)], in_register(instruction.arguments[0]).cvt16());
      fldcw(word[rsp + frame_slot(0)]);
      break;
    case Argument::Condition:
      test(in_register(instruction.arguments[0]).cvt8(), 1);
      host_flags_ = {};
      [[fallthrough]];
    case Argument::None:
      if (x87.gives_status) break;  // FNSTSW AX would take a guest register
      db(x87.opcode);
      if (x87.opcode != HostX87Instruction::kWait) db(x87.modrm);
      break;
  }
  if (instruction.type != Type::Void) emit_x87_result(x87);
  if (x87.is_recorded) record_x87(instruction, x87);
}

void Emitter::encode_x87(const HostX87Instruction& x87, int base) {
  if (base >= 8) db(0x41);  // REX.B
  db(x87.opcode);
  encode_indirect(x87.modrm & 0x38, base);
}

void Emitter::emit_x87_result(const HostX87Instruction& x87) {
  const Reg64 result = allocate();
  if (x87.sets_flags) {
    pushfq();
    pop(result);
    and_(result.cvt32(), static_cast<uint32_t>(cpu::rflags::kCf | cpu::rflags::kPf | cpu::rflags::kZf));
    host_flags_ = {};
  } else {
    fnstsw(word[rsp + frame_slot(0)]);
    movzx(result.cvt32(), word[rsp + frame_slot(0)]);
  }
  give(current_, result);
}

void Emitter::record_x87(const Instruction& instruction, const HostX87Instruction& x87) {
  if (!x87_page_stored_) {
    const Reg64 page = allocate();
    mov(page, ptr[host::guest_register(cpu::kRip)]);
    mov(ptr[host::state(kResidence + static_cast<int>(offsetof(cpu::X87Residence, page)))], page);
    x87_page_stored_ = true;
  }
  const uint32_t last = block_.guest[instruction.guest].page_offset | static_cast<uint32_t>(x87.recorded_opcode) << 16;
  mov(dword[host::state(kResidence + static_cast<int>(offsetof(cpu::X87Residence, last)))], last);
  const Value effective = instruction.arguments[1];
  if (effective == kNoValue) return;
  if (is_immediate(effective)) {
    mov(qword[host::state(kDataPointer)], static_cast<int32_t>(signed_constant(effective)));
  } else {
    mov(ptr[host::state(kDataPointer)], in_register(effective));
  }
  mov(byte[host::state(kResidence + static_cast<int>(offsetof(cpu::X87Residence, data_segment)))], x87.data_segment);
}

}  // namespace calco::jit::baseline
