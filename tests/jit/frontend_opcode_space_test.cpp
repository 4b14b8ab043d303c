// Every kind of instruction gives IR that keeps the rules: types, and everything that may leave before the first write
// of guest state.
#include <gtest/gtest.h>

#include "cpu/exec/block_cache.h"
#include "jit/frontend/frontend.h"
#include "jit/ir/printer.h"
#include "jit/ir/verifier.h"
#include "tests/cpu/opcode_space.h"

namespace calco::jit {
namespace {

class OpcodeSpace : public testing::Test {
 protected:
  OpcodeSpace() { features_.set(); }

  // One case of `kStride`: the space is regular, and a prime walks through all of it.
  void check(const decode::CaseBytes& bytes) {
    constexpr unsigned kStride = 3;
    if (++count_ % kStride != 0) return;
    constexpr uint32_t kMode = 2 | cpu::kModeVector | cpu::kModeAvx;
    if (!translate({bytes, 0x5123, kMode, features_, 1}, block_)) return;
    ++translated_;
    for (const std::string& message : ir::verify(block_)) ADD_FAILURE() << message << "\n" << ir::print(block_);
  }

  decode::FeatureSet features_;
  ir::Block block_;
  unsigned count_ = 0;
  unsigned translated_ = 0;
};

TEST_F(OpcodeSpace, LegacyEncodings) {
  decode::for_each_legacy_case(decode::CodeSize::Bits64, [this](const decode::CaseBytes& bytes) { check(bytes); });
  EXPECT_GT(translated_, 300'000u);
}

TEST_F(OpcodeSpace, VexEncodings) {
  decode::for_each_vex_case([this](const decode::CaseBytes& bytes) { check(bytes); });
  EXPECT_GT(translated_, 20'000u);
}

}  // namespace
}  // namespace calco::jit
