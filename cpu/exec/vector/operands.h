// Register and memory operands of vector instructions.
#pragma once

#include <cstring>

#include "cpu/exec/address.h"
#include "cpu/exec/vector/host.h"
#include "cpu/mmu/access.h"

namespace calco::cpu::vector {

// --- Registers -------------------------------------------------------------------------------------------------------

[[gnu::always_inline]] inline Xmm xmm(const Cpu& cpu, uint8_t number) {
  return _mm_load_si128(reinterpret_cast<const Xmm*>(&cpu.vectors[number]));
}
// Legacy encodings leave the rest of a YMM register alone (SDM vol. 1, 14.1.2).
[[gnu::always_inline]] inline void set_xmm(Cpu& cpu, uint8_t number, Xmm value) {
  _mm_store_si128(reinterpret_cast<Xmm*>(&cpu.vectors[number]), value);
}

// MMi is the significand of Ri. REX bits do not reach it.
[[gnu::always_inline]] inline uint64_t mmx(const Cpu& cpu, uint8_t number) {
  return cpu.x87.physical[number & 7].significand;
}
// A write makes the x87 register a NaN or infinity (SDM vol. 1, 9.6.2).
[[gnu::always_inline]] inline void set_mmx(Cpu& cpu, uint8_t number, uint64_t value) {
  cpu.x87.physical[number & 7].significand = value;
  cpu.x87.physical[number & 7].sign_exponent = 0xFFFF;
}

// An MMX operand in the low half, for the host's SSE2 instructions: the host's own MMX state is not touched.
[[gnu::always_inline]] inline Xmm from_qword(uint64_t value) { return _mm_cvtsi64_si128(static_cast<int64_t>(value)); }
[[gnu::always_inline]] inline uint64_t low_qword(Xmm value) { return static_cast<uint64_t>(_mm_cvtsi128_si64(value)); }
[[gnu::always_inline]] inline uint64_t high_qword(Xmm value) { return low_qword(_mm_unpackhi_epi64(value, value)); }
[[gnu::always_inline]] inline uint32_t low_dword(Xmm value) { return static_cast<uint32_t>(_mm_cvtsi128_si32(value)); }

// --- Memory ----------------------------------------------------------------------------------------------------------

// Where the source is.
enum class Source : uint8_t {
  Register,
  Base,     // in memory: 64-bit mode, no segment base; one register
  Indexed,  // the same with an index
  Memory,   // anywhere in memory
};

inline bool is_flat(const Op& op) { return op.address_size == 8 && (op.segment == kNoSegment || op.segment == kSs); }

// Linear address of the memory operand. A flat one is not checked here: an address that is not canonical never hits the
// TLB, and the slow path then raises the fault.
template <Source kSource = Source::Memory>
[[gnu::always_inline]] inline uint64_t memory_linear(Cpu& cpu, const Op& op, unsigned size, bool write) {
  if constexpr (kSource == Source::Base) {
    return linear_address<AddressShape::Base>(cpu, op, size, write);
  } else if (kSource == Source::Indexed || is_flat(op)) {
    return linear_address<AddressShape::Indexed>(cpu, op, size, write);
  }
  return operand_linear(cpu, op, size, write);
}

enum class Alignment : uint8_t { Any, Natural };

// 128-bit operands of legacy encodings must be aligned unless the instruction says otherwise (SDM vol. 1, 11.6.10.1).
template <Alignment kAlignment>
[[gnu::always_inline]] inline void check_alignment(Cpu& cpu, uint64_t linear) {
  if (kAlignment == Alignment::Natural && (linear & 15) != 0) [[unlikely]]
    cpu.raise(kGeneralProtection, 0);
}

// Accesses that the TLB entry at hand does not allow, or that cross pages.
Xmm load_xmm_slow(Cpu& cpu, TlbEntry* tlb, uint64_t linear, bool stack);
void store_xmm_slow(Cpu& cpu, TlbEntry* tlb, uint64_t linear, Xmm value, bool stack);

template <Source kSource = Source::Memory, Alignment kAlignment = Alignment::Natural>
[[gnu::always_inline]] inline Xmm load_xmm(Cpu& cpu, const Op& op, TlbEntry* tlb) {
  const uint64_t linear = memory_linear<kSource>(cpu, op, 16, false);
  check_alignment<kAlignment>(cpu, linear);
  const TlbEntry* entry = tlb_entry(tlb, linear);
  if (((linear + 15) & ~uint64_t{0xFFF}) == entry->read) [[likely]] {
    return _mm_loadu_si128(reinterpret_cast<const Xmm*>(linear + entry->addend));
  }
  return load_xmm_slow(cpu, tlb, linear, op.segment == kSs);
}

template <Source kSource = Source::Memory, Alignment kAlignment = Alignment::Natural>
[[gnu::always_inline]] inline void store_xmm(Cpu& cpu, const Op& op, TlbEntry* tlb, Xmm value) {
  const uint64_t linear = memory_linear<kSource>(cpu, op, 16, true);
  check_alignment<kAlignment>(cpu, linear);
  const TlbEntry* entry = tlb_entry(tlb, linear);
  if (((linear + 15) & ~uint64_t{0xFFF}) == entry->write) [[likely]] {
    _mm_storeu_si128(reinterpret_cast<Xmm*>(linear + entry->addend), value);
    return;
  }
  store_xmm_slow(cpu, tlb, linear, value, op.segment == kSs);
}

// Operands of 1, 2, 4 or 8 bytes: never required to be aligned.
template <typename T, Source kSource = Source::Memory>
[[gnu::always_inline]] inline T load_memory(Cpu& cpu, const Op& op, TlbEntry* tlb) {
  return load_linear<T>(cpu, tlb, memory_linear<kSource>(cpu, op, sizeof(T), false), op.segment == kSs);
}
template <typename T, Source kSource = Source::Memory>
[[gnu::always_inline]] inline void store_memory(Cpu& cpu, const Op& op, TlbEntry* tlb, T value) {
  store_linear<T>(cpu, tlb, memory_linear<kSource>(cpu, op, sizeof(T), true), value, op.segment == kSs);
}

// --- The ModRM.rm operand
// ----------------------------------------------------------------------------------------------

template <unsigned kBytes>
struct UnsignedOfSize;
template <>
struct UnsignedOfSize<1> {
  using Type = uint8_t;
};
template <>
struct UnsignedOfSize<2> {
  using Type = uint16_t;
};
template <>
struct UnsignedOfSize<4> {
  using Type = uint32_t;
};
template <>
struct UnsignedOfSize<8> {
  using Type = uint64_t;
};

// An XMM source, of which the instruction uses `kBytes` bytes: a memory operand has no more, and the rest reads as 0.
template <Source kSource, unsigned kBytes = 16, Alignment kAlignment = Alignment::Natural>
[[gnu::always_inline]] inline Xmm source_xmm(Cpu& cpu, const Op& op, TlbEntry* tlb) {
  if constexpr (kSource == Source::Register) {
    return xmm(cpu, op.rm);
  } else if constexpr (kBytes == 16) {
    return load_xmm<kSource, kAlignment>(cpu, op, tlb);
  } else {
    return from_qword(load_memory<typename UnsignedOfSize<kBytes>::Type, kSource>(cpu, op, tlb));
  }
}

// An MMX source in the low half.
template <Source kSource, unsigned kBytes = 8>
[[gnu::always_inline]] inline Xmm source_mmx(Cpu& cpu, const Op& op, TlbEntry* tlb) {
  if constexpr (kSource == Source::Register) {
    return from_qword(mmx(cpu, op.rm));
  } else {
    return from_qword(load_memory<typename UnsignedOfSize<kBytes>::Type, kSource>(cpu, op, tlb));
  }
}

// A general register or memory source.
template <typename T>
[[gnu::always_inline]] inline T source_general(Cpu& cpu, const Op& op, TlbEntry* tlb) {
  return op.is_memory ? load_memory<T>(cpu, op, tlb) : static_cast<T>(cpu.registers[op.rm]);
}

}  // namespace calco::cpu::vector
