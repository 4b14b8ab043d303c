// The rows of the encoding table: one for each encoding of the manuals (SDM vol. 2, chapters 3-5; AMD APM vol. 3).
// The decoder, the fuzz generator and the coverage report all read these.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>

#include "cpu/decode/instruction.h"

namespace calco::decode {

enum class OpcodeMap : uint8_t { OneByte, Map0F, Map0F38, Map0F3A, Vex0F, Vex0F38, Vex0F3A, Count };

// Which prefixes select the row, as a set. The selecting prefix of an instruction is the last of F2 and F3 if there is
// one, else 66 if present, else none.
namespace prefix {
constexpr uint8_t kNone = 1, k66 = 2, kF3 = 4, kF2 = 8;
constexpr uint8_t kNotRepeat = kNone | k66;            // 66 keeps its meaning of operand size
constexpr uint8_t kIgnored = kNone | k66 | kF3 | kF2;  // all keep their own meanings, or none
}  // namespace prefix

// How the opcode byte goes on.
enum class Form : uint8_t {
  Plain,              // no ModRM byte
  RegisterInOpcode,   // no ModRM byte; the row covers eight opcodes, low three bits are a register
  ConditionInOpcode,  // the row covers sixteen opcodes, low four bits are a condition; ModRM as `any_modrm` says
  ModRm,              // ModRM byte
};

// Where an operand is encoded.
enum class Location : uint8_t {
  None,
  RmGeneral,          // ModRM.rm: general register or memory
  RegGeneral,         // ModRM.reg
  OpcodeGeneral,      // low bits of the opcode
  FixedGeneral,       // OperandSpec::number
  VvvvGeneral,        // VEX.vvvv
  Port,               // DX as a port number
  Memory,             // ModRM.rm, memory only
  Offset,             // address in the instruction (MOV moffs)
  StringSource,       // [rSI], segment DS or override
  StringDestination,  // ES:[rDI]
  ImplicitMemory,     // [register `number`], segment DS or override (MASKMOVQ, MONITOR, XLAT)
  RegSegment,
  FixedSegment,
  RegControl,
  RegDebug,
  RegMmx,
  RmMmx,  // register or memory
  RegVector,
  RmVector,
  VvvvVector,
  ImmediateVector,  // register in bits 4-7 of an immediate byte
  FixedVector,
  RmX87,
  FixedX87,
  SignedImmediate,
  UnsignedImmediate,
  One,  // the constant 1
  Relative,
  FarPointer,
};

// Width of an operand. Letters of SDM vol. 2, appendix A.2.2 in brackets.
enum class Width : uint8_t {
  None,            // size has no meaning
  Byte,            // b
  Word,            // w
  Dword,           // d
  Qword,           // q
  TenByte,         // t
  Dqword,          // dq
  OperandSize,     // v: 2, 4 or 8 bytes
  OperandSizeTo4,  // z: 2, or 4 for operand sizes 4 and 8
  DwordOrQword,    // y: 8 with REX.W, else 4
  Mode,            // 8 bytes in 64-bit code, else 4
  Vector,          // x: 16, or 32 with VEX.L
  HalfVector,      // 8, or 16 with VEX.L
  QuarterVector,   // 4, or 8 with VEX.L
  EighthVector,    // 2, or 4 with VEX.L
  FarPointer,      // p: operand size and 2 for the selector
  Descriptor,      // s: limit and base: 6, or 10 in 64-bit code
  Bounds,          // a: two of operand size
  WordOrRegister,  // memory: a word; register: operand size
  ByteOrDword,     // memory: a byte; register: 4
  WordOrDword,     // memory: a word; register: 4
};

struct OperandSpec {
  Location location = Location::None;
  Width width = Width::None;
  uint8_t number = 0;
};

// Facts of an encoding; a set.
namespace attribute {
constexpr uint32_t kLockable = 1u << 0;       // LOCK is allowed when the destination is in memory
constexpr uint32_t kDefault64 = 1u << 1;      // in 64-bit code: operand size 8, 2 with 66
constexpr uint32_t kInvalid64 = 1u << 3;      // #UD in 64-bit code
constexpr uint32_t kOnly64 = 1u << 4;         // #UD outside of it
constexpr uint32_t kPrivileged = 1u << 5;     // #GP(0) unless CPL is 0
constexpr uint32_t kAligned = 1u << 6;        // memory operand of 16 bytes (vector length) must be aligned
constexpr uint32_t kNoOperandSize = 1u << 7;  // 66 and REX.W do not change the operands
constexpr uint32_t kIgnoreMod = 1u << 8;      // ModRM.mod is taken as 3 (MOV to and from CR and DR)
// The row is chosen only if REX.W (VEX.W) is clear, set.
constexpr uint32_t kW0 = 1u << 9, kW1 = 1u << 10;
// The row is chosen only if VEX.L is clear, set.
constexpr uint32_t kL0 = 1u << 11, kL1 = 1u << 12;
// The row is chosen only for this operand size.
constexpr uint32_t kSize16 = 1u << 13, kSize32 = 1u << 14, kSize64 = 1u << 15;
constexpr uint32_t kIoPrivilege = 1u << 16;       // depends on IOPL (and the I/O permission bitmap)
constexpr uint32_t kNondeterministic = 1u << 17;  // result depends on time, chance or the CPU model
constexpr uint32_t kNoVm86 = 1u << 18;            // #UD in real and virtual-8086 mode (the block cache checks)
constexpr uint32_t kWithoutRexB = 1u << 19;       // the row is chosen only without REX.B
constexpr uint32_t kVsib = 1u << 20;              // the memory operand's index is a vector register
}  // namespace attribute

// RFLAGS bits, in their places. `undefined` are those that the manual leaves open; they count as written too.
struct FlagEffect {
  uint16_t read = 0;
  uint16_t written = 0;
  uint16_t undefined = 0;
};

struct Row {
  OpcodeMap map = OpcodeMap::OneByte;
  uint8_t prefixes = prefix::kIgnored;
  uint8_t opcode = 0;
  Form form = Form::Plain;
  bool register_form = false;  // ModRM.mod may be 3
  bool memory_form = false;    // ModRM.mod may be other than 3
  int8_t digit = -1;           // value of ModRM.reg, -1: any
  int8_t rm = -1;              // value of ModRM.rm, -1: any
  Mnemonic mnemonic{};
  Feature feature = Feature::Base;
  Group group = Group::Move;
  uint32_t attributes = 0;
  FlagEffect flags;
  std::array<OperandSpec, 4> operands;

  bool has(uint32_t attributes_wanted) const { return (attributes & attributes_wanted) != 0; }
};

// All rows, in table order. They live as long as the program.
std::span<const Row> rows();

// Of a VEX encoding's mnemonic the one without V ("vpaddb": "paddb"), or the mnemonic itself where there is none.
Mnemonic legacy_counterpart(Mnemonic mnemonic);

// A row as the manuals write it: "66 0F38 17 /r ptest", for reports.
std::string describe(const Row& row);

}  // namespace calco::decode
