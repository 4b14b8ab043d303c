// What the fields of an operation may hold, and how the text form writes them. Shared by printer, parser and verifier.
#pragma once

#include <array>
#include <concepts>
#include <cstdint>
#include <span>
#include <string_view>
#include <type_traits>

#include "jit/ir/ir.h"

namespace calco::jit::ir {

// What Instruction::auxiliary is.
enum class Auxiliary : uint8_t { None, Register, Segment, FlagKind, Condition, Access, Hint, Scale };

// What Instruction::immediate is.
enum class Immediate : uint8_t {
  None,
  Constant,
  FlagMask,
  Displacement,
  HostAccess,
  Interpreted,
  Vector,
  X87,
  Target,
  Targets,
};

// Sets of types, one bit each, and rules beside them.
namespace type_set {
constexpr uint8_t kVoid = 1u << 0, kI1 = 1u << 1, kI8 = 1u << 2, kI16 = 1u << 3, kI32 = 1u << 4, kI64 = 1u << 5;
constexpr uint8_t kInteger = kI8 | kI16 | kI32 | kI64;
constexpr uint8_t kLikeResult = 1u << 6;  // of an argument: exactly the result's type
constexpr uint8_t kOptional = 1u << 7;    // of an argument: may be kNoValue
}  // namespace type_set

struct Syntax {
  Auxiliary auxiliary = Auxiliary::None;
  Immediate immediate = Immediate::None;
  uint8_t result = 0;                     // type_set
  std::array<uint8_t, 3> arguments = {};  // type_set
};

const Syntax& syntax(Opcode opcode);

// The words of an auxiliary, by its value; empty for None and Scale. An empty word is not written.
std::span<const std::string_view> words(Auxiliary auxiliary);

std::string_view name(Type type);

// The six arithmetic flags and their names in the text form.
struct FlagName {
  uint64_t bit;
  std::string_view text;
};
std::span<const FlagName> flag_names();

// Calls visit(name, field) for each numeric field of a host vector instruction but the mnemonic.
template <typename Vector, typename Visit>
  requires std::same_as<std::remove_const_t<Vector>, HostVectorInstruction>
void each_field(Vector& vector, Visit&& visit) {
  visit("vex", vector.vex);
  visit("map", vector.map);
  visit("prefix", vector.prefix);
  visit("opcode", vector.opcode);
  visit("wide", vector.wide);
  visit("long_vector", vector.long_vector);
  visit("has_immediate", vector.has_immediate);
  visit("immediate", vector.immediate);
  visit("source", vector.source);
  visit("rm", vector.rm);
  visit("reg", vector.reg);
  visit("reg_is_general", vector.reg_is_general);
  visit("rm_is_general_result", vector.rm_is_general_result);
  visit("vvvv", vector.vvvv);
  visit("general_size", vector.general_size);
  visit("sets_flags", vector.sets_flags);
  visit("writes_memory", vector.writes_memory);
  visit("uses_mxcsr", vector.uses_mxcsr);
  visit("reads", vector.reads);
  visit("writes", vector.writes);
  visit("memory_bytes", vector.memory_bytes);
}

// The same of a host x87 instruction.
template <typename X87, typename Visit>
  requires std::same_as<std::remove_const_t<X87>, HostX87Instruction>
void each_field(X87& x87, Visit&& visit) {
  visit("opcode", x87.opcode);
  visit("modrm", x87.modrm);
  visit("argument", x87.argument);
  visit("memory_bytes", x87.memory_bytes);
  visit("sets_flags", x87.sets_flags);
  visit("gives_status", x87.gives_status);
  visit("is_recorded", x87.is_recorded);
  visit("recorded_opcode", x87.recorded_opcode);
  visit("data_segment", x87.data_segment);
}

}  // namespace calco::jit::ir
