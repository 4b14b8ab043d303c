// Floating point one number at a time: scalar SSE2, the C library's functions, x87.
#include <math.h>
#include <string.h>

#include "rows.h"

static uint64_t bits_of(double value) {
  uint64_t bits;
  memcpy(&bits, &value, sizeof bits);
  return bits;
}

// --- nbody: five bodies under gravity, in double precision

enum { kBodies = 5, kBodySteps = 360000 };
static struct Body {
  double place[3], speed[3], mass;
} bodies[kBodies];

static void nbody_prepare(void) {
  uint64_t random = 31;
  for (unsigned i = 0; i < kBodies; ++i) {
    for (unsigned axis = 0; axis < 3; ++axis) {
      bodies[i].place[axis] = (double)(i + 1) * 3.0 + (double)(next_random(&random) & 1023) / 512.0;
      bodies[i].speed[axis] = (double)(next_random(&random) & 1023) / 4096.0;
    }
    bodies[i].mass = i == 0 ? 40.0 : 0.5 / (double)i;
  }
}

static NOINLINE void advance(double step) {
  for (unsigned i = 0; i < kBodies; ++i) {
    for (unsigned j = i + 1; j < kBodies; ++j) {
      double apart[3], square = 0.01;
      for (unsigned axis = 0; axis < 3; ++axis) {
        apart[axis] = bodies[i].place[axis] - bodies[j].place[axis];
        square += apart[axis] * apart[axis];
      }
      const double pull = step / (square * sqrt(square));
      for (unsigned axis = 0; axis < 3; ++axis) {
        bodies[i].speed[axis] -= apart[axis] * bodies[j].mass * pull;
        bodies[j].speed[axis] += apart[axis] * bodies[i].mass * pull;
      }
    }
  }
  for (unsigned i = 0; i < kBodies; ++i) {
    for (unsigned axis = 0; axis < 3; ++axis) bodies[i].place[axis] += step * bodies[i].speed[axis];
  }
}

static uint64_t nbody_work(void) {
  for (unsigned i = 0; i < kBodySteps; ++i) advance(0.001);
  return fold_bytes(0, bodies, sizeof bodies);
}

// --- mandelbrot: iterations of z*z + c until it leaves the circle

enum { kPicture = 480, kMostIterations = 200 };

static uint64_t mandelbrot_work(void) {
  uint64_t sum = 0;
  for (unsigned row = 0; row < kPicture; ++row) {
    for (unsigned column = 0; column < kPicture; ++column) {
      const double real = (double)column * 3.0 / kPicture - 2.0, imaginary = (double)row * 2.0 / kPicture - 1.0;
      double x = 0, y = 0;
      unsigned count = 0;
      while (x * x + y * y <= 4.0 && count < kMostIterations) {
        const double next = x * x - y * y + real;
        y = 2 * x * y + imaginary;
        x = next;
        ++count;
      }
      sum = fold(sum, count);
    }
  }
  return sum;
}

// --- libm: sin, exp, log and pow of the C library

enum { kLibmCalls = 800000 };

// The library chooses its variant by CPUID, with or without fused multiply-add: the last bits may differ.
static uint64_t libm_work(void) {
  double sum = 0;
  for (unsigned i = 1; i <= kLibmCalls; ++i) {
    const double x = (double)i * 0.0007;
    sum += sin(x) + exp(-x) + log(x) + pow(x, 0.3);
  }
  return (uint64_t)llround(sum * 100);
}

// --- conversions: integers of 32 and 64 bits to float and double, and back

enum { kConversions = 10000000 };

static uint64_t conversions_work(void) {
  uint64_t sum = 0;
  int64_t wide = 1;
  for (int i = 1; i <= kConversions; ++i) {
    const double from_wide = (double)wide * 1.25;
    const float narrow = (float)from_wide + (float)i;
    wide = (int64_t)from_wide % 1000003 + (int32_t)narrow % 1009;
    sum += (uint64_t)(int32_t)((double)narrow * 0.5) ^ (uint64_t)wide;
  }
  return sum;
}

// --- x87: long double, by the x87's stack; a continued fraction and a series

enum { kX87Steps = 3000000 };

static uint64_t x87_work(void) {
  long double series = 0, fraction = 1, sign = 1;
  for (unsigned i = 0; i < kX87Steps; ++i) {
    series += sign / (long double)(2 * i + 1);
    sign = -sign;
    fraction = 1.0L + 1.0L / (fraction + series * 0.125L);
  }
  return fold(bits_of((double)(series * 4)), bits_of((double)sqrtl(fraction)));
}

// --- spectral_norm: power iteration with a matrix whose elements are computed on the way

enum { kNormSize = 400, kNormRounds = 64 };

static double element(unsigned row, unsigned column) {
  return 1.0 / (double)((row + column) * (row + column + 1) / 2 + row + 1);
}

static NOINLINE void multiply(const double* from, double* to, int transposed) {
  for (unsigned i = 0; i < kNormSize; ++i) {
    double sum = 0;
    for (unsigned j = 0; j < kNormSize; ++j) sum += (transposed ? element(j, i) : element(i, j)) * from[j];
    to[i] = sum;
  }
}

static uint64_t spectral_norm_work(void) {
  double u[kNormSize], v[kNormSize], between[kNormSize];
  for (unsigned i = 0; i < kNormSize; ++i) u[i] = 1.0;
  for (unsigned round = 0; round < kNormRounds; ++round) {
    multiply(u, between, 0);
    multiply(between, v, 1);
    multiply(v, between, 0);
    multiply(between, u, 1);
  }
  double product = 0, square = 0;
  for (unsigned i = 0; i < kNormSize; ++i) {
    product += u[i] * v[i];
    square += v[i] * v[i];
  }
  return bits_of(sqrt(product / square));
}

const struct Row scalar_fp_rows[] = {
    {"nbody", nbody_prepare, nbody_work, kNothing},
    {"mandelbrot", NULL, mandelbrot_work, kNothing},
    {"libm", NULL, libm_work, kNothing},
    {"conversions", NULL, conversions_work, kNothing},
    {"x87", NULL, x87_work, kNothing},
    {"spectral_norm", NULL, spectral_norm_work, kNothing},
    {NULL, NULL, NULL, kNothing},
};
