#include "cpu/system/msr.h"

#include "cpu/mmu/paging.h"
#include "cpu/system/control_registers.h"
#include "cpu/system/cpu_model.h"
#include "cpu/system/paravirtual_clock.h"

namespace calco::cpu {

namespace {

using decode::Feature;

constexpr uint64_t kX2apicMode = 1u << 10;  // of IA32_APIC_BASE

namespace msr {
constexpr uint32_t kTsc = 0x10, kPlatformId = 0x17, kApicBase = 0x1B, kEblCrPowerOn = 0x2A, kFeatureControl = 0x3A,
                   kTscAdjust = 0x3B, kMicrocodeUpdate = 0x79, kMicrocodeRevision = 0x8B, kSmbase = 0x9E,
                   kMtrrCap = 0xFE, kSysenterCs = 0x174, kSysenterEsp = 0x175, kSysenterEip = 0x176, kMcgCap = 0x179,
                   kMcgStatus = 0x17A, kMcgControl = 0x17B, kPerfStatus = 0x198, kPerfControl = 0x199,
                   kMiscEnable = 0x1A0, kDebugControl = 0x1D9, kLastBranchFirst = 0x1DB, kLastBranchLast = 0x1DE,
                   kMtrrBase0 = 0x200, kMtrrMask7 = 0x20F, kMtrrFix64K = 0x250, kMtrrFix16KFirst = 0x258,
                   kMtrrFix16KLast = 0x259, kMtrrFix4KFirst = 0x268, kMtrrFix4KLast = 0x26F, kPat = 0x277,
                   kMtrrDefaultType = 0x2FF, kMachineCheckFirst = 0x400, kTscDeadline = 0x6E0, kX2apicFirst = 0x800,
                   kX2apicLast = 0x8FF, kXss = 0xDA0;
constexpr uint32_t kEfer = 0xC0000080, kStar = 0xC0000081, kLstar = 0xC0000082, kCstar = 0xC0000083,
                   kSyscallMask = 0xC0000084, kFsBase = 0xC0000100, kGsBase = 0xC0000101, kKernelGsBase = 0xC0000102,
                   kTscAux = 0xC0000103;
}  // namespace msr

constexpr unsigned kMtrrPairs = 8;
constexpr unsigned kMachineCheckBanks = 10;
constexpr uint64_t kMcgControlPresent = 1u << 8;
constexpr uint64_t kPhysicalMask = (uint64_t{1} << kPhysicalAddressBits) - 1;

// CPUID flags that registers depend on and no instruction does.
struct Flag {
  FeatureWord word;
  unsigned bit;
};
namespace flag {
constexpr Flag kMtrr{FeatureWord::Leaf1Edx, 12};
constexpr Flag kMca{FeatureWord::Leaf1Edx, 14};
constexpr Flag kX2apic{FeatureWord::Leaf1Ecx, 21};
constexpr Flag kTscDeadline{FeatureWord::Leaf1Ecx, 24};
constexpr Flag kTscAdjust{FeatureWord::Leaf7Ebx, 1};
}  // namespace flag

bool has_flag(const Cpu& cpu, Flag flag) { return cpu.model().has_flag(flag.word, flag.bit); }

// What is stored if it is canonical.
bool store_address(uint64_t& target, uint64_t value) {
  if (!canonical(value)) return false;
  target = value;
  return true;
}

// --- Memory types (SDM vol. 3, 11.11 and 11.12)
// ------------------------------------------------------------------------

bool is_memory_type(uint64_t type) { return type <= 6 && type != 2 && type != 3; }

// Eight memory types, one a byte. PAT also has UC- (7).
bool are_memory_types(uint64_t value, bool pat) {
  for (unsigned shift = 0; shift < 64; shift += 8) {
    const uint64_t type = value >> shift & 0xFF;
    if (!is_memory_type(type) && !(pat && type == 7)) return false;
  }
  return true;
}

// The fixed-range MTRR of an index, or null.
uint64_t* fixed_mtrr(Cpu& cpu, uint32_t index) {
  if (index == msr::kMtrrFix64K) return &cpu.mtrr.fixed[0];
  if (index >= msr::kMtrrFix16KFirst && index <= msr::kMtrrFix16KLast) {
    return &cpu.mtrr.fixed[1 + (index - msr::kMtrrFix16KFirst)];
  }
  if (index >= msr::kMtrrFix4KFirst && index <= msr::kMtrrFix4KLast) {
    return &cpu.mtrr.fixed[3 + (index - msr::kMtrrFix4KFirst)];
  }
  return nullptr;
}

bool is_variable_mtrr(uint32_t index) { return index >= msr::kMtrrBase0 && index <= msr::kMtrrMask7; }

uint64_t& variable_mtrr(Cpu& cpu, uint32_t index) {
  const unsigned pair = (index - msr::kMtrrBase0) / 2;
  return (index & 1) != 0 ? cpu.mtrr.mask[pair] : cpu.mtrr.base[pair];
}

bool write_variable_mtrr(Cpu& cpu, uint32_t index, uint64_t value) {
  constexpr uint64_t kBaseReserved = 0xF00, kMaskReserved = 0x7FF;
  const bool is_mask = (index & 1) != 0;
  const uint64_t reserved = ~kPhysicalMask | (is_mask ? kMaskReserved : kBaseReserved);
  if ((value & reserved) != 0 || (!is_mask && !is_memory_type(value & 0xFF))) return false;
  variable_mtrr(cpu, index) = value;
  return true;
}

bool is_mtrr(Cpu& cpu, uint32_t index) {
  return index == msr::kMtrrCap || index == msr::kMtrrDefaultType || is_variable_mtrr(index) ||
         fixed_mtrr(cpu, index) != nullptr;
}

bool read_mtrr(Cpu& cpu, uint32_t index, uint64_t& value) {
  constexpr uint64_t kFixedRanges = 1u << 8, kWriteCombining = 1u << 10;
  if (!has_flag(cpu, flag::kMtrr)) return false;
  if (index == msr::kMtrrCap) {
    value = kMtrrPairs | kFixedRanges | kWriteCombining;
  } else if (index == msr::kMtrrDefaultType) {
    value = cpu.mtrr.default_type;
  } else {
    const uint64_t* fixed = fixed_mtrr(cpu, index);
    value = fixed != nullptr ? *fixed : variable_mtrr(cpu, index);
  }
  return true;
}

bool write_mtrr(Cpu& cpu, uint32_t index, uint64_t value) {
  if (!has_flag(cpu, flag::kMtrr) || index == msr::kMtrrCap) return false;
  if (index == msr::kMtrrDefaultType) {
    constexpr uint64_t kDefined = 0xCFF;
    if ((value & ~kDefined) != 0 || !is_memory_type(value & 0xFF)) return false;
    cpu.mtrr.default_type = value;
    return true;
  }
  if (is_variable_mtrr(index)) return write_variable_mtrr(cpu, index, value);
  if (!are_memory_types(value, false)) return false;
  *fixed_mtrr(cpu, index) = value;
  return true;
}

bool write_pat(Cpu& cpu, uint64_t value) {
  if (!are_memory_types(value, true)) return false;
  cpu.pat = value;
  return true;
}

// --- Time-stamp counter (SDM vol. 3, 17.17)
// ------------------------------------------------------------------------------

// The local APIC compares with the counter that all processors share; the guest's deadline is in its own TSC.
uint64_t tsc_deadline(const Cpu& cpu) {
  const uint64_t shared = cpu.environment().apic.tsc_deadline();
  return shared == 0 ? 0 : shared + cpu.tsc_offset;
}

void set_tsc_deadline(Cpu& cpu, uint64_t value) {
  constexpr uint64_t kLongPassed = 1;
  const uint64_t shared = value <= cpu.tsc() ? kLongPassed : value - cpu.tsc_offset;
  cpu.environment().apic.set_tsc_deadline(value == 0 ? 0 : shared);  // 0 disarms
}

// An armed deadline stays at the same value of the TSC.
void move_tsc(Cpu& cpu, uint64_t change) {
  const uint64_t deadline = tsc_deadline(cpu);
  cpu.tsc_offset += change;
  if (deadline != 0) set_tsc_deadline(cpu, deadline);
}

bool write_tsc(Cpu& cpu, uint64_t value) {
  const uint64_t change = value - cpu.tsc();
  move_tsc(cpu, change);
  cpu.tsc_adjust += change;
  return true;
}

bool write_tsc_adjust(Cpu& cpu, uint64_t value) {
  if (!has_flag(cpu, flag::kTscAdjust)) return false;
  move_tsc(cpu, value - cpu.tsc_adjust);
  cpu.tsc_adjust = value;
  return true;
}

// --- Machine check (SDM vol. 3, 15.3)
// --------------------------------------------------------------------------------------

bool is_machine_check(uint32_t index) {
  return index >= msr::kMachineCheckFirst && index < msr::kMachineCheckFirst + 4 * kMachineCheckBanks;
}

bool write_machine_check(Cpu& cpu, uint32_t index, uint64_t value) {
  const uint32_t offset = index - msr::kMachineCheckFirst;
  const bool is_control = (offset & 3) == 0;
  const bool is_status = (offset & 3) == 1;
  // CTL is all or nothing but for two bits that kernels clear because of errata (AMD family 0FH: GART errors, P6: bit
  // 0); STATUS may only be cleared; what ADDR and MISC take depends on the bank.
  constexpr uint64_t kOptional = 1u << 10 | 1;
  if (is_control && value != 0 && (value | kOptional) != ~uint64_t{0}) return false;
  if (is_status && value != 0) return false;
  cpu.machine_check[offset] = value;
  return true;
}

// --- AMD's (APM vol. 2, appendix A; BIOS and kernel developer's guides)
// ----------------------------------------------------

// Registers of AMD processors that firmware and kernels look at: they read as 0 and take any value without effect.
bool is_amd_configuration(uint32_t index) {
  constexpr uint32_t kRegisters[] = {
      0xC0010000, 0xC0010001, 0xC0010002, 0xC0010003,  // PERF_CTL0-3
      0xC0010004, 0xC0010005, 0xC0010006, 0xC0010007,  // PERF_CTR0-3
      0xC0010010,                                      // SYSCFG
      0xC0010015,                                      // HWCR
      0xC001001A, 0xC001001D,                          // TOP_MEM, TOP_MEM2
      0xC001001F, 0xC0010020,                          // NB_CFG, PATCH_LOADER
      0xC0010055, 0xC0010058,                          // INT_PENDING, MMIO_CFG_BASE_ADDRESS
      0xC0010112, 0xC0010113,                          // SMM_ADDR, SMM_MASK
      0xC0011020, 0xC0011021, 0xC0011022,              // LS_CFG, IC_CFG, DC_CFG
      0xC0011023, 0xC0011029, 0xC001102A,              // BU_CFG, DE_CFG, BU_CFG2
  };
  for (const uint32_t known : kRegisters) {
    if (index == known) return true;
  }
  return false;
}

bool is_intel_configuration(uint32_t index) {
  return index == msr::kPlatformId || index == msr::kEblCrPowerOn || index == msr::kPerfControl;
}

bool is_ignored(const Cpu& cpu, uint32_t index) {
  return cpu.model().is_intel() ? is_intel_configuration(index) : is_amd_configuration(index);
}

// --- System calls and 64-bit mode
// ------------------------------------------------------------------------------------------

bool is_long_mode_register(uint32_t index) {
  return (index >= msr::kLstar && index <= msr::kSyscallMask) || (index >= msr::kFsBase && index <= msr::kKernelGsBase);
}

bool read_long_mode_register(Cpu& cpu, uint32_t index, uint64_t& value) {
  if (!cpu.model().has(Feature::LongMode)) return false;
  switch (index) {
    case msr::kLstar:
      value = cpu.lstar;
      return true;
    case msr::kCstar:
      value = cpu.cstar;
      return true;
    case msr::kSyscallMask:
      value = cpu.syscall_mask;
      return true;
    case msr::kFsBase:
      value = cpu.segments[kFs].base;
      return true;
    case msr::kGsBase:
      value = cpu.segments[kGs].base;
      return true;
    default:
      value = cpu.kernel_gs_base;
      return true;
  }
}

bool write_long_mode_register(Cpu& cpu, uint32_t index, uint64_t value) {
  if (!cpu.model().has(Feature::LongMode)) return false;
  switch (index) {
    case msr::kLstar:
      return store_address(cpu.lstar, value);
    case msr::kCstar:
      return store_address(cpu.cstar, value);
    case msr::kSyscallMask:
      cpu.syscall_mask = value & 0xFFFFFFFF;
      return true;
    case msr::kFsBase:
      return store_address(cpu.segments[kFs].base, value);
    case msr::kGsBase:
      return store_address(cpu.segments[kGs].base, value);
    default:
      return store_address(cpu.kernel_gs_base, value);
  }
}

bool has_tsc_aux(const Cpu& cpu) { return cpu.model().has(Feature::Rdtscp) || cpu.model().has(Feature::Rdpid); }

// True for registers of a range, whose access is in read_range() and write_range().
bool read_range(Cpu& cpu, uint32_t index, uint64_t& value, bool& known) {
  known = true;
  if (is_mtrr(cpu, index)) return read_mtrr(cpu, index, value);
  if (is_long_mode_register(index)) return read_long_mode_register(cpu, index, value);
  if (is_machine_check(index)) {
    value = cpu.machine_check[index - msr::kMachineCheckFirst];
    return has_flag(cpu, flag::kMca);
  }
  if (index >= msr::kX2apicFirst && index <= msr::kX2apicLast) {
    return has_flag(cpu, flag::kX2apic) && cpu.environment().apic.read_x2apic(static_cast<uint8_t>(index), value);
  }
  if (read_paravirtual_clock(cpu, index, value)) return true;
  value = 0;
  if (is_ignored(cpu, index) || (index >= msr::kLastBranchFirst && index <= msr::kLastBranchLast)) return true;
  known = false;
  return false;
}

bool write_range(Cpu& cpu, uint32_t index, uint64_t value, bool& known) {
  known = true;
  if (is_mtrr(cpu, index)) return write_mtrr(cpu, index, value);
  if (is_long_mode_register(index)) return write_long_mode_register(cpu, index, value);
  if (is_machine_check(index)) return has_flag(cpu, flag::kMca) && write_machine_check(cpu, index, value);
  if (index >= msr::kX2apicFirst && index <= msr::kX2apicLast) {
    return has_flag(cpu, flag::kX2apic) && cpu.environment().apic.write_x2apic(static_cast<uint8_t>(index), value);
  }
  if (is_ignored(cpu, index) || write_paravirtual_clock(cpu, index, value)) return true;
  known = false;
  return false;
}

bool write_feature_control(Cpu& cpu, uint64_t value) {
  constexpr uint64_t kLocked = 1;
  if ((cpu.feature_control & kLocked) != 0) return false;
  cpu.feature_control = value;
  return true;
}

bool write_debug_control(uint64_t value) {
  // LBR and BTF are taken and have no effect.
  constexpr uint64_t kLastBranch = 1, kBranchTrap = 2;
  return (value & ~(kLastBranch | kBranchTrap)) == 0;
}

}  // namespace

bool read_msr(Cpu& cpu, uint32_t index, uint64_t& value) {
  // Revisions that kernels accept as up to date.
  constexpr uint64_t kIntelMicrocode = uint64_t{1} << 32, kAmdMicrocode = 0x01000065;
  // A current and a maximum ratio, as hypervisors report them.
  constexpr uint64_t kPerformanceState = 1000 | uint64_t{4} << 40;
  const bool intel = cpu.model().is_intel();
  switch (index) {
    case msr::kTsc:
      value = cpu.tsc();
      return true;
    case msr::kApicBase:
      value = cpu.environment().apic.base_register();
      return true;
    case msr::kFeatureControl:
      value = cpu.feature_control;
      return true;
    case msr::kTscAdjust:
      value = cpu.tsc_adjust;
      return has_flag(cpu, flag::kTscAdjust);
    case msr::kMicrocodeRevision:
      value = cpu.microcode_revision != 0 ? cpu.microcode_revision : intel ? kIntelMicrocode : kAmdMicrocode;
      return true;
    case msr::kSmbase:
      value = cpu.smbase;
      return cpu.in_smm;
    case msr::kSysenterCs:
      value = cpu.sysenter_cs;
      return true;
    case msr::kSysenterEsp:
      value = cpu.sysenter_esp;
      return true;
    case msr::kSysenterEip:
      value = cpu.sysenter_eip;
      return true;
    case msr::kMcgCap:
      value = kMachineCheckBanks | kMcgControlPresent;
      return has_flag(cpu, flag::kMca);
    case msr::kMcgStatus:
      value = cpu.mcg_status;
      return has_flag(cpu, flag::kMca);
    case msr::kMcgControl:
      value = cpu.mcg_control;
      return has_flag(cpu, flag::kMca);
    case msr::kPerfStatus:
      value = kPerformanceState;
      return intel;
    case msr::kMiscEnable:
      value = cpu.misc_enable;
      return true;
    case msr::kDebugControl:
      value = cpu.debug_control;
      return true;
    case msr::kPat:
      value = cpu.pat;
      return true;
    case msr::kTscDeadline:
      value = tsc_deadline(cpu);
      return has_flag(cpu, flag::kTscDeadline);
    case msr::kXss:
      value = cpu.xss;
      return cpu.model().has(Feature::Xsaves);
    case msr::kEfer:
      value = cpu.efer;
      return cpu.model().has(Feature::Syscall) || cpu.model().has(Feature::LongMode);
    case msr::kStar:
      value = cpu.star;
      return cpu.model().has(Feature::Syscall);
    case msr::kTscAux:
      value = cpu.tsc_aux;
      return has_tsc_aux(cpu);
    default: {
      bool known = false;
      const bool allowed = read_range(cpu, index, value, known);
      if (!known) cpu.log().print(LogItem::Unimplemented, "rdmsr of unknown register {:#x}", index);
      return allowed;
    }
  }
}

bool write_msr(Cpu& cpu, uint32_t index, uint64_t value) {
  switch (index) {
    case msr::kTsc:
      return write_tsc(cpu, value);
    case msr::kApicBase:
      // The bit is reserved in a processor without the mode (SDM vol. 3, 11.12.1).
      if ((value & kX2apicMode) != 0 && !has_flag(cpu, flag::kX2apic)) return false;
      if (!cpu.environment().apic.set_base_register(value)) return false;
      cpu.recheck_interrupts();
      return true;
    case msr::kFeatureControl:
      return write_feature_control(cpu, value);
    case msr::kTscAdjust:
      return write_tsc_adjust(cpu, value);
    case msr::kMicrocodeUpdate:
    case msr::kMicrocodeRevision:  // written as 0 before CPUID reports the revision (SDM vol. 3, 9.11.7)
      return true;
    case msr::kSysenterCs:
      cpu.sysenter_cs = value & 0xFFFFFFFF;
      return true;
    case msr::kSysenterEsp:
      return store_address(cpu.sysenter_esp, value);
    case msr::kSysenterEip:
      return store_address(cpu.sysenter_eip, value);
    case msr::kMcgStatus:
      cpu.mcg_status = value;
      return has_flag(cpu, flag::kMca);
    case msr::kMcgControl:
      if (value != 0 && value != ~uint64_t{0}) return false;
      cpu.mcg_control = value;
      return has_flag(cpu, flag::kMca);
    case msr::kMiscEnable:
      cpu.misc_enable = value;
      return true;
    case msr::kDebugControl:
      return write_debug_control(value);
    case msr::kPat:
      return write_pat(cpu, value);
    case msr::kTscDeadline:
      if (!has_flag(cpu, flag::kTscDeadline)) return false;
      set_tsc_deadline(cpu, value);
      return true;
    case msr::kXss:
      return cpu.model().has(Feature::Xsaves) && value == 0;
    case msr::kEfer:
      if (!cpu.model().has(Feature::Syscall) && !cpu.model().has(Feature::LongMode)) return false;
      write_efer(cpu, value);
      return true;
    case msr::kStar:
      if (!cpu.model().has(Feature::Syscall)) return false;
      cpu.star = value;
      return true;
    case msr::kTscAux:
      if (!has_tsc_aux(cpu) || value >> 32 != 0) return false;
      cpu.tsc_aux = value;
      return true;
    default: {
      bool known = false;
      const bool allowed = write_range(cpu, index, value, known);
      if (!known) {
        cpu.log().print(LogItem::Unimplemented, "wrmsr of unknown register {:#x}, value {:#x}", index, value);
      }
      return allowed;
    }
  }
}

}  // namespace calco::cpu
