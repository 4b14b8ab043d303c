#include "jit/ir/syntax.h"

#include "cpu/state.h"

namespace calco::jit::ir {

namespace {

using namespace type_set;

constexpr uint8_t kBoolOrInteger = kI1 | kInteger, kFromWord = kI16 | kI32 | kI64, kFromDword = kI32 | kI64;

constexpr Syntax like_result(uint8_t types, unsigned arguments) {
  Syntax result;
  result.result = types;
  for (unsigned i = 0; i < arguments; ++i) result.arguments[i] = types | kLikeResult;
  return result;
}

constexpr Syntax shift(uint8_t types) {
  return {Auxiliary::None, Immediate::None, types, {static_cast<uint8_t>(types | kLikeResult), kI8}};
}

constexpr Syntax row(uint8_t result, std::array<uint8_t, 3> arguments = {}, Auxiliary auxiliary = Auxiliary::None,
                     Immediate immediate = Immediate::None) {
  return {auxiliary, immediate, result, arguments};
}

constexpr Syntax make(Opcode opcode) {
  switch (opcode) {
    case Opcode::Constant:
      return row(kBoolOrInteger, {}, Auxiliary::None, Immediate::Constant);
    case Opcode::GetRegister:
      return row(kI64, {}, Auxiliary::Register);
    case Opcode::SetRegister:
      return row(kVoid, {kI64}, Auxiliary::Register);
    case Opcode::SegmentBase:
      return row(kI64, {}, Auxiliary::Segment);
    case Opcode::PageBase:
      return row(kI64);

    case Opcode::SetFlags:
      return row(kVoid, {kInteger, kBoolOrInteger | kOptional}, Auxiliary::FlagKind);
    case Opcode::SetFlagsWithCarry:
      return row(kVoid, {kInteger, kInteger, kI1}, Auxiliary::FlagKind);
    case Opcode::SetFlagsOfShift:
      return row(kVoid, {kInteger, kInteger, kI8}, Auxiliary::FlagKind);
    case Opcode::ChangeFlags:
      return row(kVoid, {kI64}, Auxiliary::None, Immediate::FlagMask);
    case Opcode::GetFlags:
      return row(kI64);
    case Opcode::Condition:
      return row(kI1, {}, Auxiliary::Condition);
    case Opcode::Carry:
      return row(kI1);

    case Opcode::Add:
    case Opcode::Subtract:
      return like_result(kInteger, 2);
    case Opcode::AddWithCarry:
    case Opcode::SubtractWithBorrow:
      return row(kInteger, {kInteger | kLikeResult, kInteger | kLikeResult, kI1});
    case Opcode::And:
    case Opcode::Or:
    case Opcode::Xor:
      return like_result(kBoolOrInteger, 2);
    case Opcode::Not:
    case Opcode::Negate:
    case Opcode::LeadingZeros:
    case Opcode::TrailingZeros:
      return like_result(kInteger, 1);
    case Opcode::Multiply:
      return like_result(kFromWord, 2);
    case Opcode::MultiplyHigh:
    case Opcode::MultiplyHighSigned:
      return like_result(kI64, 2);
    case Opcode::ShiftLeft:
    case Opcode::ShiftRight:
    case Opcode::ShiftArithmetic:
    case Opcode::RotateLeft:
    case Opcode::RotateRight:
      return shift(kInteger);
    case Opcode::ByteSwap:
      return like_result(kFromDword, 1);
    case Opcode::PopulationCount:
      return like_result(kFromWord, 1);
    case Opcode::Address:
      return row(kFromDword, {kFromDword | kLikeResult | kOptional, kFromDword | kLikeResult | kOptional},
                 Auxiliary::Scale, Immediate::Displacement);
    case Opcode::WideMultiply:
    case Opcode::WideMultiplySigned:
    case Opcode::WideDivide:
    case Opcode::WideDivideSigned:
      return row(kVoid, {kFromDword});

    case Opcode::Compare:
      return row(kI1, {kInteger, kInteger}, Auxiliary::Condition);
    case Opcode::Select:
      return row(kBoolOrInteger, {kI1, kBoolOrInteger | kLikeResult, kBoolOrInteger | kLikeResult});
    case Opcode::Truncate:
      return row(kI1 | kI8 | kI16 | kI32, {kInteger});
    case Opcode::ZeroExtend:
    case Opcode::SignExtend:
      return row(kInteger, {kI1 | kI8 | kI16 | kI32});
    case Opcode::HighByte:
      return row(kI8, {kI64});
    case Opcode::InsertLowByte:
    case Opcode::InsertHighByte:
      return row(kI64, {kI64, kI8});
    case Opcode::InsertWord:
      return row(kI64, {kI64, kI16});

    case Opcode::Load:
      return row(kInteger, {kI64}, Auxiliary::Access);
    case Opcode::Store:
      return row(kVoid, {kI64, kInteger}, Auxiliary::Access);
    case Opcode::HostAddress:
      return row(kI64, {kI64}, Auxiliary::Access, Immediate::HostAccess);
    case Opcode::LoadHost:
      return row(kInteger, {kI64});
    case Opcode::StoreHost:
      return row(kVoid, {kI64, kInteger});
    case Opcode::AtomicExchange:
    case Opcode::AtomicAdd:
    case Opcode::AtomicAnd:
    case Opcode::AtomicOr:
    case Opcode::AtomicXor:
      return row(kInteger, {kI64, kInteger | kLikeResult});
    case Opcode::AtomicCompareExchange:
      return row(kInteger, {kI64, kInteger | kLikeResult, kInteger | kLikeResult});
    case Opcode::Fence:
    case Opcode::ClearUpperVectors:
      return row(kVoid);

    case Opcode::BailUnlessNextPage:
      return row(kVoid, {}, Auxiliary::None, Immediate::Constant);
    case Opcode::BailIf:
      return row(kVoid, {kI1});
    case Opcode::Interpret:
      return row(kVoid, {}, Auxiliary::None, Immediate::Interpreted);
    case Opcode::EnterX87:
      return row(kVoid);
    case Opcode::HostX87:
      return row(kVoid | kI16 | kI64, {kI1 | kI16 | kI64 | kOptional, kI64 | kOptional}, Auxiliary::None,
                 Immediate::X87);
    case Opcode::HostVector:
      return row(kVoid | kInteger, {kInteger | kOptional}, Auxiliary::None, Immediate::Vector);

    case Opcode::Jump:
      return row(kVoid, {}, Auxiliary::Hint, Immediate::Target);
    case Opcode::Branch:
      return row(kVoid, {kI1}, Auxiliary::None, Immediate::Targets);
    case Opcode::JumpIndirect:
      return row(kVoid, {kI64}, Auxiliary::Hint);
    case Opcode::Leave:
      return row(kVoid, {}, Auxiliary::None, Immediate::Target);
    case Opcode::Count:
      break;
  }
  return {};
}

}  // namespace

const Syntax& syntax(Opcode opcode) {
  static constexpr auto kTable = [] {
    std::array<Syntax, static_cast<size_t>(Opcode::Count)> table{};
    for (size_t i = 0; i < table.size(); ++i) table[i] = make(static_cast<Opcode>(i));
    return table;
  }();
  return kTable[static_cast<size_t>(opcode)];
}

std::span<const std::string_view> words(Auxiliary auxiliary) {
  static constexpr std::array<std::string_view, 16> kRegisters = {
      "rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15"};
  static constexpr std::array<std::string_view, 6> kSegments = {"es", "cs", "ss", "ds", "fs", "gs"};
  static constexpr std::array<std::string_view, 11> kFlagKinds = {
      "explicit",  "logic",     "add",        "add_carry",   "subtract",        "subtract_borrow",
      "increment", "decrement", "shift_left", "shift_right", "shift_arithmetic"};
  static constexpr std::array<std::string_view, 16> kConditions = {"o", "no", "b", "ae", "e", "ne", "be", "a",
                                                                   "s", "ns", "p", "np", "l", "ge", "le", "g"};
  static constexpr std::array<std::string_view, 2> kAccess = {"", "stack"};
  static constexpr std::array<std::string_view, 3> kHints = {"", "call", "return"};
  switch (auxiliary) {
    case Auxiliary::Register:
      return kRegisters;
    case Auxiliary::Segment:
      return kSegments;
    case Auxiliary::FlagKind:
      return kFlagKinds;
    case Auxiliary::Condition:
      return kConditions;
    case Auxiliary::Access:
      return kAccess;
    case Auxiliary::Hint:
      return kHints;
    case Auxiliary::None:
    case Auxiliary::Scale:
      break;
  }
  return {};
}

std::string_view name(Type type) {
  static constexpr std::array<std::string_view, 6> kNames = {"void", "i1", "i8", "i16", "i32", "i64"};
  return kNames[static_cast<size_t>(type)];
}

std::span<const FlagName> flag_names() {
  namespace rflags = cpu::rflags;
  static constexpr std::array<FlagName, 6> kNames = {{{rflags::kCf, "cf"},
                                                      {rflags::kPf, "pf"},
                                                      {rflags::kAf, "af"},
                                                      {rflags::kZf, "zf"},
                                                      {rflags::kSf, "sf"},
                                                      {rflags::kOf, "of"}}};
  return kNames;
}

}  // namespace calco::jit::ir
