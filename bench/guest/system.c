// What programs ask of the kernel, and with it rings, page tables, interrupts and context switches.
#define _GNU_SOURCE
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "rows.h"

static void expect(int condition) {
  if (!condition) abort();
}

// --- getppid: the shortest system call

enum { kShortCalls = 1000000 };

static uint64_t getppid_work(void) {
  uint64_t same = 0;
  const long parent = syscall(SYS_getppid);
  for (unsigned i = 0; i < kShortCalls; ++i) same += syscall(SYS_getppid) == parent;
  return same;
}

// --- fork_wait, fork_exec: processes that end at once; the second one starts this program anew

enum { kForks = 800, kExecs = 250 };

static uint64_t children(unsigned count, void (*child)(unsigned)) {
  uint64_t sum = 0;
  for (unsigned i = 0; i < count; ++i) {
    const pid_t process = fork();
    if (process == 0) child(i);
    int status;
    expect(process > 0 && waitpid(process, &status, 0) == process && WIFEXITED(status));
    sum = fold(sum, (uint64_t)WEXITSTATUS(status));
  }
  return sum;
}

static void leave(unsigned number) { _exit((int)(number & 63)); }

static void start_program(unsigned number) {
  (void)number;
  execl("/proc/self/exe", "rows", "--nothing", (char*)NULL);
  _exit(99);
}

static uint64_t fork_wait_work(void) { return children(kForks, leave); }
static uint64_t fork_exec_work(void) { return children(kExecs, start_program); }

// --- page_faults: maps memory, touches each page once, unmaps it

enum { kMappings = 200, kPagesOfMapping = 256 };

static uint64_t page_faults_work(void) {
  uint64_t sum = 0;
  for (unsigned i = 0; i < kMappings; ++i) {
    unsigned char* const pages =
        mmap(NULL, kPagesOfMapping * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    expect(pages != MAP_FAILED);
    expect(madvise(pages, kPagesOfMapping * 4096, MADV_NOHUGEPAGE) == 0);
    for (unsigned page = 0; page < kPagesOfMapping; ++page) {
      sum += pages[page * 4096] + page;
      pages[page * 4096 + i] = 1;
    }
    munmap(pages, kPagesOfMapping * 4096);
  }
  return sum;
}

// --- pipe_ping_pong: a byte to another process and back

enum { kPings = 12000 };

static uint64_t pipe_ping_pong_work(void) {
  int there[2], back[2];
  expect(pipe(there) == 0 && pipe(back) == 0);
  const pid_t child = fork();
  unsigned char byte = 0;
  if (child == 0) {
    for (unsigned i = 0; i < kPings && read(there[0], &byte, 1) == 1; ++i) {
      byte = (unsigned char)(byte * 3 + 1);
      if (write(back[1], &byte, 1) != 1) break;
    }
    _exit(0);
  }
  for (unsigned i = 0; i < kPings; ++i) expect(write(there[1], &byte, 1) == 1 && read(back[0], &byte, 1) == 1);
  int status;
  expect(waitpid(child, &status, 0) == child && status == 0);
  return byte;
}

// --- signals: a signal to itself, with a handler

enum { kSignals = 30000 };
static volatile uint64_t signals_seen;

static void count_signal(int number) { signals_seen += (uint64_t)number; }

static uint64_t signals_work(void) {
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_handler = count_signal;
  expect(sigaction(SIGUSR1, &action, NULL) == 0);
  const pid_t self = getpid();
  for (unsigned i = 0; i < kSignals; ++i) kill(self, SIGUSR1);
  return signals_seen;
}

// --- futex_switch: two threads pass a turn to each other, asleep between

enum { kTurns = 40000 };
static uint32_t turn;

static void take_turns(uint32_t mine) {
  for (unsigned i = 0; i < kTurns; ++i) {
    while (__atomic_load_n(&turn, __ATOMIC_ACQUIRE) != mine) syscall(SYS_futex, &turn, FUTEX_WAIT_PRIVATE, !mine, NULL);
    __atomic_store_n(&turn, !mine, __ATOMIC_RELEASE);
    syscall(SYS_futex, &turn, FUTEX_WAKE_PRIVATE, 1);
  }
}

static void* second_thread(void* unused) {
  take_turns(1);
  return unused;
}

static uint64_t futex_switch_work(void) {
  pthread_t other;
  expect(pthread_create(&other, NULL, second_thread, NULL) == 0);
  take_turns(0);
  expect(pthread_join(other, NULL) == 0);
  return turn;
}

// --- file: a file of 1 MiB in memory, written and read by 4 KiB

enum { kFileRounds = 100, kFilePieces = 256, kPiece = 4096 };

static uint64_t file_work(void) {
  static unsigned char piece[kPiece];
  const int file = memfd_create("row", 0);
  expect(file >= 0);
  uint64_t sum = 0;
  for (unsigned round = 0; round < kFileRounds; ++round) {
    expect(lseek(file, 0, SEEK_SET) == 0);
    for (unsigned i = 0; i < kFilePieces; ++i) {
      piece[i] = (unsigned char)(round + i);
      expect(write(file, piece, kPiece) == kPiece);
    }
    expect(lseek(file, 0, SEEK_SET) == 0);
    for (unsigned i = 0; i < kFilePieces; ++i) {
      expect(read(file, piece, kPiece) == kPiece);
      sum = fold(sum, piece[i]);
    }
  }
  close(file);
  return sum;
}

// --- stat: names that are there and one that is not

enum { kStats = 18000 };

static uint64_t stat_work(void) {
  static const char* const names[] = {"/", "/dev/null", "/proc/self/exe", "/dev/no such file"};
  uint64_t sum = 0;
  for (unsigned i = 0; i < kStats; ++i) {
    for (unsigned name = 0; name < 4; ++name) {
      struct stat status;
      sum += stat(names[name], &status) == 0 ? (uint64_t)(status.st_mode & S_IFMT) : 1;
    }
  }
  return sum;
}

const struct Row system_rows[] = {
    {"getppid", NULL, getppid_work, kNothing},
    {"fork_wait", NULL, fork_wait_work, kNothing},
    {"fork_exec", NULL, fork_exec_work, kNothing},
    {"page_faults", NULL, page_faults_work, kNothing},
    {"pipe_ping_pong", NULL, pipe_ping_pong_work, kNothing},
    {"signals", NULL, signals_work, kNothing},
    {"futex_switch", NULL, futex_switch_work, kNothing},
    {"file", NULL, file_work, kNothing},
    {"stat", NULL, stat_work, kNothing},
    {NULL, NULL, NULL, kNothing},
};
