// APM vol. 2, chapter 10: system management mode.
#include "cpu/system/smm.h"

#include <gtest/gtest.h>

#include "tests/cpu/system_fixture.h"

namespace calco::cpu {
namespace {

class Smm : public ::testing::Test, protected SystemFixture {
 protected:
  static constexpr uint64_t kBase = 0x30000;

  // Takes an SMI at the code's beginning and executes `count` instructions of the handler.
  void take_smi(std::initializer_list<uint8_t> handler_code, unsigned count) {
    load_code(handler_code, kBase + 0x8000);
    cpu->registers[kRip] = kCode;
    cpu->raise_smi();
    cpu->run_instructions(count);
  }
};

TEST_F(Smm, EntersRealModeWithFlatLimitsAtSmbase) {
  enter_long();
  take_smi({0x90}, 1);
  EXPECT_TRUE(cpu->in_smm);
  EXPECT_EQ(cpu->registers[kRip], 0x8001u);
  EXPECT_EQ(cpu->segments[kCs].base, kBase);
  EXPECT_EQ(cpu->segments[kCs].selector, 0x3000);
  EXPECT_EQ(cpu->segments[kDs].limit, 0xFFFFFFFFu);
  EXPECT_FALSE(cpu->protected_mode());
  EXPECT_EQ(cpu->efer, 0u);
}

TEST_F(Smm, SaveAreaHasThe64BitLayout) {
  enter_long();
  cpu->registers[kRax] = 0x1122334455667788;
  cpu->registers[kR15] = 15;
  take_smi({0x90}, 1);
  EXPECT_EQ(map.read_value<uint32_t>(kBase + 0xFEFC), 0x20064u);
  EXPECT_EQ(map.read_value<uint32_t>(kBase + 0xFF00), kBase);
  EXPECT_EQ(map.read_value<uint64_t>(kBase + 0xFF78), kCode);
  EXPECT_EQ(map.read_value<uint64_t>(kBase + 0xFFF8), 0x1122334455667788u);
  EXPECT_EQ(map.read_value<uint64_t>(kBase + 0xFF80), 15u);
  EXPECT_EQ(map.read_value<uint64_t>(kBase + 0xFF50), kTables);
  EXPECT_EQ(map.read_value<uint16_t>(kBase + 0xFE10), selector::kCode0);
  EXPECT_EQ(map.read_value<uint16_t>(kBase + 0xFE12), 0xA9B);
}

TEST_F(Smm, RsmRestoresTheInterruptedState) {
  enter_long();
  cpu->registers[kRbx] = 7;
  load_code({0x90});
  take_smi({0xB3, 0x09, 0x0F, 0xAA}, 2);
  EXPECT_FALSE(cpu->in_smm);
  EXPECT_EQ(cpu->registers[kRip], kCode);
  EXPECT_EQ(cpu->registers[kRbx], 7u);
  EXPECT_TRUE(cpu->code_64());
  cpu->run_instructions(1);
  EXPECT_EQ(cpu->registers[kRip], kCode + 1);
}

TEST_F(Smm, HandlerMayMoveSmbase) {
  enter_long();
  // mov dword [cs:0xFF00], 0xA0000 with 32-bit sizes; rsm
  take_smi({0x2E, 0x66, 0xC7, 0x06, 0x00, 0xFF, 0x00, 0x00, 0x0A, 0x00, 0x0F, 0xAA}, 2);
  EXPECT_EQ(cpu->smbase, 0xA0000u);
}

TEST_F(Smm, HaltIsResumed) {
  enter_long();
  execute({0xF4});
  load_code({0x0F, 0xAA}, kBase + 0x8000);
  cpu->raise_smi();
  cpu->run_instructions(1);
  EXPECT_EQ(cpu->activity, Activity::Halted);
  EXPECT_EQ(cpu->registers[kRip], kCode + 1);
}

TEST_F(Smm, RsmOutsideIsUd) {
  enter_long();
  EXPECT_TRUE(execute_faults({0x0F, 0xAA}, kInvalidOpcode));
}

}  // namespace
}  // namespace calco::cpu
