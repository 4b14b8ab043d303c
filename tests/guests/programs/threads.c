// Threads: locked instructions, memory order, futexes, and clocks that never go back.
#define _GNU_SOURCE
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

enum { kThreads = 4, kRounds = 20000 };

static uint64_t added, exchanged, bits[64];
static uint32_t split[3];
static struct {
  _Alignas(16) uint64_t low;
  uint64_t high;
} pair;

static void* use_locked_instructions(void* index) {
  const uint64_t mine = (uint64_t)index;
  for (unsigned i = 0; i < kRounds; ++i) {
    uint64_t one = 1;
    __asm__ volatile("lock xaddq %0, %1" : "+r"(one), "+m"(added)::"cc");
    __asm__ volatile("lock incl %0" : "+m"(*(uint32_t*)((char*)split + 2))::"cc");  // not aligned
    uint64_t expected = *(volatile uint64_t*)&exchanged;
    while (!__atomic_compare_exchange_n(&exchanged, &expected, expected + 3, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) {
    }
    const uint64_t bit = mine * kRounds + i;
    __asm__ volatile("lock btcq %1, %0" : "+m"(bits) : "r"(bit & 4095) : "cc", "memory");
    uint64_t low = pair.low, high = pair.high;
    unsigned char done;
    do {
      __asm__ volatile("lock cmpxchg16b %1; sete %0"
                       : "=q"(done), "+m"(pair), "+a"(low), "+d"(high)
                       : "b"(low + 1), "c"(high - 1)
                       : "cc", "memory");
    } while (!done);
  }
  return NULL;
}

static atomic_uint message, flag, seen, reordered;

static void* receive(void* unused) {
  for (unsigned i = 1; i <= kRounds; ++i) {
    while (atomic_load_explicit(&flag, memory_order_relaxed) < i) __builtin_ia32_pause();
    if (atomic_load_explicit(&message, memory_order_relaxed) < i) atomic_fetch_add(&reordered, 1);
    atomic_store_explicit(&seen, i, memory_order_relaxed);
  }
  return unused;
}

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
static pthread_barrier_t barrier;
static unsigned turn, turns;
static atomic_uint back;
static _Atomic uint64_t latest;

static uint64_t nanoseconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static void* take_turns(void* index) {
  pthread_barrier_wait(&barrier);
  for (unsigned i = 0; i < 500; ++i) {
    pthread_mutex_lock(&mutex);
    while (turn % kThreads != (uint64_t)index) pthread_cond_wait(&condition, &mutex);
    ++turn;
    ++turns;
    pthread_cond_broadcast(&condition);
    pthread_mutex_unlock(&mutex);
  }
  return NULL;
}

static void* watch_the_clock(void* unused) {
  for (unsigned i = 0; i < kRounds; ++i) {
    const uint64_t others = atomic_load(&latest);
    const uint64_t now = nanoseconds();
    if (now < others) atomic_fetch_add(&back, 1);
    atomic_store(&latest, now);
  }
  return unused;
}

static void run(void* (*function)(void*)) {
  pthread_t threads[kThreads];
  for (uint64_t i = 0; i < kThreads; ++i) pthread_create(&threads[i], NULL, function, (void*)i);
  for (unsigned i = 0; i < kThreads; ++i) pthread_join(threads[i], NULL);
}

int main(void) {
  run(use_locked_instructions);
  uint64_t set = 0;
  for (unsigned i = 0; i < 64; ++i) set += (uint64_t)__builtin_popcountll(bits[i]);
  printf("XADD %llu, unaligned INC %llu, CMPXCHG %llu, BTC %llu, CMPXCHG16B %llu %lld\n", (unsigned long long)added,
         (unsigned long long)(split[0] >> 16 | (uint64_t)split[1] << 16), (unsigned long long)exchanged,
         (unsigned long long)set, (unsigned long long)pair.low, (long long)pair.high);

  pthread_t receiver;
  pthread_create(&receiver, NULL, receive, NULL);
  for (unsigned i = 1; i <= kRounds; ++i) {
    atomic_store_explicit(&message, i, memory_order_relaxed);
    atomic_store_explicit(&flag, i, memory_order_relaxed);
    if (i % 64 == 0) {
      while (atomic_load_explicit(&seen, memory_order_relaxed) < i) __builtin_ia32_pause();
    }
  }
  pthread_join(receiver, NULL);
  printf("messages behind their flag %u\n", reordered);

  pthread_barrier_init(&barrier, NULL, kThreads);
  run(take_turns);
  printf("turns %u\n", turns);
  run(watch_the_clock);
  printf("clock went back %u times\n", back);

  const uint64_t before = nanoseconds();
  for (int i = 0; i < 20; ++i) usleep(2000);
  const uint64_t slept = nanoseconds() - before;
  printf("slept long enough %d\n", slept >= 40000000);
  return 0;
}
