// What the guest sees where translated code is left in the middle: faults, traps, breakpoints, interrupts.
#include <gtest/gtest.h>

#include <functional>
#include <optional>
#include <thread>

#include "cpu/system/debug.h"
#include "tests/jit/jit_fixture.h"

namespace calco::jit {
namespace {

using namespace cpu;
using namespace Xbyak::util;

// --- Faults ----------------------------------------------------------------------------------------------------------

using Emit = std::function<void(GuestCode& code)>;

// What is left behind by code that ends in a fault's handler.
struct Ending {
  std::array<uint64_t, kRegisterCount> registers;
  uint64_t cr2;
  std::array<uint64_t, 5> frame;  // as it was pushed, from the stack pointer on
  std::array<uint64_t, 2> vector;
  uint32_t mxcsr;
  std::array<uint8_t, 0x40> data;
};

// The instruction under test stands in the middle of a block whose other instructions change the registers and flags
// that show whether the state is exact. RDI points to memory, R14 to none, R15 to what is read only.
Ending execute(const Emit& instruction, std::optional<Tier> tier) {
  struct Machine : JitFixture {
    explicit Machine(Tier chosen) : JitFixture({.threshold = 1}, chosen) {}
  } machine(tier.value_or(Tier::Baseline));
  if (!tier) machine.stop_translating();
  GuestCode code;
  code.mov(rdi, JitFixture::kData);
  code.mov(r14, JitFixture::kNowhere + 0x123);
  code.mov(r15, JitFixture::kReadOnly + 0x20);
  code.mov(eax, 0x1234);
  code.mov(ebx, 7);
  code.movd(xmm1, eax);
  code.add(eax, 0x7FFFEDCB);  // SF, OF
  code.mov(code.qword[rdi + 8], rax);
  code.inc(r10);
  code.lea(r11, code.ptr[rax + rbx]);
  instruction(code);
  code.xor_(eax, eax);
  code.mov(r10, rax);
  code.mov(code.qword[rdi + 8], rax);
  code.paddq(xmm1, xmm1);
  code.hlt();
  machine.load(code);
  machine.run();
  EXPECT_EQ(machine.entered_translations(), tier.has_value());

  const Cpu& cpu = *machine.cpu;
  Ending ending{};
  ending.registers = cpu.registers;
  ending.cr2 = cpu.cr2;
  for (unsigned i = 0; i < ending.frame.size(); ++i) ending.frame[i] = machine.frame(i);
  ending.vector = {cpu.vectors[1].qwords[0], cpu.vectors[1].qwords[1]};
  ending.mxcsr = cpu.mxcsr;
  machine.map.read(JitFixture::kData, ending.data.data(), ending.data.size());
  return ending;
}

void expect_fault_in(Tier tier, const Emit& instruction, uint8_t vector) {
  SCOPED_TRACE(static_cast<int>(tier));
  const Ending translated = execute(instruction, tier);
  EXPECT_EQ(translated.registers[kRip], JitFixture::handler(vector) + 1);
  EXPECT_EQ(translated.registers[kR10], 1u);
  EXPECT_EQ(translated.registers[kRax], 0x7FFFFFFFu);
  const Ending interpreted = execute(instruction, std::nullopt);
  EXPECT_EQ(translated.registers, interpreted.registers);
  EXPECT_EQ(translated.cr2, interpreted.cr2);
  EXPECT_EQ(translated.frame, interpreted.frame);
  EXPECT_EQ(translated.vector, interpreted.vector);
  EXPECT_EQ(translated.mxcsr, interpreted.mxcsr);
  EXPECT_EQ(translated.data, interpreted.data);
}

void expect_fault(const Emit& instruction, uint8_t vector) {
  expect_fault_in(Tier::Baseline, instruction, vector);
  expect_fault_in(Tier::Llvm, instruction, vector);
}

TEST(PreciseFaults, Load) {
  expect_fault([](GuestCode& code) { code.mov(rbx, code.ptr[r14]); }, kPageFault);
}
TEST(PreciseFaults, LoadThatIsExtended) {
  expect_fault([](GuestCode& code) { code.movsx(eax, code.byte[r14 + 1]); }, kPageFault);
}
TEST(PreciseFaults, LoadAcrossIntoAnAbsentPage) {
  expect_fault(
      [](GuestCode& code) {
        code.mov(r12, JitFixture::kMemory - 3);
        code.mov(rbx, code.ptr[r12]);
      },
      kPageFault);
}
TEST(PreciseFaults, Store) {
  expect_fault([](GuestCode& code) { code.mov(code.ptr[r14], rbx); }, kPageFault);
}
TEST(PreciseFaults, StoreToReadOnlyPage) {
  expect_fault([](GuestCode& code) { code.mov(code.dword[r15], ebx); }, kPageFault);
}
TEST(PreciseFaults, Push) {
  expect_fault(
      [](GuestCode& code) {
        code.mov(r12, rsp);
        code.mov(rsp, r15);
        code.push(rbx);
      },
      kPageFault);
}
TEST(PreciseFaults, Pop) {
  expect_fault(
      [](GuestCode& code) {
        code.mov(rsp, r14);
        code.pop(rbx);
      },
      kPageFault);
}
TEST(PreciseFaults, Call) {
  expect_fault(
      [](GuestCode& code) {
        code.mov(rsp, r15);
        code.call(code.getCurr() + 20);
      },
      kPageFault);
}
TEST(PreciseFaults, IndirectCallThroughMemory) {
  expect_fault([](GuestCode& code) { code.call(code.qword[r14]); }, kPageFault);
}
TEST(PreciseFaults, Return) {
  expect_fault(
      [](GuestCode& code) {
        code.mov(rsp, r14);
        code.ret(16);
      },
      kPageFault);
}
TEST(PreciseFaults, ReadModifyWrite) {
  expect_fault([](GuestCode& code) { code.adc(code.dword[r15], ebx); }, kPageFault);
}
TEST(PreciseFaults, ShiftOfMemory) {
  expect_fault([](GuestCode& code) { code.shl(code.qword[r15], 3); }, kPageFault);
}
TEST(PreciseFaults, LockedReadModifyWrite) {
  expect_fault(
      [](GuestCode& code) {
        code.lock();
        code.xadd(code.dword[r15], ebx);
      },
      kPageFault);
}
TEST(PreciseFaults, Exchange) {
  expect_fault([](GuestCode& code) { code.xchg(code.qword[r15], rbx); }, kPageFault);
}
TEST(PreciseFaults, CompareAndExchange) {
  expect_fault([](GuestCode& code) { code.cmpxchg(code.qword[r15], rbx); }, kPageFault);
}
TEST(PreciseFaults, VectorLoad) {
  expect_fault([](GuestCode& code) { code.paddd(xmm1, code.ptr[r14 - 0x123]); }, kPageFault);
}
TEST(PreciseFaults, UnalignedVectorOperand) {
  expect_fault([](GuestCode& code) { code.paddd(xmm1, code.ptr[rdi + 1]); }, kGeneralProtection);
}
TEST(PreciseFaults, VectorStore) {
  expect_fault([](GuestCode& code) { code.movups(code.ptr[r15 + 1], xmm1); }, kPageFault);
}
TEST(PreciseFaults, ScalarVectorStore) {
  expect_fault([](GuestCode& code) { code.movsd(code.ptr[r14], xmm1); }, kPageFault);
}
TEST(PreciseFaults, NonCanonicalAddress) {
  expect_fault(
      [](GuestCode& code) {
        code.mov(r12, 0x8000'0000'0000);
        code.mov(code.ptr[r12], rbx);
      },
      kGeneralProtection);
}
TEST(PreciseFaults, NonCanonicalStack) {
  expect_fault(
      [](GuestCode& code) {
        code.mov(rsp, 0x8000'0000'1000);
        code.push(rbx);
      },
      kStackFault);
}
TEST(PreciseFaults, DivisionByZero) {
  expect_fault(
      [](GuestCode& code) {
        code.xor_(r12d, r12d);
        code.div(r12);
      },
      kDivideError);
}
TEST(PreciseFaults, DivisionThatOverflows) {
  expect_fault(
      [](GuestCode& code) {
        code.mov(edx, 9);
        code.div(ebx);
      },
      kDivideError);
}
TEST(PreciseFaults, RepeatedStoreStopsAtThePage) {
  expect_fault(
      [](GuestCode& code) {
        code.mov(r12, rdi);
        code.mov(rdi, JitFixture::kMemory - 0x18);
        code.mov(ecx, 10);
        code.rep();
        code.stosq();
      },
      kPageFault);
}
TEST(PreciseFaults, InstructionThatIsNone) {
  expect_fault([](GuestCode& code) { code.ud2(); }, kInvalidOpcode);
}

// --- MXCSR -----------------------------------------------------------------------------------------------------------

TEST(PreciseFaults, UnmaskedVectorExceptionLeavesTheDestination) {
  expect_fault(
      [](GuestCode& code) {
        code.mov(code.dword[rdi + 0x20], 0x1F80 & ~0x200);  // division by zero is not masked
        code.ldmxcsr(code.dword[rdi + 0x20]);
        code.pxor(xmm2, xmm2);
        code.mov(ecx, 0x3F800000);
        code.movd(xmm1, ecx);
        code.divss(xmm1, xmm2);
      },
      kSimdError);
}

class Mxcsr : public ::testing::TestWithParam<Tier>, protected JitFixture {
 protected:
  Mxcsr() : JitFixture({.threshold = 1}, GetParam()) {}
};
INSTANTIATE_TEST_SUITE_P(Tiers, Mxcsr, testing::Values(Tier::Baseline, Tier::Llvm), tier_name);

TEST_P(Mxcsr, MaskedExceptionsAccumulateAndRoundingHolds) {
  GuestCode code;
  code.mov(rdi, kData);
  code.mov(code.dword[rdi], 0x1F80 | 0x6000);  // towards zero
  code.ldmxcsr(code.dword[rdi]);
  code.mov(eax, 0x3F800000);
  code.movd(xmm1, eax);
  code.mov(eax, 0x40400000);
  code.movd(xmm2, eax);
  code.divss(xmm1, xmm2);  // 1/3: inexact
  code.stmxcsr(code.dword[rdi]);
  code.hlt();
  load(code);
  run();
  EXPECT_EQ(cpu->vectors[1].dwords[0], 0x3EAAAAAAu);
  EXPECT_EQ(map.read_value<uint32_t>(kData), 0x1F80u | 0x6000u | 0x20u);
  EXPECT_TRUE(entered_translations());
}

// --- Operands in two pages -------------------------------------------------------------------------------------------

// Two pages that follow each other, and do not in memory.
class OperandInTwoPages : public testing::Test, protected JitFixture {
 protected:
  static constexpr uint64_t kFirst = 0x400000, kSecond = 0x600000;
  static constexpr uint64_t kOperand = kPages + 0x1000 - 6;

