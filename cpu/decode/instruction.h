// A decoded instruction and the table row it came from.
#pragma once

#include <array>
#include <bitset>
#include <cstdint>
#include <span>
#include <string_view>

namespace calco::decode {

// One enumerator for each mnemonic of the manuals, from the rows of the table (table_*.inc): Mnemonic::Add,
// Mnemonic::Cmpxchg16b, Mnemonic::Movdqa, Mnemonic::Fld... Conditional families have one mnemonic each with the
// condition in Instruction::condition: Jcc, Setcc, Cmovcc, Fcmovcc keeps its own four names.
enum class Mnemonic : uint16_t {
#define CALCO_MNEMONIC(name, text) name,
#include "cpu/decode/mnemonics.inc"
#undef CALCO_MNEMONIC
  Count
};

// CPUID features that switch rows on. An instruction whose feature is off is #UD.
enum class Feature : uint8_t {
  Base,
  X87,
  Cmov,
  Cx8,
  Tsc,
  Msr,
  SysEnter,
  Mmx,
  Fxsr,
  Sse,
  Sse2,
  Sse3,
  Ssse3,
  Sse41,
  Sse42,
  Sse4a,
  Popcnt,
  Cx16,
  Movbe,
  Aes,
  Pclmulqdq,
  Sha,
  Bmi1,
  Bmi2,
  Abm,
  Adx,
  Xsave,
  Xsaveopt,
  Xsavec,
  Xgetbv1,
  Fsgsbase,
  Rdrand,
  Rdseed,
  Rdtscp,
  Rdpid,
  Invpcid,
  Pcid,
  Smap,
  Clflush,
  Clflushopt,
  Clwb,
  Prefetchw,
  ThreeDNow,
  LongMode,
  Syscall,
  LahfLm,
  Monitor,
  Svm,
  Smx,
  Avx,
  Avx2,
  Fma,
  F16c,
  Erms,
  Xsaves,
  Umip,
  Nx,
  Pdpe1gb,
  Pge,
  Pse,
  Pae,
  Smep,
  Lzcnt,
  Waitpkg,
  Wbnoinvd,
  Fsrm,
  Vaes,
  Vpclmulqdq,
  Count
};
using FeatureSet = std::bitset<static_cast<size_t>(Feature::Count)>;

// Which file of cpu/exec executes a row.
enum class Group : uint8_t {
  Move,
  Alu,
  MultiplyDivide,
  Shift,
  Bit,
  Decimal,
  Flag,
  Control,
  String,  // cpu/exec: integer
  InputOutput,
  Far,
  Segment,
  System,  // cpu/exec: system
  X87,
  FloatState,
  Vector,  // cpu/exec: x87, fxsave and xsave; MMX, SSE, AVX, AES, SHA
};

enum class OperandKind : uint8_t {
  None,
  General,     // general register `number`; size 1: number 0-15 is the low byte, 16-19 are AH, CH, DH, BH
  Segment,     // segment register (cpu::SegmentRegister)
  Control,     // CRn
  Debug,       // DRn
  Mmx,         // MMn
  Vector,      // XMMn/YMMn
  X87,         // ST(n)
  Memory,      // Instruction::memory
  Immediate,   // Instruction::immediate, sign- or zero-extended to 64 bits as the row says
  Immediate2,  // Instruction::immediate2
  Relative,    // Instruction::immediate: displacement from the end of the instruction
  FarPointer,  // Instruction::immediate: offset, immediate2: selector
};

struct Operand {
  OperandKind kind = OperandKind::None;
  uint8_t number = 0;
  uint8_t size = 0;  // bytes; 0 where size has no meaning (LEA's memory, INVLPG, ...)
};

// effective address = base + (index << scale) + displacement, cut to `address_size`, in `segment`.
// Register numbers are cpu::Register's; kZero where there is none, kRip with a displacement that counts from the END of
// the instruction for RIP-relative addresses.
struct MemoryOperand {
  uint8_t base = 16;
  uint8_t index = 16;        // of VSIB addresses (gathers): a vector register
  uint8_t scale = 0;         // shift count 0-3
  uint8_t segment = 3;       // cpu::SegmentRegister with default and override rules applied. In 64-bit code:
                             // kFs, kGs or kNoSegment (but kSs where the base is RSP or RBP, so that a non-canonical
                             // address raises #SS)
  uint8_t address_size = 8;  // 2, 4 or 8
  int64_t displacement = 0;
};

struct Row;

struct Instruction {
  const Row* row = nullptr;
  Mnemonic mnemonic{};
  uint8_t length = 0;
  uint8_t opcode = 0;  // last opcode byte
  uint8_t modrm = 0;
  uint8_t operand_size = 4;   // effective operand size attribute in bytes: 2, 4 or 8
  uint8_t address_size = 8;   // effective address size in bytes: 2, 4 or 8
  uint8_t condition = 0;      // low four opcode bits of Jcc, Setcc, Cmovcc
  uint8_t vector_length = 0;  // bytes, VEX encodings: 16 or 32; legacy SSE: 0
  bool code_64 = false;       // decoded as 64-bit code
  bool lock = false;
  bool repeat = false;           // F3 prefix where it is not part of the opcode
  bool repeat_not = false;       // F2 prefix, likewise
  uint8_t segment_override = 6;  // cpu::SegmentRegister as written by a prefix that has effect, or kNoSegment
  std::array<Operand, 4> operands;
  MemoryOperand memory;
  uint64_t immediate = 0;
  uint64_t immediate2 = 0;

  bool has_memory() const {
    for (const Operand& operand : operands) {
      if (operand.kind == OperandKind::Memory) return true;
    }
    return false;
  }
};

enum class CodeSize : uint8_t { Bits16, Bits32, Bits64 };

enum class Status : uint8_t {
  Ok,
  InvalidOpcode,  // #UD; Instruction::length is what was looked at
  TooLong,        // more than 15 bytes: #GP(0)
  NeedMoreBytes,  // the bytes end inside the instruction: fetch the next page and try again
};

// Decodes the instruction at the start of `bytes` (never looks at more than 15). `features`: what the CPU model has.
Status decode(std::span<const uint8_t> bytes, CodeSize code_size, const FeatureSet& features, Instruction& instruction);

// The mnemonic's name in lower case ("addps", "jcc").
std::string_view name(Mnemonic mnemonic);

}  // namespace calco::decode
