// Shifts of a whole XMM register by a number of bytes that is known only when the instruction runs.
#pragma once

#include "cpu/exec/vector/host.h"

namespace calco::cpu::vector {

inline Xmm byte_numbers() { return _mm_setr_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15); }

// PSHUFB clears the bytes whose control has bit 7 set: numbers below 0 on the left, numbers above 15 on the right.
inline Xmm shift_bytes_left(Xmm value, unsigned count) {
  if (count > 15) return _mm_setzero_si128();
  return _mm_shuffle_epi8(value, _mm_sub_epi8(byte_numbers(), _mm_set1_epi8(static_cast<char>(count))));
}
inline Xmm shift_bytes_right(Xmm value, unsigned count) {
  if (count > 15) return _mm_setzero_si128();
  return _mm_shuffle_epi8(value, _mm_add_epi8(byte_numbers(), _mm_set1_epi8(static_cast<char>(0x70 + count))));
}

}  // namespace calco::cpu::vector
