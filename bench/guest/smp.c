// Two processors: the same work by one thread and by two, and two threads that want the same cache line.
#include <pthread.h>
#include <stdlib.h>

#include "rows.h"

enum { kPieces = 64, kPieceSteps = 2400000, kTableSize = 1 << 12 };

struct Share {
  unsigned first, stride;
  uint64_t sum;
};

// Half arithmetic, half memory; both in a table of the thread's own.
static uint64_t compute_piece(unsigned piece, uint32_t* table) {
  uint64_t random = piece + 1;
  for (unsigned i = 0; i < kTableSize; ++i) table[i] = i + piece;
  for (unsigned i = 0; i < kPieceSteps; ++i) {
    const uint64_t draw = next_random(&random);
    table[draw % kTableSize] += (uint32_t)(draw >> 32) ^ table[(draw >> 12) % kTableSize];
  }
  return fold_bytes(0, table, 64);
}

static void* compute_share(void* argument) {
  struct Share* const share = argument;
  uint32_t table[kTableSize];
  for (unsigned piece = share->first; piece < kPieces; piece += share->stride)
    share->sum += compute_piece(piece, table);
  return NULL;
}

static void both(void* (*work)(void*), void* first, void* second) {
  pthread_t other;
  if (pthread_create(&other, NULL, work, second) != 0) abort();
  work(first);
  if (pthread_join(other, NULL) != 0) abort();
}

static uint64_t one_thread_work(void) {
  struct Share whole = {0, 1, 0};
  compute_share(&whole);
  return whole.sum;
}

static uint64_t two_threads_work(void) {
  struct Share halves[2] = {{0, 2, 0}, {1, 2, 0}};
  both(compute_share, &halves[0], &halves[1]);
  return halves[0].sum + halves[1].sum;
}

// --- atomic_add: LOCK XADD and LOCK CMPXCHG by both threads on one counter

enum { kAtomicSteps = 6000000 };
static uint64_t counter __attribute__((aligned(64)));

static void* add_atomically(void* unused) {
  for (unsigned i = 0; i < kAtomicSteps; ++i) {
    __atomic_fetch_add(&counter, 3, __ATOMIC_SEQ_CST);
    uint64_t seen = __atomic_load_n(&counter, __ATOMIC_RELAXED);
    while (!__atomic_compare_exchange_n(&counter, &seen, seen + 1, 1, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED)) {
    }
  }
  return unused;
}

static uint64_t atomic_add_work(void) {
  both(add_atomically, NULL, NULL);
  return counter;
}

// --- mutex: both threads through one lock of the C library

enum { kLocks = 1200000 };
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static uint64_t guarded[8];

static void* add_locked(void* unused) {
  for (unsigned i = 0; i < kLocks; ++i) {
    pthread_mutex_lock(&mutex);
    guarded[i & 7] += i;
    pthread_mutex_unlock(&mutex);
  }
  return unused;
}

static uint64_t mutex_work(void) {
  both(add_locked, NULL, NULL);
  return fold_bytes(0, guarded, sizeof guarded);
}

const struct Row smp_rows[] = {
    {"one_thread", NULL, one_thread_work, kTwoProcessors},
    {"two_threads", NULL, two_threads_work, kTwoProcessors},
    {"atomic_add", NULL, atomic_add_work, kTwoProcessors},
    {"mutex", NULL, mutex_work, kTwoProcessors},
    {NULL, NULL, NULL, kNothing},
};
