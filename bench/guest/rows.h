// The rows of bench/compare: each does a fixed piece of work whose checksum says that it was done right.
#ifndef CALCO_BENCH_GUEST_ROWS_H_
#define CALCO_BENCH_GUEST_ROWS_H_

#include <stdint.h>

// What a row needs; it is skipped where that is missing. Bits.
enum { kNothing = 0, kSsse3 = 1, kSse41 = 2, kAvx2 = 4, kTwoProcessors = 8 };

struct Row {
  const char* name;
  void (*prepare)(void);   // not measured; may be null
  uint64_t (*work)(void);  // measured; returns the checksum, the same on every processor
  unsigned needs;
};

// One table a class, each ending with a row without a name.
extern const struct Row integer_rows[];
extern const struct Row indirect_rows[];
extern const struct Row scalar_fp_rows[];
extern const struct Row packed_rows[];
extern const struct Row block_rows[];
extern const struct Row system_rows[];
extern const struct Row selfmod_rows[];
extern const struct Row smp_rows[];

#define NOINLINE __attribute__((noinline, noclone))

// Keeps the compiler from moving work over this point, or from knowing what memory holds after it.
static inline void barrier(void) { __asm__ volatile("" ::: "memory"); }

// Pseudo-random numbers by xorshift; the state must not be 0.
static inline uint64_t next_random(uint64_t* state) {
  uint64_t value = *state;
  value ^= value << 13;
  value ^= value >> 7;
  value ^= value << 17;
  *state = value;
  return value;
}

// Folds one more value into a checksum; the order counts.
static inline uint64_t fold(uint64_t sum, uint64_t value) { return (sum ^ value) * 0x100000001b3u + (sum >> 47); }

static inline uint64_t fold_bytes(uint64_t sum, const void* bytes, uint64_t count) {
  const unsigned char* const from = bytes;
  for (uint64_t i = 0; i < count; ++i) sum = fold(sum, from[i]);
  return sum;
}

#endif  // CALCO_BENCH_GUEST_ROWS_H_
