// Segment descriptors: reading, checking, loading into segment registers (SDM vol. 3, chapters 3 and 5).
#pragma once

#include <cstdint>

#include "cpu/cpu.h"
#include "cpu/mmu/paging.h"

namespace calco::cpu {

// System descriptor types (SDM vol. 3, table 3-2).
namespace system_type {
constexpr unsigned kTss16 = 1, kLdt = 2, kTss16Busy = 3, kCallGate16 = 4, kTaskGate = 5, kInterruptGate16 = 6,
                   kTrapGate16 = 7, kTss32 = 9, kTss32Busy = 11, kCallGate32 = 12, kInterruptGate32 = 14,
                   kTrapGate32 = 15;
}

constexpr bool is_null(uint16_t selector) { return (selector & 0xFFFC) == 0; }
constexpr unsigned requested_privilege(uint16_t selector) { return selector & 3; }
// The error code that names a selector: without RPL.
constexpr uint32_t selector_error(uint16_t selector) { return selector & 0xFFFCu; }

// A descriptor as it lies in a table: 8 bytes, and the upper 8 of the 16-byte system descriptors of IA-32e mode.
struct Descriptor {
  uint32_t low = 0;
  uint32_t high = 0;
  uint64_t upper = 0;
  uint64_t address = 0;  // linear address that it was read from

  bool present() const { return (high >> 15 & 1) != 0; }
  unsigned privilege() const { return high >> 13 & 3; }
  bool system() const { return (high >> 12 & 1) == 0; }
  unsigned type() const { return high >> 8 & 0xF; }
  bool is_code() const { return (high & 0x1800) == 0x1800; }
  bool is_conforming_code() const { return (high & 0x1C00) == 0x1C00; }
  bool is_data() const { return (high & 0x1800) == 0x1000; }
  bool is_writable_data() const { return (high & 0x1A00) == 0x1200; }
  bool is_readable() const { return is_data() || (high & 0x1A00) == 0x1A00; }
  bool long_mode() const { return (high >> 21 & 1) != 0; }
  bool big() const { return (high >> 22 & 1) != 0; }
  uint32_t limit() const {
    const uint32_t raw = (low & 0xFFFF) | (high & 0xF0000);
    return (high >> 23 & 1) != 0 ? raw << 12 | 0xFFF : raw;
  }
  uint32_t base() const { return low >> 16 | (high & 0xFF) << 16 | (high & 0xFF000000); }
  uint64_t base_64() const { return base() | upper << 32; }

  // Gates.
  uint16_t gate_selector() const { return static_cast<uint16_t>(low >> 16); }
  uint32_t gate_offset() const { return (low & 0xFFFF) | (high & 0xFFFF0000); }
  uint64_t gate_offset_64() const { return gate_offset() | upper << 32; }
};

// A code or data segment register's contents as the descriptor gives them.
Segment make_segment(uint16_t selector, const Descriptor& descriptor);
// An unusable segment register.
Segment null_segment(uint16_t selector);
// A flat 4-GByte segment as SYSCALL, SYSENTER and SMM fill in without a table. `attributes` as in Segment.
Segment flat_segment(uint16_t selector, uint16_t attributes);
// What a segment register holds in virtual-8086 mode (SDM vol. 3, 20.2).
Segment virtual_8086_segment(uint16_t selector);

// Reads the descriptor of a selector from the GDT or LDT. False where it lies outside of the table. `size`: 8 or 16.
bool read_descriptor(Cpu& cpu, uint16_t selector, Descriptor& descriptor, unsigned size = 8);
// The same, raising `vector` with the selector as error code outside of the table.
Descriptor require_descriptor(Cpu& cpu, uint16_t selector, Vector vector, unsigned size = 8);
// Reads 8 or 16 bytes of a descriptor at a linear address.
Descriptor read_descriptor_at(Cpu& cpu, uint64_t linear, unsigned size);

// Sets the accessed bit in memory, and in `descriptor`, where it is clear.
void mark_accessed(Cpu& cpu, Descriptor& descriptor);
// Sets or clears the busy bit of a TSS descriptor in memory.
void set_busy(Cpu& cpu, uint64_t descriptor_address, bool busy);

// MOV, POP, Lxx to a segment register other than CS, with all checks of the mode. Does not call mode_changed().
void load_segment(Cpu& cpu, SegmentRegister which, uint16_t selector);
// Loads CS or another segment register by the rules of real mode (SDM vol. 3, 20.1.1): base and selector only.
void load_real_segment(Cpu& cpu, SegmentRegister which, uint16_t selector);

// The stack segment that a change to `privilege` loads. `vector`: #TS for calls and interrupts, #GP for returns.
// A segment that is not present is #SS(selector).
Segment check_stack_segment(Cpu& cpu, uint16_t selector, unsigned privilege, Vector vector);

// Raises #GP(0) where `offset` is outside of the code segment (or not canonical in a 64-bit one).
void check_code_offset(Cpu& cpu, const Segment& code, uint64_t offset);

// LLDT and LTR without their privilege checks: the vector of what a task switch finds wrong is #TS, else #GP.
void load_ldtr(Cpu& cpu, uint16_t selector, Vector vector);
void load_tr(Cpu& cpu, uint16_t selector);

// Loads DS, ES, FS, GS with null where the new, outer privilege may not use what they hold (SDM vol. 3, 5.8.6).
void drop_inner_segments(Cpu& cpu);

// A stack that a control transfer builds a frame on, before anything is committed.
struct FrameStack {
  Segment segment;
  uint64_t pointer = 0;
  unsigned address_size = 4;  // bytes: 2, 4 or 8
  Protection protection = Protection::Supervisor;
  uint32_t fault_error = 0;  // error code of #SS

  uint64_t mask() const { return address_size == 8 ? ~uint64_t{0} : address_size == 4 ? 0xFFFFFFFF : uint64_t{0xFFFF}; }
  // Raises #SS where `bytes` below the pointer are not all inside the segment.
  void require_room(Cpu& cpu, unsigned bytes) const;
  void push(Cpu& cpu, uint64_t value, unsigned size);
};
// The current stack; faults have error code 0.
FrameStack current_stack(Cpu& cpu);
// Stores the pointer to RSP. On a 16-bit stack its upper part is what the pointer was made with.
void commit_stack_pointer(Cpu& cpu, const FrameStack& stack);

// SS:RSP of an inner privilege level as the TSS gives it (SDM vol. 3, 5.8.5); not for IA-32e mode.
FrameStack inner_stack(Cpu& cpu, unsigned privilege);
// RSP0-2 (`ist` 0) or IST1-7 of the 64-bit TSS with the null stack segment of `privilege`.
FrameStack inner_stack_64(Cpu& cpu, unsigned privilege, unsigned ist);

// A reader of the current stack that leaves RSP alone until everything has been checked.
struct StackReader {
  uint64_t pointer = 0;
  // Raises #SS(0) where `bytes` above the pointer are not all inside the segment.
  void require(Cpu& cpu, unsigned bytes) const;
  uint64_t pop(Cpu& cpu, unsigned size);
};
StackReader stack_reader(const Cpu& cpu);
// Stores `pointer` to RSP, keeping the upper part as `address_size` says.
void set_stack_pointer(Cpu& cpu, uint64_t pointer, unsigned address_size);

}  // namespace calco::cpu
