// Segment registers, and instructions that inspect descriptors.
#include "cpu/exec/handlers.h"
#include "cpu/exec/system_operand.h"
#include "cpu/system/descriptors.h"

namespace calco::cpu {

namespace {

using decode::Mnemonic;
using decode::OperandKind;

// #UD in real and virtual-8086 mode.
void require_selectors(Cpu& cpu) {
  if (!cpu.protected_mode() || cpu.virtual_8086()) cpu.raise(kInvalidOpcode);
}

// A 16-bit store to memory, or a zero-extended one to a register of the operand size.
void write_word(Cpu& cpu, const Op& op, uint16_t value) {
  if (op.is_memory || op.operand_size == 2) {
    write_rm<uint16_t>(cpu, op, value);
  } else {
    write_register<uint64_t>(cpu, op.rm, value);
  }
}

void set_zero_flag(Cpu& cpu, bool zero) { change_arithmetic_flags(cpu.flags, rflags::kZf, zero ? rflags::kZf : 0); }

// Loading SS holds off interrupts and debug traps until the next instruction is done (SDM vol. 3, 6.8.3).
void finish_segment_load(Cpu& cpu, SegmentRegister which) {
  if (which == kSs) {
    cpu.interrupt_shadow = true;
    cpu.debug_shadow = true;
  }
  cpu.mode_changed();
}

// --- Moves
// -------------------------------------------------------------------------------------------------------------

void undefined(Cpu& cpu, const Op&) { cpu.raise(kInvalidOpcode); }

void mov_from_segment(Cpu& cpu, const Op& op) { write_word(cpu, op, cpu.segments[op.reg].selector); }

void mov_to_segment(Cpu& cpu, const Op& op) {
  const auto which = static_cast<SegmentRegister>(op.reg);
  load_segment(cpu, which, read_rm<uint16_t>(cpu, op));
  finish_segment_load(cpu, which);
}

void push_segment(Cpu& cpu, const Op& op) { push(cpu, cpu.segments[op.reg].selector, op.operand_size); }

void pop_segment(Cpu& cpu, const Op& op) {
  const auto which = static_cast<SegmentRegister>(op.reg);
  const unsigned address_size = cpu.stack_address_size();
  StackReader stack = stack_reader(cpu);
  load_segment(cpu, which, static_cast<uint16_t>(stack.pop(cpu, op.operand_size)));
  set_stack_pointer(cpu, stack.pointer, address_size);
  finish_segment_load(cpu, which);
}

template <SegmentRegister kWhich>
void load_with_segment(Cpu& cpu, const Op& op) {
  const FarPointer pointer = load_far_pointer(cpu, op);
  load_segment(cpu, kWhich, pointer.selector);
  write_sized(cpu, op.reg, far_offset_size(cpu, op), pointer.offset);
  // LSS holds nothing off: it loads SS and the stack pointer at once.
  cpu.mode_changed();
}

// --- Bases
// -------------------------------------------------------------------------------------------------------------

void require_base_instructions(Cpu& cpu) {
  if ((cpu.cr4 & cr4::kFsgsbase) == 0 || !cpu.code_64()) cpu.raise(kInvalidOpcode);
}

template <SegmentRegister kWhich>
void read_base(Cpu& cpu, const Op& op) {
  require_base_instructions(cpu);
  const uint64_t base = cpu.segments[kWhich].base;
  write_register<uint64_t>(cpu, op.rm, op.operand_size == 8 ? base : base & 0xFFFFFFFF);
}

template <SegmentRegister kWhich>
void write_base(Cpu& cpu, const Op& op) {
  require_base_instructions(cpu);
  const uint64_t value = read_register<uint64_t>(cpu, op.rm);
  const uint64_t base = op.operand_size == 8 ? value : value & 0xFFFFFFFF;
  if (!canonical(base)) cpu.raise(kGeneralProtection, 0);
  cpu.segments[kWhich].base = base;
}

// --- Inspection of descriptors
// -------------------------------------------------------------------------------------------

constexpr uint32_t type_set(std::initializer_list<unsigned> types) {
  uint32_t set = 0;
  for (const unsigned type : types) set |= 1u << type;
  return set;
}

// System descriptors that LAR and LSL accept (SDM vol. 2, tables 3-53 and 3-54).
constexpr uint32_t kLarTypes = type_set({1, 2, 3, 4, 5, 9, 11, 12});
constexpr uint32_t kLarTypesLong = type_set({2, 9, 11, 12});
constexpr uint32_t kLslTypes = type_set({1, 2, 3, 9, 11});
constexpr uint32_t kLslTypesLong = type_set({2, 9, 11});

bool is_visible(const Cpu& cpu, uint16_t selector, const Descriptor& descriptor) {
  if (descriptor.is_conforming_code()) return true;
  return descriptor.privilege() >= cpu.cpl && descriptor.privilege() >= requested_privilege(selector);
}

// The descriptor of the source operand, where it may be seen and is of a type in the set.
bool inspect(Cpu& cpu, const Op& op, uint32_t legacy_types, uint32_t long_types, Descriptor& descriptor) {
  require_selectors(cpu);
  const auto selector = read_rm<uint16_t>(cpu, op);
  if (is_null(selector) || !read_descriptor(cpu, selector, descriptor)) return false;
  const uint32_t types = cpu.long_mode_active() ? long_types : legacy_types;
  if (descriptor.system() && (types >> descriptor.type() & 1) == 0) return false;
  return is_visible(cpu, selector, descriptor);
}

void lar(Cpu& cpu, const Op& op) {
  Descriptor descriptor;
  const bool found = inspect(cpu, op, kLarTypes, kLarTypesLong, descriptor);
  if (found) write_sized(cpu, op.reg, op.operand_size, descriptor.high & 0x00FFFF00);
  set_zero_flag(cpu, found);
}

void lsl(Cpu& cpu, const Op& op) {
  Descriptor descriptor;
  const bool found = inspect(cpu, op, kLslTypes, kLslTypesLong, descriptor);
  if (found) write_sized(cpu, op.reg, op.operand_size, descriptor.limit());
  set_zero_flag(cpu, found);
}

void verr(Cpu& cpu, const Op& op) {
  Descriptor descriptor;
  set_zero_flag(cpu, inspect(cpu, op, 0, 0, descriptor) && descriptor.is_readable());
}

void verw(Cpu& cpu, const Op& op) {
  Descriptor descriptor;
  set_zero_flag(cpu, inspect(cpu, op, 0, 0, descriptor) && descriptor.is_writable_data());
}

void arpl(Cpu& cpu, const Op& op) {
  require_selectors(cpu);
  const auto destination = read_rm<uint16_t>(cpu, op);
  const auto source = read_register<uint16_t>(cpu, op.reg);
  const bool lower = (destination & 3) < (source & 3);
  if (lower) write_rm<uint16_t>(cpu, op, static_cast<uint16_t>((destination & ~3) | (source & 3)));
  set_zero_flag(cpu, lower);
}

// --- LDTR and TR
// -------------------------------------------------------------------------------------------------------

void sldt(Cpu& cpu, const Op& op) {
  require_selectors(cpu);
  require_ring_0_under_umip(cpu);
  write_word(cpu, op, cpu.ldtr.selector);
}

void str(Cpu& cpu, const Op& op) {
  require_selectors(cpu);
  require_ring_0_under_umip(cpu);
  write_word(cpu, op, cpu.tr.selector);
}

void lldt(Cpu& cpu, const Op& op) {
  require_selectors(cpu);
  require_ring_0(cpu);
  load_ldtr(cpu, read_rm<uint16_t>(cpu, op), kGeneralProtection);
}

void ltr(Cpu& cpu, const Op& op) {
  require_selectors(cpu);
  require_ring_0(cpu);
  load_tr(cpu, read_rm<uint16_t>(cpu, op));
}

Selection select_segment_move(const decode::Instruction& instruction, Op& op) {
  if (instruction.operands[0].kind != OperandKind::Segment) {
    return op.reg > kGs ? select_plain<undefined>() : select_plain<mov_from_segment>();
  }
  return op.reg == kCs || op.reg > kGs ? select_plain<undefined>() : select_ending<mov_to_segment>();
}

}  // namespace

Selection select_segment(const decode::Instruction& instruction, Op& op) {
  switch (instruction.mnemonic) {
    case Mnemonic::Mov:
      return select_segment_move(instruction, op);
    case Mnemonic::Push:
      op.operand_size = instruction.operand_size;
      return select_plain<push_segment>();
    case Mnemonic::Pop:
      op.operand_size = instruction.operand_size;
      return select_ending<pop_segment>();
    case Mnemonic::Les:
      return select_ending<load_with_segment<kEs>>();
    case Mnemonic::Lds:
      return select_ending<load_with_segment<kDs>>();
    case Mnemonic::Lss:
      return select_ending<load_with_segment<kSs>>();
    case Mnemonic::Lfs:
      return select_ending<load_with_segment<kFs>>();
    case Mnemonic::Lgs:
      return select_ending<load_with_segment<kGs>>();
    case Mnemonic::Rdfsbase:
      return select_plain<read_base<kFs>>();
    case Mnemonic::Rdgsbase:
      return select_plain<read_base<kGs>>();
    case Mnemonic::Wrfsbase:
      return select_plain<write_base<kFs>>();
    case Mnemonic::Wrgsbase:
      return select_plain<write_base<kGs>>();
    case Mnemonic::Lar:
      return select_plain<lar>();
    case Mnemonic::Lsl:
      return select_plain<lsl>();
    case Mnemonic::Verr:
      return select_plain<verr>();
    case Mnemonic::Verw:
      return select_plain<verw>();
    case Mnemonic::Arpl:
      return select_plain<arpl>();
    case Mnemonic::Sldt:
      return select_plain<sldt>();
    case Mnemonic::Str:
      return select_plain<str>();
    case Mnemonic::Lldt:
      return select_ending<lldt>();
    case Mnemonic::Ltr:
      return select_ending<ltr>();
    default:
      return {};
  }
}

}  // namespace calco::cpu
