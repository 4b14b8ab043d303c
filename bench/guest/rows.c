// Runs rows and prints for each `row NAME SECONDS CHECKSUM`, by the monotonic clock of the machine it runs on.
//   rows --list              CLASS NAME of every row
//   rows [--repeat N] [NAME...]   runs all rows, or these; `begin` and `end` give the clock around the whole
// Each row runs in a process of its own: one that fails says `fail NAME ...` and the others go on.
#define _GNU_SOURCE
#include "rows.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { kSecondsForARow = 300 };

static const struct {
  const char* name;
  const struct Row* rows;
} kClasses[] = {
    {"integer", integer_rows}, {"indirect", indirect_rows}, {"scalar_fp", scalar_fp_rows}, {"packed", packed_rows},
    {"block", block_rows},     {"system", system_rows},     {"selfmod", selfmod_rows},     {"smp", smp_rows},
};
enum { kClassCount = sizeof kClasses / sizeof kClasses[0] };

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

static unsigned offered(void) {
  unsigned offers = kNothing;
  __builtin_cpu_init();
  if (__builtin_cpu_supports("ssse3")) offers |= kSsse3;
  if (__builtin_cpu_supports("sse4.1")) offers |= kSse41;
  if (__builtin_cpu_supports("avx2")) offers |= kAvx2;
  if (sysconf(_SC_NPROCESSORS_ONLN) >= 2) offers |= kTwoProcessors;
  return offers;
}

static void measure(const struct Row* row) {
  alarm(kSecondsForARow);
  if (row->prepare) row->prepare();
  const double begin = now();
  const uint64_t sum = row->work();
  const double end = now();
  dprintf(STDOUT_FILENO, "row %s %.9f %016llx\n", row->name, end - begin, (unsigned long long)sum);
}

static int run(const struct Row* row) {
  if (row->needs & ~offered()) {
    dprintf(STDOUT_FILENO, "skip %s\n", row->name);
    return 0;
  }
  const pid_t child = fork();
  if (child == 0) {
    measure(row);
    _exit(0);
  }
  int status = 0;
  if (child > 0 && waitpid(child, &status, 0) == child && status == 0) return 0;
  if (WIFSIGNALED(status)) {
    dprintf(STDOUT_FILENO, "fail %s signal %d\n", row->name, WTERMSIG(status));
  } else {
    dprintf(STDOUT_FILENO, "fail %s status %d\n", row->name, status);
  }
  return 1;
}

static int wanted(const char* name, char** names, int count) {
  for (int i = 0; i < count; ++i) {
    if (strcmp(name, names[i]) == 0) return 1;
  }
  return count == 0;
}

static int run_wanted(char** names, int count) {
  int failed = 0;
  for (unsigned i = 0; i < kClassCount; ++i) {
    for (const struct Row* row = kClasses[i].rows; row->name; ++row) {
      if (wanted(row->name, names, count)) failed |= run(row);
    }
  }
  return failed;
}

static void list(void) {
  for (unsigned i = 0; i < kClassCount; ++i) {
    for (const struct Row* row = kClasses[i].rows; row->name; ++row) printf("%s %s\n", kClasses[i].name, row->name);
  }
}

int main(int count, char** arguments) {
  if (count == 2 && strcmp(arguments[1], "--nothing") == 0) return 0;  // what the row fork_exec runs
  if (count == 2 && strcmp(arguments[1], "--list") == 0) {
    list();
    return 0;
  }
  int first = 1, repeat = 1, failed = 0;
  if (count > 2 && strcmp(arguments[1], "--repeat") == 0) {
    repeat = atoi(arguments[2]);
    first = 3;
  }
  dprintf(STDOUT_FILENO, "begin %.6f\n", now());
  for (int i = 0; i < repeat; ++i) failed |= run_wanted(arguments + first, count - first);
  dprintf(STDOUT_FILENO, "end %.6f\n", now());
  return failed;
}
