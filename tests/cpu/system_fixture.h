// A processor with descriptor tables and a handler for every vector, for tests of the system architecture.
#pragma once

#include <cstdint>

#include "cpu/system/descriptors.h"
#include "tests/cpu/cpu_fixture.h"

namespace calco::cpu {

// Selectors of the test's GDT.
namespace selector {
constexpr uint16_t kCode0 = 0x08, kData0 = 0x10, kCode3 = 0x18 | 3, kData3 = 0x20 | 3, kTss = 0x28, kConforming = 0x38,
                   kAbsent = 0x40, kLdt = 0x48, kTask = 0x58, kGate = 0x60, kCode32 = 0x70, kReadOnly = 0x78;
}

// Vector n's handler lies at kHandlers + n * 16. Handlers run at privilege level 0 on the stack that ends at
// kInnerStack.
class SystemFixture : public CpuFixture {
 public:
  static constexpr uint64_t kGdt = 0x10000;
  static constexpr uint64_t kIdt = 0x11000;
  static constexpr uint64_t kTssBase = 0x12000;
  static constexpr uint64_t kSecondTss = 0x13000;
  static constexpr uint64_t kHandlers = 0x120000;
  static constexpr uint64_t kInnerStack = 0x210000;
  static constexpr uint64_t kInterruptStack = 0x220000;  // IST1

  using CpuFixture::CpuFixture;

  void enter_long(unsigned cpl = 0) {
    enter_64_bit_mode(cpl);
    long_mode = true;
    build_tables(cpl);
  }
  void enter_protected(unsigned cpl = 0) {
    enter_32_bit_mode(cpl);
    long_mode = false;
    build_tables(cpl);
  }
  void enter_real() {
    for (unsigned vector = 0; vector < 32; ++vector) {
      map.write_value<uint32_t>(vector * 4, static_cast<uint32_t>(0x2000 << 16 | vector * 16));
    }
    cpu->idtr.base = 0;
    cpu->idtr.limit = 0x3FF;
    for (const SegmentRegister which : {kEs, kCs, kSs, kDs, kFs, kGs}) {
      cpu->segments[which].selector = 0x1000;
      cpu->segments[which].base = 0x10000;
    }
    cpu->registers[kRip] = 0x100;
    cpu->registers[kRsp] = 0x8000;
    cpu->mode_changed();
  }

  // A code or data descriptor with a 4-GByte limit; `attributes` as in Segment.
  void write_segment(uint16_t which, uint16_t attributes, uint32_t base = 0, uint32_t limit = 0xFFFFFFFF) {
    const uint32_t pages = limit >> 12;
    const uint32_t low = (pages & 0xFFFF) | base << 16;
    const uint32_t high = (base >> 16 & 0xFF) | uint32_t{attributes} << 8 | (pages & 0xF0000) | (base & 0xFF000000);
    map.write_value<uint64_t>(kGdt + (which & 0xFFF8u), uint64_t{high} << 32 | low);
  }
  // A byte-granular system descriptor; 16 bytes in long mode.
  void write_system_segment(uint16_t which, unsigned type, uint32_t base, uint32_t limit, unsigned privilege = 0) {
    const uint64_t address = kGdt + (which & 0xFFF8u);
    const uint32_t access = 0x80 | privilege << 5 | type;
    map.write_value<uint32_t>(address, (limit & 0xFFFF) | base << 16);
    map.write_value<uint32_t>(address + 4, (base >> 16 & 0xFF) | access << 8 | (base & 0xFF000000));
    if (long_mode) map.write_value<uint64_t>(address + 8, 0);
  }
  // An interrupt, trap, task or call gate at `address`.
  void write_gate(uint64_t address, unsigned type, uint16_t target, uint64_t offset, unsigned privilege = 0,
                  unsigned low_bits = 0) {
    const uint32_t access = 0x80 | privilege << 5 | type;
    map.write_value<uint32_t>(address, uint32_t{target} << 16 | (offset & 0xFFFF));
    map.write_value<uint32_t>(address + 4, static_cast<uint32_t>(offset & 0xFFFF0000) | access << 8 | low_bits);
    if (long_mode) map.write_value<uint64_t>(address + 8, offset >> 32);
  }
  void write_interrupt_gate(uint8_t vector, unsigned type, uint16_t target, unsigned privilege = 0, unsigned ist = 0) {
    write_gate(kIdt + vector * (long_mode ? 16u : 8u), type, target, handler(vector), privilege, ist);
  }
  void remove_gate(uint8_t vector) { map.write_value<uint64_t>(kIdt + vector * (long_mode ? 16u : 8u), 0); }

  static constexpr uint64_t handler(uint8_t vector) { return kHandlers + vector * 16u; }
  // Word `index` of the interrupt frame on top of the stack.
  uint64_t frame(unsigned index) {
    const uint64_t top = cpu->registers[kRsp];
    return long_mode ? map.read_value<uint64_t>(top + index * 8) : map.read_value<uint32_t>(top + index * 4);
  }
  // Executes one instruction; true where the vector's handler was entered.
  bool execute_faults(std::initializer_list<uint8_t> bytes, uint8_t vector) {
    execute(bytes);
    return cpu->registers[kRip] == handler(vector);
  }

  bool long_mode = false;

 private:
  void build_tables(unsigned cpl) {
    const uint16_t code_size = long_mode ? Segment::kL : Segment::kDb;
    const uint16_t code = Segment::kG | Segment::kP | Segment::kS | 0xA | code_size;
    const uint16_t data = Segment::kG | Segment::kP | Segment::kS | Segment::kDb | 2;
    constexpr uint16_t kUser = 3u << Segment::kDplShift;
    write_segment(selector::kCode0, code);
    write_segment(selector::kData0, data);
    write_segment(selector::kCode3, code | kUser);
    write_segment(selector::kData3, data | kUser);
    write_segment(selector::kConforming, code | 4);
    write_segment(selector::kAbsent, data & ~Segment::kP);
    write_segment(selector::kCode32, Segment::kG | Segment::kP | Segment::kS | Segment::kDb | 0xA);
    write_segment(selector::kReadOnly, data & ~2);
    write_system_segment(selector::kTss, system_type::kTss32Busy, kTssBase, 0x1FFF);
    cpu->gdtr.base = kGdt;
    cpu->gdtr.limit = 0x7F;
    cpu->idtr.base = kIdt;
    cpu->idtr.limit = long_mode ? 0x1FF : 0xFF;
    for (unsigned vector = 0; vector < 32; ++vector) {
      write_interrupt_gate(static_cast<uint8_t>(vector), system_type::kInterruptGate32, selector::kCode0);
    }
    cpu->tr = Segment{selector::kTss, Segment::kP | system_type::kTss32Busy, 0x1FFF, kTssBase};
    cpu->ldtr = null_segment(0);
    write_inner_stacks();
    cpu->segments[kCs].selector = cpl == 3 ? selector::kCode3 : selector::kCode0;
    for (const SegmentRegister which : {kEs, kSs, kDs, kFs, kGs}) {
      cpu->segments[which].selector = cpl == 3 ? selector::kData3 : selector::kData0;
    }
  }
  void write_inner_stacks() {
    if (long_mode) {
      map.write_value<uint64_t>(kTssBase + 4, kInnerStack);
      map.write_value<uint64_t>(kTssBase + 36, kInterruptStack);
    } else {
      map.write_value<uint32_t>(kTssBase + 4, kInnerStack);
      map.write_value<uint32_t>(kTssBase + 8, selector::kData0);
    }
  }
};

}  // namespace calco::cpu
