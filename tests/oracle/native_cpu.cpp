#include "tests/oracle/native_cpu.h"

#include <asm/ldt.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <system_error>

#include "tests/oracle/segments.h"

namespace calco::oracle {
namespace {

// What the entry, exit and signal code share; at a fixed address so that they reach it without any register.
struct HostArea {
  MachineImage in;
  MachineImage out;
  uint64_t stack_pointer;
  uint64_t fs_base, gs_base;
  uint32_t mxcsr;
  uint32_t active;
  uint64_t ending;  // Ending::vector
  uint64_t error_code;
  uint64_t fault_address;
  uint64_t resume;  // address of calco_oracle_resume
  uint32_t has_avx;
  uint32_t reserved[27];
  uint8_t small_stack[64];
};
constexpr uint64_t kHostArea = NativeCpu::kEntryStack;
constexpr size_t kSignalStackBytes = 256 << 10;

static_assert(offsetof(HostArea, out) == 960 && offsetof(HostArea, stack_pointer) == 1920);
static_assert(offsetof(HostArea, mxcsr) == 1944 && offsetof(HostArea, ending) == 1952);
static_assert(offsetof(HostArea, resume) == 1976 && offsetof(HostArea, has_avx) == 1984);
static_assert(offsetof(HostArea, small_stack) == 2096);

// The areas lie at addresses that are part of the tests.
void* at(uint64_t address) { return reinterpret_cast<void*>(address); }  // NOLINT(performance-no-int-to-ptr)

HostArea& host_area() { return *static_cast<HostArea*>(at(kHostArea)); }

}  // namespace

// The symbols of the assembly below.
extern "C" {
void calco_oracle_enter();
void calco_oracle_resume();
void calco_oracle_signal(int number, siginfo_t* info, void* context);
void calco_oracle_capture(int number, siginfo_t* info, void* context);
extern const uint8_t calco_oracle_exit_begin[], calco_oracle_exit_end[];
}

// Addresses are kHostArea plus the offsets that the assertions above fix.
asm(R"(
  .text
  .set IN, 0x0E5D3000
  .set OUT, IN + 960
  .set HOST_RSP, IN + 1920
  .set HOST_FS, IN + 1928
  .set HOST_GS, IN + 1936
  .set HOST_MXCSR, IN + 1944
  .set ACTIVE, IN + 1948
  .set ENDING, IN + 1952
  .set RESUME, IN + 1976
  .set HAS_AVX, IN + 1984
  .set SMALL_STACK_END, IN + 2096 + 64

  # void calco_oracle_enter(): loads IN and returns when OUT is filled.
  .globl calco_oracle_enter
calco_oracle_enter:
  pushq %rbx
  pushq %rbp
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, HOST_RSP
  rdfsbase %rax
  movq %rax, HOST_FS
  rdgsbase %rax
  movq %rax, HOST_GS
  stmxcsr HOST_MXCSR
  movl $1, ACTIVE
  fxrstor64 IN + 192
  cmpl $0, HAS_AVX
  je 2f
  .irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
  vinsertf128 $1, IN + 704 + 16 * \n, %ymm\n, %ymm\n
  .endr
2:
  movw IN + 184, %ds
  movw IN + 186, %es
  movw IN + 188, %fs
  movw IN + 190, %gs
  cmpw $0, IN + 188
  jne 1f
  movq IN + 168, %rax
  wrfsbase %rax
  movq IN + 176, %rax
  wrgsbase %rax
1:
  movq IN + 0, %rax
  movq IN + 8, %rcx
  movq IN + 16, %rdx
  movq IN + 24, %rbx
  movq IN + 40, %rbp
  movq IN + 48, %rsi
  movq IN + 56, %rdi
  movq IN + 64, %r8
  movq IN + 72, %r9
  movq IN + 80, %r10
  movq IN + 88, %r11
  movq IN + 96, %r12
  movq IN + 104, %r13
  movq IN + 112, %r14
  movq IN + 120, %r15
  movq $(IN + 128), %rsp
  iretq

  # Copied to kExit: saves everything to OUT.
  .globl calco_oracle_exit_begin
calco_oracle_exit_begin:
  movq %rax, OUT + 0
  movq %rcx, OUT + 8
  movq %rdx, OUT + 16
  movq %rbx, OUT + 24
  movq %rsp, OUT + 152
  movq %rbp, OUT + 40
  movq %rsi, OUT + 48
  movq %rdi, OUT + 56
  movq %r8, OUT + 64
  movq %r9, OUT + 72
  movq %r10, OUT + 80
  movq %r11, OUT + 88
  movq %r12, OUT + 96
  movq %r13, OUT + 104
  movq %r14, OUT + 112
  movq %r15, OUT + 120
  movq $SMALL_STACK_END, %rsp
  pushfq
  popq OUT + 144
  pushq $2
  popfq
  movw %ss, OUT + 160
  movw %ds, OUT + 184
  movw %es, OUT + 186
  movw %fs, OUT + 188
  movw %gs, OUT + 190
  rdfsbase %rax
  movq %rax, OUT + 168
  rdgsbase %rax
  movq %rax, OUT + 176
  fxsave64 OUT + 192
  cmpl $0, HAS_AVX
  je 3f
  .irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
  vextractf128 $1, %ymm\n, OUT + 704 + 16 * \n
  .endr
  vzeroupper
3:
  movq $0x100, ENDING
  jmpq *RESUME
  .globl calco_oracle_exit_end
calco_oracle_exit_end:

  # The handler of all signals; on the alternate stack, with the test's segment registers.
  .globl calco_oracle_signal
calco_oracle_signal:
  pushq $2  # the kernel leaves AC as the test set it
  popfq
  cmpl $0, ACTIVE
  je calco_oracle_capture
  movw %ds, OUT + 184
  movw %es, OUT + 186
  movw %fs, OUT + 188
  movw %gs, OUT + 190
  rdfsbase %rax
  movq %rax, OUT + 168
  rdgsbase %rax
  movq %rax, OUT + 176
  movq HOST_FS, %rax
  wrfsbase %rax
  pushq %rax  # aligns the stack
  callq calco_oracle_capture

  .globl calco_oracle_resume
calco_oracle_resume:
  xorl %eax, %eax
  movl %eax, %fs
  movl %eax, %gs
  movl $0x2B, %eax
  movl %eax, %ss
  movq HOST_FS, %rax
  wrfsbase %rax
  movq HOST_GS, %rax
  wrgsbase %rax
  movq HOST_RSP, %rsp
  fninit
  ldmxcsr HOST_MXCSR
  movl $0, ACTIVE
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbp
  popq %rbx
  retq
)");

namespace {

// The upper halves of the vector registers in a signal frame: behind the FXSAVE area lies a header, then they (SDM vol.
// 1, 13.4), where the kernel's mark says so.
void capture_upper_halves(const void* frame, MachineImage& image) {
  constexpr size_t kMarkOffset = 464, kHeaderOffset = 512, kUpperHalvesOffset = 576;
  constexpr uint32_t kMark = 0x46505853;
  constexpr uint64_t kAvx = 4;
  const auto* bytes = static_cast<const uint8_t*>(frame);
  uint32_t mark;
  uint64_t components = 0;
  std::memcpy(&mark, bytes + kMarkOffset, sizeof(mark));
  if (mark == kMark) std::memcpy(&components, bytes + kHeaderOffset, sizeof(components));
  image.ymm_high = {};
  if ((components & kAvx) != 0) std::memcpy(&image.ymm_high, bytes + kUpperHalvesOffset, sizeof(image.ymm_high));
}

}  // namespace

// Takes the state out of the signal frame. A signal that no test caused ends the process as it would have.
void calco_oracle_capture(int number, siginfo_t*, void* context) {
  HostArea& area = host_area();
  if (area.active == 0) {
    signal(number, SIG_DFL);
    return;
  }
  const mcontext_t& machine = static_cast<ucontext_t*>(context)->uc_mcontext;
  const auto value = [&](int which) { return static_cast<uint64_t>(machine.gregs[which]); };
  static constexpr int kOrder[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
                                     REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};
  for (size_t i = 0; i < 16; ++i) area.out.registers[i] = value(kOrder[i]);
  area.out.rip = value(REG_RIP);
  area.out.rflags = value(REG_EFL);
  area.out.rsp = value(REG_RSP);
  area.out.code_selector = value(REG_CSGSFS) & 0xFFFF;
  area.out.stack_selector = value(REG_CSGSFS) >> 48;
  std::memcpy(&area.out.fx, machine.fpregs, sizeof(FxsaveArea));
  capture_upper_halves(machine.fpregs, area.out);
  area.ending = value(REG_TRAPNO);
  area.error_code = value(REG_ERR);
  area.fault_address = value(REG_CR2);
}

namespace {

constexpr int kSignals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP};

[[noreturn]] void fail(const char* what) { throw std::system_error(errno, std::generic_category(), what); }

uint8_t* map_at(uint64_t address, uint64_t size, int protection, int file = -1) {
  const int flags = MAP_FIXED_NOREPLACE | MAP_POPULATE | (file < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED);
  void* result = mmap(at(address), size, protection, flags, file, 0);
  if (result == MAP_FAILED) fail("mmap of a test area");
  return static_cast<uint8_t*>(result);
}

void install_local_segments() {
  constexpr int kWriteEntry = 0x11;
  for (const LocalSegment& segment : kLocalSegments) {
    user_desc entry{};
    entry.entry_number = segment.selector >> 3;
    entry.base_addr = segment.base;
    entry.limit = segment.limit;
    entry.seg_32bit = segment.big;
    entry.contents = static_cast<unsigned>(segment.contents);
    entry.read_exec_only = !segment.writable;
    entry.useable = 1;
    if (syscall(SYS_modify_ldt, kWriteEntry, &entry, sizeof(entry)) != 0) fail("modify_ldt");
  }
}

}  // namespace