  OperandInTwoPages() {
    map_page(0, kFirst);
    map.write_value<uint64_t>(kFirst + 0x1000 - 8, 0x1122334455667788);
    map.write_value<uint64_t>(kSecond, 0x99AABBCCDDEEFF00);
    map.write_value<uint64_t>(kSecond + 8, 0x0123456789ABCDEF);
    GuestCode code;
    code.mov(rsi, kOperand);
    code.movdqu(xmm3, code.ptr[rsi]);
    code.paddb(xmm4, xmm3);
    code.hlt();
    load(code);
  }
};

TEST_F(OperandInTwoPages, IsReadWhole) {
  map_page(1, kSecond);
  run();
  EXPECT_EQ(cpu->vectors[3].qwords[0], 0xFF00112233445566u);
  EXPECT_EQ(cpu->vectors[3].qwords[1], 0xCDEF99AABBCCDDEEu);
  EXPECT_TRUE(entered_translations());
}

TEST_F(OperandInTwoPages, FaultsAtTheSecondPageThatIsNotMapped) {
  run();
  EXPECT_EQ(reg(kRip), handler(kPageFault) + 1);
  EXPECT_EQ(cpu->cr2, kPages + 0x1000);
  EXPECT_EQ(cpu->vectors[3].qwords[0], 0u);
}

// --- Debugging -------------------------------------------------------------------------------------------------------

class TranslatedDebug : public ::testing::TestWithParam<Tier>, protected JitFixture {
 protected:
  TranslatedDebug() : JitFixture({.threshold = 1}, GetParam()) {}

