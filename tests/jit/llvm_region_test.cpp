// Ways between the blocks of a region that are not direct jumps within a page.
#include <gtest/gtest.h>

#include <optional>

#include "jit/llvm/llvm_compiler.h"
#include "tests/jit/ir_text.h"
#include "tests/jit/translation_rig.h"

namespace calco::jit {
namespace {

ir::Block block_at(uint16_t page_offset, uint16_t length, const std::string& code) {
  ir::Block block = ir::block_of({code});
  block.page_offset = page_offset;
  block.byte_length = length;
  return block;
}

// Says in RAX that it was reached.
ir::Block landing(uint16_t page_offset) {
  return block_at(
      page_offset, 4,
      fmt::format("%0 = constant.i64 {:#x}\n set_register rax, %0\n leave {:#x}", page_offset, page_offset));
}

class LlvmRegion : public testing::Test {
 protected:
  void compile(Region region) {
    region_ = compiler_->compile(region, [this](size_t block, int32_t target) {
      return rig_.link_cell(static_cast<int32_t>(block) * 0x10000 + target);
    });
    ASSERT_NE(region_, nullptr) << compiler_->refusal();
  }
  void run() { rig_.enter(region_->entry()); }
  uint64_t& reg(unsigned number) { return rig_.state.cpu.registers[number]; }
  bool left_by_probe_to(uint64_t rip) const {
    return rig_.state.way_out == TranslationRig::kProbe && rig_.rip() == rip;
  }

  TranslationRig rig_;
  std::unique_ptr<RegionCompiler> compiler_ =
      make_llvm_compiler(TranslationRig::layout(), rig_.entries, llvm_services(), {});
  std::unique_ptr<CompiledRegion> region_;
};

constexpr uint64_t kPage = TranslationRig::kPageBase;
const std::string kJumpToRbx = "%0 = get_register rbx\n jump_indirect %0";

// --- Indirect jumps --------------------------------------------------------------------------------------------------

TEST_F(LlvmRegion, IndirectJumpStaysInsideWhereTheGuessIsRight) {
  compile(
      {.blocks = {block_at(0, 2, kJumpToRbx), landing(0x100), landing(0x200)}, .indirect_targets = {{1, 2}, {}, {}}});
  reg(cpu::kRbx) = kPage + 0x200;
  run();
  EXPECT_TRUE(rig_.left_to_interpreter());
  EXPECT_EQ(reg(cpu::kRax), 0x200u);
  reg(cpu::kRbx) = kPage + 0x100;
  run();
  EXPECT_EQ(reg(cpu::kRax), 0x100u);
}

TEST_F(LlvmRegion, IndirectJumpElsewhereLeaves) {
  compile({.blocks = {block_at(0, 2, kJumpToRbx), landing(0x100)}, .indirect_targets = {{1}, {}}});
  reg(cpu::kRax) = 7;
  reg(cpu::kRbx) = kPage + 0x101;
  run();
  EXPECT_TRUE(left_by_probe_to(kPage + 0x101));
  reg(cpu::kRbx) = kPage + 0x1'0000'0100;  // the same in its lower 32 bits
  run();
  EXPECT_TRUE(left_by_probe_to(kPage + 0x1'0000'0100));
  EXPECT_EQ(reg(cpu::kRax), 7u);
}

TEST_F(LlvmRegion, ManyGuessesAreFoundThroughATable) {
  Region region{.blocks = {block_at(0, 2, kJumpToRbx)}, .indirect_targets = {{}}};
  for (uint16_t i = 1; i <= 23; ++i) {
    region.blocks.push_back(landing(static_cast<uint16_t>(i * 0x40 + i * i % 7)));
    region.indirect_targets.emplace_back();
    region.indirect_targets[0].push_back(i);
  }
  compile(region);
  for (size_t i = 1; i < region.blocks.size(); ++i) {
    reg(cpu::kRbx) = kPage + region.blocks[i].page_offset;
    run();
    EXPECT_TRUE(rig_.left_to_interpreter());
    EXPECT_EQ(reg(cpu::kRax), region.blocks[i].page_offset);
  }
  for (uint64_t elsewhere = 0xE00; elsewhere < 0xF00; ++elsewhere) {
    reg(cpu::kRbx) = kPage + elsewhere;
    run();
    EXPECT_TRUE(left_by_probe_to(kPage + elsewhere));
  }
}

TEST_F(LlvmRegion, ReturnGoesBehindTheRegionsCall) {
  compile({.blocks = {block_at(0, 5, "jump 0x80, call"), landing(5),
                      block_at(0x80, 1, "%0 = get_register rbx\n jump_indirect %0, return")}});
  reg(cpu::kRbx) = kPage + 5;
  run();
  EXPECT_TRUE(rig_.left_to_interpreter());
  EXPECT_EQ(reg(cpu::kRax), 5u);
  reg(cpu::kRbx) = kPage + 6;
  run();
  EXPECT_TRUE(left_by_probe_to(kPage + 6));
}

TEST_F(LlvmRegion, ReturnToANonCanonicalAddressIsLeftToTheInterpreterWithTheStackAsItWas) {
  compile({.blocks = {block_at(0, 5, "jump 0x80, call"), landing(5),
                      block_at(0x80, 1,
                               "%0 = get_register rbx\n %1 = constant.i8 0x2f\n %2 = shift_arithmetic.i64 %0, %1\n"
                               "%3 = constant.i64 0x1\n %4 = add.i64 %2, %3\n %5 = compare a, %4, %3\n bail_if %5\n"
                               "%7 = get_register rsp\n %8 = address.i64 %7, -, 1, 0x8\n set_register rsp, %8\n"
                               "jump_indirect %0, return")}});
  reg(cpu::kRsp) = 0x1000;
  reg(cpu::kRbx) = kPage + 5;
  run();
  EXPECT_EQ(reg(cpu::kRax), 5u);
  EXPECT_EQ(reg(cpu::kRsp), 0x1008u);
  reg(cpu::kRbx) = uint64_t{1} << 47;
  run();
  EXPECT_TRUE(rig_.left_to_interpreter());
  EXPECT_EQ(reg(cpu::kRsp), 0x1008u);
}

TEST_F(LlvmRegion, IndirectJumpBackAsksWhoWantsTheProcessor) {
  compile({.blocks = {block_at(0, 2, kJumpToRbx)}, .indirect_targets = {{0}}});
  rig_.state.exit_request = 1;
  reg(cpu::kRbx) = kPage;
  run();
  EXPECT_EQ(rig_.state.exit_reason, static_cast<uint64_t>(ExitReason::Next));
  EXPECT_EQ(rig_.rip(), kPage);
}

// --- Other pages -----------------------------------------------------------------------------------------------------

class LlvmRegionOfTwoPages : public LlvmRegion {
 protected:
  LlvmRegionOfTwoPages() {
    Region region;
    region.blocks = {block_at(0xFF0, 5, "jump 0x1020"), landing(0x20)};
    region.pages = {{0, nullptr}, {1, memory_}};
    compile(region);
  }
  void map_next_page(const uint8_t* memory) {
    cpu::TlbEntry& entry = *cpu::tlb_entry(rig_.tlb.data(), kPage + 0x1000);
    entry.execute = kPage + 0x1000;
    entry.addend = reinterpret_cast<uint64_t>(memory) - (kPage + 0x1000);
  }