NativeCpu::NativeCpu() {
  install_local_segments();
  map_at(kHostArea, kPage, PROT_READ | PROT_WRITE);
  host_area().has_avx = __builtin_cpu_supports("avx") ? 1 : 0;
  host_area().resume = reinterpret_cast<uint64_t>(&calco_oracle_resume);
  code_ = map_at(kCode, kCodePages * kPage, PROT_READ | PROT_WRITE | PROT_EXEC);
  uint8_t* exit = map_at(kExit, kPage, PROT_READ | PROT_WRITE);
  std::memcpy(exit, calco_oracle_exit_begin, static_cast<size_t>(calco_oracle_exit_end - calco_oracle_exit_begin));
  if (mprotect(exit, kPage, PROT_READ | PROT_EXEC) != 0) fail("mprotect");

  const int file = memfd_create("oracle data", 0);
  if (file < 0 || ftruncate(file, kDataPages * kPage) != 0) fail("memfd_create");
  map_at(kData, kDataPages * kPage, PROT_READ | PROT_WRITE, file);
  if (mprotect(at(kReadOnly), kDataEnd - kReadOnly, PROT_READ) != 0) fail("mprotect");
  void* view = mmap(nullptr, kDataPages * kPage, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, file, 0);
  if (view == MAP_FAILED) fail("mmap of the data pages");
  data_ = static_cast<uint8_t*>(view);
  close(file);

  stack_t stack{};
  stack.ss_size = kSignalStackBytes;
  stack.ss_sp = mmap(nullptr, kSignalStackBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (stack.ss_sp == MAP_FAILED || sigaltstack(&stack, nullptr) != 0) fail("sigaltstack");
  struct sigaction action{};
  action.sa_sigaction = calco_oracle_signal;
  // The handler never returns for a test, so the mask must not change.
  action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
  for (const int number : kSignals) sigaction(number, &action, nullptr);
}

NativeCpu::~NativeCpu() {
  for (const int number : kSignals) signal(number, SIG_DFL);
  stack_t stack{};
  sigaltstack(nullptr, &stack);
  stack_t off{};
  off.ss_flags = SS_DISABLE;
  sigaltstack(&off, nullptr);
  munmap(stack.ss_sp, stack.ss_size);
  munmap(data_, kDataPages * kPage);
  munmap(at(kData), kDataPages * kPage);
  munmap(at(kExit), kPage);
  munmap(code_, kCodePages * kPage);
  munmap(at(kHostArea), kPage);
}

void NativeCpu::run(const MachineImage& initial, Outcome& outcome) {
  HostArea& area = host_area();
  area.in = initial;
  calco_oracle_enter();
  outcome.image = area.out;
  outcome.image.registers[4] = area.out.rsp;
  outcome.ending.vector = static_cast<unsigned>(area.ending);
  outcome.ending.error_code = static_cast<uint32_t>(area.error_code);
  outcome.ending.address = area.fault_address;
  if (outcome.ending.vector == Ending::kThrough) {
    outcome.ending = {};
    outcome.image.rip = kExit;
    outcome.image.code_selector = kCode64Selector;
  }
}

}  // namespace calco::oracle
