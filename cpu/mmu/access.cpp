#include "cpu/mmu/access.h"

#include "cpu/mmu/paging.h"

namespace calco::cpu {

namespace {

[[noreturn]] void raise_segment_fault(Cpu& cpu, unsigned segment) {
  cpu.raise(segment == kSs ? kStackFault : kGeneralProtection, 0);
}

// Limit and type checks of a segment in protected mode (SDM vol. 3, 5.3, 5.5); limits alone count in real and
// virtual-8086 mode, where the type is always that of a writable data segment.
void check_segment(Cpu& cpu, unsigned segment, uint32_t offset, unsigned size, bool write) {
  const Segment& descriptor = cpu.segments[segment];
  if (cpu.protected_mode() && !cpu.virtual_8086()) {
    if (!descriptor.present()) raise_segment_fault(cpu, segment);
    const bool code = descriptor.is_code();
    const bool allowed = write ? !code && (descriptor.type() & 2) != 0 : !code || (descriptor.type() & 2) != 0;
    if (!allowed) raise_segment_fault(cpu, segment);
  }
  const uint64_t last = uint64_t{offset} + size - 1;
  const bool inside = descriptor.expand_down()
                          ? offset > descriptor.limit && last <= (descriptor.big() ? 0xFFFFFFFFu : 0xFFFFu)
                          : last <= descriptor.limit;
  if (!inside) raise_segment_fault(cpu, segment);
}

}  // namespace

uint64_t segment_linear(Cpu& cpu, unsigned segment, uint64_t offset, unsigned size, bool write) {
  if (cpu.code_64()) {
    const bool based = segment == kFs || segment == kGs;
    const uint64_t linear = based ? cpu.segments[segment].base + offset : offset;
    if (!canonical(linear) || !canonical(linear + size - 1)) raise_segment_fault(cpu, segment);
    return linear;
  }
  if (segment == kNoSegment) return static_cast<uint32_t>(offset);
  check_segment(cpu, segment, static_cast<uint32_t>(offset), size, write);
  return static_cast<uint32_t>(cpu.segments[segment].base + offset);
}

uint64_t operand_linear(Cpu& cpu, const Op& op, unsigned size, bool write) {
  return segment_linear(cpu, op.segment, effective_address(cpu, op), size, write);
}

namespace {

// RSP after `delta` bytes were added in the stack's address size; the upper part of RSP stays.
uint64_t moved_stack_pointer(const Cpu& cpu, int64_t delta) {
  const uint64_t rsp = cpu.registers[kRsp];
  const uint64_t moved = rsp + static_cast<uint64_t>(delta);
  switch (cpu.stack_address_size()) {
    case 8:
      return moved;
    case 4:
      return static_cast<uint32_t>(moved);
    default:
      return (rsp & ~uint64_t{0xFFFF}) | (moved & 0xFFFF);
  }
}

uint64_t stack_offset(const Cpu& cpu, uint64_t rsp) {
  const unsigned size = cpu.stack_address_size();
  return size == 8 ? rsp : size == 4 ? static_cast<uint32_t>(rsp) : static_cast<uint16_t>(rsp);
}

}  // namespace

void push(Cpu& cpu, uint64_t value, unsigned size) {
  const uint64_t rsp = moved_stack_pointer(cpu, -static_cast<int64_t>(size));
  const uint64_t linear = segment_linear(cpu, kSs, stack_offset(cpu, rsp), size, true);
  switch (size) {
    case 2:
      store_linear<uint16_t>(cpu, cpu.tlb, linear, static_cast<uint16_t>(value), true);
      break;
    case 4:
      store_linear<uint32_t>(cpu, cpu.tlb, linear, static_cast<uint32_t>(value), true);
      break;
    default:
      store_linear<uint64_t>(cpu, cpu.tlb, linear, value, true);
      break;
  }
  cpu.registers[kRsp] = rsp;
}

uint64_t pop(Cpu& cpu, unsigned size) {
  const uint64_t linear = segment_linear(cpu, kSs, stack_offset(cpu, cpu.registers[kRsp]), size, false);
  const uint64_t value = size == 2   ? load_linear<uint16_t>(cpu, cpu.tlb, linear, true)
                         : size == 4 ? load_linear<uint32_t>(cpu, cpu.tlb, linear, true)
                                     : load_linear<uint64_t>(cpu, cpu.tlb, linear, true);
  cpu.registers[kRsp] = moved_stack_pointer(cpu, size);
  return value;
}

}  // namespace calco::cpu
