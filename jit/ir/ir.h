// The intermediate representation: what a block of guest code does, as a list of typed operations.
//
// A block is straight-line: values are defined once and used behind their definition, in their block only. Between
// blocks nothing flows but guest state: registers, lazy flags, vector registers, memory. So there are no phi nodes; a
// translator that joins blocks to regions makes them from GetRegister and SetRegister.
//
// Precise faults: within one guest instruction every operation that may leave the block (Effect::kMayLeave) stands
// before the first one that writes guest state (registers, flags), so that leaving means nothing of the instruction was
// done. A Store is the exception the architecture makes itself: it may be followed by another only where the
// instruction's first store may stay when the second faults.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "cpu/exec/op.h"
#include "jit/ir/host_vector.h"
#include "jit/ir/host_x87.h"

namespace calco::jit::ir {

enum class Type : uint8_t { Void, I1, I8, I16, I32, I64 };
constexpr unsigned bytes_of(Type type) { return type <= Type::I1 ? 1u : 1u << (static_cast<unsigned>(type) - 2); }
constexpr unsigned bits_of(Type type) { return type == Type::I1 ? 1u : bytes_of(type) * 8; }
// The bits that a value of the type has.
constexpr uint64_t mask_of(Type type) { return ~uint64_t{0} >> (64 - bits_of(type)); }
constexpr Type type_of_bytes(unsigned bytes) {
  return bytes == 1 ? Type::I8 : bytes == 2 ? Type::I16 : bytes == 4 ? Type::I32 : Type::I64;
}

// What an operation does besides giving a value.
enum Effect : uint32_t {
  kNone = 0,
  kReadsState = 1,
  kWritesState = 2,
  kReadsFlags = 4,
  kWritesFlags = 8,
  kReadsMemory = 16,
  kWritesMemory = 32,
  kVector = 64,     // reads or writes guest vector registers or MXCSR
  kMayLeave = 128,  // may leave the block with nothing of its guest instruction done
  kTerminator = 256,
};

enum class Opcode : uint8_t {
#define CALCO_IR(name, text, result, arguments, effects) name,
#include "jit/ir/opcodes.inc"
#undef CALCO_IR
  Count
};

// How a row names its result type.
enum class Result : uint8_t { Void, I1, I8, I16, I32, I64, Same, Typed };

struct OpcodeInfo {
  std::string_view text;
  Result result;
  uint8_t arguments;
  uint32_t effects;
};

namespace detail {
constexpr auto kOpcodes = [] {
  using enum Result;
  return std::array<OpcodeInfo, static_cast<size_t>(Opcode::Count)>{{
#define CALCO_IR(name, text, result, arguments, effects) {text, result, arguments, effects},
#include "jit/ir/opcodes.inc"
#undef CALCO_IR
  }};
}();
}  // namespace detail

constexpr const OpcodeInfo& info(Opcode opcode) { return detail::kOpcodes[static_cast<size_t>(opcode)]; }

using Value = uint16_t;  // index of the defining instruction in its block
constexpr Value kNoValue = 0xFFFF;

// Instruction::auxiliary of memory operations.
constexpr uint8_t kStackAccess = 1;
// Bits of Instruction::immediate of HostAddress, beside the size.
constexpr uint64_t kHostWrite = 0x100;    // for reading and writing
constexpr uint64_t kHostAligned = 0x200;  // #GP(0) where not aligned to the size

// Instruction::marks of operations that write flags (kWritesFlags, but not Interpret), set by the passes: nothing in
// the block and no way out of it needs what it writes, but operations that may leave do, since a fault shows the flags.
// A back end may leave it out of the straight path and execute it in the cold path of each operation that may leave, up
// to the next operation that writes flags and is not marked; several that are marked, in their order. Executing it
// where it stands is always right.
constexpr uint16_t kFlagsOnlyForFaults = 1;

// Instruction::auxiliary of Jump and JumpIndirect.
enum class JumpHint : uint8_t { None, Call, Return };

struct Instruction {
  Opcode opcode{};
  Type type = Type::Void;  // of the result
  uint8_t auxiliary = 0;
  uint8_t guest = 0;  // index into Block::guest
  std::array<Value, 3> arguments{kNoValue, kNoValue, kNoValue};
  uint16_t marks = 0;
  uint64_t immediate = 0;
};

// Branch targets, counted from PageBase.
constexpr uint64_t branch_targets(int32_t taken, int32_t not_taken) {
  return static_cast<uint32_t>(taken) | static_cast<uint64_t>(static_cast<uint32_t>(not_taken)) << 32;
}
constexpr int32_t taken_target(const Instruction& branch) { return static_cast<int32_t>(branch.immediate); }
constexpr int32_t not_taken_target(const Instruction& branch) { return static_cast<int32_t>(branch.immediate >> 32); }

// One guest instruction: where it stands.
struct GuestInstruction {
  uint16_t page_offset = 0;  // of its first byte in its page
  uint8_t length = 0;
};

// The last operation is the only terminator.
struct Block {
  uint64_t memory_offset = 0;  // of the first byte of code (machine/core/guest_memory.h)
  uint32_t mode_key = 0;       // cpu/exec/block_cache.h
  uint16_t page_offset = 0;    // of the first byte in its page
  uint16_t byte_length = 0;    // guest code; in one page, but for what BailUnlessNextPage guards
  // What is at the end's target (of a Jump, or of a taken Branch), and behind a Branch not taken, overwrites all six
  // flags before anything can see them: the block need not leave them right there.
  bool flags_dead_if_taken = false;
  bool flags_dead_if_not_taken = false;
  std::vector<GuestInstruction> guest;
  std::vector<Instruction> code;
  // For Interpret: operations whose `offset` counts from the page's first byte. An empty one ends a run.
  std::vector<cpu::Op> interpreted;
  std::vector<HostVectorInstruction> vectors;
  std::vector<HostX87Instruction> x87;
  // Where the block ends in Leave: the operation of the instruction there, if it is one that ends blocks and hands a
  // whole state back, with RIP behind it. A back end may run it and go on at that RIP; leaving is always right. The
  // instruction then counts to `guest` and `byte_length`.
  std::optional<cpu::Op> last;

  const Instruction& operator[](Value value) const { return code[value]; }
  const Instruction& terminator() const { return code.back(); }
};

// How often the block looks into the TLB where it runs to its end.
inline uint32_t memory_accesses(const Block& block) {
  return static_cast<uint32_t>(std::ranges::count_if(block.code, [](const Instruction& instruction) {
    return instruction.opcode == Opcode::Load || instruction.opcode == Opcode::Store ||
           instruction.opcode == Opcode::HostAddress;
  }));
}

}  // namespace calco::jit::ir
