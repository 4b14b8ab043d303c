#include "jit/llvm/pipeline.h"

#include <llvm/IR/LegacyPassManager.h>
#include <llvm/IR/PassManager.h>
#include <llvm/MC/TargetRegistry.h>
#include <llvm/Passes/PassBuilder.h>
#include <llvm/Support/CommandLine.h>
#include <llvm/Support/TargetSelect.h>
#include <llvm/TargetParser/Host.h>
#include <llvm/Transforms/InstCombine/InstCombine.h>
#include <llvm/Transforms/Scalar/EarlyCSE.h>
#include <llvm/Transforms/Scalar/SimplifyCFG.h>
#include <llvm/Transforms/Utils/Mem2Reg.h>

#include <mutex>
#include <string>

namespace calco::jit {

namespace {

// Some of the code generator's switches are command line options only.
void set_option(const char* name, const char* value) {
  const auto& known = llvm::cl::getRegisteredOptions();
  if (const auto option = known.find(name); option != known.end()) option->second->addOccurrence(0, name, value);
}

// LLVM's own global state, shared by all compilers of the process.
void initialize_llvm() {
  static std::once_flag once;
  std::call_once(once, [] {
    llvm::InitializeNativeTarget();
    llvm::InitializeNativeTargetAsmPrinter();
    llvm::InitializeNativeTargetAsmParser();
    // Scheduling takes a tenth of the time and gains nothing on processors that reorder.
    set_option("enable-misched", "false");
    // Strength reduction adds variables to loops whose guest registers already want more registers than there are.
    set_option("disable-lsr", "true");
    // What quick code generation would use: it gave wrong code for BLENDVPS, and ended the program over a copy of
    // flags.
    set_option("fast-isel", "false");
    // The register allocator looks at fewer ways to split a value: a quarter of its time.
    set_option("grow-region-complexity-budget", "100");
    // State tables (Lowering::put_state) take values where they are.
    set_option("use-registers-for-deopt-values", "true");
  });
}

std::unique_ptr<llvm::TargetMachine> make_target_machine(bool fast_code) {
  initialize_llvm();
  const std::string triple = llvm::sys::getProcessTriple();
  std::string error;
  const llvm::Target* target = llvm::TargetRegistry::lookupTarget(triple, error);
  if (target == nullptr) return nullptr;
  std::string features;
  for (const auto& [name, has] : llvm::sys::getHostCPUFeatures()) {
    const bool wanted = has && may_use_host_feature(name.str());
    features += (features.empty() ? "" : ",") + std::string(wanted ? "+" : "-") + name.str();
  }
  const auto level = fast_code ? llvm::CodeGenOptLevel::None : llvm::CodeGenOptLevel::Less;
  return std::unique_ptr<llvm::TargetMachine>(target->createTargetMachine(
      triple, llvm::sys::getHostCPUName(), features, {}, llvm::Reloc::PIC_, llvm::CodeModel::Small, level,
      /*JIT=*/true));
}

}  // namespace

Pipeline::Pipeline(bool optimise, bool fast_code) : target_(make_target_machine(fast_code)) {
  if (target_ == nullptr) return;
  llvm::PassBuilder builder(target_.get());
  builder.registerModuleAnalyses(module_analyses_);
  builder.registerCGSCCAnalyses(call_graph_analyses_);
  builder.registerFunctionAnalyses(function_analyses_);
  builder.registerLoopAnalyses(loop_analyses_);
  builder.crossRegisterProxies(loop_analyses_, function_analyses_, call_graph_analyses_, module_analyses_);

  // The pages of access groups are stack slots so far.
  passes_.addPass(llvm::PromotePass());
  if (!optimise) return;
  // Different instructions of a block compute the same addresses, flags and TLB entries.
  passes_.addPass(llvm::EarlyCSEPass());
  // Narrow and partial registers, flags put together and taken apart; once over is enough.
  passes_.addPass(llvm::InstCombinePass(llvm::InstCombineOptions().setMaxIterations(1)));
  // Blocks that only jump, branches that became constant.
  passes_.addPass(llvm::SimplifyCFGPass());
}

void Pipeline::optimise(llvm::Module& module) {
  for (llvm::Function& function : module) {
    if (!function.isDeclaration()) passes_.run(function, function_analyses_);
  }
  module_analyses_.clear();
  function_analyses_.clear();
}

llvm::SmallVector<char, 0> Pipeline::generate_object(llvm::Module& module) {
  llvm::SmallVector<char, 0> object;
  llvm::raw_svector_ostream stream(object);
  llvm::legacy::PassManager passes;
  llvm::MCContext* context = nullptr;
  if (target_->addPassesToEmitMC(passes, context, stream, /*DisableVerify=*/true)) return {};
  passes.run(module);
  return object;
}

}  // namespace calco::jit
