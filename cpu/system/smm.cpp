#include "cpu/system/smm.h"

#include <array>

#include "cpu/system/control_registers.h"
#include "cpu/system/debug.h"
#include "cpu/system/descriptors.h"

namespace calco::cpu {

namespace {

// Offsets from SMBASE + 8000H (APM vol. 2, table 10-1).
constexpr uint32_t kEsOffset = 0x7E00, kGdtrOffset = 0x7E60, kLdtrOffset = 0x7E70, kIdtrOffset = 0x7E80,
                   kTrOffset = 0x7E90, kAutoHaltRestart = 0x7EC9, kNmiMask = 0x7ECA, kEferOffset = 0x7ED0,
                   kRevisionOffset = 0x7EFC, kSmbaseOffset = 0x7F00, kCr4Offset = 0x7F48, kCr3Offset = 0x7F50,
                   kCr0Offset = 0x7F58, kDr7Offset = 0x7F60, kDr6Offset = 0x7F68, kRflagsOffset = 0x7F70,
                   kRipOffset = 0x7F78, kR15Offset = 0x7F80;
constexpr uint32_t kSegmentStride = 16;

constexpr uint32_t kRevision = 0x00020064;  // 64-bit layout; bit 17: SMBASE can be relocated
constexpr uint64_t kHandlerOffset = 0x8000;

// From R15 upwards in memory; the order of the area, not that of the instruction encoding.
constexpr std::array<Register, 16> kRegisterOrder = {kR15, kR14, kR13, kR12, kR11, kR10, kR9,  kR8,
                                                     kRdi, kRsi, kRbp, kRsp, kRbx, kRdx, kRcx, kRax};

class SaveArea {
 public:
  explicit SaveArea(Cpu& cpu) : map_(cpu.environment().memory_map), base_(cpu.smbase + kHandlerOffset) {}

  template <typename T>
  void save(uint32_t offset, T value) {
    map_.write_value<T>(base_ + offset, value, true);
  }
  template <typename T>
  T load(uint32_t offset) {
    return map_.read_value<T>(base_ + offset, true);
  }

  // Attributes lie packed to 12 bits, as in a VMCB.
  void save_segment(uint32_t offset, const Segment& segment) {
    save<uint16_t>(offset, segment.selector);
    save<uint16_t>(offset + 2, static_cast<uint16_t>((segment.attributes & 0xFF) | (segment.attributes >> 4 & 0xF00)));
    save<uint32_t>(offset + 4, segment.limit);
    save<uint64_t>(offset + 8, segment.base);
  }
  Segment load_segment(uint32_t offset) {
    const auto packed = load<uint16_t>(offset + 2);
    return {load<uint16_t>(offset), static_cast<uint16_t>((packed & 0xFF) | (packed & 0xF00) << 4),
            load<uint32_t>(offset + 4), load<uint64_t>(offset + 8)};
  }
  void save_table(uint32_t offset, const DescriptorTable& table) {
    save<uint32_t>(offset + 4, table.limit);
    save<uint64_t>(offset + 8, table.base);
  }
  void load_table(uint32_t offset, DescriptorTable& table) {
    table.limit = static_cast<uint16_t>(load<uint32_t>(offset + 4));
    table.base = load<uint64_t>(offset + 8);
  }

