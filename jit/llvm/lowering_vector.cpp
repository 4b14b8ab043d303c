// Vector instructions: the host's own, as inline assembly that LLVM neither folds nor commutes, so that NaNs and
// sticky flags are exactly the host's. Moves and integer operations that are exact anyhow are LLVM's.
#include <fmt/format.h>
#include <llvm/IR/Intrinsics.h>

#include "jit/ir/plain_vector.h"
#include "jit/llvm/assembly.h"
#include "jit/llvm/lowering.h"
#include "jit/llvm/vector_operands.h"

namespace calco::jit {

using decode::Mnemonic;
using ir::HostVectorInstruction;
using ir::VectorOperation;
using llvm::Value;

namespace {

using Kind = VectorOperand::Kind;

constexpr uint64_t kXmmBytes = 16;

const char* memory_size(unsigned bytes) {
  switch (bytes) {
    case 1:
      return "byte ptr ";
    case 2:
      return "word ptr ";
    case 4:
      return "dword ptr ";
    case 8:
      return "qword ptr ";
    case 16:
      return "xmmword ptr ";
    case 32:
      return "ymmword ptr ";
    default:
      return "";
  }
}

}  // namespace

// --- Registers
// -----------------------------------------------------------------------------------------------------------

llvm::Type* Lowering::vector_type(unsigned bytes) {
  return llvm::FixedVectorType::get(builder_.getInt64Ty(), bytes / 8);
}

Value* Lowering::get_vector(unsigned number, unsigned bytes) {
  Value* const whole = get(variable::kVector + number);
  if (!graph_.wide_vectors || bytes > kXmmBytes) return whole;
  return builder_.CreateShuffleVector(whole, llvm::ArrayRef<int>{0, 1});
}

// A legacy instruction leaves the upper half alone, a VEX one clears it.
void Lowering::set_vector(unsigned number, Value* value, bool vex) {
  const bool narrow = llvm::cast<llvm::FixedVectorType>(value->getType())->getNumElements() == 2;
  if (graph_.wide_vectors && narrow) {
    value = builder_.CreateShuffleVector(value, llvm::ConstantAggregateZero::get(value->getType()),
                                         llvm::ArrayRef<int>{0, 1, 2, 3});
    if (!vex) {
      value = builder_.CreateShuffleVector(value, get(variable::kVector + number), llvm::ArrayRef<int>{0, 1, 6, 7});
    }
  }
  set(variable::kVector + number, value);
}

void Lowering::clear_upper_vectors() {
  for (unsigned number = 0; number < 16; ++number) set_vector(number, get_vector(number, kXmmBytes), /*vex=*/true);
}

// --- LLVM's own operations
// -----------------------------------------------------------------------------------------------

Value* Lowering::vector_logic(VectorOperation operation, Value* a, Value* b, unsigned element_bits) {
  const auto* const type = llvm::cast<llvm::FixedVectorType>(a->getType());
  auto* const elements =
      llvm::FixedVectorType::get(builder_.getIntNTy(element_bits), type->getNumElements() * 64 / element_bits);
  Value* const x = builder_.CreateBitCast(a, elements);
  Value* const y = builder_.CreateBitCast(b, elements);
  auto mask = [&](Value* comparison) { return builder_.CreateSExt(comparison, elements); };
  Value* result = nullptr;
  switch (operation) {
    case VectorOperation::And:
      result = builder_.CreateAnd(x, y);
      break;
    case VectorOperation::AndNot:
      result = builder_.CreateAnd(builder_.CreateNot(x), y);
      break;
    case VectorOperation::Or:
      result = builder_.CreateOr(x, y);
      break;
    case VectorOperation::Xor:
      result = builder_.CreateXor(x, y);
      break;
    case VectorOperation::Add:
      result = builder_.CreateAdd(x, y);
      break;
    case VectorOperation::Subtract:
      result = builder_.CreateSub(x, y);
      break;
    case VectorOperation::Equal:
      result = mask(builder_.CreateICmpEQ(x, y));
      break;
    case VectorOperation::Greater:
      result = mask(builder_.CreateICmpSGT(x, y));
      break;
  }
  return builder_.CreateBitCast(result, a->getType());
}

Value* Lowering::vector_operand(const VectorOperand& operand, Value* argument, unsigned bytes) {
  if (operand.kind == Kind::Memory) return load_host(vector_type(bytes), argument);
  return get_vector(operand.number, bytes);
}

// The scalar that an operand is, as 64 bits.
Value* Lowering::scalar_operand(const VectorOperand& operand, Value* argument, unsigned bytes) {
  llvm::Type* const type = builder_.getIntNTy(bytes * 8);
  Value* value = nullptr;
  switch (operand.kind) {
    case Kind::Memory:
      value = load_host(type, argument);
      break;
    case VectorOperand::Kind::General:
      value = argument;
      break;
    default:
      value = builder_.CreateExtractElement(get_vector(operand.number, kXmmBytes), uint64_t{0});
  }
  return builder_.CreateZExt(builder_.CreateTrunc(value, type), builder_.getInt64Ty());
}

// A vector register whose upper part is zero; as a floating-point number, so that no general register gets involved.
Value* Lowering::load_scalar(Value* address, unsigned bytes) {
  llvm::Type* const type = bytes == 8 ? builder_.getDoubleTy() : builder_.getFloatTy();
  auto* const vector = llvm::FixedVectorType::get(type, kXmmBytes / bytes);
  Value* const value =
      builder_.CreateInsertElement(llvm::ConstantAggregateZero::get(vector), load_host(type, address), uint64_t{0});
  return builder_.CreateBitCast(value, vector_type(kXmmBytes));
}

bool Lowering::lower_vector_move(const HostVectorInstruction& vector, const VectorSyntax& syntax, Value* argument,
                                 Value*& result) {
  if (syntax.operands.size() != 2) return false;
  const VectorOperand& to = syntax.operands[0];
  const VectorOperand& from = syntax.operands[1];
  if (ir::is_vector_move(vector.mnemonic)) {
    const unsigned bytes = vector.long_vector ? 32 : 16;
    Value* const value = vector_operand(from, argument, bytes);
    if (to.kind == Kind::Memory) {
      store_host(value, argument);
    } else {
      set_vector(to.number, value, vector.vex);
    }
    return true;
  }
  const bool merges = to.kind == Kind::Vector && from.kind == Kind::Vector;
  const bool quadword = vector.mnemonic == Mnemonic::Movq || vector.mnemonic == Mnemonic::Vmovq;
  if (!ir::is_scalar_move(vector.mnemonic) || (merges && !quadword)) return false;
  const unsigned bytes = to.kind == Kind::General || from.kind == Kind::General ? vector.general_size
                         : vector.memory_bytes != 0                             ? vector.memory_bytes
                                                                                : 8;
  if (to.kind == Kind::Vector && from.kind == Kind::Memory && bytes >= 4) {
    set_vector(to.number, load_scalar(argument, bytes), vector.vex);
    return true;
  }
  Value* const value = scalar_operand(from, argument, bytes);
  Value* const cut = builder_.CreateTrunc(value, builder_.getIntNTy(bytes * 8));
  if (to.kind == Kind::Memory) {
    store_host(cut, argument);
  } else if (to.kind == Kind::General) {
    result = cut;
  } else {
    Value* const zero = llvm::ConstantAggregateZero::get(vector_type(kXmmBytes));
    set_vector(to.number, builder_.CreateInsertElement(zero, value, uint64_t{0}), vector.vex);
  }
  return true;
}

bool Lowering::lower_vector_elements(const HostVectorInstruction& vector, const VectorSyntax& syntax, Value* argument) {
  const auto operation = ir::element_operation(vector.mnemonic);
  if (!operation) return false;
  const unsigned bytes = vector.long_vector ? 32 : 16;
  const size_t first = syntax.operands.size() - 2;  // VEX forms have a destination of their own
  Value* const a = get_vector(syntax.operands[first].number, bytes);
  Value* const b = vector_operand(syntax.operands[first + 1], argument, bytes);
  set_vector(syntax.operands[0].number, vector_logic(operation->operation, a, b, operation->bits), vector.vex);
  return true;
}

// --- The host's instructions
// ---------------------------------------------------------------------------------------------

namespace {

// Comparisons that set flags, and stores, only read their first operand.
bool writes_first_operand(const HostVectorInstruction& vector, const VectorSyntax& syntax) {
  return !vector.sets_flags && syntax.operands[0].kind != Kind::Memory;
}

bool is_read(const HostVectorInstruction& vector, unsigned number) { return (vector.reads >> number & 1) != 0; }

}  // namespace

Value* Lowering::lower_vector_assembly(const HostVectorInstruction& vector, const VectorSyntax& syntax,
                                       Value* argument) {
#if !defined(__x86_64__)
  refusal_ = fmt::format("the host has no {}", syntax.name);
  return llvm::PoisonValue::get(builder_.getIntNTy(vector.sets_flags ? 64 : vector.general_size * 8));
#endif
  const VectorOperand& first = syntax.operands[0];
  const bool writes = writes_first_operand(vector, syntax);
  const bool vector_result = writes && first.kind == Kind::Vector;
  // BLENDVPS XMM0, ..., <XMM0>
  const bool pinned = vector_result && syntax.operands.back().fixed && first.number == 0;
  // LLVM's assembler swaps the sources of additions and multiplications where that saves a prefix byte: of two NaNs the
  // other one would be the result, and a scalar's upper part come from the wrong source.
  Assembly assembly(builder_, vector.vex ? "{vex3} " + syntax.name : syntax.name);
  if (vector_result) {
    assembly.add_output(vector_type(first.bytes), pinned ? "={xmm0}" : "=x");
  } else if (writes) {
    assembly.add_output(builder_.getIntNTy(vector.general_size * 8), "=r");
  }
  if (vector.sets_flags) assembly.add_flags_output();
  for (size_t i = 0; i < syntax.operands.size(); ++i) {
    const VectorOperand& operand = syntax.operands[i];
    if (i == 0 && writes) {
      assembly.add_text(vector_result ? "$0" : operand.bytes == 8 ? "${0:q}" : "${0:k}");
      if (vector_result && is_read(vector, operand.number)) {
        assembly.add_input(get_vector(operand.number, operand.bytes), "0");
      }
    } else if (operand.kind == Kind::Vector && operand.fixed) {
      assembly.add_text("xmm0");
      if (!pinned) assembly.add_input(get_vector(0, kXmmBytes), "{xmm0}");
    } else if (operand.kind == Kind::Vector) {
      assembly.add_text(fmt::format("${}", assembly.add_input(get_vector(operand.number, operand.bytes), "x")));
    } else if (operand.kind == Kind::General) {
      const char width = operand.bytes == 8 ? 'q' : 'k';
      assembly.add_text(fmt::format("${{{}:{}}}", assembly.add_input(argument, "r"), width));
    } else if (operand.kind == Kind::Memory) {
      const size_t number = assembly.add_input(argument, "r");
      assembly.add_text(fmt::format("{}[${{{}:q}}]", memory_size(operand.bytes), number));
    } else {
      assembly.add_text(fmt::format("{}", vector.immediate));
    }
  }
  if (vector.sets_flags) assembly.give_flags();
  // What touches MXCSR's sticky flags must neither vanish nor be executed where the guest would not.
  llvm::CallInst* const call = assembly.emit(vector.source == HostVectorInstruction::Source::Memory, vector.uses_mxcsr);
  if (vector_result) set_vector(first.number, call, vector.vex);
  if (vector.sets_flags) return comparison_flags(call);
  return writes && !vector_result ? call : nullptr;
}

// COMISS, PTEST and their kin clear what they do not set.
Value* Lowering::comparison_flags(Value* rax) {
  return builder_.CreateAnd(builder_.CreateLShr(rax, 8), cpu::rflags::kCf | cpu::rflags::kPf | cpu::rflags::kZf);
}

Value* Lowering::lower_vector(const ir::Instruction& instruction) {
  const HostVectorInstruction& vector = source_->vectors[instruction.immediate];
  const auto syntax = input_.services.vector_syntax(vector);
  if (!syntax) {
    refusal_ = fmt::format("no way to write vector instruction {:#x} of map {}", vector.opcode, vector.map);
    return llvm::UndefValue::get(instruction.type == ir::Type::Void ? builder_.getInt64Ty()
                                                                    : type_of(instruction.type));
  }
  Value* const argument = instruction.arguments[0] == ir::kNoValue ? nullptr : this->argument(instruction, 0);
  Value* result = nullptr;
  if (lower_vector_move(vector, *syntax, argument, result)) return result;
  if (lower_vector_elements(vector, *syntax, argument)) return nullptr;
  return lower_vector_assembly(vector, *syntax, argument);
}

}  // namespace calco::jit
