// Signals that instructions raise, their frames, the alternate stack, and the vector registers across them.
#define _GNU_SOURCE
#include <emmintrin.h>
#include <fenv.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <ucontext.h>
#include <unistd.h>

static sigjmp_buf after_fault;
static volatile siginfo_t taken;
static volatile uint64_t taken_rip, taken_trap, taken_error;
static char* volatile alternate_stack;
static volatile int on_alternate_stack;

static void note(int number, siginfo_t* information, void* context) {
  const ucontext_t* machine = context;
  const char* here = (const char*)&machine;
  (void)number;
  on_alternate_stack = here >= alternate_stack && here < alternate_stack + 65536;
  memcpy((void*)&taken, information, sizeof taken);
  taken_rip = (uint64_t)machine->uc_mcontext.gregs[REG_RIP];
  taken_trap = (uint64_t)machine->uc_mcontext.gregs[REG_TRAPNO];
  taken_error = (uint64_t)machine->uc_mcontext.gregs[REG_ERR];
  siglongjmp(after_fault, 1);
}

static void handle(int number, void (*handler)(int, siginfo_t*, void*)) {
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_sigaction = handler;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK;
  sigaction(number, &action, NULL);
}

#define EXPECT_SIGNAL(name, ...)                                                                              \
  do {                                                                                                        \
    memset((void*)&taken, 0, sizeof taken);                                                                   \
    if (sigsetjmp(after_fault, 1) == 0) {                                                                     \
      __VA_ARGS__;                                                                                            \
      printf("%s: no signal\n", name);                                                                        \
    } else {                                                                                                  \
      printf("%s: signal %d code %d trap %llu error %llx own stack %d\n", name, taken.si_signo, taken.si_code, \
             (unsigned long long)taken_trap, (unsigned long long)taken_error, on_alternate_stack);            \
    }                                                                                                         \
  } while (0)

static volatile uint64_t steps;

static void count_step(int number, siginfo_t* information, void* context) {
  (void)number, (void)information, (void)context;
  ++steps;
}

static volatile int ticks;

// Spoils what the interrupted code holds in x87 and vector registers: returning must bring it back.
static void tick(int number, siginfo_t* information, void* context) {
  (void)number, (void)information, (void)context;
  __asm__ volatile("fninit; fld1; fldpi; pcmpeqd %%xmm0, %%xmm0; pcmpeqd %%xmm7, %%xmm7; pcmpeqd %%xmm15, %%xmm15"
                   :
                   :
                   : "memory");
  ++ticks;
}

static void registers_survive_timer_signals(void) {
  struct itimerval interval = {{0, 2000}, {0, 2000}};
  handle(SIGALRM, tick);
  setitimer(ITIMER_REAL, &interval, NULL);
  double sum = 0, term = 1;
  long double wide = 1;
  unsigned rounds = 0;
  while (ticks < 100) {
    sum = 0, term = 1, wide = 1;
    for (int i = 1; i < 1000; ++i) {
      term = term * 0.99 + 1.0 / i;
      sum += term;
      wide = wide * 1.0001L + 1.0L / i;
    }
    if (rounds++ == 0) printf("sums %a %La\n", sum, wide);
    static double first;
    static long double first_wide;
    if (rounds == 1) first = sum, first_wide = wide;
    if (first != sum || first_wide != wide) {
      printf("a signal changed the sums: %a %La\n", sum, wide);
      break;
    }
  }
  memset(&interval, 0, sizeof interval);
  setitimer(ITIMER_REAL, &interval, NULL);
}

int main(void) {
  alternate_stack = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  const stack_t stack = {.ss_sp = alternate_stack, .ss_size = 65536};
  sigaltstack(&stack, NULL);
  const int numbers[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP};
  for (unsigned i = 0; i < 5; ++i) handle(numbers[i], note);

  char* const page = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  munmap(page + 4096, 4096);
  EXPECT_SIGNAL("division by 0", __asm__ volatile("xorl %%edx, %%edx; divl %0" ::"r"(0) : "eax", "edx"));
  EXPECT_SIGNAL("division overflow", __asm__ volatile("movl $1, %%edx; xorl %%eax, %%eax; divl %0" ::"r"(1) : "eax", "edx"));
  EXPECT_SIGNAL("null pointer", *(volatile int*)0 = 1);
  EXPECT_SIGNAL("address not canonical", *(volatile int*)0x8000000000000000 = 1);
  EXPECT_SIGNAL("behind a page", *(volatile uint64_t*)(page + 4092) = 1);
  printf("at the page's end %d, bytes before %d\n", (char*)taken.si_addr == page + 4096, page[4092]);
  mprotect(page, 4096, PROT_READ);
  EXPECT_SIGNAL("read-only page", page[0] = 1);
  EXPECT_SIGNAL("page without execution", ((void (*)(void))page)());
  printf("at its target %d\n", taken_rip == (uint64_t)page);
  EXPECT_SIGNAL("UD2", __asm__ volatile("ud2"));
  EXPECT_SIGNAL("INT3", __asm__ volatile("int3"));
  EXPECT_SIGNAL("INT1", __asm__ volatile(".byte 0xF1"));
  EXPECT_SIGNAL("HLT", __asm__ volatile("hlt"));
  EXPECT_SIGNAL("INT 0x81", __asm__ volatile("int $0x81"));
  EXPECT_SIGNAL("LOCK without a place", __asm__ volatile(".byte 0xF0, 0x90"));
  EXPECT_SIGNAL("MOVAPS not aligned", __asm__ volatile("movaps 1(%0), %%xmm0" ::"r"(page)));
  EXPECT_SIGNAL("x87 division", feenableexcept(FE_DIVBYZERO);
                __asm__ volatile("fld1; fldz; fdivrp; fwait"));
  __asm__ volatile("fninit");
  EXPECT_SIGNAL("SSE division", _mm_setcsr(0x1F80 & ~0x200u);
                __asm__ volatile("divpd %0, %1" ::"x"(_mm_setzero_pd()), "x"(_mm_set1_pd(1))));
  _mm_setcsr(0x1F80);
  // A stack without room for the frame of the signal: only the alternate stack lets the program know.
  EXPECT_SIGNAL("no stack", __asm__ volatile("movq %%rsp, %%rbx; movl $16, %%esp; pushq %%rax; movq %%rbx, %%rsp" ::: "rbx"));

  handle(SIGTRAP, count_step);
  __asm__ volatile(
      "pushfq; orl $0x100, (%%rsp); popfq\n"
      "nop; movl $3, %%ecx; xorl %%eax, %%eax; 1: incl %%eax; loop 1b; cpuid; rdtsc\n"
      "leaq 2f(%%rip), %%rsi; leaq 2f+64(%%rip), %%rdi; cld; movl $0, %%ecx; rep lodsb\n"
      "2: pushfq; andl $~0x100, (%%rsp); popfq" ::
          : "rax", "rbx", "rcx", "rdx", "rsi", "rdi", "memory", "cc");
  printf("single steps %llu\n", (unsigned long long)steps);
  registers_survive_timer_signals();
  return 0;
}
