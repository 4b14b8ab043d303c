// Instructions that translated code leaves to the interpreter's functions.
#include <gtest/gtest.h>

#include "jit/runtime/jit.h"
#include "tests/cpu/cpu_fixture.h"

namespace calco::jit {
namespace {

class InterpretedOperation : public testing::Test {
 protected:
  InterpretedOperation() {
    fixture_.enter_64_bit_mode();
    fixture_.cpu->set_translator(&jit_);
    fixture_.group.set_code_listener([this](uint64_t offset, uint64_t size) { jit_.code_changes(offset, size); });
  }
  ~InterpretedOperation() override { fixture_.cpu->set_translator(nullptr); }

  void run(std::initializer_list<uint8_t> code, uint64_t address = cpu::CpuFixture::kCode) {
    fixture_.load_code(code, address);
    fixture_.cpu->registers[cpu::kRip] = address;
    fixture_.cpu->activity = cpu::Activity::Running;
    EXPECT_EQ(fixture_.cpu->run(), cpu::RunExit::Halted);
  }

  cpu::CpuFixture fixture_;
  Jit jit_{{.threshold = 1, .passes = {}, .regions = {}}, fixture_.group, *fixture_.cpu, fixture_.log};
};

// Storing over code that was executed makes the processor drop it at the next boundary, in the middle of the REP.
TEST_F(InterpretedOperation, ARepeatedStringInstructionGoesOnWhereItMadeWay) {
  constexpr uint64_t kFilled = cpu::CpuFixture::kData, kBytes = 0x3000;
  run({0x90, 0xF4}, kFilled);
  auto& registers = fixture_.cpu->registers;
  registers[cpu::kRax] = 0x5A;
  registers[cpu::kRbx] = 0;
  registers[cpu::kRcx] = kBytes;
  registers[cpu::kRdi] = kFilled;
  run({0x90, 0xF3, 0xAA, 0x48, 0xFF, 0xC3, 0xF4});  // nop; rep stosb; inc rbx; hlt
  EXPECT_EQ(registers[cpu::kRcx], 0u);
  EXPECT_EQ(registers[cpu::kRdi], kFilled + kBytes);
  EXPECT_EQ(registers[cpu::kRbx], 1u);
  EXPECT_EQ(registers[cpu::kRip], cpu::CpuFixture::kCode + 7);
  EXPECT_EQ(fixture_.memory.data()[kFilled + kBytes - 1], 0x5A);
}

TEST_F(InterpretedOperation, ExecutionGoesOnBehindOneThatEndsBlocks) {
  auto& registers = fixture_.cpu->registers;
  registers[cpu::kRax] = registers[cpu::kRbx] = 0;
  // inc rax; sti; cli; stac; clac; inc rbx; hlt
  run({0x48, 0xFF, 0xC0, 0xFB, 0xFA, 0x0F, 0x01, 0xCB, 0x0F, 0x01, 0xCA, 0x48, 0xFF, 0xC3, 0xF4});
  EXPECT_EQ(registers[cpu::kRax], 1u);
  EXPECT_EQ(registers[cpu::kRbx], 1u);
  EXPECT_EQ(registers[cpu::kRip], cpu::CpuFixture::kCode + 15);
  EXPECT_EQ(fixture_.cpu->translation_counters.interpret_exits, 0u);
}

TEST_F(InterpretedOperation, X87InstructionsThatRunOnLeaveTheirResults) {
  auto& cpu = *fixture_.cpu;
  cpu.registers[cpu::kRax] = cpu::CpuFixture::kData;
  // fninit; fld1; fld1; faddp; fistp qword [rax]; hlt
  run({0xDB, 0xE3, 0xD9, 0xE8, 0xD9, 0xE8, 0xDE, 0xC1, 0xDF, 0x38, 0xF4});
  EXPECT_EQ(fixture_.memory.data()[cpu::CpuFixture::kData], 2);
  EXPECT_EQ(cpu.x87.empty, 0xFF);
}

}  // namespace
}  // namespace calco::jit
