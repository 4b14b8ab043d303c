#include "tests/cpu/host_instruction.h"

#include <sys/mman.h>
#include <ucontext.h>

#include <csetjmp>
#include <csignal>
#include <cstddef>
#include <cstring>

namespace calco::cpu::test {

static_assert(offsetof(HostState, fx) == 0 && offsetof(HostState, registers) == 512);
static_assert(offsetof(HostState, flags) == 640);

// calco_run_on_host(state, code): loads the state, calls the code, stores the state.
asm(R"(
  .intel_syntax noprefix
  .text
calco_run_on_host:
  push rbx
  push rbp
  push r14
  push r15
  sub rsp, 8
  mov r15, rdi
  mov r14, rsi
  fxrstor64 [r15]
  push qword ptr [r15 + 640]
  popfq
  mov rax, [r15 + 512]
  mov rcx, [r15 + 520]
  mov rdx, [r15 + 528]
  mov rbx, [r15 + 536]
  mov rsi, [r15 + 560]
  mov rdi, [r15 + 568]
  call r14
  pushfq
  pop qword ptr [r15 + 640]
  mov [r15 + 512], rax
  mov [r15 + 520], rcx
  mov [r15 + 528], rdx
  mov [r15 + 536], rbx
  mov [r15 + 560], rsi
  mov [r15 + 568], rdi
  fxsave64 [r15]
  cld
  fninit
  mov dword ptr [rsp], 0x1F80
  ldmxcsr [rsp]
  add rsp, 8
  pop r15
  pop r14
  pop rbp
  pop rbx
  ret
  .att_syntax
)");
extern "C" void calco_run_on_host(HostState* state, const void* code) asm("calco_run_on_host");

namespace {

// Where the signal handler goes on. Signals of instructions arrive on the thread that executes them.
thread_local sigjmp_buf* recovery = nullptr;
thread_local HostState* faulting_state = nullptr;

void on_signal(int signal, siginfo_t*, void* context) {
  const auto& machine = static_cast<ucontext_t*>(context)->uc_mcontext;
  std::memcpy(&faulting_state->fx, machine.fpregs, sizeof(FxsaveImage));
  siglongjmp(*recovery, signal);
}

HostFault fault_of(int signal) {
  switch (signal) {
    case 0:
      return HostFault::None;
    case SIGILL:
      return HostFault::InvalidOpcode;
    case SIGFPE:
      return HostFault::FloatingPoint;
    default:
      return HostFault::Protection;
  }
}

constexpr std::array<int, 4> kSignals = {SIGILL, SIGFPE, SIGSEGV, SIGBUS};
constexpr size_t kPage = 4096;

}  // namespace

HostInstruction::HostInstruction()
    : code_(static_cast<uint8_t*>(
          mmap(nullptr, kPage, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0))) {}

HostInstruction::~HostInstruction() { munmap(code_, kPage); }

HostFault HostInstruction::run(std::span<const uint8_t> bytes, HostState& state) {
  constexpr uint8_t kReturn = 0xC3;
  std::memcpy(code_, bytes.data(), bytes.size());
  code_[bytes.size()] = kReturn;

  struct sigaction action = {};
  action.sa_sigaction = on_signal;
  action.sa_flags = SA_SIGINFO | SA_NODEFER;
  std::array<struct sigaction, kSignals.size()> before;
  for (size_t i = 0; i < kSignals.size(); ++i) sigaction(kSignals[i], &action, &before[i]);

  sigjmp_buf here;
  recovery = &here;
  faulting_state = &state;
  // With the signal mask: ThreadSanitizer blocks all signals in a handler.
  const int signal = sigsetjmp(here, 1);
  if (signal == 0) calco_run_on_host(&state, code_);
  for (size_t i = 0; i < kSignals.size(); ++i) sigaction(kSignals[i], &before[i], nullptr);
  return fault_of(signal);
}

}  // namespace calco::cpu::test
