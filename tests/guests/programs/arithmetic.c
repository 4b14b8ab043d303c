// Integer, x87 and SSE arithmetic on many operands: one checksum an operation, the same as on the host.
#include <emmintrin.h>
#include <fenv.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "checksum.h"

// Doubles of all kinds: random bits are mostly ordinary numbers, sometimes NaNs, and the low values are denormal.
static double next_double(void) {
  const uint64_t bits = next_random();
  const uint64_t chosen = (bits & 15) == 0 ? bits >> 12 : (bits & 15) == 1 ? bits | 0x7FF0000000000000 : bits;
  double value;
  memcpy(&value, &chosen, sizeof value);
  return value;
}

#define ROUNDS 4000

#define CHECK_X87_1(name)                                        \
  do {                                                           \
    uint64_t sum = 0xCBF29CE484222325;                           \
    for (int i = 0; i < ROUNDS; ++i) {                           \
      long double value = next_double();                         \
      uint16_t status;                                           \
      __asm__ volatile("fnclex; " name "; fnstsw %1" : "+t"(value), "=a"(status)); \
      sum = mix(sum, &value, 10);                                \
      sum = mix(sum, &status, 2);                                \
    }                                                            \
    printf("%-10s %016llx\n", name, (unsigned long long)sum);    \
  } while (0)

// Two operands; the second one stays on the register stack.
#define CHECK_X87_2(name)                                        \
  do {                                                           \
    uint64_t sum = 0xCBF29CE484222325;                           \
    for (int i = 0; i < ROUNDS; ++i) {                           \
      long double value = next_double(), other = next_double();  \
      uint16_t status;                                           \
      __asm__ volatile("fnclex; " name "; fnstsw %1" : "+t"(value), "=a"(status) : "u"(other)); \
      sum = mix(sum, &value, 10);                                \
      sum = mix(sum, &status, 2);                                \
    }                                                            \
    printf("%-10s %016llx\n", name, (unsigned long long)sum);    \
  } while (0)

#define CHECK_SSE(name)                                          \
  do {                                                           \
    uint64_t sum = 0xCBF29CE484222325;                           \
    for (int i = 0; i < ROUNDS; ++i) {                           \
      __m128d value = _mm_set_pd(next_double(), next_double());  \
      const __m128d other = _mm_set_pd(next_double(), next_double()); \
      _mm_setcsr(0x1F80 | (unsigned)(i & 3) << 13);              \
      __asm__ volatile(name " %1, %0" : "+x"(value) : "x"(other)); \
      const unsigned status = _mm_getcsr();                      \
      sum = mix(sum, &value, 16);                                \
      sum = mix(sum, &status, 4);                                \
    }                                                            \
    _mm_setcsr(0x1F80);                                          \
    printf("%-10s %016llx\n", name, (unsigned long long)sum);    \
  } while (0)

// The flags that the operation defines are given by a mask.
#define CHECK_INTEGER(name, type, flags_defined)                 \
  do {                                                           \
    uint64_t sum = 0xCBF29CE484222325;                           \
    for (int i = 0; i < ROUNDS; ++i) {                           \
      type value = (type)next_random();                          \
      const type other = (type)(next_random() >> (i & 31));      \
      uint64_t flags;                                            \
      __asm__ volatile(name " %2, %0; pushfq; popq %1" : "+r"(value), "=r"(flags) : "r"(other) : "cc"); \
      flags &= flags_defined;                                    \
      sum = mix(sum, &value, sizeof value);                      \
      sum = mix(sum, &flags, sizeof flags);                      \
    }                                                            \
    printf("%-10s %016llx\n", name, (unsigned long long)sum);    \
  } while (0)

enum { kAll = 0x8D5, kLogic = 0x8C5, kCarryAndOverflow = 0x801, kCarry = 0x001, kZero = 0x040 };

int main(void) {
  CHECK_INTEGER("addq", uint64_t, kAll);
  CHECK_INTEGER("adcl", uint32_t, kAll);
  CHECK_INTEGER("subw", uint16_t, kAll);
  CHECK_INTEGER("sbbq", uint64_t, kAll);
  CHECK_INTEGER("cmpl", uint32_t, kAll);
  CHECK_INTEGER("xorq", uint64_t, kLogic);
  CHECK_INTEGER("testl", uint32_t, kLogic);
  CHECK_INTEGER("imulq", uint64_t, kCarryAndOverflow);
  CHECK_INTEGER("imulw", uint16_t, kCarryAndOverflow);
  CHECK_INTEGER("btsq", uint64_t, kCarry);
  CHECK_INTEGER("bsrl", uint32_t, kZero);
  CHECK_X87_1("fsin");
  CHECK_X87_1("fcos");
  CHECK_X87_1("fsqrt");
  CHECK_X87_1("f2xm1");
  CHECK_X87_1("frndint");
  CHECK_X87_1("fchs");
  CHECK_X87_2("fadd %%st(1)");
  CHECK_X87_2("fmul %%st(1)");
  CHECK_X87_2("fdivr %%st(1)");
  CHECK_X87_2("fprem");
  CHECK_X87_2("fprem1");
  CHECK_X87_2("fscale");
  CHECK_X87_2("fucom");
  CHECK_SSE("addpd");
  CHECK_SSE("subps");
  CHECK_SSE("mulpd");
  CHECK_SSE("divpd");
  CHECK_SSE("divss");
  CHECK_SSE("sqrtpd");
  CHECK_SSE("minps");
  CHECK_SSE("cmpltpd");
  CHECK_SSE("cvtpd2ps");
  CHECK_SSE("cvtps2pd");
  CHECK_SSE("cvttpd2dq");
  CHECK_SSE("pmaddwd");
  CHECK_SSE("psadbw");
  CHECK_SSE("packssdw");
  CHECK_SSE("pmuludq");
  CHECK_SSE("punpckhbw");
  CHECK_SSE("pavgb");
  return 0;
}
