#include "machine/accel/kvm/kvm_registers.h"

#include <algorithm>
#include <cstring>

#include "cpu/flags.h"

namespace calco::machine {

namespace {

using cpu::CpuState;
using cpu::Segment;

// Register numbers of instructions in the order of kvm_regs.
struct RegisterPlace {
  cpu::Register number;
  __u64 kvm_regs::* member;
};

constexpr RegisterPlace kRegisters[] = {
    {cpu::kRax, &kvm_regs::rax}, {cpu::kRcx, &kvm_regs::rcx}, {cpu::kRdx, &kvm_regs::rdx}, {cpu::kRbx, &kvm_regs::rbx},
    {cpu::kRsp, &kvm_regs::rsp}, {cpu::kRbp, &kvm_regs::rbp}, {cpu::kRsi, &kvm_regs::rsi}, {cpu::kRdi, &kvm_regs::rdi},
    {cpu::kR8, &kvm_regs::r8},   {cpu::kR9, &kvm_regs::r9},   {cpu::kR10, &kvm_regs::r10}, {cpu::kR11, &kvm_regs::r11},
    {cpu::kR12, &kvm_regs::r12}, {cpu::kR13, &kvm_regs::r13}, {cpu::kR14, &kvm_regs::r14}, {cpu::kR15, &kvm_regs::r15},
    {cpu::kRip, &kvm_regs::rip},
};

struct SegmentPlace {
  cpu::SegmentRegister number;
  kvm_segment kvm_sregs2::* member;
};

constexpr SegmentPlace kSegments[] = {
    {cpu::kEs, &kvm_sregs2::es}, {cpu::kCs, &kvm_sregs2::cs}, {cpu::kSs, &kvm_sregs2::ss},
    {cpu::kDs, &kvm_sregs2::ds}, {cpu::kFs, &kvm_sregs2::fs}, {cpu::kGs, &kvm_sregs2::gs},
};

kvm_segment to_kvm_segment(const Segment& segment) {
  const auto bit = [&segment](uint16_t mask) { return static_cast<uint8_t>((segment.attributes & mask) != 0); };
  kvm_segment result{};
  result.base = segment.base;
  result.limit = segment.limit;
  result.selector = segment.selector;
  result.type = static_cast<uint8_t>(segment.type());
  result.present = bit(Segment::kP);
  result.dpl = static_cast<uint8_t>(segment.privilege());
  result.db = bit(Segment::kDb);
  result.s = bit(Segment::kS);
  result.l = bit(Segment::kL);
  result.g = bit(Segment::kG);
  result.avl = bit(Segment::kAvl);
  result.unusable = !segment.present();
  return result;
}

Segment from_kvm_segment(const kvm_segment& segment) {
  unsigned attributes = segment.type | static_cast<unsigned>(segment.dpl) << Segment::kDplShift;
  if (segment.s) attributes |= Segment::kS;
  if (segment.present && !segment.unusable) attributes |= Segment::kP;
  if (segment.avl) attributes |= Segment::kAvl;
  if (segment.l) attributes |= Segment::kL;
  if (segment.db) attributes |= Segment::kDb;
  if (segment.g) attributes |= Segment::kG;
  return {segment.selector, static_cast<uint16_t>(attributes), segment.limit, segment.base};
}

kvm_dtable to_kvm_table(const cpu::DescriptorTable& table) {
  kvm_dtable result{};
  result.base = table.base;
  result.limit = table.limit;
  return result;
}

void from_kvm_table(const kvm_dtable& from, cpu::DescriptorTable& table) {
  table.base = from.base;
  table.limit = from.limit;
}

bool pae_paging(const CpuState& state) {
  return (state.cr0 & cpu::cr0::kPg) != 0 && (state.cr4 & cpu::cr4::kPae) != 0 && (state.efer & cpu::efer::kLma) == 0;
}

unsigned privilege_level(const CpuState& state) {
  if ((state.cr0 & cpu::cr0::kPe) == 0) return 0;
  if ((state.system_flags & cpu::rflags::kVm) != 0) return 3;
  return state.segments[cpu::kSs].privilege();
}

// Offsets in an XSAVE area (SDM vol. 1, tables 10-2 and 13-1; leaf DH, subleaf 2).
constexpr size_t kControl = 0, kStatus = 2, kTags = 4, kOpcode = 6, kInstructionPointer = 8, kDataPointer = 16,
                 kMxcsr = 24, kStack = 32, kXmm = 160, kPresent = 512, kYmmHigh = 576;
constexpr uint64_t kX87Component = 1, kSseComponent = 2, kAvxComponent = 4;
constexpr unsigned kTopShift = 11;
constexpr uint16_t kTopMask = 7 << kTopShift;
constexpr size_t kXmmBytes = 16;

template <typename T>
void put(std::span<uint8_t> area, size_t offset, T value) {
  std::memcpy(area.data() + offset, &value, sizeof(T));
}

template <typename T>
T get(std::span<const uint8_t> area, size_t offset) {
  T value;
  std::memcpy(&value, area.data() + offset, sizeof(T));
  return value;
}

}  // namespace

// --- General registers -----------------------------------------------------------------------------------------------

kvm_regs to_kvm_registers(const CpuState& state) {
  kvm_regs registers{};
  for (const RegisterPlace& place : kRegisters) registers.*place.member = state.registers[place.number];
  registers.rflags = cpu::rflags_value(state);
  return registers;
}

void from_kvm_registers(const kvm_regs& registers, CpuState& state) {
  for (const RegisterPlace& place : kRegisters) state.registers[place.number] = registers.*place.member;
  cpu::set_rflags_value(state, registers.rflags);
}

// --- Segments and control registers ----------------------------------------------------------------------------------

kvm_sregs2 to_kvm_special_registers(const CpuState& state) {
  kvm_sregs2 registers{};
  for (const SegmentPlace& place : kSegments) registers.*place.member = to_kvm_segment(state.segments[place.number]);
  registers.ldt = to_kvm_segment(state.ldtr);
  registers.tr = to_kvm_segment(state.tr);
  registers.gdt = to_kvm_table(state.gdtr);
  registers.idt = to_kvm_table(state.idtr);
  registers.cr0 = state.cr0;
  registers.cr2 = state.cr2;
  registers.cr3 = state.cr3;
  registers.cr4 = state.cr4;
  registers.efer = state.efer;
  // KVM takes no CS.L outside of long mode, where the bit means nothing.
  if ((state.efer & cpu::efer::kLma) == 0) registers.cs.l = 0;
  if (pae_paging(state)) {
    registers.flags = KVM_SREGS2_FLAGS_PDPTRS_VALID;
    std::ranges::copy(state.pae_pointers, registers.pdptrs);
  }
  return registers;
}

void from_kvm_special_registers(const kvm_sregs2& registers, CpuState& state) {
  for (const SegmentPlace& place : kSegments) state.segments[place.number] = from_kvm_segment(registers.*place.member);
  state.ldtr = from_kvm_segment(registers.ldt);
  state.tr = from_kvm_segment(registers.tr);
  from_kvm_table(registers.gdt, state.gdtr);
  from_kvm_table(registers.idt, state.idtr);
  state.cr0 = registers.cr0;
  state.cr2 = registers.cr2;
  state.cr3 = registers.cr3;
  state.cr4 = registers.cr4;
  state.efer = registers.efer;
  if ((registers.flags & KVM_SREGS2_FLAGS_PDPTRS_VALID) != 0) {
    std::ranges::copy(registers.pdptrs, state.pae_pointers.begin());
  }
  state.cpl = static_cast<uint8_t>(privilege_level(state));
}

// --- Debug registers -------------------------------------------------------------------------------------------------

kvm_debugregs to_kvm_debug_registers(const CpuState& state) {
  kvm_debugregs registers{};
  std::copy_n(state.dr.begin(), 4, registers.db);
  registers.dr6 = state.dr[6];
  registers.dr7 = state.dr[7];
  return registers;
}

void from_kvm_debug_registers(const kvm_debugregs& registers, CpuState& state) {
  std::copy_n(registers.db, 4, state.dr.begin());
  state.dr[6] = registers.dr6;
  state.dr[7] = registers.dr7;
}

// --- x87 and vectors -------------------------------------------------------------------------------------------------

void to_xsave_area(const CpuState& state, std::span<uint8_t> area) {
  const cpu::X87State& x87 = state.x87;
  put<uint16_t>(area, kControl, x87.control);
  put<uint16_t>(area, kStatus, static_cast<uint16_t>((x87.status & ~kTopMask) | x87.top << kTopShift));
  put<uint16_t>(area, kTags, static_cast<uint8_t>(~x87.empty));
  put<uint16_t>(area, kOpcode, x87.opcode);
  put<uint64_t>(area, kInstructionPointer, x87.instruction_pointer);
  put<uint64_t>(area, kDataPointer, x87.data_pointer);
  put<uint32_t>(area, kMxcsr, state.mxcsr);
  for (unsigned i = 0; i < 8; ++i) {
    const cpu::X87Register& value = x87.physical[(x87.top + i) & 7];
    put<uint64_t>(area, kStack + i * 16, value.significand);
    put<uint64_t>(area, kStack + i * 16 + 8, value.sign_exponent);
  }
  for (size_t i = 0; i < state.vectors.size(); ++i) {
    std::memcpy(area.data() + kXmm + i * kXmmBytes, state.vectors[i].bytes.data(), kXmmBytes);
  }
  uint64_t present = get<uint64_t>(area, kPresent) & state.xcr0;
  present |= kX87Component | kSseComponent;
  if ((state.xcr0 & kAvxComponent) != 0) {
    present |= kAvxComponent;
    for (size_t i = 0; i < state.vectors.size(); ++i) {
      std::memcpy(area.data() + kYmmHigh + i * kXmmBytes, state.vectors[i].bytes.data() + kXmmBytes, kXmmBytes);
    }
  }
  put<uint64_t>(area, kPresent, present);
}

void from_xsave_area(std::span<const uint8_t> area, CpuState& state) {
  const uint64_t present = get<uint64_t>(area, kPresent);
  cpu::X87State& x87 = state.x87;
  x87 = {};
  x87.control = get<uint16_t>(area, kControl);
  const auto status = get<uint16_t>(area, kStatus);
  x87.status = status & static_cast<uint16_t>(~kTopMask);
  x87.top = static_cast<uint8_t>(status >> kTopShift & 7);
  x87.empty = static_cast<uint8_t>(~get<uint8_t>(area, kTags));
  x87.opcode = get<uint16_t>(area, kOpcode);
  x87.instruction_pointer = get<uint64_t>(area, kInstructionPointer);
  x87.data_pointer = get<uint64_t>(area, kDataPointer);
  for (unsigned i = 0; i < 8; ++i) {
    cpu::X87Register& value = x87.physical[(x87.top + i) & 7];
    value.significand = get<uint64_t>(area, kStack + i * 16);
    value.sign_exponent = get<uint16_t>(area, kStack + i * 16 + 8);
  }
  state.mxcsr = get<uint32_t>(area, kMxcsr);
  for (size_t i = 0; i < state.vectors.size(); ++i) {
    cpu::VectorRegister& vector = state.vectors[i];
    std::memcpy(vector.bytes.data(), area.data() + kXmm + i * kXmmBytes, kXmmBytes);
    std::memset(vector.bytes.data() + kXmmBytes, 0, kXmmBytes);
    if ((present & kAvxComponent) != 0) {
      std::memcpy(vector.bytes.data() + kXmmBytes, area.data() + kYmmHigh + i * kXmmBytes, kXmmBytes);
    }
  }
}

// --- Events ----------------------------------------------------------------------------------------------------------

kvm_vcpu_events to_kvm_events(const CpuState& state) {
  kvm_vcpu_events events{};
  events.flags = KVM_VCPUEVENT_VALID_NMI_PENDING | KVM_VCPUEVENT_VALID_SHADOW;
  events.nmi.masked = state.nmi_blocked;
  if (state.interrupt_shadow) {
    events.interrupt.shadow = state.debug_shadow ? KVM_X86_SHADOW_INT_MOV_SS : KVM_X86_SHADOW_INT_STI;
  }
  return events;
}

KvmPendingEvents from_kvm_events(const kvm_vcpu_events& events, CpuState& state) {
  state.nmi_blocked = events.nmi.masked != 0;
  state.interrupt_shadow = events.interrupt.shadow != 0;
  state.debug_shadow = (events.interrupt.shadow & KVM_X86_SHADOW_INT_MOV_SS) != 0;
  state.pending_debug_trap = false;
  state.pending_debug_status = 0;
  KvmPendingEvents pending;
  pending.nmi_pending = events.nmi.pending != 0;
  if (events.exception.injected) {
    pending.undelivered = cpu::UndeliveredEvent{cpu::InterruptSource::Exception, events.exception.nr,
                                                events.exception.has_error_code != 0, events.exception.error_code};
  } else if (events.nmi.injected) {
    // Not blocked before it is delivered.
    state.nmi_blocked = false;
    pending.undelivered = cpu::UndeliveredEvent{cpu::InterruptSource::Nmi, cpu::kNmi, false, 0};
  } else if (events.interrupt.injected && !events.interrupt.soft) {
    pending.undelivered = cpu::UndeliveredEvent{cpu::InterruptSource::Hardware, events.interrupt.nr, false, 0};
  }
  return pending;
}

}  // namespace calco::machine
