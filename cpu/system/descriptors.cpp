#include "cpu/system/descriptors.h"

#include "cpu/mmu/access.h"

namespace calco::cpu {

namespace {

constexpr uint16_t kPrivilegeMask = 3u << Segment::kDplShift;

constexpr uint64_t kLegacyLinearMask = 0xFFFFFFFF;

uint64_t table_linear(const Cpu& cpu, uint64_t linear) {
  return cpu.long_mode_active() ? linear : linear & kLegacyLinearMask;
}

bool range_inside(const Segment& segment, uint64_t first, uint64_t last) {
  if (!segment.present()) return false;
  if (!segment.expand_down()) return last <= segment.limit;
  return first > segment.limit && last <= (segment.big() ? 0xFFFFFFFF : uint64_t{0xFFFF});
}

void load_protected_stack_segment(Cpu& cpu, uint16_t selector) {
  if (is_null(selector)) {
    // Only 64-bit code below privilege level 3 may have none (SDM vol. 3, 5.4.1).
    if (!cpu.code_64() || cpu.cpl == 3 || requested_privilege(selector) != cpu.cpl) cpu.raise(kGeneralProtection, 0);
    cpu.segments[kSs] = null_segment(selector);
    return;
  }
  cpu.segments[kSs] = check_stack_segment(cpu, selector, cpu.cpl, kGeneralProtection);
}

void load_protected_data_segment(Cpu& cpu, SegmentRegister which, uint16_t selector) {
  if (is_null(selector)) {
    cpu.segments[which] = null_segment(selector);
    return;
  }
  Descriptor descriptor = require_descriptor(cpu, selector, kGeneralProtection);
  const uint32_t error = selector_error(selector);
  if (descriptor.system() || !descriptor.is_readable()) cpu.raise(kGeneralProtection, error);
  if (!descriptor.is_conforming_code() &&
      (requested_privilege(selector) > descriptor.privilege() || cpu.cpl > descriptor.privilege())) {
    cpu.raise(kGeneralProtection, error);
  }
  if (!descriptor.present()) cpu.raise(kSegmentNotPresent, error);
  mark_accessed(cpu, descriptor);
  cpu.segments[which] = make_segment(selector, descriptor);
}

uint64_t read_tss_field(Cpu& cpu, uint32_t offset, unsigned size) {
  return cpu.mmu().load_slow(table_linear(cpu, cpu.tr.base + offset), size, Protection::Supervisor);
}

}  // namespace

Segment make_segment(uint16_t selector, const Descriptor& descriptor) {
  return {selector, static_cast<uint16_t>(descriptor.high >> 8 & 0xF0FF), descriptor.limit(), descriptor.base()};
}

Segment null_segment(uint16_t selector) { return {selector, 0, 0, 0}; }

Segment flat_segment(uint16_t selector, uint16_t attributes) { return {selector, attributes, 0xFFFFFFFF, 0}; }

Segment virtual_8086_segment(uint16_t selector) {
  return {selector, Segment::kP | kPrivilegeMask | Segment::kS | 3, 0xFFFF, uint64_t{selector} << 4};
}

Descriptor read_descriptor_at(Cpu& cpu, uint64_t linear, unsigned size) {
  const auto raw = load_supervisor<uint64_t>(cpu, linear);
  Descriptor descriptor{static_cast<uint32_t>(raw), static_cast<uint32_t>(raw >> 32), 0, linear};
  if (size == 16) descriptor.upper = load_supervisor<uint64_t>(cpu, linear + 8);
  return descriptor;
}

bool read_descriptor(Cpu& cpu, uint16_t selector, Descriptor& descriptor, unsigned size) {
  const bool local = (selector & 4) != 0;
  if (local && !cpu.ldtr.present()) return false;
  const uint64_t limit = local ? cpu.ldtr.limit : cpu.gdtr.limit;
  const uint64_t offset = selector & 0xFFF8u;
  if (offset + size - 1 > limit) return false;
  descriptor = read_descriptor_at(cpu, table_linear(cpu, (local ? cpu.ldtr.base : cpu.gdtr.base) + offset), size);
  return true;
}

Descriptor require_descriptor(Cpu& cpu, uint16_t selector, Vector vector, unsigned size) {
  Descriptor descriptor;
  if (!read_descriptor(cpu, selector, descriptor, size)) cpu.raise(vector, selector_error(selector));
  return descriptor;
}

void mark_accessed(Cpu& cpu, Descriptor& descriptor) {
  if ((descriptor.high & 1u << 8) != 0) return;
  descriptor.high |= 1u << 8;
  store_supervisor<uint8_t>(cpu, descriptor.address + 5, static_cast<uint8_t>(descriptor.high >> 8));
}

void set_busy(Cpu& cpu, uint64_t descriptor_address, bool busy) {
  const auto access = load_supervisor<uint8_t>(cpu, descriptor_address + 5);
  store_supervisor<uint8_t>(cpu, descriptor_address + 5, static_cast<uint8_t>(busy ? access | 2 : access & ~2));
}

void load_real_segment(Cpu& cpu, SegmentRegister which, uint16_t selector) {
  Segment& segment = cpu.segments[which];
  // Limit and size survive ("unreal mode"); what a null selector left behind does not.
  if (!segment.present()) segment.limit = 0xFFFF;
  constexpr uint16_t kKept = Segment::kG | Segment::kDb | Segment::kAvl;
  segment.attributes = static_cast<uint16_t>((segment.attributes & kKept) | Segment::kP | Segment::kS | 3);
  segment.selector = selector;
  segment.base = uint64_t{selector} << 4;
}

void load_segment(Cpu& cpu, SegmentRegister which, uint16_t selector) {
  if (!cpu.protected_mode()) {
    load_real_segment(cpu, which, selector);
  } else if (cpu.virtual_8086()) {
    cpu.segments[which] = virtual_8086_segment(selector);
  } else if (which == kSs) {
    load_protected_stack_segment(cpu, selector);
  } else {
    load_protected_data_segment(cpu, which, selector);
  }
}

Segment check_stack_segment(Cpu& cpu, uint16_t selector, unsigned privilege, Vector vector) {
  const uint32_t error = selector_error(selector);
  if (is_null(selector)) cpu.raise(vector, 0);
  Descriptor descriptor = require_descriptor(cpu, selector, vector);
  if (requested_privilege(selector) != privilege || !descriptor.is_writable_data() ||
      descriptor.privilege() != privilege) {
    cpu.raise(vector, error);
  }
  if (!descriptor.present()) cpu.raise(kStackFault, error);
  mark_accessed(cpu, descriptor);
  return make_segment(selector, descriptor);
}

void check_code_offset(Cpu& cpu, const Segment& code, uint64_t offset) {
  const bool code_64 = cpu.long_mode_active() && code.long_mode();
  if (code_64 ? !canonical(offset) : offset > code.limit) cpu.raise(kGeneralProtection, 0);
}

void load_ldtr(Cpu& cpu, uint16_t selector, Vector vector) {
  if (is_null(selector)) {
    cpu.ldtr = null_segment(selector);
    return;
  }
  const uint32_t error = selector_error(selector);
  if ((selector & 4) != 0) cpu.raise(vector, error);
  const bool wide = cpu.long_mode_active();
  const Descriptor descriptor = require_descriptor(cpu, selector, vector, wide ? 16 : 8);
  if (!descriptor.system() || descriptor.type() != system_type::kLdt) cpu.raise(vector, error);
  if (!descriptor.present()) cpu.raise(vector == kInvalidTss ? kInvalidTss : kSegmentNotPresent, error);
  Segment segment = make_segment(selector, descriptor);
  if (wide) {
    segment.base = descriptor.base_64();
    if (!canonical(segment.base)) cpu.raise(vector, error);
  }
  cpu.ldtr = segment;
}

void load_tr(Cpu& cpu, uint16_t selector) {
  if (is_null(selector)) cpu.raise(kGeneralProtection, 0);
  const uint32_t error = selector_error(selector);
  if ((selector & 4) != 0) cpu.raise(kGeneralProtection, error);
  const bool wide = cpu.long_mode_active();
  Descriptor descriptor = require_descriptor(cpu, selector, kGeneralProtection, wide ? 16 : 8);
  const bool available =
      descriptor.type() == system_type::kTss32 || (!wide && descriptor.type() == system_type::kTss16);
  if (!descriptor.system() || !available) cpu.raise(kGeneralProtection, error);
  if (!descriptor.present()) cpu.raise(kSegmentNotPresent, error);
  Segment segment = make_segment(selector, descriptor);
  if (wide) {
    segment.base = descriptor.base_64();
    if (!canonical(segment.base)) cpu.raise(kGeneralProtection, error);
  }
  set_busy(cpu, descriptor.address, true);
  segment.attributes |= 2;
  cpu.tr = segment;
}

void drop_inner_segments(Cpu& cpu) {
  constexpr uint16_t kConformingCode = Segment::kS | 8 | 4;
  for (const SegmentRegister which : {kEs, kDs, kFs, kGs}) {
    Segment& segment = cpu.segments[which];
    if (is_null(segment.selector)) {  // what it holds counts as of privilege level 0: its RPL goes, its base stays
      segment.selector = 0;
      continue;
    }
    const bool conforming = (segment.attributes & kConformingCode) == kConformingCode;
    if (!segment.present() || conforming || segment.privilege() >= cpu.cpl) continue;
    segment.selector = 0;
    segment.attributes = 0;
  }
}

void FrameStack::require_room(Cpu& cpu, unsigned bytes) const {
  const uint64_t low = (pointer - bytes) & mask();
  const uint64_t high = (pointer - 1) & mask();
  bool fits;
  if (address_size == 8) {
    fits = canonical(low) && canonical(high);
  } else if (low <= high) {
    fits = range_inside(segment, low, high);
  } else {  // the pointer wraps inside the frame
    fits = range_inside(segment, low, mask()) && range_inside(segment, 0, high);
  }
  if (!fits) cpu.raise(kStackFault, fault_error);
}

void FrameStack::push(Cpu& cpu, uint64_t value, unsigned size) {
  const uint64_t offset = (pointer - size) & mask();
  const uint64_t last = offset + size - 1;
  if (address_size == 8) {
    if (!canonical(offset) || !canonical(last)) cpu.raise(kStackFault, fault_error);
    cpu.mmu().store_slow(offset, size, value, protection, true);
  } else {
    if (!range_inside(segment, offset, last)) cpu.raise(kStackFault, fault_error);
    cpu.mmu().store_slow((segment.base + offset) & kLegacyLinearMask, size, value, protection, true);
  }
  pointer = (pointer & ~mask()) | offset;
}

FrameStack current_stack(Cpu& cpu) {
  return {cpu.segments[kSs], cpu.registers[kRsp], cpu.stack_address_size(), cpu.mmu().current_protection(), 0};
}

void set_stack_pointer(Cpu& cpu, uint64_t pointer, unsigned address_size) {
  if (address_size == 2) {
    cpu.registers[kRsp] = (cpu.registers[kRsp] & ~uint64_t{0xFFFF}) | (pointer & 0xFFFF);
  } else {
    cpu.registers[kRsp] = address_size == 4 ? pointer & 0xFFFFFFFF : pointer;
  }
}

void commit_stack_pointer(Cpu& cpu, const FrameStack& stack) {
  cpu.registers[kRsp] = stack.address_size == 4 ? stack.pointer & 0xFFFFFFFF : stack.pointer;
}

FrameStack inner_stack(Cpu& cpu, unsigned privilege) {
  const bool wide = (cpu.tr.type() & 8) != 0;
  const uint32_t offset = wide ? privilege * 8 + 4 : privilege * 4 + 2;
  const uint32_t last = offset + (wide ? 5 : 3);
  if (!cpu.tr.present() || last > cpu.tr.limit) cpu.raise(kInvalidTss, selector_error(cpu.tr.selector));
  const uint64_t pointer = read_tss_field(cpu, offset, wide ? 4 : 2);
  const auto selector = static_cast<uint16_t>(read_tss_field(cpu, offset + (wide ? 4 : 2), 2));
  const Segment segment = check_stack_segment(cpu, selector, privilege, kInvalidTss);
  const auto protection = privilege == 3 ? Protection::User : Protection::Supervisor;
  return {segment, pointer, segment.big() ? 4u : 2u, protection, selector_error(selector)};
}

FrameStack inner_stack_64(Cpu& cpu, unsigned privilege, unsigned ist) {
  const uint32_t offset = ist == 0 ? privilege * 8 + 4 : ist * 8 + 28;
  if (!cpu.tr.present() || offset + 7 > cpu.tr.limit) cpu.raise(kInvalidTss, selector_error(cpu.tr.selector));
  const uint64_t pointer = read_tss_field(cpu, offset, 8);
  return {null_segment(static_cast<uint16_t>(privilege)), pointer, 8, Protection::Supervisor, 0};
}

StackReader stack_reader(const Cpu& cpu) { return {cpu.registers[kRsp]}; }

void StackReader::require(Cpu& cpu, unsigned bytes) const {
  const unsigned address_size = cpu.stack_address_size();
  if (address_size == 8) {
    if (!canonical(pointer) || !canonical(pointer + bytes - 1)) cpu.raise(kStackFault, 0);
    return;
  }
  const uint64_t mask = address_size == 4 ? 0xFFFFFFFF : uint64_t{0xFFFF};
  const uint64_t low = pointer & mask;
  const uint64_t high = (pointer + bytes - 1) & mask;
  const Segment& segment = cpu.segments[kSs];
  const bool fits = low <= high ? range_inside(segment, low, high)
                                : range_inside(segment, low, mask) && range_inside(segment, 0, high);
  if (!fits) cpu.raise(kStackFault, 0);
}

uint64_t StackReader::pop(Cpu& cpu, unsigned size) {
  const unsigned address_size = cpu.stack_address_size();
  const Protection protection = cpu.mmu().current_protection();
  uint64_t value;
  if (address_size == 8) {
    value = cpu.mmu().load_slow(pointer, size, protection, true);
    pointer += size;
  } else {
    const uint64_t mask = address_size == 4 ? 0xFFFFFFFF : uint64_t{0xFFFF};
    const uint64_t offset = pointer & mask;
    if (!range_inside(cpu.segments[kSs], offset, offset + size - 1)) cpu.raise(kStackFault, 0);
    const uint64_t linear = (cpu.segments[kSs].base + offset) & kLegacyLinearMask;
    value = cpu.mmu().load_slow(linear, size, protection, true);
    pointer = (offset + size) & mask;
  }
  return value;
}

}  // namespace calco::cpu