  // Ten rounds of five instructions; leaves the address of the third.
  uint64_t load_loop() {
    GuestCode code;
    Xbyak::Label again;
    code.mov(ecx, 10);
    code.xor_(eax, eax);
    code.L(again);
    code.add(eax, 2);
    code.lea(ebx, code.ptr[rax + 1]);
    const auto third = static_cast<uint64_t>(code.getCurr() - code.getCode());
    code.xor_(edx, edx);
    code.dec(ecx);
    code.jnz(again);
    code.hlt();
    load(code);
    return kCode + third;
  }
};

INSTANTIATE_TEST_SUITE_P(Tiers, TranslatedDebug, testing::Values(Tier::Baseline, Tier::Llvm), tier_name);

TEST_P(TranslatedDebug, TrapFlagStepsThroughTranslatedCode) {
  load_loop();
  run();  // all of it is translated now
  GuestCode handler_code;
  handler_code.inc(handler_code.qword[rdi]);
  handler_code.db(0x48);
  handler_code.db(0xCF);  // IRETQ
  load(handler_code, handler(kDebug));
  GuestCode code;
  code.pushfq();
  code.or_(code.dword[rsp], static_cast<uint32_t>(rflags::kTf));
  code.popfq();
  code.mov(rsi, kCode);
  code.jmp(rsi);
  load(code, kCode + 0x2000);
  cpu->registers[kRdi] = kData;
  run(kCode + 0x2000);
  EXPECT_EQ(reg(kRax), 20u);
  // The two behind POPF, two, and ten times five; the processor is halted behind the last.
  EXPECT_EQ(word(kData), 2u + 2 + 50);
}

TEST_P(TranslatedDebug, DebuggerBreakpointInTranslatedCodeStopsEachTime) {
  const uint64_t third = load_loop();
  run();
  DebuggerStops stops;
  stops.breakpoints = {third};
  cpu->set_debugger_stops(stops);
  EXPECT_EQ(run(), RunExit::Debugger);
  EXPECT_EQ(reg(kRip), third);
  EXPECT_EQ(reg(kRax), 2u);
  EXPECT_EQ(reg(kRbx), 3u);
  cpu->set_debugger_stops({});
  cpu->step_for_debugger();
  cpu->set_debugger_stops(stops);
  EXPECT_EQ(cpu->run(), RunExit::Debugger);
  EXPECT_EQ(reg(kRip), third);
  EXPECT_EQ(reg(kRax), 4u);
}

TEST_P(TranslatedDebug, WithoutBreakpointsCodeIsTranslatedAgain) {
  DebuggerStops stops;
  stops.breakpoints = {load_loop()};
  cpu->set_debugger_stops(stops);
  EXPECT_EQ(run(), RunExit::Debugger);
  EXPECT_FALSE(entered_translations());
  cpu->set_debugger_stops({});
  EXPECT_EQ(cpu->run(), RunExit::Halted);
  EXPECT_EQ(reg(kRax), 20u);
  EXPECT_TRUE(entered_translations());
}

TEST_P(TranslatedDebug, InstructionBreakpointOfTheGuestFaultsInTranslatedCode) {
  const uint64_t third = load_loop();
  run();
  cpu->dr[0] = third;
  set_debug_register(*cpu, 7, 1);
  run();
  EXPECT_EQ(reg(kRip), handler(kDebug) + 1);
  EXPECT_EQ(frame(0), third);
  EXPECT_EQ(reg(kRax), 2u);
}

TEST_P(TranslatedDebug, DataBreakpointOfTheGuestTrapsBehindATranslatedStore) {
  GuestCode code;
  code.mov(rdi, kData);
  code.mov(eax, 1);
  code.mov(code.dword[rdi], eax);
  const auto behind = static_cast<uint64_t>(code.getCurr() - code.getCode());
  code.mov(eax, 2);
  code.hlt();
  load(code);
  run();
  EXPECT_EQ(reg(kRax), 2u);
  cpu->dr[1] = kData;
  set_debug_register(*cpu, 7, 4 | 0xD00000);
  run();
  EXPECT_EQ(reg(kRip), handler(kDebug) + 1);
  EXPECT_EQ(frame(0), kCode + behind);
  EXPECT_EQ(reg(kRax), 1u);
}

// --- Interrupts ------------------------------------------------------------------------------------------------------

constexpr uint8_t kVector = 30;

// Asks for an interrupt at its thousandth read.
class Interrupting final : public RegisterWindow {
 public:
  Interrupting(Cpu& cpu, SilentApic& apic) : cpu_(cpu), apic_(apic) {}
  uint64_t read(uint64_t, unsigned) override {
    if (++reads == 1000) {
      apic_.vector = kVector;
      cpu_.set_interrupt_pending(true);
    }
    return 0;
  }
  void write(uint64_t, unsigned, uint64_t) override {}
  unsigned reads = 0;

