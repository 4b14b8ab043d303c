// Processes: fork, exec, pipes, shared memory, copy on write, exit statuses.
#define _GNU_SOURCE
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { kChildren = 200, kPages = 64 };

static uint64_t collect(unsigned children) {
  uint64_t sum = 0;
  for (unsigned i = 0; i < children; ++i) {
    int status;
    if (wait(&status) < 0) break;
    sum += WIFEXITED(status) ? (uint64_t)WEXITSTATUS(status) : 1000 + (uint64_t)WTERMSIG(status);
  }
  return sum;
}

int main(int count, char** arguments) {
  if (count > 1) return atoi(arguments[1]) + 1;

  unsigned char* const shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  unsigned char* const own = mmap(NULL, kPages * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  memset(own, 1, kPages * 4096);
  for (unsigned i = 0; i < kChildren; ++i) {
    if (fork() == 0) {
      for (unsigned page = 0; page < kPages; ++page) own[page * 4096 + i] = 7;
      __atomic_fetch_add((uint32_t*)shared, i, __ATOMIC_SEQ_CST);
      _exit((int)(i & 63));
    }
  }
  uint64_t sum = collect(kChildren);
  uint64_t untouched = 0;
  for (unsigned i = 0; i < kPages * 4096; ++i) untouched += own[i];
  printf("statuses %llu, shared %u, own %llu\n", (unsigned long long)sum, *(uint32_t*)shared, (unsigned long long)untouched);

  for (int i = 0; i < 40; ++i) {
    if (vfork() == 0) {
      char number[8];
      snprintf(number, sizeof number, "%d", i);
      execl("/proc/self/exe", arguments[0], number, NULL);
      _exit(99);
    }
  }
  printf("executed %llu\n", (unsigned long long)collect(40));

  // A ring of processes hands a number on by pipes.
  enum { kRing = 8, kLaps = 100 };
  int pipes[kRing + 1][2];
  for (unsigned i = 0; i <= kRing; ++i) {
    if (pipe(pipes[i]) != 0) return 1;
  }
  for (unsigned i = 0; i < kRing; ++i) {
    if (fork() == 0) {
      for (unsigned lap = 0; lap < kLaps; ++lap) {
        uint64_t value;
        if (read(pipes[i][0], &value, sizeof value) != sizeof value) _exit(1);
        value = value * 3 + i;
        if (write(pipes[i + 1][1], &value, sizeof value) != sizeof value) _exit(1);
      }
      _exit(0);
    }
  }
  uint64_t value = 1;
  for (unsigned lap = 0; lap < kLaps; ++lap) {
    if (write(pipes[0][1], &value, sizeof value) != sizeof value) return 1;
    if (read(pipes[kRing][0], &value, sizeof value) != sizeof value) return 1;
  }
  printf("around the ring %016llx, statuses %llu\n", (unsigned long long)value, (unsigned long long)collect(kRing));

  for (unsigned i = 0; i < 20; ++i) {
    const pid_t child = fork();
    if (child == 0) {
      for (;;) {
      }
    }
    kill(child, i % 2 ? SIGKILL : SIGTERM);
  }
  printf("killed %llu\n", (unsigned long long)collect(20));
  return 0;
}
