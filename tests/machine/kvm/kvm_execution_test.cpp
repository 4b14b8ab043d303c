// Small guest code under KVM, compared with the interpreter.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <stop_token>
#include <thread>

#include "tests/machine/kvm/kvm_fixture.h"

namespace calco::machine {
namespace {

using cpu::CpuFixture;
using cpu::RunExit;
using cpu::SystemFixture;
using ::testing::HasSubstr;

using Bytes = std::initializer_list<uint8_t>;
using Enter = std::function<void(SystemFixture&)>;

// Runs `code`, which ends with HLT, under KVM and in the interpreter; everything that a program sees must be the same.
void expect_same(const Enter& enter, Bytes code) {
  KvmRig rig;
  enter(rig.fixture);
  const uint64_t address = rig.cpu().segments[cpu::kCs].base + rig.cpu().registers[cpu::kRip];
  rig.fixture.load_code(code, address);
  EXPECT_EQ(rig.run(), RunExit::Halted);

  SystemFixture interpreted("qemu64");
  enter(interpreted);
  interpreted.load_code(code, address);
  EXPECT_EQ(interpreted.cpu->run(), RunExit::Halted);

  EXPECT_EQ(rig.cpu().registers, interpreted.cpu->registers);
  EXPECT_EQ(cpu::rflags_value(rig.cpu()), cpu::rflags_value(*interpreted.cpu));
  EXPECT_EQ(rig.cpu().cr0, interpreted.cpu->cr0);
  EXPECT_EQ(rig.cpu().efer, interpreted.cpu->efer);
  std::vector<uint8_t> memory(0x1000), expected(0x1000);
  rig.fixture.map.read(CpuFixture::kData, memory.data(), memory.size());
  interpreted.map.read(CpuFixture::kData, expected.data(), expected.size());
  EXPECT_EQ(memory, expected);
}

TEST(KvmExecution, RealModeIsAsInterpreted) {
  CALCO_NEEDS_KVM();
  // mov ax,1234h; mov bx,ax; add ax,bx; push ax; pop cx; xor dx,dx; mov si,200h; mov [si],ax; lodsw; hlt
  expect_same(
      [](SystemFixture& fixture) { fixture.enter_real(); },
      {0xB8, 0x34, 0x12, 0x89, 0xC3, 0x01, 0xD8, 0x50, 0x59, 0x31, 0xD2, 0xBE, 0x00, 0x02, 0x89, 0x04, 0xAD, 0xF4});
}

TEST(KvmExecution, ProtectedModeIsAsInterpreted) {
  CALCO_NEEDS_KVM();
  // mov eax,12345678h; mov ecx,3; l: imul eax,eax,5; mov [300000h+ecx*4],eax; loop l; mov bx,ds; mov es,bx; hlt
  expect_same([](SystemFixture& fixture) { fixture.enter_protected(); },
              {0xB8, 0x78, 0x56, 0x34, 0x12, 0xB9, 0x03, 0x00, 0x00, 0x00, 0x6B, 0xC0, 0x05, 0x89,
               0x04, 0x8D, 0x00, 0x00, 0x30, 0x00, 0xE2, 0xF4, 0x66, 0x8C, 0xDB, 0x8E, 0xC3, 0xF4});
}

TEST(KvmExecution, LongModeIsAsInterpreted) {
  CALCO_NEEDS_KVM();
  // mov rax,1122334455667788h; mov rdi,300000h; mov [rdi],rax; bswap rax; mov [rdi+8],rax; call +0; pop rbx;
  // mov ecx,16; rep stosb; cmp rax,rbx; hlt
  expect_same([](SystemFixture& fixture) { fixture.enter_long(); },
              {0x48, 0xB8, 0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11, 0x48, 0xC7, 0xC7, 0x00, 0x00,
               0x30, 0x00, 0x48, 0x89, 0x07, 0x48, 0x0F, 0xC8, 0x48, 0x89, 0x47, 0x08, 0xE8, 0x00, 0x00,
               0x00, 0x00, 0x5B, 0xB9, 0x10, 0x00, 0x00, 0x00, 0xF3, 0xAA, 0x48, 0x39, 0xD8, 0xF4});
}

TEST(KvmExecution, WayFromRealToLongModeIsAsInterpreted) {
  CALCO_NEEDS_KVM();
  // In 32-bit protected mode with page tables at 1000H: PAE, EFER.LME, paging; then a far jump to 64-bit code, which
  // halts. mov eax,cr4; or al,20h; mov cr4,eax; mov eax,1000h; mov cr3,eax; mov ecx,C0000080h; rdmsr; or ah,1; wrmsr;
  // mov eax,cr0; or eax,80000000h; mov cr0,eax; jmp far 8:100100h
  const auto enter = [](SystemFixture& fixture) {
    fixture.enter_64_bit_mode();  // makes the tables
    fixture.enter_protected();
    fixture.cpu->cr3 = 0;
    fixture.write_segment(cpu::selector::kCode0, cpu::Segment::kP | cpu::Segment::kS | cpu::Segment::kL | 0xA);
    fixture.load_code({0x49, 0xC7, 0xC0, 0x2A, 0x00, 0x00, 0x00, 0xF4}, 0x100100);  // mov r8,42; hlt
  };
  expect_same(enter, {0x0F, 0x20, 0xE0, 0x0C, 0x20, 0x0F, 0x22, 0xE0, 0xB8, 0x00, 0x10, 0x00, 0x00, 0x0F, 0x22, 0xD8,
                      0xB9, 0x80, 0x00, 0x00, 0xC0, 0x0F, 0x32, 0x80, 0xCC, 0x01, 0x0F, 0x30, 0x0F, 0x20, 0xC0, 0x0D,
                      0x00, 0x00, 0x00, 0x80, 0x0F, 0x22, 0xC0, 0xEA, 0x00, 0x01, 0x10, 0x00, 0x08, 0x00});
}

TEST(KvmExecution, BreakpointInstructionReachesItsHandler) {
  CALCO_NEEDS_KVM();
  KvmRig rig;
  rig.fixture.enter_long();
  rig.fixture.load_code({0xCC});
  rig.fixture.load_code({0xF4}, SystemFixture::handler(cpu::kBreakpoint));
  EXPECT_EQ(rig.run(), RunExit::Halted);
  EXPECT_EQ(rig.cpu().registers[cpu::kRip], SystemFixture::handler(cpu::kBreakpoint) + 1);
  EXPECT_EQ(rig.fixture.frame(0), CpuFixture::kCode + 1);
}

TEST(KvmExecution, InvalidOpcodeReachesItsHandler) {
  CALCO_NEEDS_KVM();
  KvmRig rig;
  rig.fixture.enter_long();
  rig.fixture.load_code({0x0F, 0x0B});
  rig.fixture.load_code({0xF4}, SystemFixture::handler(cpu::kInvalidOpcode));
  EXPECT_EQ(rig.run(), RunExit::Halted);
  EXPECT_EQ(rig.fixture.frame(0), CpuFixture::kCode);
  EXPECT_EQ(rig.dumps, "");
}

// lock cmpxchg16b [rdi]: equal, so RCX:RBX is stored.
TEST(KvmExecution, CompareAndExchangeOf16BytesIsGotPast) {
  CALCO_NEEDS_KVM();
  KvmRig rig;
  rig.fixture.enter_long();
  rig.cpu().registers[cpu::kRdi] = CpuFixture::kData;
  rig.cpu().registers[cpu::kRbx] = 0x1111;
  rig.cpu().registers[cpu::kRcx] = 0x2222;
  rig.cpu().registers[cpu::kRax] = rig.cpu().registers[cpu::kRdx] = 0;
  rig.fixture.load_code({0xF0, 0x48, 0x0F, 0xC7, 0x0F, 0xF4});
  EXPECT_EQ(rig.run(), RunExit::Halted);
  EXPECT_EQ(rig.fixture.map.read_value<uint64_t>(CpuFixture::kData), 0x1111u);
  EXPECT_EQ(rig.fixture.map.read_value<uint64_t>(CpuFixture::kData + 8), 0x2222u);
  EXPECT_EQ(rig.dumps, "");
}

// fxsave64 [rdi]; changed; fxrstor64 [rdi]: XMM1 is what it was.
TEST(KvmExecution, SavedVectorsAreRestored) {
  CALCO_NEEDS_KVM();
  KvmRig rig;
  rig.fixture.enter_long();
  rig.cpu().registers[cpu::kRdi] = CpuFixture::kData;
  rig.cpu().vectors[1].qwords = {0x1234, 0x5678, 0, 0};
  // fxsave64 [rdi]; pxor xmm1,xmm1; fxrstor64 [rdi]; hlt
  rig.fixture.load_code({0x48, 0x0F, 0xAE, 0x07, 0x66, 0x0F, 0xEF, 0xC9, 0x48, 0x0F, 0xAE, 0x0F, 0xF4});
  EXPECT_EQ(rig.run(), RunExit::Halted);
  EXPECT_EQ(rig.cpu().vectors[1].qwords[0], 0x1234u);
  EXPECT_EQ(rig.cpu().vectors[1].qwords[1], 0x5678u);
}

// A model with XSAVE, whatever KVM says: xsave [rdi]; pxor xmm1,xmm1; xrstor [rdi].
TEST(KvmExecution, XrstorIsGotPast) {
  CALCO_NEEDS_KVM();
  KvmRig rig("qemu64,+xsave");
  rig.fixture.enter_long();
  rig.cpu().cr4 |= cpu::cr4::kOsxsave;
  rig.cpu().xcr0 = 3;
  rig.cpu().registers[cpu::kRdi] = CpuFixture::kData;
  rig.cpu().registers[cpu::kRax] = 3;
  rig.cpu().registers[cpu::kRdx] = 0;
  rig.cpu().vectors[1].qwords = {0x1234, 0x5678, 0, 0};
  rig.fixture.load_code({0x48, 0x0F, 0xAE, 0x27, 0x66, 0x0F, 0xEF, 0xC9, 0x48, 0x0F, 0xAE, 0x2F, 0xF4});
  EXPECT_EQ(rig.run(), RunExit::Halted);
  EXPECT_EQ(rig.cpu().vectors[1].qwords[0], 0x1234u);
  EXPECT_EQ(rig.dumps, "");
}

TEST(KvmExecution, MaskableInterruptIsDeliveredWhenItsFlagIsSet) {
  CALCO_NEEDS_KVM();
  KvmRig rig;
  rig.fixture.enter_long();
  rig.fixture.apic.vector = 30;
  rig.cpu().set_interrupt_pending(true);
  // sti; nop; jmp $-1: the handler ends it.
  rig.fixture.load_code({0xFB, 0x90, 0xEB, 0xFD});
  rig.fixture.load_code({0xF4}, SystemFixture::handler(30));
  EXPECT_EQ(rig.run(), RunExit::Halted);
  EXPECT_EQ(rig.cpu().registers[cpu::kRip], SystemFixture::handler(30) + 1);
}

TEST(KvmExecution, InterruptWakesAHaltedProcessor) {
  CALCO_NEEDS_KVM();
  KvmRig rig;
  rig.fixture.enter_long();
  rig.fixture.load_code({0xFB, 0xF4});  // sti; hlt
  rig.fixture.load_code({0xFA, 0xF4}, SystemFixture::handler(31));
  EXPECT_EQ(rig.vcpu->run(rig.cpu()), RunExit::Halted);
  EXPECT_FALSE(rig.cpu().has_work());
  rig.fixture.apic.vector = 31;
  rig.cpu().set_interrupt_pending(true);
  EXPECT_TRUE(rig.cpu().has_work());
  EXPECT_EQ(rig.run(), RunExit::Halted);
  EXPECT_EQ(rig.fixture.frame(0), CpuFixture::kCode + 2);
}

TEST(KvmExecution, NmiReachesItsHandler) {
  CALCO_NEEDS_KVM();
  KvmRig rig;
  rig.fixture.enter_long();
  rig.cpu().raise_nmi();
  rig.fixture.load_code({0xEB, 0xFE});
  rig.fixture.load_code({0xF4}, SystemFixture::handler(cpu::kNmi));
  EXPECT_EQ(rig.run(), RunExit::Halted);
  EXPECT_EQ(rig.cpu().registers[cpu::kRip], SystemFixture::handler(cpu::kNmi) + 1);
  EXPECT_TRUE(rig.cpu().nmi_blocked);
}

TEST(KvmExecution, SystemManagementModeIsInterpreted) {
  CALCO_NEEDS_KVM();
  KvmRig rig;
  rig.fixture.enter_long();
  rig.cpu().smbase = 0x40000;
  rig.fixture.load_code({0x0F, 0xAA}, 0x48000);  // rsm
  rig.cpu().raise_smi();
  rig.cpu().registers[cpu::kRax] = 1;
  rig.fixture.load_code({0xFF, 0xC0, 0xF4});  // inc eax; hlt
  EXPECT_EQ(rig.run(), RunExit::Halted);
  EXPECT_EQ(rig.cpu().registers[cpu::kRax], 2u);
  EXPECT_FALSE(rig.cpu().in_smm);
  EXPECT_GE(rig.vcpu->counters().smm_instructions, 1u);
}

TEST(KvmExecution, ClosedGateA20MakesAddressesWrap) {
  CALCO_NEEDS_KVM();
  KvmRig rig;
  rig.fixture.enter_protected();
  rig.cpu().mmu().set_a20(false);
  rig.fixture.map.write_value<uint32_t>(0x200000, 0x1234);
  // mov eax,[300000h]; hlt; lies at 100000H, which the closed gate makes 0.
  rig.fixture.load_code({0xA1, 0x00, 0x00, 0x30, 0x00, 0xF4}, 0);
  EXPECT_EQ(rig.run(), RunExit::Halted);
  EXPECT_EQ(rig.cpu().registers[cpu::kRax], 0x1234u);
}

TEST(KvmExecution, TripleFaultAsksForAReset) {
  CALCO_NEEDS_KVM();
  KvmRig rig;
  rig.fixture.enter_long();
  rig.cpu().idtr.limit = 0;
  rig.fixture.load_code({0x0F, 0x0B});
  EXPECT_EQ(rig.run(), RunExit::Shutdown);
  EXPECT_TRUE(rig.fixture.triple_faulted);
}

TEST(KvmExecution, RequestToStopEndsALoopWithoutExits) {
  CALCO_NEEDS_KVM();
  KvmRig rig;
  rig.fixture.enter_long();
  rig.fixture.load_code({0xEB, 0xFE});
  {
    const std::jthread other([&rig](const std::stop_token& ended) {
      while (!ended.stop_requested()) {
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
        rig.cpu().request(cpu::request::kStop);
      }
    });
    for (int i = 0; i < 5; ++i) EXPECT_EQ(rig.vcpu->run(rig.cpu()), RunExit::Stopped);
  }
  rig.vcpu->leave(rig.cpu());
  EXPECT_EQ(rig.cpu().registers[cpu::kRip], CpuFixture::kCode);
}

// A loop of known length changes engines in the middle, several times; its result and the interrupt flag survive.
TEST(KvmExecution, GuestGoesOnInTheInterpreterAndBack) {
  CALCO_NEEDS_KVM();
  KvmRig rig;
  rig.fixture.enter_long();
  rig.cpu().registers[cpu::kRax] = 0;
  rig.cpu().registers[cpu::kRcx] = 3'000'000;
  rig.fixture.load_code({0x48, 0x01, 0xC8, 0xFF, 0xC9, 0x75, 0xF9, 0xF4});  // l: add rax,rcx; dec ecx; jnz l; hlt
  RunExit exit = RunExit::Stopped;
  for (int i = 0; i < 10 && exit == RunExit::Stopped; ++i) {
    std::thread stopper([&rig] {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
      rig.cpu().request(cpu::request::kStop);
    });
    exit = rig.vcpu->run(rig.cpu());
    stopper.join();
    rig.vcpu->leave(rig.cpu());
    if (exit == RunExit::Stopped) rig.cpu().run_instructions(1000);
  }
  rig.cpu().take_requests(cpu::request::kStop);
  if (exit == RunExit::Stopped) exit = rig.cpu().run();
  EXPECT_EQ(rig.cpu().registers[cpu::kRcx], 0u);
  EXPECT_EQ(rig.cpu().registers[cpu::kRax], 3'000'000ull * 3'000'001 / 2);
}

// --- Memory and devices ----------------------------------------------------------------------------------------------

class RecordingWindow final : public RegisterWindow {
 public:
  uint64_t read(uint64_t offset, unsigned size) override { return 0xABCD0000 + offset + size; }
  void write(uint64_t offset, unsigned size, uint64_t value) override {
    text += fmt::format("{}:{}={:x} ", offset, size, value);
  }
  unsigned maximum_access_size() const override { return 4; }
  std::string text;
};

TEST(KvmExecution, DeviceInMemoryIsAccessed) {
  CALCO_NEEDS_KVM();
  KvmRig rig;
  RecordingWindow window;
  rig.fixture.map.add_window("device", 0x400000, 0x1000, window);
  rig.fixture.map.commit();
  rig.fixture.enter_long();
  // mov eax,[400010h]; mov dword [400020h],eax; hlt
  rig.fixture.load_code({0x8B, 0x04, 0x25, 0x10, 0x00, 0x40, 0x00, 0x89, 0x04, 0x25, 0x20, 0x00, 0x40, 0x00, 0xF4});
  EXPECT_EQ(rig.run(), RunExit::Halted);
  EXPECT_EQ(rig.cpu().registers[cpu::kRax], 0xABCD0014u);
  EXPECT_EQ(window.text, "32:4=abcd0014 ");
}

TEST(KvmExecution, PortsAreAccessedByStringInstructionsToo) {
  CALCO_NEEDS_KVM();
  KvmRig rig;
  RecordingWindow window;
  rig.fixture.ports.attach(0x500, 8, window);
  rig.fixture.enter_long();
  rig.fixture.map.write_value<uint32_t>(CpuFixture::kData, 0x00030201);
  rig.cpu().registers[cpu::kRsi] = CpuFixture::kData;
  rig.cpu().registers[cpu::kRcx] = 3;
  rig.cpu().registers[cpu::kRdx] = 0x501;
  // rep outsb; in eax,dx; hlt
  rig.fixture.load_code({0xF3, 0x6E, 0xED, 0xF4});
  EXPECT_EQ(rig.run(), RunExit::Halted);
  EXPECT_EQ(window.text, "1:1=1 1:1=2 1:1=3 ");
  EXPECT_EQ(rig.cpu().registers[cpu::kRax], 0xABCD0005u);
}

// --- The debugger ----------------------------------------------------------------------------------------------------

using Stops = cpu::DebuggerStops;

// Runs until the debugger is told something; what that is.
std::optional<Stops::Hit> stop_of(KvmRig& rig, Stops stops) {
  rig.cpu().set_debugger_stops(std::move(stops));
  EXPECT_EQ(rig.run(), RunExit::Debugger);
  return rig.cpu().debugger_stops().hit();
}

// Four times inc eax; hlt
constexpr Bytes kFourSteps = {0xFF, 0xC0, 0xFF, 0xC0, 0xFF, 0xC0, 0xFF, 0xC0, 0xF4};

void expect_breakpoint(const Enter& enter) {
  KvmRig rig;
  enter(rig.fixture);
  rig.cpu().registers[cpu::kRax] = 0;
  const uint64_t address = rig.cpu().segments[cpu::kCs].base + rig.cpu().registers[cpu::kRip];
  rig.fixture.load_code(kFourSteps, address);
  Stops stops;
  stops.breakpoints = {address + 4, address + 100};
  const auto hit = stop_of(rig, stops);
  ASSERT_TRUE(hit);
  EXPECT_EQ(*hit, (Stops::Hit{Stops::Hit::Kind::Breakpoint, address + 4}));
  EXPECT_EQ(rig.cpu().registers[cpu::kRax] & 0xFFFF, 2u);
  rig.cpu().set_debugger_stops({});
  EXPECT_EQ(rig.run(), RunExit::Halted);
  EXPECT_EQ(rig.cpu().registers[cpu::kRax] & 0xFFFF, 4u);
}

TEST(KvmDebugger, BreakpointStopsInFrontOfItsInstruction) {
  CALCO_NEEDS_KVM();
  expect_breakpoint([](SystemFixture& fixture) { fixture.enter_real(); });
  expect_breakpoint([](SystemFixture& fixture) { fixture.enter_protected(); });
  expect_breakpoint([](SystemFixture& fixture) { fixture.enter_long(); });
}

TEST(KvmDebugger, MoreBreakpointsThanRegistersStopToo) {
  CALCO_NEEDS_KVM();
  KvmRig rig;
  rig.fixture.enter_long();
  const uint64_t address = rig.cpu().registers[cpu::kRip];
  rig.fixture.load_code(kFourSteps, address);
  Stops stops;
  stops.breakpoints = {1, 2, 3, 4, address + 6};
  const auto hit = stop_of(rig, stops);
  ASSERT_TRUE(hit);
  EXPECT_EQ(hit->linear, address + 6);
}

TEST(KvmDebugger, BreakpointStopsAtPrivilegeLevel3) {
  CALCO_NEEDS_KVM();
  KvmRig rig;
  rig.fixture.enter_long(3);
  const uint64_t address = rig.cpu().registers[cpu::kRip];
  rig.fixture.load_code(kFourSteps, address);
  Stops stops;
  stops.breakpoints = {address + 4};
  const auto hit = stop_of(rig, stops);
  ASSERT_TRUE(hit);
  EXPECT_EQ(hit->linear, address + 4);
}

// mov [rdi],eax; nop; hlt
TEST(KvmDebugger, WatchpointStopsBehindTheInstructionThatWrote) {
  CALCO_NEEDS_KVM();
  KvmRig rig;
  rig.fixture.enter_long();
  rig.cpu().registers[cpu::kRdi] = CpuFixture::kData;
  const uint64_t address = rig.cpu().registers[cpu::kRip];
  rig.fixture.load_code({0x89, 0x07, 0x90, 0xF4}, address);
  Stops stops;
  stops.watchpoints = {{Stops::Hit::Kind::Write, CpuFixture::kData, 4}};
  const auto hit = stop_of(rig, stops);
  ASSERT_TRUE(hit);
  EXPECT_EQ(*hit, (Stops::Hit{Stops::Hit::Kind::Write, CpuFixture::kData}));
  EXPECT_EQ(rig.cpu().registers[cpu::kRip], address + 2);
}

TEST(KvmMemory, StoresToRomAreDropped) {
  CALCO_NEEDS_KVM();
  KvmRig rig;
  const auto rom = rig.fixture.map.add_memory("rom", 0x500000, 0x1000, 0x600000, false, 1);
  rig.fixture.map.commit();
  rig.fixture.enter_long();
  rig.fixture.map.write_value<uint32_t>(0x600000, 0x55AA);
  // mov dword [500000h],1; mov eax,[500000h]; hlt
  rig.fixture.load_code({0xC7, 0x04, 0x25, 0x00, 0x00, 0x50, 0x00, 0x01, 0x00, 0x00, 0x00, 0x8B, 0x04, 0x25, 0x00, 0x00,
                         0x50, 0x00, 0xF4});
  EXPECT_EQ(rig.run(), RunExit::Halted);
  EXPECT_EQ(rig.cpu().registers[cpu::kRax], 0x55AAu);
  rig.fixture.map.remove(rom);
  rig.fixture.map.commit();
  EXPECT_EQ(rig.memory->slot_count(), 1u);
}

TEST(KvmMemory, WrittenPagesAreLogged) {
  CALCO_NEEDS_KVM();
  KvmRig rig;
  rig.fixture.enter_long();
  rig.memory->set_dirty_logging(true);
  // mov byte [345678h],1; hlt
  rig.fixture.load_code({0xC6, 0x04, 0x25, 0x78, 0x56, 0x34, 0x00, 0x01, 0xF4});
  EXPECT_EQ(rig.run(), RunExit::Halted);
  std::vector<uint64_t> pages;
  rig.memory->collect_dirty_pages([&pages](uint64_t offset) { pages.push_back(offset); });
  EXPECT_THAT(pages, ::testing::Contains(0x345000u));
  EXPECT_THAT(pages, ::testing::Not(::testing::Contains(0x346000u)));
  pages.clear();
  rig.memory->collect_dirty_pages([&pages](uint64_t offset) { pages.push_back(offset); });
  EXPECT_THAT(pages, ::testing::IsEmpty());
}

}  // namespace
}  // namespace calco::machine