  const uint8_t memory_[1] = {};
  const uint8_t other_[1] = {};
};

TEST_F(LlvmRegionOfTwoPages, JumpFollowsTheMappingThatItKnows) {
  map_next_page(memory_);
  run();
  EXPECT_TRUE(rig_.left_to_interpreter());
  EXPECT_EQ(reg(cpu::kRax), 0x20u);
  EXPECT_EQ(rig_.rip(), kPage + 0x1020);
}

TEST_F(LlvmRegionOfTwoPages, JumpLeavesWhereAnotherPageIsMapped) {
  map_next_page(other_);
  run();
  EXPECT_TRUE(left_by_probe_to(kPage + 0x1020));
}

TEST_F(LlvmRegionOfTwoPages, JumpLeavesWhereTheTlbDoesNotKnowThePage) {
  run();
  EXPECT_TRUE(left_by_probe_to(kPage + 0x1020));
}

TEST_F(LlvmRegion, LinksBelongToThePageOfTheirBlock) {
  Region region;
  region.blocks = {block_at(0xFF0, 5, "jump 0x1020"), block_at(0x20, 5, "jump 0x40")};
  static constexpr uint8_t kMemory[1] = {};
  region.pages = {{0, nullptr}, {1, kMemory}};
  compile(region);
  cpu::TlbEntry& entry = *cpu::tlb_entry(rig_.tlb.data(), kPage + 0x1000);
  entry.execute = kPage + 0x1000;
  entry.addend = reinterpret_cast<uint64_t>(kMemory) - (kPage + 0x1000);
  run();
  EXPECT_EQ(rig_.state.way_out, TranslationRig::kLink + 0x10040);
  EXPECT_EQ(rig_.rip(), kPage + 0x1000);
}

}  // namespace
}  // namespace calco::jit
