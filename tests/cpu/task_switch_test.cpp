// SDM vol. 3, chapter 7: task management.
#include <gtest/gtest.h>

#include "tests/cpu/system_fixture.h"

namespace calco::cpu {
namespace {

class TaskSwitching : public ::testing::Test, protected SystemFixture {
 protected:
  static constexpr uint32_t kTaskCode = 0x350000;
  static constexpr uint32_t kTaskStack = 0x230000;

  // A 32-bit TSS at kSecondTss, available through selector::kTask.
  void build_task() {
    write_system_segment(selector::kTask, system_type::kTss32, kSecondTss, 0x67);
    map.write_value<uint32_t>(kSecondTss + 0x20, kTaskCode);
    map.write_value<uint32_t>(kSecondTss + 0x24, 2);
    map.write_value<uint32_t>(kSecondTss + 0x28, 0x12345678);
    map.write_value<uint32_t>(kSecondTss + 0x38, kTaskStack);
    map.write_value<uint32_t>(kSecondTss + 0x48, selector::kData0);
    map.write_value<uint32_t>(kSecondTss + 0x4C, selector::kCode0);
    map.write_value<uint32_t>(kSecondTss + 0x50, selector::kData0);
    map.write_value<uint32_t>(kSecondTss + 0x54, selector::kData0);
  }
  unsigned type_of(uint16_t which) { return map.read_value<uint8_t>(kGdt + which + 5) & 0xF; }
  void jump_to_task() { execute({0xEA, 0, 0, 0, 0, selector::kTask, 0}); }
  void call_task() { execute({0x9A, 0, 0, 0, 0, selector::kTask, 0}); }
};

TEST_F(TaskSwitching, JumpSavesTheOldTaskAndLoadsTheNewOne) {
  enter_protected();
  build_task();
  cpu->registers[kRbx] = 0xABCD;
  jump_to_task();
  EXPECT_EQ(cpu->registers[kRip], kTaskCode);
  EXPECT_EQ(cpu->registers[kRax], 0x12345678u);
  EXPECT_EQ(cpu->registers[kRsp], kTaskStack);
  EXPECT_EQ(cpu->tr.selector, selector::kTask);
  EXPECT_NE(cpu->cr0 & cr0::kTs, 0u);
  EXPECT_EQ(map.read_value<uint32_t>(kTssBase + 0x20), kCode + 7);
  EXPECT_EQ(map.read_value<uint32_t>(kTssBase + 0x34), 0xABCDu);
  EXPECT_EQ(type_of(selector::kTss), system_type::kTss32);
  EXPECT_EQ(type_of(selector::kTask), system_type::kTss32Busy);
}

TEST_F(TaskSwitching, CallNestsAndIretReturns) {
  enter_protected();
  build_task();
  load_code({0xCF}, kTaskCode);
  call_task();
  EXPECT_NE(cpu->system_flags & rflags::kNt, 0u);
  EXPECT_EQ(map.read_value<uint16_t>(kSecondTss), selector::kTss);
  EXPECT_EQ(type_of(selector::kTss), system_type::kTss32Busy);
  cpu->run_instructions(1);
  EXPECT_EQ(cpu->registers[kRip], kCode + 7);
  EXPECT_EQ(cpu->tr.selector, selector::kTss);
  EXPECT_EQ(cpu->registers[kRsp], kStack);
  EXPECT_EQ(cpu->system_flags & rflags::kNt, 0u);
  EXPECT_EQ(type_of(selector::kTask), system_type::kTss32);
  EXPECT_EQ(map.read_value<uint32_t>(kSecondTss + 0x20), kTaskCode + 1);
}

TEST_F(TaskSwitching, JumpToABusyTaskIsGp) {
  enter_protected();
  build_task();
  write_system_segment(selector::kTask, system_type::kTss32Busy, kSecondTss, 0x67);
  jump_to_task();
  EXPECT_EQ(cpu->registers[kRip], handler(kGeneralProtection));
  EXPECT_EQ(frame(0), selector::kTask);
}

TEST_F(TaskSwitching, ShortTssIsTs) {
  enter_protected();
  build_task();
  write_system_segment(selector::kTask, system_type::kTss32, kSecondTss, 0x66);
  jump_to_task();
  EXPECT_EQ(cpu->registers[kRip], handler(kInvalidTss));
  EXPECT_EQ(frame(0), selector::kTask);
}

TEST_F(TaskSwitching, BadStackSegmentIsTsInTheNewTask) {
  enter_protected();
  build_task();
  map.write_value<uint32_t>(kSecondTss + 0x50, selector::kReadOnly);
  write_gate(kIdt + kInvalidTss * 8, system_type::kTaskGate, selector::kTss, 0);
  jump_to_task();
  EXPECT_EQ(cpu->tr.selector, selector::kTss);
  EXPECT_EQ(map.read_value<uint32_t>(kSecondTss + 0x20), kTaskCode);
  EXPECT_EQ(map.read_value<uint32_t>(cpu->registers[kRsp]), selector::kReadOnly);
}

TEST_F(TaskSwitching, TaskGateInTheIdtPushesTheErrorCodeOnTheNewStack) {
  enter_protected();
  build_task();
  write_gate(kIdt + kGeneralProtection * 8, system_type::kTaskGate, selector::kTask, 0);
  execute({0xCD, 0x40});
  EXPECT_EQ(cpu->registers[kRip], kTaskCode);
  EXPECT_EQ(cpu->registers[kRsp], kTaskStack - 4);
  EXPECT_EQ(frame(0), 0x40u * 8 + 2);
  EXPECT_EQ(map.read_value<uint32_t>(kTssBase + 0x20), kCode);
}

TEST_F(TaskSwitching, TrapFlagOfTheTssRaisesADebugException) {
  enter_protected();
  build_task();
  map.write_value<uint16_t>(kSecondTss + 0x64, 1);
  jump_to_task();
  EXPECT_EQ(cpu->registers[kRip], handler(kDebug));
  EXPECT_NE(cpu->dr[6] & (1u << 15), 0u);
  EXPECT_EQ(frame(0), kTaskCode);
}

TEST_F(TaskSwitching, TrapFlagOfTheTssWorksWithoutSingleStepping) {
  enter_protected();
  build_task();
  map.write_value<uint16_t>(kSecondTss + 0x64, 1);
  load_code({0xEA, 0, 0, 0, 0, selector::kTask, 0});
  load_code({0x90, 0x90, 0xF4}, kTaskCode);
  load_code({0xF4}, handler(kDebug));
  cpu->registers[kRip] = kCode;
  cpu->run();
  EXPECT_EQ(cpu->registers[kRip], handler(kDebug) + 1);
  EXPECT_EQ(frame(0), kTaskCode);
}

TEST_F(TaskSwitching, LongModeHasNone) {
  enter_long();
  write_system_segment(selector::kTask, system_type::kTss32, kSecondTss, 0x67);
  map.write_value<uint16_t>(kData + 4, selector::kTask);
  EXPECT_TRUE(execute_faults({0xFF, 0x2C, 0x25, 0x00, 0x00, 0x30, 0x00}, kGeneralProtection));
  EXPECT_EQ(frame(0), selector::kTask);
}

}  // namespace
}  // namespace calco::cpu
