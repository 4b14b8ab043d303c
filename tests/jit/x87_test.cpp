// x87 instructions in translated code, where the host's unit holds the guest's registers: whatever comes between must
// find them in the CpuState, and leave them as the interpreter does.
#include <gtest/gtest.h>

#include <functional>

#include "tests/jit/jit_fixture.h"

namespace calco::jit {
namespace {

using namespace cpu;
using namespace Xbyak::util;

using Emit = std::function<void(GuestCode& code)>;

// What Xbyak has no name for.
void bytes(GuestCode& code, std::initializer_list<uint8_t> values) {
  for (const uint8_t value : values) code.db(value);
}

// What is left behind by code that ends in HLT or in a fault's handler.
struct Ending {
  std::array<uint64_t, kRegisterCount> registers;
  uint64_t cr2;
  uint64_t flags;
  std::array<uint64_t, 5> frame;  // as a fault pushed it
  X87State x87;
  std::array<uint8_t, 0x400> data;
};

struct Machine : JitFixture {
  explicit Machine(uint32_t threshold = 1) : JitFixture({.threshold = threshold}) {}
};

// RDI points to 1 KiB of memory with the numbers 0.5 (double), 3 (single), 7 (word) and others at its beginning, R14 to
// none, R15 to what is read only.
void prepare(Machine& machine) {
  machine.map.write_value<uint64_t>(JitFixture::kData, 0x3FE0000000000000);
  machine.map.write_value<uint32_t>(JitFixture::kData + 8, 0x40400000);
  machine.map.write_value<uint16_t>(JitFixture::kData + 12, 7);
  machine.cpu->registers[kRdi] = JitFixture::kData;
  machine.cpu->registers[kR14] = JitFixture::kNowhere + 0x120;
  machine.cpu->registers[kR15] = JitFixture::kReadOnly + 0x20;
}

Ending ending_of(Machine& machine) {
  Ending ending{};
  const Cpu& cpu = *machine.cpu;
  ending.registers = cpu.registers;
  ending.cr2 = cpu.cr2;
  ending.flags = arithmetic_flags(cpu.flags);
  for (unsigned i = 0; i < ending.frame.size(); ++i) ending.frame[i] = machine.frame(i);
  ending.x87 = cpu.x87;
  machine.map.read(JitFixture::kData, ending.data.data(), ending.data.size());
  return ending;
}

Ending execute(const Emit& emit, bool translated) {
  Machine machine;
  if (!translated) machine.stop_translating();
  prepare(machine);
  GuestCode code;
  code.fninit();
  emit(code);
  code.hlt();
  machine.load(code);
  machine.load(code, JitFixture::kCode + 0x1000);
  machine.run();
  EXPECT_EQ(machine.entered_translations(), translated);
  EXPECT_FALSE(machine.cpu->x87_residence.in_host);
  return ending_of(machine);
}

void expect_same_x87(const X87State& a, const X87State& b) {
  EXPECT_EQ(a.control, b.control);
  EXPECT_EQ(a.status, b.status);
  EXPECT_EQ(a.top, b.top);
  EXPECT_EQ(a.empty, b.empty);
  EXPECT_EQ(a.opcode, b.opcode);
  EXPECT_EQ(a.instruction_pointer, b.instruction_pointer);
  EXPECT_EQ(a.data_pointer, b.data_pointer);
  EXPECT_EQ(a.code_selector, b.code_selector);
  EXPECT_EQ(a.data_selector, b.data_selector);
  for (unsigned i = 0; i < 8; ++i) {
    EXPECT_EQ(a.physical[i].significand, b.physical[i].significand) << i;
    EXPECT_EQ(a.physical[i].sign_exponent, b.physical[i].sign_exponent) << i;
  }
}

// Answers what both ways give.
Ending expect_as_interpreted(const Emit& emit) {
  const Ending translated = execute(emit, true), interpreted = execute(emit, false);
  EXPECT_EQ(translated.registers, interpreted.registers);
  EXPECT_EQ(translated.cr2, interpreted.cr2);
  EXPECT_EQ(translated.flags, interpreted.flags);
  EXPECT_EQ(translated.frame, interpreted.frame);
  EXPECT_EQ(translated.data, interpreted.data);
  expect_same_x87(translated.x87, interpreted.x87);
  return translated;
}

// --- Instructions ----------------------------------------------------------------------------------------------------

TEST(TranslatedX87, ComputesWithRegistersAndMemory) {
  expect_as_interpreted([](GuestCode& code) {
    code.fldpi();
    code.fadd(code.qword[rdi]);
    code.fmul(code.dword[rdi + 8]);
    code.fiadd(code.word[rdi + 12]);
    code.fsqrt();
    code.fld(st0);
    code.fsin();
    code.fxch();
    bytes(code, {0xDB, 0x7F, 0x20});  // FSTP tword [rdi + 20h]
    code.fist(code.dword[rdi + 0x30]);
  });
}

TEST(TranslatedX87, ComparisonsSetTheGuestsFlags) {
  expect_as_interpreted([](GuestCode& code) {
    code.fldpi();
    code.fld1();
    code.fcomi(st1);  // below
    code.setb(code.byte[rdi + 0x20]);
    code.fcmovnb(st0, st1);
    code.fst(code.qword[rdi + 0x28]);
    code.fcmovb(st0, st1);
    code.fst(code.qword[rdi + 0x30]);
    code.fucomip(st1);  // equal
    code.fcmovne(st0, st7);
  });
}

TEST(TranslatedX87, StatusWordGoesToAxAlone) {
  const Ending ending = expect_as_interpreted([](GuestCode& code) {
    code.mov(rax, 0x1122334455667788);
    code.fld1();
    code.fldz();
    code.fcom(st1);
    code.fnstsw(ax);
    code.fnstsw(code.word[rdi + 0x20]);
    code.fnstcw(code.word[rdi + 0x22]);
  });
  EXPECT_EQ(ending.registers[kRax], 0x1122334455663100u);  // TOP 6, C0
}

// The comparison is made where its answer is used.
TEST(TranslatedX87, StatusWordLeavesAxToAComparisonInFront) {
  const Ending ending = expect_as_interpreted([](GuestCode& code) {
    code.mov(eax, 2);
    code.mov(ebx, 1);
    code.xor_(edx, edx);
    code.cmp(ebx, eax);
    code.fnstsw(ax);
    code.sbb(dl, dh);
  });
  EXPECT_EQ(ending.registers[kRdx], 0xFFu);
}

TEST(TranslatedX87, StackFaultsAreThoseOfTheInterpreter) {
  expect_as_interpreted([](GuestCode& code) {
    for (unsigned i = 0; i < 9; ++i) code.fld1();
    code.fnstsw(code.word[rdi + 0x20]);
    code.fnclex();
    for (unsigned i = 0; i < 9; ++i) code.fstp(code.qword[rdi + 0x28 + static_cast<int>(i) * 8]);
    code.ffree(st3);
    code.fincstp();
  });
}

TEST(TranslatedX87, PointersTellOfTheLastInstructionWithAndWithoutMemory) {
  const Ending ending = expect_as_interpreted([](GuestCode& code) {
    code.fld(code.qword[rdi]);
    code.fadd(code.dword[rdi + 8]);
    code.fchs();
    code.fnstcw(code.word[rdi + 0x20]);  // is none of them
  });
  EXPECT_EQ(ending.x87.opcode, 0x1E0);
  EXPECT_EQ(ending.x87.data_pointer, JitFixture::kData + 8);
}

TEST(TranslatedX87, PointersTellOfAnInstructionOfAnotherPage) {
  const Ending ending = expect_as_interpreted([](GuestCode& code) {
    Xbyak::Label next;
    code.fld(code.qword[rdi]);
    code.lea(rsi, code.ptr[rip + next]);
    code.add(rsi, 0x1000);  // the copy
    code.jmp(rsi);
    code.L(next);
    code.mov(rax, code.ptr[rdi]);
    code.fnstcw(code.word[rdi + 0x20]);
    code.mov(rbx, code.ptr[r14]);
  });
  EXPECT_EQ(ending.x87.instruction_pointer & ~uint64_t{0xFFF}, JitFixture::kCode);
}

// --- What comes between ----------------------------------------------------------------------------------------------

TEST(TranslatedX87, SurvivesAFaultOfAnX87Instruction) {
  const Ending ending = expect_as_interpreted([](GuestCode& code) {
    code.fldpi();
    code.fld1();
    code.fadd(code.qword[r14]);
    code.fldz();
  });
  EXPECT_EQ(ending.registers[kRip], JitFixture::handler(kPageFault) + 1);
  EXPECT_EQ(ending.x87.opcode, 0x1E8);  // FLD1
}

TEST(TranslatedX87, SurvivesAFaultOfAnotherInstruction) {
  expect_as_interpreted([](GuestCode& code) {
    code.fldpi();
    code.mov(rbx, code.ptr[r14]);
    code.fldz();
  });
  expect_as_interpreted([](GuestCode& code) {
    code.fldpi();
    code.fistp(code.dword[r15]);
  });
  expect_as_interpreted([](GuestCode& code) {
    code.fldpi();
    code.ud2();
  });
}

// A miss in the TLB calls C++ in the middle of a block, whose page is stored only once.
TEST(TranslatedX87, SurvivesAMissInTheTlb) {
  const Ending ending = expect_as_interpreted([](GuestCode& code) {
    code.fldpi();
    code.mov(rax, code.ptr[rdi + 0x2000]);
    code.mov(code.ptr[rdi + 0x3000], rax);
    code.fadd(code.qword[rdi + 0x4000]);
    code.fldl2e();
  });
  EXPECT_EQ(ending.x87.instruction_pointer & ~uint64_t{0xFFF}, JitFixture::kCode);
}

TEST(TranslatedX87, AccessAcrossPagesIsTheInterpreters) {
  expect_as_interpreted([](GuestCode& code) {
    code.lea(rsi, code.ptr[rdi + 0xFFC]);
    code.fld(code.qword[rdi]);
    code.fst(code.qword[rsi]);
    code.fadd(code.qword[rsi]);
    bytes(code, {0xDB, 0x3E});  // FSTP tword [rsi]
    bytes(code, {0xDB, 0x2E});  // FLD tword [rsi]
    code.fstp(code.qword[rdi + 0x20]);
  });
}

TEST(TranslatedX87, InterpretedInstructionsFindAndLeaveTheRegisters) {
  expect_as_interpreted([](GuestCode& code) {
    code.fldpi();
    code.fld(code.dword[rdi + 8]);
    code.fnstenv(code.ptr[rdi + 0x20]);
    code.fld1();
    code.fnsave(code.ptr[rdi + 0x80]);
    code.fldl2t();
    code.frstor(code.ptr[rdi + 0x80]);
    code.fmulp();
    code.fldenv(code.ptr[rdi + 0x20]);
    code.fstp(code.qword[rdi + 0x100]);
  });
}

TEST(TranslatedX87, FxsaveAndFxrstorInABlock) {
  expect_as_interpreted([](GuestCode& code) {
    code.fldpi();
    code.fld1();
    bytes(code, {0x0F, 0xAE, 0x47, 0x40});  // FXSAVE [rdi + 40h]
    code.fldz();
    code.faddp();
    bytes(code, {0x0F, 0xAE, 0x4F, 0x40});  // FXRSTOR [rdi + 40h]
    code.fdivp();
  });
}

TEST(TranslatedX87, MmxInstructionsSeeTheSignificands) {
  expect_as_interpreted([](GuestCode& code) {
    code.fldpi();
    code.movq(rax, mm7);
    code.mov(ebx, 5);
    code.movd(mm2, ebx);
    code.paddd(mm2, mm7);
    code.emms();
    code.fldl2e();
  });
}

TEST(TranslatedX87, StoreToTheCodeBehindItIsExecuted) {
  const Ending ending = expect_as_interpreted([](GuestCode& code) {
    Xbyak::Label patched;
    code.fild(code.word[rdi + 12]);
    code.fistp(code.dword[rip + patched]);
    code.db(0xB8);  // MOV EAX, imm32
    code.L(patched);
    code.dd(1);
    code.fld1();
  });
  EXPECT_EQ(ending.registers[kRax], 7u);
}

// --- Exceptions ------------------------------------------------------------------------------------------------------

TEST(TranslatedX87, UnmaskedExceptionIsRaisedByTheNextInstruction) {
  const Ending ending = expect_as_interpreted([](GuestCode& code) {
    code.mov(code.word[rdi + 0x20], 0x37F & ~4);  // division by zero is not masked
    code.fld1();
    code.fldcw(code.word[rdi + 0x20]);
    code.fldz();
    code.fdivp();
    code.fnstsw(ax);
    code.fwait();
  });
  EXPECT_EQ(ending.registers[kRip], JitFixture::handler(kX87Error) + 1);
}

TEST(TranslatedX87, ControlWordsThatMaskAllExceptionsTakeEffect) {
  expect_as_interpreted([](GuestCode& code) {
    code.mov(code.word[rdi + 0x20], 0xC7F);  // truncating, single precision
    code.fldcw(code.word[rdi + 0x20]);
    code.fldpi();
    code.fmul(st0, st0);
    code.fistp(code.dword[rdi + 0x28]);
    code.mov(code.word[rdi + 0x20], 0xFFFF);  // reserved bits
    code.fldcw(code.word[rdi + 0x20]);
    code.fnstcw(code.word[rdi + 0x22]);
  });
}

TEST(TranslatedX87, TaskSwitchedFlagRaisesDeviceNotAvailable) {
  const Ending ending = expect_as_interpreted([](GuestCode& code) {
    code.fld1();
    bytes(code, {0x0F, 0x20, 0xC0});  // MOV RAX, CR0
    code.or_(eax, 8);                 // TS
    bytes(code, {0x0F, 0x22, 0xC0});  // MOV CR0, RAX
    code.fldpi();
  });
  EXPECT_EQ(ending.registers[kRip], JitFixture::handler(kDeviceNotAvailable) + 1);
}

// --- Devices and interrupts ------------------------------------------------------------------------------------------

constexpr uint8_t kVector = 30;

// Computes with the host's x87 unit itself, as C++ does with long double, and interrupts at its hundredth read.
class Computing final : public RegisterWindow {
 public:
  Computing(Cpu& cpu, SilentApic& apic) : cpu_(cpu), apic_(apic) {}
  uint64_t read(uint64_t, unsigned) override {
    uint16_t control = 0;
    asm volatile("fnstcw %0" : "=m"(control));
    EXPECT_EQ(control, 0x37F);
    long double one = 1;
    asm volatile("fld1; fld1; fld1; fld1; fld1; fld1; fld1; faddp; faddp; faddp; faddp; faddp; faddp" : "=t"(one));
    EXPECT_EQ(one, 7);
    if (++reads == 100) {
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

class TranslatedX87Loop : public ::testing::Test, protected JitFixture {
 protected:
  // Adds 1 to ST(0), beside which six other registers are in use, each time round.
  void load_loop(const Emit& in_loop) {
    GuestCode code;
    Xbyak::Label again;
    code.fninit();
    for (unsigned i = 0; i < 6; ++i) code.fldpi();
    code.fldz();
    code.L(again);
    code.fld1();
    code.inc(rbx);
    in_loop(code);
    code.faddp();
    code.jmp(again);
    load(code);
    cpu->registers[kRdi] = kPages;
    cpu->registers[kRip] = kCode;
    cpu->registers[kRsp] = kStack;
    cpu->system_flags |= rflags::kIf;
    cpu->mode_changed();
  }
  uint64_t st0_as_integer() const {
    const X87Register& st0 = cpu->x87.physical[cpu->x87.top];
    return st0.significand >> (63 - ((st0.sign_exponent & 0x7FFF) - 16383));
  }
};

TEST_F(TranslatedX87Loop, DevicesMayUseTheUnitAndInterruptsFindTheRegisters) {
  Computing device(*cpu, apic);
  map.add_window("computing", kPages, 0x1000, device);
  map.commit();
  map_page(0, kPages);
  load_loop([](GuestCode& code) { code.mov(eax, code.dword[rdi]); });
  cpu->run();
  EXPECT_EQ(reg(kRip), handler(kVector) + 1);
  EXPECT_EQ(st0_as_integer(), reg(kRbx));
  EXPECT_EQ(device.reads, 100u);
  EXPECT_FALSE(cpu->x87_residence.in_host);
  EXPECT_TRUE(entered_translations());
}

TEST(TranslatedX87Blocks, AreExchangedBetweenInterpreterAndTranslation) {
  Machine machine(/*threshold=*/50);
  prepare(machine);
  GuestCode code;
  Xbyak::Label again, even;
  code.fninit();
  code.fldz();
  code.mov(ecx, 1000);
  code.L(again);
  code.fld1();
  code.test(ecx, 1);
  code.jz(even);
  code.fadd(st0, st0);
  code.L(even);
  code.faddp();
  code.dec(ecx);
  code.jnz(again);
  code.fistp(code.dword[rdi + 0x20]);
  code.hlt();
  machine.load(code);
  machine.run();
  EXPECT_EQ(machine.map.read_value<uint32_t>(JitFixture::kData + 0x20), 1500u);
  EXPECT_TRUE(machine.entered_translations());
}

// Two processors take turns on one host thread.
TEST(TranslatedX87Blocks, OfTwoProcessorsDoNotMeet) {
  Machine first, second;
  GuestCode count;
  count.fld1();
  count.faddp();
  count.hlt();
  for (Machine* machine : {&first, &second}) {
    prepare(*machine);
    GuestCode code;
    code.fninit();
    code.fldz();
    code.hlt();
    machine->load(code);
    machine->run();
    machine->load(count, JitFixture::kCode + 0x1000);
  }
  for (unsigned i = 0; i < 3; ++i) first.run(JitFixture::kCode + 0x1000);
  second.run(JitFixture::kCode + 0x1000);
  first.run(JitFixture::kCode + 0x1000);
  EXPECT_EQ(first.cpu->x87.physical[7].sign_exponent, 16383 + 2);  // 4
  EXPECT_EQ(second.cpu->x87.physical[7].sign_exponent, 16383);     // 1
  EXPECT_EQ(first.cpu->x87.empty, 0x7F);
}

}  // namespace
}  // namespace calco::jit
