// The encoding table: the rows of table_*.inc, and the short words that they are written in.
#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "cpu/decode/row.h"
#include "cpu/state.h"

namespace calco::decode {
namespace {

// --- Prefixes ------------------------------------------------------------------------------------------------------
constexpr uint8_t NP = prefix::kNone, P66 = prefix::k66, F3 = prefix::kF3, F2 = prefix::kF2,
                  NotRep = prefix::kNotRepeat, Any = prefix::kIgnored;

// --- Opcode: a byte in the map of the file, or with the map in VEX rows --------------------------------------------
struct Opcode {
  OpcodeMap map;
  uint8_t byte;
};
constexpr Opcode Vex0F(uint8_t byte) { return {OpcodeMap::Vex0F, byte}; }
constexpr Opcode Vex0F38(uint8_t byte) { return {OpcodeMap::Vex0F38, byte}; }
constexpr Opcode Vex0F3A(uint8_t byte) { return {OpcodeMap::Vex0F3A, byte}; }

// --- ModRM: any, memory only, register only; with a digit in ModRM.reg; one whole byte -------------------------------
struct Shape {
  Form form;
  bool register_form = false;
  bool memory_form = false;
  int8_t digit = -1;
  int8_t rm = -1;
};
constexpr Shape Plain{Form::Plain}, OpReg{Form::RegisterInOpcode}, OpCond{Form::ConditionInOpcode};
constexpr Shape RmCond{Form::ConditionInOpcode, true, true};
constexpr Shape Rm{Form::ModRm, true, true}, RmMem{Form::ModRm, false, true}, RmReg{Form::ModRm, true, false};
constexpr Shape digit(int8_t value) { return {Form::ModRm, true, true, value}; }
constexpr Shape digit_memory(int8_t value) { return {Form::ModRm, false, true, value}; }
constexpr Shape digit_register(int8_t value) { return {Form::ModRm, true, false, value}; }
constexpr Shape Byte(uint8_t modrm) {
  return {Form::ModRm, true, false, static_cast<int8_t>(modrm >> 3 & 7), static_cast<int8_t>(modrm & 7)};
}
constexpr Shape D0 = digit(0), D1 = digit(1), D2 = digit(2), D3 = digit(3), D4 = digit(4), D5 = digit(5), D6 = digit(6),
                D7 = digit(7);
constexpr Shape D0Mem = digit_memory(0), D1Mem = digit_memory(1), D2Mem = digit_memory(2), D3Mem = digit_memory(3),
                D4Mem = digit_memory(4), D5Mem = digit_memory(5), D6Mem = digit_memory(6), D7Mem = digit_memory(7);
constexpr Shape D0Reg = digit_register(0), D1Reg = digit_register(1), D2Reg = digit_register(2),
                D3Reg = digit_register(3), D4Reg = digit_register(4), D5Reg = digit_register(5),
                D6Reg = digit_register(6), D7Reg = digit_register(7);

// --- Operands: the letters of SDM vol. 2, appendix A.2 ---------------------------------------------------------------
using L = Location;
using W = Width;
constexpr OperandSpec Eb{L::RmGeneral, W::Byte}, Ew{L::RmGeneral, W::Word}, Ed{L::RmGeneral, W::Dword},
    Eq{L::RmGeneral, W::Qword}, Ev{L::RmGeneral, W::OperandSize}, Ez{L::RmGeneral, W::OperandSizeTo4},
    Ey{L::RmGeneral, W::DwordOrQword}, En{L::RmGeneral, W::Mode}, Ewr{L::RmGeneral, W::WordOrRegister},
    Ebd{L::RmGeneral, W::ByteOrDword}, Ewd{L::RmGeneral, W::WordOrDword};
constexpr OperandSpec Gb{L::RegGeneral, W::Byte}, Gw{L::RegGeneral, W::Word}, Gv{L::RegGeneral, W::OperandSize},
    Gy{L::RegGeneral, W::DwordOrQword}, Gn{L::RegGeneral, W::Mode};
constexpr OperandSpec Zb{L::OpcodeGeneral, W::Byte}, Zv{L::OpcodeGeneral, W::OperandSize};
constexpr OperandSpec By{L::VvvvGeneral, W::DwordOrQword};
constexpr OperandSpec AL{L::FixedGeneral, W::Byte}, CL{L::FixedGeneral, W::Byte, 1}, AXw{L::FixedGeneral, W::Word},
    AXv{L::FixedGeneral, W::OperandSize}, AXz{L::FixedGeneral, W::OperandSizeTo4}, DX{L::Port, W::Word, 2};
constexpr OperandSpec M{L::Memory}, Mb{L::Memory, W::Byte}, Mw{L::Memory, W::Word}, Md{L::Memory, W::Dword},
    Mq{L::Memory, W::Qword}, Mt{L::Memory, W::TenByte}, Mdq{L::Memory, W::Dqword}, Mv{L::Memory, W::OperandSize},
    My{L::Memory, W::DwordOrQword}, Mx{L::Memory, W::Vector}, Mp{L::Memory, W::FarPointer},
    Ms{L::Memory, W::Descriptor}, Ma{L::Memory, W::Bounds};
constexpr OperandSpec MrAX{L::ImplicitMemory, W::None, cpu::kRax}, MrBX{L::ImplicitMemory, W::Byte, cpu::kRbx},
    MrDI{L::ImplicitMemory, W::None, cpu::kRdi};
constexpr OperandSpec Ob{L::Offset, W::Byte}, Ov{L::Offset, W::OperandSize};
constexpr OperandSpec Xb{L::StringSource, W::Byte}, Xv{L::StringSource, W::OperandSize},
    Xz{L::StringSource, W::OperandSizeTo4};
constexpr OperandSpec Yb{L::StringDestination, W::Byte}, Yv{L::StringDestination, W::OperandSize},
    Yz{L::StringDestination, W::OperandSizeTo4};
constexpr OperandSpec Sw{L::RegSegment, W::Word}, ES{L::FixedSegment, W::Word, cpu::kEs},
    CS{L::FixedSegment, W::Word, cpu::kCs}, SS{L::FixedSegment, W::Word, cpu::kSs},
    DS{L::FixedSegment, W::Word, cpu::kDs}, FS{L::FixedSegment, W::Word, cpu::kFs},
    GS{L::FixedSegment, W::Word, cpu::kGs};
constexpr OperandSpec Cn{L::RegControl, W::Mode}, Dn{L::RegDebug, W::Mode};
constexpr OperandSpec Pq{L::RegMmx, W::Qword}, Qd{L::RmMmx, W::Dword}, Qq{L::RmMmx, W::Qword};
constexpr OperandSpec Vx{L::RegVector, W::Vector};
constexpr OperandSpec Hx{L::VvvvVector, W::Vector}, Lx{L::ImmediateVector, W::Vector};
constexpr OperandSpec Wb{L::RmVector, W::Byte}, Ww{L::RmVector, W::Word}, Wd{L::RmVector, W::Dword},
    Wdq{L::RmVector, W::Dqword}, Wq{L::RmVector, W::Qword}, Wx{L::RmVector, W::Vector}, Wh{L::RmVector, W::HalfVector},
    Wqu{L::RmVector, W::QuarterVector}, We{L::RmVector, W::EighthVector};
constexpr OperandSpec XMM0{L::FixedVector, W::Vector};
constexpr OperandSpec ST0{L::FixedX87, W::TenByte}, STi{L::RmX87, W::TenByte};
// Immediates: I are sign-extended, U zero-extended. Ibv is a byte that stands for an operand of the operand size.
constexpr OperandSpec Ib{L::SignedImmediate, W::Byte}, Ibv{L::SignedImmediate, W::OperandSize, 1},
    Iz{L::SignedImmediate, W::OperandSizeTo4}, Iv{L::SignedImmediate, W::OperandSize};
constexpr OperandSpec Ub{L::UnsignedImmediate, W::Byte}, Uw{L::UnsignedImmediate, W::Word}, One{L::One, W::Byte};
constexpr OperandSpec Jb{L::Relative, W::Byte}, Jz{L::Relative, W::OperandSizeTo4}, Ap{L::FarPointer, W::FarPointer};

// --- Attributes ------------------------------------------------------------------------------------------------------
using namespace attribute;
constexpr uint32_t Lockable = kLockable, Default64 = kDefault64, Invalid64 = kInvalid64, Only64 = kOnly64,
                   Privileged = kPrivileged, Aligned = kAligned, NoOperandSize = kNoOperandSize, IgnoreMod = kIgnoreMod,
                   W0 = kW0, W1 = kW1, L0 = kL0, L1 = kL1, Vsib = kVsib, Size16 = kSize16, Size32 = kSize32,
                   Size64 = kSize64, IoPrivilege = kIoPrivilege, Nondeterministic = kNondeterministic, NoVm86 = kNoVm86,
                   WithoutRexB = kWithoutRexB;

// --- Flags: {read, written, undefined} (SDM vol. 1, appendix A)
// --------------------------------------------------------
constexpr uint16_t C = cpu::rflags::kCf, P = cpu::rflags::kPf, A = cpu::rflags::kAf, Z = cpu::rflags::kZf,
                   S = cpu::rflags::kSf, O = cpu::rflags::kOf, D = cpu::rflags::kDf, I = cpu::rflags::kIf,
                   Arithmetics = cpu::rflags::kArithmetic, Everything = 0xFFD5;
constexpr FlagEffect Keep{};
constexpr FlagEffect Arithmetic{0, Arithmetics, 0}, ArithmeticCarry{C, Arithmetics, 0}, Logic{0, Arithmetics, A},
    IncrementDecrement{0, P | A | Z | S | O, 0}, Multiply{0, Arithmetics, P | A | Z | S},
    Divide{0, Arithmetics, Arithmetics};
// Counts other than 1 leave OF undefined, larger than the operand CF too.
constexpr FlagEffect Shift{0, Arithmetics, A | O | C}, ShiftOne{0, Arithmetics, A}, Rotate{0, C | O, O},
    RotateOne{0, C | O, 0}, RotateCarry{C, C | O, O}, RotateCarryOne{C, C | O, 0};
constexpr FlagEffect DecimalAdjust{C | A, Arithmetics, O}, AsciiAdjust{A, Arithmetics, O | S | Z | P},
    AsciiMultiply{0, Arithmetics, O | A | C};
constexpr FlagEffect BitTest{0, Arithmetics, O | S | A | P}, BitScan{0, Arithmetics, C | O | S | A | P},
    CountZeros{0, Arithmetics, O | S | A | P}, CountOnes{0, Arithmetics, 0};
constexpr FlagEffect ZeroOnly{0, Z, 0}, ReadZero{Z, 0, 0}, ReadCarry{C, 0, 0}, ReadOverflow{O, 0, 0},
    WriteCarry{0, C, 0}, ComplementCarry{C, C, 0}, WriteDirection{0, D, 0}, WriteInterrupt{0, I, 0}, Direction{D, 0, 0},
    StringCompare{D, Arithmetics, 0};
constexpr FlagEffect ReadCondition{C | P | Z | S | O, 0, 0}, ReadAll{Everything, 0, 0}, WriteAll{0, Everything, 0},
    WriteLow{0, C | P | A | Z | S, 0}, ReadLow{C | P | A | Z | S, 0, 0}, CarryOnly{0, Arithmetics, 0},
    UndefinedAll{0, Arithmetics, Arithmetics};
constexpr FlagEffect FloatCompare{0, Arithmetics, 0}, LogicZeroAll{0, Arithmetics, 0}, CarryChain{C, C, 0},
    OverflowChain{O, O, 0};
constexpr FlagEffect AndNot{0, Arithmetics, A | P}, LowestBit{0, Arithmetics, A | P},
    BitExtract{0, Arithmetics, A | P | S};

template <typename... Specs>
constexpr std::array<OperandSpec, 4> list(Specs... specs) {
  return {specs...};
}

constexpr Row row(Opcode opcode, uint8_t prefixes, Shape shape, Mnemonic mnemonic, std::array<OperandSpec, 4> operands,
                  Feature feature, Group group, uint32_t attributes, FlagEffect flags) {
  return {opcode.map,
          prefixes,
          opcode.byte,
          shape.form,
          shape.register_form,
          shape.memory_form,
          shape.digit,
          shape.rm,
          mnemonic,
          feature,
          group,
          attributes,
          flags,
          operands};
}

constexpr Row kRows[] = {
#define CALCO_ROW(prefixes, opcode, shape, mnemonic, operands, feature, group, attributes, flags)               \
  row(CALCO_OPCODE(opcode), prefixes, shape, Mnemonic::mnemonic, list operands, Feature::feature, Group::group, \
      attributes, flags),
#define CALCO_OPCODE(opcode) \
  Opcode { OpcodeMap::OneByte, opcode }
#include "cpu/decode/table_one_byte.inc"
#include "cpu/decode/table_x87.inc"
#undef CALCO_OPCODE
#define CALCO_OPCODE(opcode) \
  Opcode { OpcodeMap::Map0F, opcode }
#include "cpu/decode/table_0f.inc"
#undef CALCO_OPCODE
#define CALCO_OPCODE(opcode) \
  Opcode { OpcodeMap::Map0F38, opcode }
#include "cpu/decode/table_0f38.inc"
#undef CALCO_OPCODE
#define CALCO_OPCODE(opcode) \
  Opcode { OpcodeMap::Map0F3A, opcode }
#include "cpu/decode/table_0f3a.inc"
#undef CALCO_OPCODE
#define CALCO_OPCODE(opcode) opcode
#include "cpu/decode/table_vex.inc"
#undef CALCO_OPCODE
#undef CALCO_ROW
};

constexpr std::string_view kNames[] = {
#define CALCO_MNEMONIC(enumerator, text) text,
#include "cpu/decode/mnemonics.inc"
#undef CALCO_MNEMONIC
};

// Each mnemonic's legacy_counterpart().
using Counterparts = std::array<Mnemonic, std::size(kNames)>;
Counterparts make_counterparts() {
  Counterparts counterparts;
  for (size_t i = 0; i < counterparts.size(); ++i) {
    const auto without_v = kNames[i].starts_with('v')
                               ? std::find(std::begin(kNames), std::end(kNames), kNames[i].substr(1))
                               : std::end(kNames);
    counterparts[i] = static_cast<Mnemonic>(without_v == std::end(kNames) ? i : without_v - std::begin(kNames));
  }
  return counterparts;
}

constexpr const char* kMapNames[] = {"", "0F ", "0F38 ", "0F3A ", "VEX.0F ", "VEX.0F38 ", "VEX.0F3A "};

}  // namespace

std::span<const Row> rows() { return kRows; }

std::string_view name(Mnemonic mnemonic) {
  const auto index = static_cast<size_t>(mnemonic);
  return index < std::size(kNames) ? kNames[index] : std::string_view("?");
}

Mnemonic legacy_counterpart(Mnemonic mnemonic) {
  static const Counterparts counterparts = make_counterparts();  // built on first use, immutable
  return counterparts[static_cast<size_t>(mnemonic)];
}

std::string describe(const Row& row) {
  std::string text;
  if (row.prefixes == prefix::k66) text += "66 ";
  if (row.prefixes == prefix::kF3) text += "F3 ";
  if (row.prefixes == prefix::kF2) text += "F2 ";
  text += fmt::format("{}{:02X}", kMapNames[static_cast<size_t>(row.map)], row.opcode);
  if (row.rm >= 0) {
    text += fmt::format(" {:02X}", 0xC0 | row.digit << 3 | row.rm);
  } else if (row.digit >= 0) {
    text += fmt::format(" /{}", row.digit);
  } else if (row.form == Form::RegisterInOpcode) {
    text += "+r";
  } else if (row.form == Form::ConditionInOpcode) {
    text += "+cc";
  } else if (row.form == Form::ModRm) {
    text += " /r";
  }
  if (row.register_form != row.memory_form && row.rm < 0) text += row.memory_form ? " (memory)" : " (register)";
  return text + fmt::format(" {}", name(row.mnemonic));
}

}  // namespace calco::decode
