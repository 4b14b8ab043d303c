// ptrace: single steps, INT3 put into the other process, watchpoints and breakpoints of the debug registers.
#define _GNU_SOURCE
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

static volatile uint32_t watched[4];

__attribute__((noinline)) static void work(void) {
  for (unsigned i = 0; i < 10; ++i) watched[i & 3] += i;
  __asm__ volatile("" ::: "memory");
}

static void set_debug_register(pid_t child, unsigned number, uint64_t value) {
  if (ptrace(PTRACE_POKEUSER, child, offsetof(struct user, u_debugreg) + number * 8, value) != 0) perror("debug register");
}

static uint64_t debug_status(pid_t child) {
  return (uint64_t)ptrace(PTRACE_PEEKUSER, child, offsetof(struct user, u_debugreg) + 6 * 8, 0);
}

static pid_t start_child(void) {
  fflush(stdout);
  const pid_t child = fork();
  if (child != 0) {
    int status;
    waitpid(child, &status, 0);
    return child;
  }
  ptrace(PTRACE_TRACEME, 0, 0, 0);
  raise(SIGSTOP);
  work();
  _exit((int)(watched[0] + watched[1] + watched[2] + watched[3]));
}

// Lets the child go on until it ends and says how often it stopped with SIGTRAP.
static unsigned stops_until_end(pid_t child, enum __ptrace_request how, uint64_t* statuses) {
  unsigned stops = 0;
  int status;
  for (;;) {
    ptrace(how, child, 0, 0);
    waitpid(child, &status, 0);
    if (WIFEXITED(status)) break;
    if (!WIFSTOPPED(status) || WSTOPSIG(status) != SIGTRAP) {
      printf("unexpected status %x\n", status);
      break;
    }
    *statuses |= debug_status(child) & 0x400F;
    ++stops;
  }
  printf("exit status %d, ", WEXITSTATUS(status));
  return stops;
}

int main(void) {
  uint64_t statuses = 0;
  pid_t child = start_child();
  unsigned stops = stops_until_end(child, PTRACE_CONT, &statuses);
  printf("%u stops undisturbed\n", stops);

  child = start_child();
  set_debug_register(child, 0, (uint64_t)&watched[1]);
  set_debug_register(child, 7, 1 | 0xDu << 16);  // writes of 4 bytes
  stops = stops_until_end(child, PTRACE_CONT, &statuses);
  printf("%u stops at writes, status %llx\n", stops, (unsigned long long)statuses);

  statuses = 0;
  child = start_child();
  set_debug_register(child, 3, (uint64_t)&watched[2]);
  set_debug_register(child, 2, (uint64_t)&work);
  set_debug_register(child, 7, 1u << 6 | 0x3u << 28 | 1u << 4);  // one byte read or written; execution
  stops = stops_until_end(child, PTRACE_CONT, &statuses);
  printf("%s stops at accesses and the function, status %llx\n", stops > 3 ? "several" : "few", (unsigned long long)statuses);

  child = start_child();
  const long code = ptrace(PTRACE_PEEKTEXT, child, &work, 0);
  ptrace(PTRACE_POKETEXT, child, &work, (code & ~0xFFL) | 0xCC);
  ptrace(PTRACE_CONT, child, 0, 0);
  int status;
  waitpid(child, &status, 0);
  struct user_regs_struct registers;
  ptrace(PTRACE_GETREGS, child, 0, &registers);
  printf("stop %d behind INT3 %d\n", WSTOPSIG(status), registers.rip == (uint64_t)&work + 1);
  registers.rip = (uint64_t)&work;
  ptrace(PTRACE_SETREGS, child, 0, &registers);
  ptrace(PTRACE_POKETEXT, child, &work, code);
  unsigned in_work = 0;
  for (;;) {
    ptrace(PTRACE_SINGLESTEP, child, 0, 0);
    waitpid(child, &status, 0);
    if (WIFEXITED(status)) break;
    ptrace(PTRACE_GETREGS, child, 0, &registers);
    if (registers.rip >= (uint64_t)&work && registers.rip < (uint64_t)&work + 64) ++in_work;
  }
  printf("exit status %d, %u steps in the function\n", WEXITSTATUS(status), in_work);
  return 0;
}
