// LLVM's passes over a region, and its code generator.
#pragma once

#include <llvm/ADT/SmallVector.h>
#include <llvm/IR/Module.h>
#include <llvm/IR/PassManager.h>
#include <llvm/Passes/PassBuilder.h>
#include <llvm/Target/TargetMachine.h>

#include <memory>
#include <string_view>

namespace calco::jit {

// Whether code may be made of what the host's feature of this name has; the host's files say so.
bool may_use_host_feature(std::string_view name);

class Pipeline {
 public:
  // For the machine that this program runs on; target() is null where LLVM does not know it.
  Pipeline(bool optimise, bool fast_code);

  llvm::TargetMachine* target() { return target_.get(); }
  void optimise(llvm::Module& module);
  // An object file.
  llvm::SmallVector<char, 0> generate_object(llvm::Module& module);

 private:
  std::unique_ptr<llvm::TargetMachine> target_;
  llvm::LoopAnalysisManager loop_analyses_;
  llvm::FunctionAnalysisManager function_analyses_;
  llvm::CGSCCAnalysisManager call_graph_analyses_;
  llvm::ModuleAnalysisManager module_analyses_;
  llvm::FunctionPassManager passes_;
};

}  // namespace calco::jit
