// AVX, AVX2, FMA and F16C on many operands: one checksum an operation, the same as on the host. Then registers across
// signals and switches of processes, which the kernel saves by XSAVE.
#include <immintrin.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../checksum.h"

enum { ROUNDS = 2000, FLOATS = 4099, TURNS = 300 };

static __m256i next_vector(void) {
  return _mm256_set_epi64x((long long)next_random(), (long long)next_random(), (long long)next_random(),
                           (long long)next_random());
}

#define CHECK(name, instruction)                                             \
  do {                                                                       \
    uint64_t sum = 0xCBF29CE484222325;                                       \
    for (int i = 0; i < ROUNDS; ++i) {                                       \
      __m256i value = next_vector();                                         \
      const __m256i first = next_vector(), second = next_vector();           \
      _mm_setcsr(0x1F80 | (unsigned)(i & 3) << 13);                          \
      __asm__ volatile(instruction : "+x"(value) : "x"(first), "x"(second)); \
      const unsigned status = _mm_getcsr();                                  \
      sum = mix(sum, &value, sizeof value);                                  \
      sum = mix(sum, &status, sizeof status);                                \
    }                                                                        \
    _mm_setcsr(0x1F80);                                                      \
    printf("%-18s %016llx\n", name, (unsigned long long)sum);                \
  } while (0)
#define CHECK_2(name) CHECK(name, name " %1, %0")
#define CHECK_3(name) CHECK(name, name " %2, %1, %0")
#define CHECK_IMMEDIATE(name) CHECK(name, name " $0x9C, %2, %1, %0")

static void check_instructions(void) {
  CHECK_3("vaddpd");
  CHECK_3("vmulps");
  CHECK_3("vdivpd");
  CHECK_3("vmaxps");
  CHECK_3("vhaddps");
  CHECK_2("vsqrtps");
  CHECK_2("vcvtps2dq");
  CHECK_3("vfmadd231pd");
  CHECK_3("vfnmsub132ps");
  CHECK_3("vfmaddsub213pd");
  CHECK_3("vpaddusw");
  CHECK_3("vpmaddubsw");
  CHECK_3("vpsadbw");
  CHECK_3("vpshufb");
  CHECK_3("vpackuswb");
  CHECK_3("vpunpckhbw");
  CHECK_3("vpsllvd");
  CHECK_3("vpsravd");
  CHECK_3("vpermd");
  CHECK_3("vpermilpd");
  CHECK_IMMEDIATE("vperm2i128");
  CHECK_IMMEDIATE("vpblendd");
  CHECK_IMMEDIATE("vpalignr");
  CHECK_IMMEDIATE("vshufpd");
  CHECK_IMMEDIATE("vcmpps");
  CHECK("vcvtph2ps", "vcvtph2ps %x1, %0");
  CHECK("vcvtps2ph", "vcvtps2ph $4, %1, %x0");
  CHECK("vextracti128", "vextracti128 $1, %1, %x0");
  CHECK("vbroadcastsd", "vbroadcastsd %x1, %0");
  CHECK("vpmovzxbw", "vpmovzxbw %x1, %0");
}

// What the compiler makes of loops, with gathers and masked ends.
static float table[FLOATS], left[FLOATS], right[FLOATS];
static int chosen[FLOATS];

static void check_loops(void) {
  for (int i = 0; i < FLOATS; ++i) {
    table[i] = (float)(int)(next_random() & 0xFFFF) / 256;
    left[i] = (float)(int)(next_random() & 0xFFFF) / 64;
    chosen[i] = (int)(next_random() % FLOATS);
  }
  for (int i = 0; i < FLOATS; ++i) right[i] = left[i] * table[i] + 0.5f;
  __m256 sum = _mm256_setzero_ps();
  for (int i = 0; i + 8 <= FLOATS; i += 8) {
    const __m256i index = _mm256_loadu_si256((const __m256i*)(chosen + i));
    sum = _mm256_fmadd_ps(_mm256_i32gather_ps(table, index, 4), _mm256_loadu_ps(right + i), sum);
  }
  const __m256i end = _mm256_setr_epi32(-1, -1, -1, 0, 0, 0, 0, 0);
  _mm256_maskstore_ps(right + FLOATS - 3, end, _mm256_maskload_ps(table + FLOATS - 3, end));
  printf("%-18s %016llx\n", "loops", (unsigned long long)mix(mix(0, right, sizeof right), &sum, sizeof sum));
}

static void clobber(int number) {
  (void)number;
  const __m256i ones = _mm256_set1_epi8(-1);
  __asm__ volatile("vmovdqa %0, %%ymm0; vmovdqa %0, %%ymm7; vmovdqa %0, %%ymm15"
                   :
                   : "x"(ones)
                   : "xmm0", "xmm7", "xmm15");
}

// Registers of this process hold `value` while others run and signals come.
static int registers_stay(uint64_t seed) {
  const __m256i value = _mm256_set1_epi64x((long long)(seed * 0x9E3779B97F4A7C15));
  for (int turn = 0; turn < TURNS; ++turn) {
    __m256i low, middle, high;
    const long yield = 24, kill_number = 62;  // system calls
    long result = turn % 3 == 0 ? kill_number : yield;
    const long process = getpid();
    __asm__ volatile(
        "vmovdqa %4, %%ymm0; vmovdqa %4, %%ymm7; vmovdqa %4, %%ymm15; syscall;"
        "vmovdqa %%ymm0, %1; vmovdqa %%ymm7, %2; vmovdqa %%ymm15, %3"
        : "+a"(result), "=m"(low), "=m"(middle), "=m"(high)
        : "m"(value), "D"(process), "S"((long)SIGUSR1)
        : "rcx", "r11", "memory", "xmm0", "xmm7", "xmm15");
    const __m256i wrong = _mm256_or_si256(
        _mm256_xor_si256(low, value), _mm256_or_si256(_mm256_xor_si256(middle, value), _mm256_xor_si256(high, value)));
    if (!_mm256_testz_si256(wrong, wrong)) return 1;
  }
  return 0;
}

static void check_switches(void) {
  enum { PROCESSES = 6 };
  fflush(stdout);
  signal(SIGUSR1, clobber);
  for (uint64_t process = 1; process <= PROCESSES; ++process) {
    if (fork() == 0) _exit(registers_stay(process));
  }
  int failures = 0, status;
  for (int process = 0; process < PROCESSES; ++process) failures += wait(&status) < 0 || status != 0;
  printf("%d processes lost registers\n", failures);
}

int main(void) {
  check_instructions();
  check_loops();
  check_switches();
  return 0;
}
