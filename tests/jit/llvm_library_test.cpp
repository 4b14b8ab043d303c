#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "jit/llvm/library.h"
#include "tests/jit/ir_text.h"
#include "tests/jit/translation_rig.h"

namespace calco::jit {
namespace {

TEST(LlvmLibrary, IsLoadedWhileTheProgramRuns) {
  TranslationRig rig;
  std::string error;
  const auto compiler = load_llvm_compiler(CALCO_LLVM_LIBRARY, TranslationRig::layout(), rig.entries, {}, error);
  ASSERT_NE(compiler, nullptr) << error;
  const auto region = compiler->compile({{ir::block_of({"leave 0x10"})}}, [](size_t, int32_t) { return nullptr; });
  ASSERT_NE(region, nullptr) << compiler->refusal();
  rig.enter(region->entry());
  EXPECT_EQ(rig.offset(), 0x10u);
}

TEST(LlvmLibrary, MayBeMissing) {
  std::string error;
  EXPECT_EQ(load_llvm_compiler("/nowhere/library.so", {}, {}, {}, error), nullptr);
  EXPECT_NE(error, "");
}

TEST(LlvmLibrary, ThatIsMissingIsNamed) {
  EXPECT_THAT(llvm_library_refusal("/nowhere/library.so"), testing::StartsWith("/nowhere/library.so: "));
  EXPECT_EQ(llvm_library_refusal(CALCO_LLVM_LIBRARY), "");
}

}  // namespace
}  // namespace calco::jit