 private:
  Cpu& cpu_;
  SilentApic& apic_;
};

class TranslatedInterrupt : public ::testing::TestWithParam<Tier>, protected JitFixture {
 protected:
  TranslatedInterrupt() : JitFixture({.threshold = 1}, GetParam()) {}

  void run_with_interrupts() {
    cpu->registers[kRip] = kCode;
    cpu->registers[kRsp] = kStack;
    cpu->system_flags |= rflags::kIf;
    cpu->mode_changed();
    cpu->run();
  }
};

INSTANTIATE_TEST_SUITE_P(Tiers, TranslatedInterrupt, testing::Values(Tier::Baseline, Tier::Llvm), tier_name);

TEST_P(TranslatedInterrupt, LeavesAHotLoopWithinOneRound) {
  Interrupting device(*cpu, apic);
  map.add_window("interrupting", kPages, 0x1000, device);
  map.commit();
  map_page(0, kPages);
  GuestCode code;
  Xbyak::Label again;
  code.mov(rdi, kPages);
  code.xor_(ebx, ebx);
  code.L(again);
  code.inc(rbx);
  code.mov(eax, code.dword[rdi]);
  code.jmp(again);
  load(code);
  run_with_interrupts();
  EXPECT_EQ(reg(kRip), handler(kVector) + 1);
  EXPECT_GE(reg(kRbx), 1000u);
  EXPECT_LE(reg(kRbx), 1001u);
  EXPECT_TRUE(entered_translations());
}

// SDM vol. 2, STI: the instruction behind it executes first, also where translated code cannot do it.
TEST_P(TranslatedInterrupt, WaitsForTheInstructionBehindStiThoughItCrossesPages) {
  GuestCode code;
  code.mov(rdi, kData + 0xFFC);
  code.mov(ebx, 1);
  code.sti();
  code.add(code.qword[rdi], rbx);
  const size_t behind = code.getSize();
  code.mov(ebx, 2);
  code.hlt();
  load(code);
  apic.vector = kVector;
  cpu->set_interrupt_pending(true);
  run();
  EXPECT_EQ(reg(kRip), handler(kVector) + 1);
  EXPECT_EQ(frame(0), kCode + behind);
  EXPECT_EQ(word(kData + 0xFFC), 1u);
}

TEST_P(TranslatedInterrupt, LeavesALoopOfOneInstruction) {
  GuestCode code;
  Xbyak::Label again;
  code.L(again);
  code.jmp(again);
  load(code);
  std::thread processor([this] { run_with_interrupts(); });
  while (!entered_translations()) std::this_thread::yield();
  apic.vector = kVector;
  cpu->set_interrupt_pending(true);
  processor.join();
  EXPECT_EQ(reg(kRip), handler(kVector) + 1);
  EXPECT_EQ(frame(0), kCode);
}

TEST_P(TranslatedInterrupt, LeavesALoopOfIndirectJumps) {
  GuestCode code;
  Xbyak::Label again;
  code.L(again);
  code.lea(rsi, code.ptr[rip + again]);
  code.jmp(rsi);
  load(code);
  std::thread processor([this] { run_with_interrupts(); });
  while (!entered_translations()) std::this_thread::yield();
  apic.vector = kVector;
  cpu->set_interrupt_pending(true);
  processor.join();
  EXPECT_EQ(reg(kRip), handler(kVector) + 1);
}

}  // namespace
}  // namespace calco::jit
