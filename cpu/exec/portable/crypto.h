// AES, carry-less multiplication and SHA instructions in software, under the names of the compiler's intrinsics
// (FIPS 197, FIPS 180-4; SDM vol. 2).
#pragma once

#include <simde/x86/sse2.h>

namespace calco::cpu::vector {

simde__m128i _mm_aesenc_si128(simde__m128i state, simde__m128i round_key);
simde__m128i _mm_aesenclast_si128(simde__m128i state, simde__m128i round_key);
simde__m128i _mm_aesdec_si128(simde__m128i state, simde__m128i round_key);
simde__m128i _mm_aesdeclast_si128(simde__m128i state, simde__m128i round_key);
simde__m128i _mm_aesimc_si128(simde__m128i round_key);
// `round_constant` 0 only.
simde__m128i _mm_aeskeygenassist_si128(simde__m128i key, int round_constant);

// The low halves (`halves` is 0).
simde__m128i _mm_clmulepi64_si128(simde__m128i first, simde__m128i second, int halves);

simde__m128i _mm_sha1rnds4_epu32(simde__m128i state, simde__m128i words, int function);
simde__m128i _mm_sha1nexte_epu32(simde__m128i state, simde__m128i words);
simde__m128i _mm_sha1msg1_epu32(simde__m128i first, simde__m128i second);
simde__m128i _mm_sha1msg2_epu32(simde__m128i first, simde__m128i second);
simde__m128i _mm_sha256rnds2_epu32(simde__m128i cdgh, simde__m128i abef, simde__m128i words);
simde__m128i _mm_sha256msg1_epu32(simde__m128i first, simde__m128i second);
simde__m128i _mm_sha256msg2_epu32(simde__m128i first, simde__m128i second);

}  // namespace calco::cpu::vector