 private:
  MemoryMap& map_;
  uint64_t base_;
};

void save_state(Cpu& cpu) {
  SaveArea area(cpu);
  for (uint32_t which = kEs; which <= kGs; ++which) {
    area.save_segment(kEsOffset + which * kSegmentStride, cpu.segments[which]);
  }
  area.save_table(kGdtrOffset, cpu.gdtr);
  area.save_segment(kLdtrOffset, cpu.ldtr);
  area.save_table(kIdtrOffset, cpu.idtr);
  area.save_segment(kTrOffset, cpu.tr);
  area.save<uint8_t>(kAutoHaltRestart, cpu.activity == Activity::Halted ? 1 : 0);
  area.save<uint8_t>(kNmiMask, cpu.nmi_blocked ? 1 : 0);
  area.save<uint64_t>(kEferOffset, cpu.efer);
  area.save<uint32_t>(kRevisionOffset, kRevision);
  area.save<uint32_t>(kSmbaseOffset, cpu.smbase);
  area.save<uint64_t>(kCr4Offset, cpu.cr4);
  area.save<uint64_t>(kCr3Offset, cpu.cr3);
  area.save<uint64_t>(kCr0Offset, cpu.cr0);
  area.save<uint64_t>(kDr7Offset, debug_register_value(cpu, 7));
  area.save<uint64_t>(kDr6Offset, debug_register_value(cpu, 6));
  area.save<uint64_t>(kRflagsOffset, rflags_value(cpu));
  area.save<uint64_t>(kRipOffset, cpu.registers[kRip]);
  for (uint32_t i = 0; i < kRegisterOrder.size(); ++i) {
    area.save<uint64_t>(kR15Offset + i * 8, cpu.registers[kRegisterOrder[i]]);
  }
}

void enter_handler(Cpu& cpu) {
  constexpr uint16_t kAttributes = Segment::kG | Segment::kP | Segment::kS | 3;
  for (const SegmentRegister which : {kEs, kSs, kDs, kFs, kGs}) cpu.segments[which] = flat_segment(0, kAttributes);
  cpu.segments[kCs] = {static_cast<uint16_t>(cpu.smbase >> 4), kAttributes, 0xFFFFFFFF, cpu.smbase};
  set_rflags_value(cpu, rflags::kFixed);
  cpu.cr0 &= ~(cr0::kPe | cr0::kEm | cr0::kTs | cr0::kPg);
  cpu.cr4 = 0;
  cpu.efer = 0;
  cpu.dr[7] = dr7::kFixed;
  cpu.cpl = 0;
  cpu.registers[kRip] = kHandlerOffset;
  cpu.activity = Activity::Running;
  cpu.in_smm = true;
  cpu.nmi_blocked = true;
  cpu.interrupt_shadow = false;
  cpu.debug_shadow = false;
}

// Both paging and the view of memory are others now.
void change_address_space(Cpu& cpu) {
  cpu.mmu().address_space_changed(false);
  cpu.mmu().flush_all();
  cpu.mode_changed();
  cpu.recheck_interrupts();
}

bool is_consistent(uint64_t cr0, uint64_t cr4, uint64_t efer) {
  if ((cr0 & cr0::kPg) != 0 && (cr0 & cr0::kPe) == 0) return false;
  return (efer & efer::kLma) == 0 || ((cr0 & cr0::kPg) != 0 && (cr4 & cr4::kPae) != 0);
}

}  // namespace

void enter_smm(Cpu& cpu) {
  cpu.log().print(LogItem::Interrupts, "CPU {}: SMI at {:04x}:{:016x}", cpu.environment().index,
                  cpu.segments[kCs].selector, cpu.registers[kRip]);
  save_state(cpu);
  enter_handler(cpu);
  change_address_space(cpu);
}

void leave_smm(Cpu& cpu) {
  SaveArea area(cpu);
  const auto cr0 = area.load<uint64_t>(kCr0Offset);
  const auto cr4 = area.load<uint64_t>(kCr4Offset);
  const auto efer = area.load<uint64_t>(kEferOffset);
  if (!is_consistent(cr0, cr4, efer)) {
    cpu.log().print(LogItem::GuestErrors, "RSM to an impossible state: CR0 {:#x}, CR4 {:#x}, EFER {:#x}", cr0, cr4,
                    efer);
    cpu.activity = Activity::Shutdown;
    cpu.environment().triple_fault();
    return;
  }
  cpu.cr0 = cr0 | cr0::kEt;
  cpu.cr4 = cr4;
  cpu.efer = efer;
  cpu.cr3 = area.load<uint64_t>(kCr3Offset);
  for (uint32_t which = kEs; which <= kGs; ++which) {
    cpu.segments[which] = area.load_segment(kEsOffset + which * kSegmentStride);
  }
  area.load_table(kGdtrOffset, cpu.gdtr);
  cpu.ldtr = area.load_segment(kLdtrOffset);
  area.load_table(kIdtrOffset, cpu.idtr);
  cpu.tr = area.load_segment(kTrOffset);
  cpu.dr[7] = area.load<uint64_t>(kDr7Offset);
  cpu.dr[6] = area.load<uint64_t>(kDr6Offset);
  set_rflags_value(cpu, area.load<uint64_t>(kRflagsOffset));
  for (uint32_t i = 0; i < kRegisterOrder.size(); ++i) {
    cpu.registers[kRegisterOrder[i]] = area.load<uint64_t>(kR15Offset + i * 8);
  }
  cpu.registers[kRip] = area.load<uint64_t>(kRipOffset);
  cpu.cpl = cpu.virtual_8086() ? 3 : static_cast<uint8_t>(cpu.protected_mode() ? cpu.segments[kSs].privilege() : 0);
  cpu.nmi_blocked = area.load<uint8_t>(kNmiMask) != 0;
  if ((area.load<uint8_t>(kAutoHaltRestart) & 1) != 0) cpu.activity = Activity::Halted;
  cpu.smbase = area.load<uint32_t>(kSmbaseOffset);
  cpu.in_smm = false;
  reload_pae_pointers(cpu);
  change_address_space(cpu);
}

}  // namespace calco::cpu
