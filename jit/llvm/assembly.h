// Inline assembly.
#pragma once

#include <llvm/IR/IRBuilder.h>
#include <llvm/IR/InlineAsm.h>

#include <string>
#include <utility>
#include <vector>

namespace calco::jit {

// An instruction of inline assembly: its text, its constraints and what it takes and gives.
class Assembly {
 public:
  // The name may have prefixes in front.
  Assembly(llvm::IRBuilderBase& builder, std::string name) : builder_(builder), text_(std::move(name)) {}

  // Operands, in the order of the text. Outputs come first.
  void add_text(const std::string& text) { text_ += (std::exchange(has_operands_, true) ? ", " : " ") + text; }
  void add_output(llvm::Type* type, const char* constraint) {
    outputs_.push_back(type);
    add_constraint(constraint);
  }
  // The number of the operand in the text.
  size_t add_input(llvm::Value* value, const char* constraint) {
    inputs_.push_back(value);
    types_.push_back(value->getType());
    add_constraint(constraint);
    return outputs_.size() + inputs_.size() - 1;
  }

  // The low byte of RFLAGS behind the instruction comes by LAHF, in bits 8 to 15 of the output. As outputs of their own
  // ("=@ccz") flags are wrong where several are used: LLVM 19 makes ADC or SBB of what uses CF, and reads the others
  // from EFLAGS behind that. The output comes first of all operands, give_flags() behind the last.
  void add_flags_output() { add_output(builder_.getInt64Ty(), "={ax}"); }
  void give_flags() {
    text_ += "; lahf";
    add_clobber("~{flags}");
  }

  void add_clobber(const char* name) { add_constraint(name); }

  llvm::CallInst* emit(bool touches_memory, bool has_side_effects) {
    if (touches_memory) add_constraint("~{memory}");
    llvm::Type* const type = outputs_.empty()       ? builder_.getVoidTy()
                             : outputs_.size() == 1 ? outputs_[0]
                                                    : llvm::StructType::get(builder_.getContext(), outputs_);
    auto* const code =
        llvm::InlineAsm::get(llvm::FunctionType::get(type, types_, /*isVarArg=*/false), text_, constraints_,
                             touches_memory || has_side_effects, /*isAlignStack=*/false, llvm::InlineAsm::AD_Intel);
    llvm::CallInst* const call = builder_.CreateCall(code, inputs_);
    call->addFnAttr(llvm::Attribute::NoUnwind);
    return call;
  }

 private:
  void add_constraint(const char* constraint) {
    constraints_ += (constraints_.empty() ? "" : ",") + std::string(constraint);
  }

  llvm::IRBuilderBase& builder_;
  std::string text_, constraints_;
  bool has_operands_ = false;
  std::vector<llvm::Type*> outputs_, types_;
  std::vector<llvm::Value*> inputs_;
};

}  // namespace calco::jit
