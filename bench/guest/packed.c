// Packed SSE2, SSSE3, SSE4.1, AVX and AVX2 instructions on data that fits the second-level cache.
#include <immintrin.h>
#include <string.h>

#include "rows.h"

#define SSSE3 NOINLINE __attribute__((target("ssse3")))
#define SSE41 NOINLINE __attribute__((target("sse4.1")))
#define AVX2 NOINLINE __attribute__((target("avx2")))

enum { kFloats = 1 << 14, kPixels = 1 << 16 };
static float floats_x[kFloats] __attribute__((aligned(64))), floats_y[kFloats] __attribute__((aligned(64)));
static unsigned char front[kPixels] __attribute__((aligned(64))), back[kPixels] __attribute__((aligned(64)));

static void floats_prepare(void) {
  uint64_t random = 37;
  for (unsigned i = 0; i < kFloats; ++i) {
    floats_x[i] = (float)(next_random(&random) & 1023) / 512.0f - 1.0f;
    floats_y[i] = (float)(next_random(&random) & 1023) / 512.0f - 1.0f;
  }
}

static void pixels_prepare(void) {
  uint64_t random = 41;
  for (unsigned i = 0; i < kPixels; ++i) {
    front[i] = (unsigned char)next_random(&random);
    back[i] = (unsigned char)next_random(&random);
  }
}

static uint64_t bits_of(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  return bits;
}

static uint64_t sum_of_back(void) { return fold_bytes(0, back, sizeof back); }

// --- sse2_saxpy_dot: y = a * x + y, then the scalar product

enum { kSaxpyRounds = 4000 };

static NOINLINE float saxpy_dot(float factor) {
  const __m128 a = _mm_set1_ps(factor);
  __m128 sum = _mm_setzero_ps();
  for (unsigned i = 0; i < kFloats; i += 4) {
    const __m128 x = _mm_load_ps(floats_x + i);
    const __m128 y = _mm_add_ps(_mm_mul_ps(a, x), _mm_load_ps(floats_y + i));
    _mm_store_ps(floats_y + i, y);
    sum = _mm_add_ps(sum, _mm_mul_ps(x, y));
  }
  float parts[4];
  _mm_storeu_ps(parts, sum);
  return parts[0] + parts[1] + parts[2] + parts[3];
}

static uint64_t sse2_saxpy_dot_work(void) {
  uint64_t sum = 0;
  for (unsigned round = 0; round < kSaxpyRounds; ++round) sum = fold(sum, bits_of(saxpy_dot(round & 1 ? 0.5f : -0.5f)));
  return sum;
}

// --- sse2_pixel_blend: back = (front * alpha + back * (256 - alpha)) / 256 on bytes

enum { kBlendRounds = 4000 };

static NOINLINE void blend(short alpha) {
  const __m128i zero = _mm_setzero_si128(), weight = _mm_set1_epi16(alpha), rest = _mm_set1_epi16((short)(256 - alpha));
  for (unsigned i = 0; i < kPixels; i += 16) {
    const __m128i f = _mm_load_si128((const __m128i*)(front + i)), b = _mm_load_si128((const __m128i*)(back + i));
    const __m128i low = _mm_add_epi16(_mm_mullo_epi16(_mm_unpacklo_epi8(f, zero), weight),
                                      _mm_mullo_epi16(_mm_unpacklo_epi8(b, zero), rest));
    const __m128i high = _mm_add_epi16(_mm_mullo_epi16(_mm_unpackhi_epi8(f, zero), weight),
                                       _mm_mullo_epi16(_mm_unpackhi_epi8(b, zero), rest));
    _mm_store_si128((__m128i*)(back + i), _mm_packus_epi16(_mm_srli_epi16(low, 8), _mm_srli_epi16(high, 8)));
  }
}

static uint64_t sse2_pixel_blend_work(void) {
  for (unsigned round = 0; round < kBlendRounds; ++round) blend((short)(3 + round % 16));
  return sum_of_back();
}

// --- sse2_matrix: product of matrices of doubles, two columns at once

enum { kMatrixSize = 96, kMatrixRounds = 50 };
static double matrix_a[kMatrixSize][kMatrixSize] __attribute__((aligned(64)));
static double matrix_b[kMatrixSize][kMatrixSize] __attribute__((aligned(64)));
static double matrix_c[kMatrixSize][kMatrixSize] __attribute__((aligned(64)));

