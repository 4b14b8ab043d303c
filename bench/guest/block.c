// Blocks of memory: the C library's functions, which choose their variant by CPUID, and fixed instruction sequences.
#include <emmintrin.h>
#include <string.h>

#include "rows.h"

enum { kBigSize = 4 << 20 };
static unsigned char big_from[kBigSize] __attribute__((aligned(4096))), big_to[kBigSize] __attribute__((aligned(4096)));
static uint16_t small_sizes[1024];

static void blocks_prepare(void) {
  uint64_t random = 47;
  for (unsigned i = 0; i < kBigSize; ++i) big_from[i] = (unsigned char)(next_random(&random) | 1);  // no zero
  memset(big_to, 1, sizeof big_to);
  for (unsigned i = 0; i < 1024; ++i) small_sizes[i] = (uint16_t)(1 + (next_random(&random) >> 16) % 250);
}

static uint64_t sample(const unsigned char* from) {
  uint64_t sum = 0;
  for (unsigned i = 0; i < kBigSize; i += 4001) sum = fold(sum, from[i]);
  return sum;
}

// --- memcpy_big: 4 MiB at a time

enum { kBigCopies = 250 };

static uint64_t memcpy_big_work(void) {
  for (unsigned i = 0; i < kBigCopies; ++i) {
    memcpy(big_to + (i & 15), big_from, kBigSize - 16);
    barrier();
  }
  return sample(big_to);
}

// --- memcpy_small: 1 to 250 bytes at a time

enum { kSmallCopies = 7000000 };

static uint64_t memcpy_small_work(void) {
  for (unsigned i = 0; i < kSmallCopies; ++i) {
    memcpy(big_to + (i * 61 & 0xffff), big_from + (i * 37 & 0xffff), small_sizes[i & 1023]);
    barrier();
  }
  return sample(big_to);
}

// --- memset: 4 MiB, and pieces up to 250 bytes

enum { kBigSets = 100, kSmallSets = 2000000 };

static uint64_t memset_work(void) {
  for (unsigned i = 0; i < kBigSets; ++i) {
    memset(big_to, (int)i, kBigSize);
    barrier();
  }
  for (unsigned i = 0; i < kSmallSets; ++i) {
    memset(big_to + (i * 61 & 0xffff), (int)(i & 63), small_sizes[i & 1023]);
    barrier();
  }
  return sample(big_to);
}

// --- strlen_sse2: the length of strings by PCMPEQB and PMOVMSKB, in plain SSE2 whatever the processor offers

enum { kStringRounds = 180 };

static NOINLINE uint64_t length_sse2(const unsigned char* string) {
  const __m128i zero = _mm_setzero_si128();
  for (const unsigned char* at = string;; at += 16) {
    const int mask = _mm_movemask_epi8(_mm_cmpeq_epi8(_mm_load_si128((const __m128i*)at), zero));
    if (mask != 0) return (uint64_t)(at - string) + (unsigned)__builtin_ctz((unsigned)mask);
  }
}

static void strings_prepare(void) {
  blocks_prepare();
  for (unsigned i = 511; i < kBigSize; i += 512) big_from[i - (i >> 9) % 300] = 0;
}

static uint64_t strlen_sse2_work(void) {
  uint64_t sum = 0;
  for (unsigned round = 0; round < kStringRounds; ++round) {
    for (unsigned at = 0; at < kBigSize; at += 512) sum = fold(sum, length_sse2(big_from + at));
  }
  return sum;
}

// --- memcmp_strchr: equal blocks compared, and bytes searched, by the C library

enum { kSearches = 120 };

static void search_prepare(void) {
  blocks_prepare();
  for (unsigned i = 0; i < kBigSize; ++i) big_from[i] = (unsigned char)(big_from[i] & 0x7f);  // nowhere 0xff
  memcpy(big_to, big_from, kBigSize);
  big_from[kBigSize - 1] = 0;
}

static uint64_t memcmp_strchr_work(void) {
  uint64_t sum = 0;
  for (unsigned i = 0; i < kSearches; ++i) {
    sum += memcmp(big_from, big_to, kBigSize - 1) == 0;
    sum += strchr((const char*)big_from + i, 0xff) == NULL;
    sum += (uint64_t)((const unsigned char*)memchr(big_from + 64 * i, 0, kBigSize - 64 * i) - big_from);
    for (unsigned at = 0; at < kBigSize; at += 4096) {
      sum += strchr((const char*)big_from + at, big_from[at + 100 + i]) - (const char*)(big_from + at);
    }
    barrier();
  }
  return sum;
}

// --- rep_movsb, rep_stosb: the string instructions, big and small

enum { kStringInstructions = 1000, kSmallStringInstructions = 1500000 };

static void move_string(void* to, const void* from, uint64_t count) {
  __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(count) : : "memory");
}

static void store_string(void* to, int value, uint64_t count) {
  __asm__ volatile("rep stosb" : "+D"(to), "+c"(count) : "a"(value) : "memory");
}

static uint64_t rep_movsb_work(void) {
  for (unsigned i = 0; i < kStringInstructions; ++i) move_string(big_to + i, big_from, 1 << 17);
  for (unsigned i = 0; i < kSmallStringInstructions; ++i) {
    move_string(big_to + (i * 61 & 0xffff), big_from + (i * 37 & 0xffff), small_sizes[i & 1023]);
  }
  return sample(big_to);
}

static uint64_t rep_stosb_work(void) {
  for (unsigned i = 0; i < kStringInstructions; ++i) store_string(big_to + i, (int)i, 1 << 17);
  for (unsigned i = 0; i < kSmallStringInstructions; ++i) {
    store_string(big_to + (i * 61 & 0xffff), (int)(i & 63), small_sizes[i & 1023]);
  }
  return sample(big_to);
}

const struct Row block_rows[] = {
    {"memcpy_big", blocks_prepare, memcpy_big_work, kNothing},
    {"memcpy_small", blocks_prepare, memcpy_small_work, kNothing},
    {"memset", blocks_prepare, memset_work, kNothing},
    {"strlen_sse2", strings_prepare, strlen_sse2_work, kNothing},
    {"memcmp_strchr", search_prepare, memcmp_strchr_work, kNothing},
    {"rep_movsb", blocks_prepare, rep_movsb_work, kNothing},
    {"rep_stosb", blocks_prepare, rep_stosb_work, kNothing},
    {NULL, NULL, NULL, kNothing},
};
