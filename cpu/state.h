// The architectural state of one x86-64 processor: the only ABI between the interpreter, translated code, KVM and
// snapshots.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <type_traits>

namespace calco::cpu {

// Numbers of the general registers, as encoded in instructions.
enum Register : uint8_t {
  kRax,
  kRcx,
  kRdx,
  kRbx,
  kRsp,
  kRbp,
  kRsi,
  kRdi,
  kR8,
  kR9,
  kR10,
  kR11,
  kR12,
  kR13,
  kR14,
  kR15,
  kZero,  // always 0: the base or index that an address does not have
  kRip,   // RIP of the first byte of the block that is executing; exact RIP outside of execution
  kRegisterCount
};

enum SegmentRegister : uint8_t {
  kEs,
  kCs,
  kSs,
  kDs,
  kFs,
  kGs,
  kNoSegment,  // in 64-bit mode ES, CS, SS, DS contribute no base: decoded memory operands then say kNoSegment
  kSegmentSlots
};

// RFLAGS bits (SDM vol. 1, 3.4.3).
namespace rflags {
constexpr uint64_t kCf = 1u << 0, kFixed = 1u << 1, kPf = 1u << 2, kAf = 1u << 4, kZf = 1u << 6, kSf = 1u << 7,
                   kTf = 1u << 8, kIf = 1u << 9, kDf = 1u << 10, kOf = 1u << 11, kIoplShift = 12, kIopl = 3u << 12,
                   kNt = 1u << 14, kRf = 1u << 16, kVm = 1u << 17, kAc = 1u << 18, kVif = 1u << 19, kVip = 1u << 20,
                   kId = 1u << 21;
constexpr uint64_t kArithmetic = kCf | kPf | kAf | kZf | kSf | kOf;
}  // namespace rflags

namespace cr0 {
constexpr uint64_t kPe = 1u << 0, kMp = 1u << 1, kEm = 1u << 2, kTs = 1u << 3, kEt = 1u << 4, kNe = 1u << 5,
                   kWp = 1u << 16, kAm = 1u << 18, kNw = 1u << 29, kCd = 1u << 30, kPg = 1u << 31;
}
namespace cr4 {
constexpr uint64_t kVme = 1u << 0, kPvi = 1u << 1, kTsd = 1u << 2, kDe = 1u << 3, kPse = 1u << 4, kPae = 1u << 5,
                   kMce = 1u << 6, kPge = 1u << 7, kPce = 1u << 8, kOsfxsr = 1u << 9, kOsxmmexcpt = 1u << 10,
                   kUmip = 1u << 11, kLa57 = 1u << 12, kFsgsbase = 1u << 16, kPcide = 1u << 17, kOsxsave = 1u << 18,
                   kSmep = 1u << 20, kSmap = 1u << 21;
}
namespace efer {
constexpr uint64_t kSce = 1u << 0, kLme = 1u << 8, kLma = 1u << 10, kNxe = 1u << 11, kSvme = 1u << 12,
                   kFfxsr = 1u << 14;
}

// Exception vectors (SDM vol. 3, 6.15).
enum Vector : uint8_t {
  kDivideError = 0,
  kDebug = 1,
  kNmi = 2,
  kBreakpoint = 3,
  kOverflow = 4,
  kBoundRange = 5,
  kInvalidOpcode = 6,
  kDeviceNotAvailable = 7,
  kDoubleFault = 8,
  kInvalidTss = 10,
  kSegmentNotPresent = 11,
  kStackFault = 12,
  kGeneralProtection = 13,
  kPageFault = 14,
  kX87Error = 16,
  kAlignmentCheck = 17,
  kMachineCheck = 18,
  kSimdError = 19
};

// A segment register with its hidden part. `attributes` has the layout of bits 8-23 of a descriptor's high word:
// type in 0-3, S 4, DPL 5-6, P 7, AVL 12, L 13, D/B 14, G 15 (bits 8-11 are 0). An unusable (null) segment has P clear.
struct Segment {
  uint16_t selector = 0;
  uint16_t attributes = 0;
  uint32_t limit = 0;  // in bytes, already scaled by G
  uint64_t base = 0;

