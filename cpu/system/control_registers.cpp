#include "cpu/system/control_registers.h"

#include <array>
#include <utility>

#include "cpu/mmu/paging.h"
#include "cpu/system/cpu_model.h"

namespace calco::cpu {

namespace {

using decode::Feature;

constexpr uint64_t kCr0Defined = cr0::kPe | cr0::kMp | cr0::kEm | cr0::kTs | cr0::kEt | cr0::kNe | cr0::kWp | cr0::kAm |
                                 cr0::kNw | cr0::kCd | cr0::kPg;
constexpr uint64_t kPhysicalMask = (uint64_t{1} << kPhysicalAddressBits) - 1;

[[noreturn]] void refuse(Cpu& cpu) { cpu.raise(kGeneralProtection, 0); }

using PaePointers = std::array<uint64_t, 4>;

// The four page-directory-pointer entries that PAE paging keeps in registers (SDM vol. 3, 4.4.1).
PaePointers load_pae_pointers(Cpu& cpu, uint64_t cr3) {
  const uint64_t table = cr3 & 0xFFFFFFE0;
  PaePointers pointers;
  for (unsigned i = 0; i < pointers.size(); ++i) {
    pointers[i] = cpu.environment().memory_map.read_value<uint64_t>(table + i * 8, cpu.in_smm);
  }
  return pointers;
}

// The same with #GP(0) for reserved bits in a present entry.
PaePointers read_pae_pointers(Cpu& cpu, uint64_t cr3) {
  constexpr uint64_t kReserved = 0x1E6 | ~kPhysicalMask;
  const PaePointers pointers = load_pae_pointers(cpu, cr3);
  for (const uint64_t pointer : pointers) {
    if ((pointer & 1) != 0 && (pointer & kReserved) != 0) refuse(cpu);
  }
  return pointers;
}

bool pae_paging(uint64_t cr0, uint64_t cr4, uint64_t efer) {
  return (cr0 & cr0::kPg) != 0 && (cr4 & cr4::kPae) != 0 && (efer & efer::kLme) == 0;
}

void check_cr0(Cpu& cpu, uint64_t value) {
  if (value >> 32 != 0) refuse(cpu);
  const bool paging = (value & cr0::kPg) != 0;
  if (paging && (value & cr0::kPe) == 0) refuse(cpu);
  if ((value & cr0::kNw) != 0 && (value & cr0::kCd) == 0) refuse(cpu);
  const bool was_paging = (cpu.cr0 & cr0::kPg) != 0;
  if (paging && !was_paging && (cpu.efer & efer::kLme) != 0) {
    constexpr unsigned kTss16Type = 1;
    const bool tss_16 = cpu.tr.present() && (cpu.tr.type() & ~2u) == kTss16Type;
    if ((cpu.cr4 & cr4::kPae) == 0 || cpu.segments[kCs].long_mode() || tss_16) refuse(cpu);
  }
  if (!paging && was_paging && (cpu.code_64() || (cpu.cr4 & cr4::kPcide) != 0)) refuse(cpu);
}

}  // namespace

void write_cr0(Cpu& cpu, uint64_t value) {
  check_cr0(cpu, value);
  value = (value & kCr0Defined) | cr0::kEt;
  const uint64_t changed = cpu.cr0 ^ value;
  if (pae_paging(value, cpu.cr4, cpu.efer) && (changed & (cr0::kPg | cr0::kCd | cr0::kNw)) != 0) {
    cpu.pae_pointers = read_pae_pointers(cpu, cpu.cr3);
  }
  cpu.cr0 = value;
  const bool long_mode = (value & cr0::kPg) != 0 && (cpu.efer & efer::kLme) != 0;
  cpu.efer = long_mode ? cpu.efer | efer::kLma : cpu.efer & ~efer::kLma;
  if ((changed & (cr0::kPg | cr0::kPe | cr0::kWp)) != 0) cpu.mmu().flush_all();
  cpu.mode_changed();
}

void write_cr3(Cpu& cpu, uint64_t value) {
  bool keep = false;
  if (cpu.long_mode_active()) {
    if ((cpu.cr4 & cr4::kPcide) != 0) {
      keep = value >> 63 != 0;
      value &= ~(uint64_t{1} << 63);
    }
    if ((value & ~kPhysicalMask) != 0) refuse(cpu);
  } else {
    value &= 0xFFFFFFFF;
    if (pae_paging(cpu.cr0, cpu.cr4, cpu.efer)) cpu.pae_pointers = read_pae_pointers(cpu, value);
  }
  cpu.cr3 = value;
  cpu.mmu().address_space_changed(keep);
  cpu.mode_changed();
}

void load_task_cr3(Cpu& cpu, uint64_t value) {
  if (value != cpu.cr3) write_cr3(cpu, value);
}

void reload_pae_pointers(Cpu& cpu) {
  if (pae_paging(cpu.cr0, cpu.cr4, cpu.efer)) cpu.pae_pointers = load_pae_pointers(cpu, cpu.cr3);
}

uint64_t supported_cr4(const Cpu& cpu) {
  const CpuModel& model = cpu.model();
  uint64_t bits = cr4::kTsd | cr4::kDe | cr4::kMce | cr4::kPce;
  const std::pair<Feature, uint64_t> optional[] = {
      {Feature::Pse, cr4::kPse},           {Feature::Pae, cr4::kPae},        {Feature::Pge, cr4::kPge},
      {Feature::Fxsr, cr4::kOsfxsr},       {Feature::Sse, cr4::kOsxmmexcpt}, {Feature::Umip, cr4::kUmip},
      {Feature::Fsgsbase, cr4::kFsgsbase}, {Feature::Pcid, cr4::kPcide},     {Feature::Xsave, cr4::kOsxsave},
      {Feature::Smep, cr4::kSmep},         {Feature::Smap, cr4::kSmap},
  };
  for (const auto& [feature, bit] : optional) {
    if (model.has(feature)) bits |= bit;
  }
  return bits;
}

void write_cr4(Cpu& cpu, uint64_t value) {
  if ((value & ~supported_cr4(cpu)) != 0) refuse(cpu);
  if (cpu.long_mode_active() && (value & cr4::kPae) == 0) refuse(cpu);
  const uint64_t changed = cpu.cr4 ^ value;
  if ((changed & value & cr4::kPcide) != 0 && (!cpu.long_mode_active() || (cpu.cr3 & 0xFFF) != 0)) refuse(cpu);
  constexpr uint64_t kPaging = cr4::kPge | cr4::kPse | cr4::kPae | cr4::kSmep | cr4::kSmap;
  if (pae_paging(cpu.cr0, value, cpu.efer) && (changed & kPaging) != 0) {
    cpu.pae_pointers = read_pae_pointers(cpu, cpu.cr3);
  }
  cpu.cr4 = value;
  if ((changed & cr4::kPcide) != 0) cpu.mmu().address_space_changed(false);
  if ((changed & (kPaging | cr4::kPcide)) != 0) cpu.mmu().flush_all();
  cpu.mode_changed();
}

void write_cr8(Cpu& cpu, uint64_t value) {
  if (value > 15) refuse(cpu);
  cpu.note_outside(StoreJournal::kSystem);
  cpu.environment().apic.set_task_priority_class(static_cast<uint8_t>(value));
  cpu.recheck_interrupts();
}

void write_efer(Cpu& cpu, uint64_t value) {
  const CpuModel& model = cpu.model();
  uint64_t allowed = efer::kLma;  // read-only; writes of it are ignored
  if (model.has(Feature::Syscall)) allowed |= efer::kSce;
  if (model.has(Feature::LongMode)) allowed |= efer::kLme;
  if (model.has(Feature::Nx)) allowed |= efer::kNxe;
  if ((value & ~allowed) != 0) refuse(cpu);
  if (((value ^ cpu.efer) & efer::kLme) != 0 && (cpu.cr0 & cr0::kPg) != 0) refuse(cpu);
  const uint64_t changed = (value ^ cpu.efer) & efer::kNxe;
  cpu.efer = (value & ~efer::kLma) | (cpu.efer & efer::kLma);
  if (changed != 0) cpu.mmu().flush_all();
  cpu.mode_changed();
}

}  // namespace calco::cpu
