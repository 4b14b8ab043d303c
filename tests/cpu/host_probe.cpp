#include "tests/cpu/host_probe.h"

#include <asm/ldt.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

namespace calco::decode {
namespace {

constexpr size_t kPage = 4096;
constexpr uint64_t kExecutableAddress = 0x20000000;
constexpr int kSignals[5] = {SIGILL, SIGSEGV, SIGTRAP, SIGBUS, SIGFPE};
constexpr int kLastGeneralRegister = REG_EFL;

// What probe and signal handler tell each other; a handler has no other way to reach its probe.
struct Exchange {
  bool entering = false;  // the next signal is the probe's own UD2
  greg_t start[kLastGeneralRegister + 1] = {};
  greg_t start_segments = 0;  // CS in bits 0-15, SS in bits 48-63
  greg_t caller[NGREG] = {};
  uint64_t caller_fs_base = 0;
  int signal = 0;
  uint64_t instruction_pointer = 0;
  uint64_t fault_address = 0;
};
Exchange exchange;

void set_fs_base(uint64_t base) { asm volatile("wrfsbase %0" : : "r"(base)); }

// The first signal replaces the caller's registers by the instruction's, the second puts them back.
void swap_registers(int signal, siginfo_t* information, void* context) {
  greg_t* registers = static_cast<ucontext_t*>(context)->uc_mcontext.gregs;
  if (exchange.entering) {
    exchange.entering = false;
    for (int i = 0; i < NGREG; ++i) exchange.caller[i] = registers[i];
    exchange.caller[REG_RIP] += 2;  // behind UD2
    for (int i = 0; i <= kLastGeneralRegister; ++i) registers[i] = exchange.start[i];
    registers[REG_CSGSFS] = exchange.start_segments;
    set_fs_base(0);  // 64-bit code that stores at FS:0 would destroy the C library's thread
    return;
  }
  set_fs_base(exchange.caller_fs_base);
  exchange.signal = signal;
  exchange.instruction_pointer = static_cast<uint64_t>(registers[REG_RIP]);
  exchange.fault_address = reinterpret_cast<uint64_t>(information->si_addr);
  for (int i = 0; i < NGREG; ++i) registers[i] = exchange.caller[i];
}

// An LDT entry for 16-bit code with the page at its offset 0. Selector 7.
bool make_16_bit_segment() {
  user_desc segment{};
  segment.base_addr = static_cast<unsigned>(kExecutableAddress);
  segment.limit = 0xFFFFF;
  segment.contents = MODIFY_LDT_CONTENTS_CODE;
  segment.useable = 1;
  return syscall(SYS_modify_ldt, 1, &segment, sizeof(segment)) == 0;
}

constexpr greg_t code_selector(CodeSize code_size) {
  constexpr greg_t kSelectors[] = {0x07, 0x23, 0x33};  // ours, __USER32_CS, __USER_CS
  return kSelectors[static_cast<size_t>(code_size)];
}

// ThreadSanitizer calls handlers from a function of its own, which needs FS when they return.
#if __has_feature(thread_sanitizer)
constexpr bool kHandlersMayChangeFs = false;
#else
constexpr bool kHandlersMayChangeFs = true;
#endif

}  // namespace

HostProbe::HostProbe() : signal_stack_(65536) {
  if (!kHandlersMayChangeFs || !__builtin_cpu_supports("avx") || !make_16_bit_segment()) return;
  const int file = memfd_create("host-probe", 0);
  if (file < 0 || ftruncate(file, 2 * kPage) != 0) return;
  void* writable = mmap(nullptr, kPage, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  void* executable = mmap(reinterpret_cast<void*>(kExecutableAddress), 2 * kPage, PROT_READ | PROT_EXEC,
                          MAP_SHARED | MAP_FIXED_NOREPLACE, file, 0);
  close(file);
  if (writable == MAP_FAILED || executable == MAP_FAILED) return;
  mprotect(static_cast<uint8_t*>(executable) + kPage, kPage, PROT_NONE);
  writable_ = static_cast<uint8_t*>(writable);
  executable_ = reinterpret_cast<uint64_t>(executable);
  asm volatile("rdfsbase %0" : "=r"(exchange.caller_fs_base));

  stack_t stack{};
  stack.ss_sp = signal_stack_.data();
  stack.ss_size = signal_stack_.size();
  sigaltstack(&stack, nullptr);
  struct sigaction action{};
  action.sa_sigaction = swap_registers;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
  for (size_t i = 0; i < std::size(kSignals); ++i) sigaction(kSignals[i], &action, &previous_[i]);
  usable_ = true;
}

HostProbe::~HostProbe() {
  if (!usable_) return;
  for (size_t i = 0; i < std::size(kSignals); ++i) sigaction(kSignals[i], &previous_[i], nullptr);
  stack_t stack{};
  stack.ss_flags = SS_DISABLE;
  sigaltstack(&stack, nullptr);
  munmap(writable_, kPage);
  munmap(reinterpret_cast<void*>(executable_), 2 * kPage);
}

void HostProbe::execute(std::span<const uint8_t> bytes, CodeSize code_size) {
  constexpr greg_t kTrapFlag = 0x100;
  std::memcpy(writable_ + kPage - bytes.size(), bytes.data(), bytes.size());
  const uint64_t base = code_size == CodeSize::Bits16 ? 0 : executable_;
  std::fill(std::begin(exchange.start), std::end(exchange.start), 0);
  exchange.start[REG_RIP] = static_cast<greg_t>(base + kPage - bytes.size());
  exchange.start[REG_RAX] = -1;
  exchange.start[REG_EFL] = kTrapFlag | 2;
  exchange.start_segments = code_selector(code_size) | greg_t{0x2B} << 48;
  exchange.entering = true;
  // What the instruction may have changed and no signal frame puts back: x87, vector and segment registers, MXCSR.
  uint32_t mxcsr = 0x1F80;
  asm volatile("ud2\n\tfninit\n\tvzeroall\n\tmov %1, %%ds\n\tmov %1, %%es\n\tldmxcsr %0"
               :
               : "m"(mxcsr), "r"(0)
               : "memory", "cc", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9",
                 "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15");
}

HostProbe::Verdict HostProbe::ask(std::span<const uint8_t> bytes, CodeSize code_size) {
  const uint64_t base = code_size == CodeSize::Bits16 ? 0 : executable_;
  for (size_t size = 1; size <= bytes.size(); ++size) {
    execute(bytes.first(size), code_size);
    const bool did_not_start = exchange.instruction_pointer == base + kPage - size;
    const bool fetch_fault = exchange.signal == SIGSEGV && exchange.fault_address == executable_ + kPage;
    if (did_not_start && fetch_fault) continue;
    return {exchange.signal != SIGILL, static_cast<unsigned>(size)};
  }
  return {};
}

}  // namespace calco::decode