static void matrix_prepare(void) {
  uint64_t random = 43;
  for (unsigned i = 0; i < kMatrixSize; ++i) {
    for (unsigned j = 0; j < kMatrixSize; ++j) {
      matrix_a[i][j] = (double)(next_random(&random) & 4095) / 4096.0;
      matrix_b[i][j] = (double)(next_random(&random) & 4095) / 4096.0;
      matrix_c[i][j] = 0;
    }
  }
}

static NOINLINE void multiply_sse2(void) {
  for (unsigned i = 0; i < kMatrixSize; ++i) {
    for (unsigned j = 0; j < kMatrixSize; j += 8) {
      __m128d sum[4] = {_mm_setzero_pd(), _mm_setzero_pd(), _mm_setzero_pd(), _mm_setzero_pd()};
      for (unsigned k = 0; k < kMatrixSize; ++k) {
        const __m128d a = _mm_set1_pd(matrix_a[i][k]);
        for (unsigned part = 0; part < 4; ++part) {
          sum[part] = _mm_add_pd(sum[part], _mm_mul_pd(a, _mm_load_pd(&matrix_b[k][j + 2 * part])));
        }
      }
      for (unsigned part = 0; part < 4; ++part) _mm_store_pd(&matrix_c[i][j + 2 * part], sum[part]);
    }
  }
}

static uint64_t sse2_matrix_work(void) {
  for (unsigned round = 0; round < kMatrixRounds; ++round) {
    multiply_sse2();
    matrix_a[round][0] = matrix_c[round][round] / 64.0;
  }
  return fold_bytes(0, matrix_c, sizeof matrix_c);
}

// --- ssse3_shuffle: bytes through a table of sixteen, and reversed, by PSHUFB; PALIGNR; PMADDUBSW

enum { kShuffleRounds = 1800 };