  static constexpr uint16_t kType = 0xF, kS = 1u << 4, kDplShift = 5, kP = 1u << 7, kAvl = 1u << 12, kL = 1u << 13,
                            kDb = 1u << 14, kG = 1u << 15;
  bool present() const { return (attributes & kP) != 0; }
  unsigned type() const { return attributes & kType; }
  unsigned privilege() const { return attributes >> kDplShift & 3; }
  bool is_code() const { return (attributes & (kS | 8)) == (kS | 8); }
  bool big() const { return (attributes & kDb) != 0; }
  bool long_mode() const { return (attributes & kL) != 0; }
  bool expand_down() const { return (attributes & (kS | 8 | 4)) == (kS | 4); }
};

struct DescriptorTable {
  uint64_t base = 0;
  uint16_t limit = 0;
  uint16_t reserved[3] = {};
};

// How to find the arithmetic flags when somebody asks: `kind` names the operation and operand size that last set
// them, `first` and `second` are what is kept of it, both sign-extended from the operand size to 64 bits (see
// cpu/flags.h).
struct LazyFlags {
  uint64_t first = 0;
  uint64_t second = 0;
  uint32_t kind = 0;  // FlagKind | log2(operand size) << 8
  uint32_t reserved = 0;
};

// One x87 register in the 80-bit format: significand, then sign and exponent. MMX registers are the significands.
struct alignas(16) X87Register {
  uint64_t significand = 0;
  uint16_t sign_exponent = 0;
  uint16_t reserved[3] = {};
};

struct X87State {
  std::array<X87Register, 8> physical;  // R0-R7; ST(i) is R((top + i) & 7), MMi is Ri
  uint16_t control = 0x037F;
  uint16_t status = 0;  // without TOP
  uint8_t top = 0;
  uint8_t empty = 0xFF;  // bit i: Ri is empty (the abridged tag byte of FXSAVE, inverted)
  uint16_t opcode = 0;   // 11 bits
  uint64_t instruction_pointer = 0;
  uint64_t data_pointer = 0;
  uint16_t code_selector = 0;
  uint16_t data_selector = 0;
  uint32_t reserved = 0;
};

// While translated code runs, the host's x87 unit may hold the guest's registers, control and status word:
// CpuState::x87 is stale then, but for data_pointer; what the fields below say of the other pointers is written there
// when the registers come back (jit/runtime/x87_unit.h). Elsewhere they have their initial values, but for `page`.
struct X87Residence {
  static constexpr uint32_t kNone = ~uint32_t{0};

  uint64_t page = 0;      // RIP of the first byte of the page that holds the last instruction
  uint32_t last = kNone;  // the last instruction that the pointers tell of: its offset in the page, FOP << 16
  uint8_t data_segment = kSegmentSlots;  // of the last one with a memory operand; kSegmentSlots: none
  bool in_host = false;
  uint8_t reserved[2] = {};
};

union alignas(32) VectorRegister {
  std::array<uint8_t, 32> bytes;
  std::array<uint16_t, 16> words;
  std::array<uint32_t, 8> dwords;
  std::array<uint64_t, 4> qwords;
  std::array<float, 8> singles;
  std::array<double, 4> doubles;
};

// What the processor does between instructions.
enum class Activity : uint32_t { Running, Halted, WaitForStartUp, Shutdown };

struct MtrrState {
  std::array<uint64_t, 8> base{};
  std::array<uint64_t, 8> mask{};
  std::array<uint64_t, 11> fixed{};  // 64K_00000, 16K_80000, 16K_A0000, 4K_C0000 ... 4K_F8000
  uint64_t default_type = 0;
};

// The MSRs of KVM's paravirtual interface (Documentation/virt/kvm/x86/msr.rst), where the guest is offered it.
struct ParavirtualState {
  uint64_t wall_clock = 0;   // 4B564D00H
  uint64_t system_time = 0;  // 4B564D01H
  uint64_t steal_time = 0;   // 4B564D03H
};

struct CpuState {
  std::array<uint64_t, kRegisterCount> registers{};
  LazyFlags flags;
  uint64_t system_flags = rflags::kFixed;       // RFLAGS without the six arithmetic flags
  std::array<Segment, kSegmentSlots> segments;  // [kNoSegment] is flat, for address arithmetic without a branch
  Segment ldtr, tr;
  DescriptorTable gdtr, idtr;
  uint64_t cr0 = 0, cr2 = 0, cr3 = 0, cr4 = 0;
  std::array<uint64_t, 8> dr{};
  std::array<uint64_t, 4> pae_pointers{};  // PDPTEs as loaded with CR3 under PAE paging (SDM vol. 3, 4.4.1)

  // MSRs. The local APIC keeps its own, CR8 is its task priority.
  uint64_t efer = 0, star = 0, lstar = 0, cstar = 0, syscall_mask = 0, kernel_gs_base = 0;
  uint64_t sysenter_cs = 0, sysenter_esp = 0, sysenter_eip = 0;
  uint64_t tsc_offset = 0, tsc_adjust = 0, tsc_aux = 0;
  uint64_t pat = 0x0007040600070406, misc_enable = 1, feature_control = 0;
  uint64_t microcode_revision = 0, debug_control = 0, spec_control = 0;
  MtrrState mtrr;
  uint64_t mcg_status = 0, mcg_control = 0;
  ParavirtualState paravirtual;
  std::array<uint64_t, 40> machine_check{};  // 10 banks of CTL, STATUS, ADDR, MISC

  X87State x87;
  std::array<VectorRegister, 16> vectors{};
  uint32_t mxcsr = 0x1F80;
  uint32_t reserved0 = 0;
  uint64_t xcr0 = 1, xss = 0;

  Activity activity = Activity::Running;
  uint32_t smbase = 0x30000;
  uint8_t cpl = 0;  // current privilege level; 3 in virtual-8086 mode
  bool in_smm = false;
  bool nmi_blocked = false;       // until IRET
  bool interrupt_shadow = false;  // after STI, MOV SS, POP SS: no interrupt before the next instruction ends
  bool pending_debug_trap = false;
  bool debug_shadow = false;  // the last instruction loaded SS: no debug exception at this boundary either
  uint8_t reserved1[2] = {};
  uint64_t pending_debug_status = 0;  // DR6 bits of the trap to deliver at the next boundary

  X87Residence x87_residence;
};

static_assert(std::is_standard_layout_v<CpuState>);
static_assert(offsetof(CpuState, registers) == 0);
static_assert(kRip * 8 == 136 && offsetof(CpuState, flags) == 144);

}  // namespace calco::cpu
