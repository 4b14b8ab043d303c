#include "cpu/exec/portable/crypto.h"

#include <array>
#include <bit>
#include <cstdint>
#include <cstring>

namespace calco::cpu::vector {

namespace {

using Xmm = simde__m128i;
using Bytes = std::array<uint8_t, 16>;
using Dwords = std::array<uint32_t, 4>;

template <typename To>
To take(Xmm value) {
  To result;
  std::memcpy(&result, &value, sizeof result);
  return result;
}
template <typename From>
Xmm give(const From& value) {
  Xmm result;
  std::memcpy(&result, &value, sizeof result);
  return result;
}

// --- AES

// In GF(2^8) with the polynomial x^8 + x^4 + x^3 + x + 1 (FIPS 197, 4.2).
constexpr uint8_t multiply(unsigned a, unsigned b) {
  unsigned product = 0;
  for (; b != 0; b >>= 1) {
    if ((b & 1) != 0) product ^= a;
    a = a << 1 ^ ((a & 0x80) != 0 ? 0x11B : 0);
  }
  return static_cast<uint8_t>(product);
}

struct Boxes {
  std::array<uint8_t, 256> forward{}, backward{};
};
// The inverse in the field, then an affine map (FIPS 197, 5.1.1).
constexpr Boxes make_boxes() {
  Boxes boxes;
  std::array<uint8_t, 256> power{}, logarithm{};
  uint8_t value = 1;
  for (unsigned i = 0; i < 255; ++i) {
    power[i] = value;
    logarithm[value] = static_cast<uint8_t>(i);
    value = multiply(value, 3);
  }
  for (unsigned i = 0; i < 256; ++i) {
    const uint8_t inverse = i == 0 ? 0 : power[(255 - logarithm[i]) % 255];
    uint8_t mapped = 0x63;
    for (int turn = 0; turn < 5; ++turn) mapped ^= std::rotl(inverse, turn);
    boxes.forward[i] = mapped;
    boxes.backward[mapped] = static_cast<uint8_t>(i);
  }
  return boxes;
}
constexpr Boxes kBoxes = make_boxes();

// Row r of the state is every fourth byte from r on. Turns rows and substitutes.
Bytes shifted_and_substituted(const Bytes& state, const std::array<uint8_t, 256>& box, unsigned step) {
  Bytes result;
  for (unsigned column = 0; column < 4; ++column) {
    for (unsigned row = 0; row < 4; ++row) result[column * 4 + row] = box[state[(column + row * step) % 4 * 4 + row]];
  }
  return result;
}
Bytes mixed_columns(const Bytes& state, const std::array<uint8_t, 4>& factors) {
  Bytes result{};
  for (unsigned i = 0; i < 16; ++i) {
    for (unsigned j = 0; j < 4; ++j) result[i] ^= multiply(state[i / 4 * 4 + (i + j) % 4], factors[j]);
  }
  return result;
}
constexpr std::array<uint8_t, 4> kMix = {2, 3, 1, 1}, kInverseMix = {14, 11, 13, 9};
constexpr unsigned kLeft = 1, kRight = 3;

Xmm with_key(const Bytes& state, Xmm key) { return simde_mm_xor_si128(give(state), key); }

// --- SHA

uint32_t choose(uint32_t x, uint32_t y, uint32_t z) { return (x & y) ^ (~x & z); }
uint32_t parity(uint32_t x, uint32_t y, uint32_t z) { return x ^ y ^ z; }
uint32_t majority(uint32_t x, uint32_t y, uint32_t z) { return (x & y) ^ (x & z) ^ (y & z); }

uint32_t small_sigma_0(uint32_t x) { return std::rotr(x, 7) ^ std::rotr(x, 18) ^ x >> 3; }
uint32_t small_sigma_1(uint32_t x) { return std::rotr(x, 17) ^ std::rotr(x, 19) ^ x >> 10; }
uint32_t big_sigma_0(uint32_t x) { return std::rotr(x, 2) ^ std::rotr(x, 13) ^ std::rotr(x, 22); }
uint32_t big_sigma_1(uint32_t x) { return std::rotr(x, 6) ^ std::rotr(x, 11) ^ std::rotr(x, 25); }

}  // namespace

Xmm _mm_aesenc_si128(Xmm state, Xmm round_key) {
  return with_key(mixed_columns(shifted_and_substituted(take<Bytes>(state), kBoxes.forward, kLeft), kMix), round_key);
}
Xmm _mm_aesenclast_si128(Xmm state, Xmm round_key) {
  return with_key(shifted_and_substituted(take<Bytes>(state), kBoxes.forward, kLeft), round_key);
}
Xmm _mm_aesdec_si128(Xmm state, Xmm round_key) {
  return with_key(mixed_columns(shifted_and_substituted(take<Bytes>(state), kBoxes.backward, kRight), kInverseMix),
                  round_key);
}
Xmm _mm_aesdeclast_si128(Xmm state, Xmm round_key) {
  return with_key(shifted_and_substituted(take<Bytes>(state), kBoxes.backward, kRight), round_key);
}
Xmm _mm_aesimc_si128(Xmm round_key) { return give(mixed_columns(take<Bytes>(round_key), kInverseMix)); }

Xmm _mm_aeskeygenassist_si128(Xmm key, int) {
  const auto words = take<Dwords>(key);
  const auto substituted = [](uint32_t word) {
    auto bytes = std::bit_cast<std::array<uint8_t, 4>>(word);
    for (uint8_t& byte : bytes) byte = kBoxes.forward[byte];
    return std::bit_cast<uint32_t>(bytes);
  };
  const uint32_t first = substituted(words[1]), third = substituted(words[3]);
  return give(Dwords{first, std::rotr(first, 8), third, std::rotr(third, 8)});
}

Xmm _mm_clmulepi64_si128(Xmm first, Xmm second, int) {
  const unsigned __int128 a = take<std::array<uint64_t, 2>>(first)[0];
  const uint64_t b = take<std::array<uint64_t, 2>>(second)[0];
  unsigned __int128 product = 0;
  for (unsigned i = 0; i < 64; ++i) {
    if ((b >> i & 1) != 0) product ^= a << i;
  }
  return give(product);
}

// Dword 3 of an operand is A or the first word.
Xmm _mm_sha1rnds4_epu32(Xmm state, Xmm words, int function) {
  constexpr std::array<uint32_t, 4> kConstants = {0x5A827999, 0x6ED9EBA1, 0x8F1BBCDC, 0xCA62C1D6};
  constexpr std::array kFunctions = {choose, parity, majority, parity};
  auto [d, c, b, a] = take<Dwords>(state);
  const auto word = take<Dwords>(words);
  uint32_t e = 0;  // the first word has it already
  for (unsigned i = 0; i < 4; ++i) {
    const uint32_t next = kFunctions[static_cast<unsigned>(function)](b, c, d) + std::rotl(a, 5) + word[3 - i] + e +
                          kConstants[static_cast<unsigned>(function)];
    e = d;
    d = c;
    c = std::rotl(b, 30);
    b = a;
    a = next;
  }
  return give(Dwords{d, c, b, a});
}
Xmm _mm_sha1nexte_epu32(Xmm state, Xmm words) {
  auto word = take<Dwords>(words);
  word[3] += std::rotl(take<Dwords>(state)[3], 30);
  return give(word);
}
Xmm _mm_sha1msg1_epu32(Xmm first, Xmm second) {
  const auto a = take<Dwords>(first), b = take<Dwords>(second);
  return give(Dwords{b[2] ^ a[0], b[3] ^ a[1], a[0] ^ a[2], a[1] ^ a[3]});
}
Xmm _mm_sha1msg2_epu32(Xmm first, Xmm second) {
  const auto a = take<Dwords>(first), b = take<Dwords>(second);
  const uint32_t word_16 = std::rotl(a[3] ^ b[2], 1);
  return give(Dwords{std::rotl(a[0] ^ word_16, 1), std::rotl(a[1] ^ b[0], 1), std::rotl(a[2] ^ b[1], 1), word_16});
}

Xmm _mm_sha256rnds2_epu32(Xmm cdgh, Xmm abef, Xmm words) {
  auto [h, g, d, c] = take<Dwords>(cdgh);
  auto [f, e, b, a] = take<Dwords>(abef);
  const auto word = take<Dwords>(words);
  for (unsigned i = 0; i < 2; ++i) {
    const uint32_t one = h + big_sigma_1(e) + choose(e, f, g) + word[i];
    const uint32_t two = big_sigma_0(a) + majority(a, b, c);
    h = g;
    g = f;
    f = e;
    e = d + one;
    d = c;
    c = b;
    b = a;
    a = one + two;
  }
  return give(Dwords{f, e, b, a});
}
Xmm _mm_sha256msg1_epu32(Xmm first, Xmm second) {
  const auto a = take<Dwords>(first);
  const uint32_t next = take<Dwords>(second)[0];
  return give(Dwords{a[0] + small_sigma_0(a[1]), a[1] + small_sigma_0(a[2]), a[2] + small_sigma_0(a[3]),
                     a[3] + small_sigma_0(next)});
}
Xmm _mm_sha256msg2_epu32(Xmm first, Xmm second) {
  const auto a = take<Dwords>(first), b = take<Dwords>(second);
  const uint32_t word_16 = a[0] + small_sigma_1(b[2]), word_17 = a[1] + small_sigma_1(b[3]);
  return give(Dwords{word_16, word_17, a[2] + small_sigma_1(word_16), a[3] + small_sigma_1(word_17)});
}

}  // namespace calco::cpu::vector