static SSSE3 void shuffle(void) {
  const __m128i table = _mm_setr_epi8(3, 14, 7, 0, 9, 12, 1, 6, 15, 4, 11, 2, 13, 8, 5, 10);
  const __m128i reverse = _mm_setr_epi8(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
  const __m128i nibble = _mm_set1_epi8(15), ones = _mm_set1_epi8(1);
  __m128i before = _mm_setzero_si128();
  for (unsigned i = 0; i < kPixels; i += 16) {
    const __m128i value = _mm_load_si128((const __m128i*)(front + i));
    const __m128i low = _mm_shuffle_epi8(table, _mm_and_si128(value, nibble));
    const __m128i high = _mm_shuffle_epi8(table, _mm_and_si128(_mm_srli_epi16(value, 4), nibble));
    const __m128i mixed = _mm_shuffle_epi8(_mm_or_si128(low, _mm_slli_epi16(high, 4)), reverse);
    const __m128i sums = _mm_maddubs_epi16(_mm_alignr_epi8(mixed, before, 5), ones);
    const __m128i old = _mm_load_si128((const __m128i*)(back + i));
    _mm_store_si128((__m128i*)(back + i), _mm_add_epi16(_mm_abs_epi8(_mm_add_epi8(old, mixed)), sums));
    before = mixed;
  }
}

static uint64_t ssse3_shuffle_work(void) {
  for (unsigned round = 0; round < kShuffleRounds; ++round) shuffle();
  return sum_of_back();
}

// --- sse41_select: PMULLD, PMINUD, PBLENDVB, PMOVZXBD and PTEST

enum { kSelectRounds = 4500 };

static SSE41 unsigned select_lanes(int factor) {
  const __m128i multiplier = _mm_set1_epi32(factor), limit = _mm_set1_epi32(0x7fff0000);
  unsigned marked = 0;
  for (unsigned i = 0; i < kPixels; i += 16) {
    const __m128i value = _mm_load_si128((const __m128i*)(back + i));
    const __m128i product = _mm_mullo_epi32(value, multiplier);
    const __m128i least = _mm_min_epu32(product, limit);
    const __m128i wide = _mm_cvtepu8_epi32(_mm_loadl_epi64((const __m128i*)(front + i)));
    const __m128i chosen = _mm_blendv_epi8(_mm_add_epi32(least, wide), value, _mm_cmpgt_epi32(product, value));
    marked += (unsigned)_mm_testz_si128(chosen, _mm_set1_epi32(0x01010101));
    _mm_store_si128((__m128i*)(back + i), chosen);
  }
  return marked;
}

static uint64_t sse41_select_work(void) {
  uint64_t sum = 0;
  for (unsigned round = 0; round < kSelectRounds; ++round) sum += select_lanes((int)(2 * round + 3));
  return fold(sum, sum_of_back());
}

// --- avx2_float: saxpy and scalar product with 256 bits

enum { kWideSaxpyRounds = 5000 };

static AVX2 float wide_saxpy_dot(float factor) {
  const __m256 a = _mm256_set1_ps(factor);
  __m256 sum = _mm256_setzero_ps();
  for (unsigned i = 0; i < kFloats; i += 8) {
    const __m256 x = _mm256_load_ps(floats_x + i);
    const __m256 y = _mm256_add_ps(_mm256_mul_ps(a, x), _mm256_load_ps(floats_y + i));
    _mm256_store_ps(floats_y + i, y);
    sum = _mm256_add_ps(sum, _mm256_mul_ps(x, y));
  }
  float parts[8], total = 0;
  _mm256_storeu_ps(parts, sum);
  for (unsigned i = 0; i < 8; ++i) total += parts[i];
  return total;
}

static uint64_t avx2_float_work(void) {
  uint64_t sum = 0;
  for (unsigned round = 0; round < kWideSaxpyRounds; ++round) {
    sum = fold(sum, bits_of(wide_saxpy_dot(round & 1 ? 0.5f : -0.5f)));
  }
  return sum;
}

// --- avx2_integer: sums of absolute differences, shifts and selection with 256 bits

enum { kWideIntegerRounds = 1600 };

static AVX2 uint64_t wide_integer(void) {
  __m256i sum = _mm256_setzero_si256();
  for (unsigned i = 0; i < kPixels; i += 32) {
    const __m256i f = _mm256_load_si256((const __m256i*)(front + i)), b = _mm256_load_si256((const __m256i*)(back + i));
    sum = _mm256_add_epi64(sum, _mm256_sad_epu8(f, b));
    const __m256i mean = _mm256_avg_epu8(f, b);
    const __m256i product = _mm256_mullo_epi16(_mm256_srli_epi16(f, 3), b);
    const __m256i chosen = _mm256_blendv_epi8(product, mean, _mm256_cmpgt_epi8(f, b));
    _mm256_store_si256((__m256i*)(back + i), _mm256_permute4x64_epi64(chosen, 0x4e));
  }
  uint64_t parts[4];
  _mm256_storeu_si256((__m256i*)parts, sum);
  return parts[0] + parts[1] + parts[2] + parts[3];
}

static uint64_t avx2_integer_work(void) {
  uint64_t sum = 0;
  for (unsigned round = 0; round < kWideIntegerRounds; ++round) sum = fold(sum, wide_integer());
  return sum;
}

// --- avx2_matrix: product of matrices of doubles, four columns at once

enum { kWideMatrixRounds = 90 };

static AVX2 void multiply_avx2(void) {
  for (unsigned i = 0; i < kMatrixSize; ++i) {
    for (unsigned j = 0; j < kMatrixSize; j += 16) {
      __m256d sum[4] = {_mm256_setzero_pd(), _mm256_setzero_pd(), _mm256_setzero_pd(), _mm256_setzero_pd()};
      for (unsigned k = 0; k < kMatrixSize; ++k) {
        const __m256d a = _mm256_set1_pd(matrix_a[i][k]);
        for (unsigned part = 0; part < 4; ++part) {
          sum[part] = _mm256_add_pd(sum[part], _mm256_mul_pd(a, _mm256_load_pd(&matrix_b[k][j + 4 * part])));
        }
      }
      for (unsigned part = 0; part < 4; ++part) _mm256_store_pd(&matrix_c[i][j + 4 * part], sum[part]);
    }
  }
}

static uint64_t avx2_matrix_work(void) {
  for (unsigned round = 0; round < kWideMatrixRounds; ++round) {
    multiply_avx2();
    matrix_a[round][0] = matrix_c[round][round] / 64.0;
  }
  return fold_bytes(0, matrix_c, sizeof matrix_c);
}

const struct Row packed_rows[] = {
    {"sse2_saxpy_dot", floats_prepare, sse2_saxpy_dot_work, kNothing},
    {"sse2_pixel_blend", pixels_prepare, sse2_pixel_blend_work, kNothing},
    {"sse2_matrix", matrix_prepare, sse2_matrix_work, kNothing},
    {"ssse3_shuffle", pixels_prepare, ssse3_shuffle_work, kSsse3},
    {"sse41_select", pixels_prepare, sse41_select_work, kSse41},
    {"avx2_float", floats_prepare, avx2_float_work, kAvx2},
    {"avx2_integer", pixels_prepare, avx2_integer_work, kAvx2},
    {"avx2_matrix", matrix_prepare, avx2_matrix_work, kAvx2},
    {NULL, NULL, NULL, kNothing},
};
