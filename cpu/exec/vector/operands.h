// Register and memory operands of vector instructions.
#pragma once

#include <array>
#include <cstring>

#include "cpu/exec/address.h"
#include "cpu/exec/vector/host.h"
#include "cpu/mmu/access.h"

namespace calco::cpu::vector {

// How an instruction is encoded, which says how many lanes of 16 bytes it has.
enum class Encoding : uint8_t { Legacy, Vex128, Vex256 };
template <Encoding kEncoding>
constexpr size_t kLanes = kEncoding == Encoding::Vex256 ? 2 : 1;

// A vector as an instruction sees it. Most 256-bit instructions do in each lane what the 128-bit ones do.
template <size_t kCount>
using Lanes = std::array<Xmm, kCount>;

// --- Registers -------------------------------------------------------------------------------------------------------

[[gnu::always_inline]] inline Xmm xmm(const Cpu& cpu, uint8_t number) {
  return _mm_load_si128(reinterpret_cast<const Xmm*>(&cpu.vectors[number]));
}
// Legacy encodings leave the rest of a YMM register alone (SDM vol. 1, 14.1.2).
[[gnu::always_inline]] inline void set_xmm(Cpu& cpu, uint8_t number, Xmm value) {
  _mm_store_si128(reinterpret_cast<Xmm*>(&cpu.vectors[number]), value);
}

template <size_t kCount>
[[gnu::always_inline]] inline Lanes<kCount> lanes(const Cpu& cpu, uint8_t number) {
  const auto* from = reinterpret_cast<const Xmm*>(&cpu.vectors[number]);
  Lanes<kCount> value;
  for (size_t i = 0; i < kCount; ++i) value[i] = _mm_load_si128(from + i);
  return value;
}
// VEX encodings clear what they do not write of a YMM register.
template <Encoding kEncoding, size_t kCount>
[[gnu::always_inline]] inline void set_lanes(Cpu& cpu, uint8_t number, const Lanes<kCount>& value) {
  auto* to = reinterpret_cast<Xmm*>(&cpu.vectors[number]);
  for (size_t i = 0; i < kCount; ++i) _mm_store_si128(to + i, value[i]);
  if constexpr (kEncoding != Encoding::Legacy && kCount == 1) _mm_store_si128(to + 1, _mm_setzero_si128());
}
// The same for a result of 128 bits or less.
template <Encoding kEncoding>
[[gnu::always_inline]] inline void set_result(Cpu& cpu, uint8_t number, Xmm value) {
  set_lanes<kEncoding>(cpu, number, Lanes<1>{value});
}
// The register of the first source operand: the destination, or what VEX.vvvv names.
template <Encoding kEncoding>
[[gnu::always_inline]] inline uint8_t first_source(const Op& op) {
  return kEncoding == Encoding::Legacy ? op.reg : op.extra;
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
// VEX encodings want alignment only where they are moves that say so, and then to the size of the vector.
template <Encoding kEncoding>
constexpr Alignment kSourceAlignment = kEncoding == Encoding::Legacy ? Alignment::Natural : Alignment::Any;

// Accesses that the TLB entry at hand does not allow, or that cross pages.
Xmm load_xmm_slow(Cpu& cpu, TlbEntry* tlb, uint64_t linear, bool stack);
void store_xmm_slow(Cpu& cpu, TlbEntry* tlb, uint64_t linear, Xmm value, bool stack);
// Raises what a store of 8, 16 or 32 bytes would raise.
void probe_store(Cpu& cpu, uint64_t linear, unsigned size, bool stack);
Lanes<2> load_ymm_slow(Cpu& cpu, TlbEntry* tlb, uint64_t linear, bool stack);
void store_ymm_slow(Cpu& cpu, TlbEntry* tlb, uint64_t linear, const Lanes<2>& value, bool stack);

template <Source kSource = Source::Memory, Alignment kAlignment = Alignment::Natural>
[[gnu::always_inline]] inline Xmm load_xmm(Cpu& cpu, const Op& op, TlbEntry* tlb) {
  const uint64_t linear = memory_linear<kSource>(cpu, op, 16, false);
  check_alignment<kAlignment>(cpu, linear);
  const TlbEntry* entry = tlb_entry(tlb, linear);
  if (((linear + 15) & ~uint64_t{0xFFF}) == entry->read) [[likely]] {
    order_before_load();
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
    order_before_store();
    _mm_storeu_si128(reinterpret_cast<Xmm*>(linear + entry->addend), value);
    return;
  }
  store_xmm_slow(cpu, tlb, linear, value, op.segment == kSs);
}

// 32-byte operands.
template <Source kSource, Alignment kAlignment>
[[gnu::always_inline]] inline Lanes<2> load_ymm(Cpu& cpu, const Op& op, TlbEntry* tlb) {
  const uint64_t linear = memory_linear<kSource>(cpu, op, 32, false);
  if (kAlignment == Alignment::Natural && (linear & 31) != 0) [[unlikely]]
    cpu.raise(kGeneralProtection, 0);
  const TlbEntry* entry = tlb_entry(tlb, linear);
  if (((linear + 31) & ~uint64_t{0xFFF}) == entry->read) [[likely]] {
    order_before_load();
    const auto* host = reinterpret_cast<const Xmm*>(linear + entry->addend);
    return {_mm_loadu_si128(host), _mm_loadu_si128(host + 1)};
  }
  return load_ymm_slow(cpu, tlb, linear, op.segment == kSs);
}
template <Source kSource, Alignment kAlignment>
[[gnu::always_inline]] inline void store_ymm(Cpu& cpu, const Op& op, TlbEntry* tlb, const Lanes<2>& value) {
  const uint64_t linear = memory_linear<kSource>(cpu, op, 32, true);
  if (kAlignment == Alignment::Natural && (linear & 31) != 0) [[unlikely]]
    cpu.raise(kGeneralProtection, 0);
  const TlbEntry* entry = tlb_entry(tlb, linear);
  if (((linear + 31) & ~uint64_t{0xFFF}) == entry->write) [[likely]] {
    order_before_store();
    auto* host = reinterpret_cast<Xmm*>(linear + entry->addend);
    _mm_storeu_si128(host, value[0]);
    _mm_storeu_si128(host + 1, value[1]);
    return;
  }
  store_ymm_slow(cpu, tlb, linear, value, op.segment == kSs);
}

// Operands of as many bytes as the vector has.
template <Encoding kEncoding, Source kSource = Source::Memory, Alignment kAlignment = kSourceAlignment<kEncoding>>
[[gnu::always_inline]] inline Lanes<kLanes<kEncoding>> load_lanes(Cpu& cpu, const Op& op, TlbEntry* tlb) {
  if constexpr (kEncoding == Encoding::Vex256) {
    return load_ymm<kSource, kAlignment>(cpu, op, tlb);
  } else {
    return {load_xmm<kSource, kAlignment>(cpu, op, tlb)};
  }
}
template <Encoding kEncoding, Source kSource = Source::Memory, Alignment kAlignment = kSourceAlignment<kEncoding>>
[[gnu::always_inline]] inline void store_lanes(Cpu& cpu, const Op& op, TlbEntry* tlb,
                                               const Lanes<kLanes<kEncoding>>& value) {
  if constexpr (kEncoding == Encoding::Vex256) {
    store_ymm<kSource, kAlignment>(cpu, op, tlb, value);
  } else {
    store_xmm<kSource, kAlignment>(cpu, op, tlb, value[0]);
  }
}

// Accesses that alignment checks leave alone: elements of masked instructions and gathers.
inline Protection without_alignment(Cpu& cpu) {
  const Protection protection = cpu.mmu().current_protection();
  return protection == Protection::UserAligned ? Protection::User : protection;
}
template <typename T>
T load_element(Cpu& cpu, TlbEntry* tlb, uint64_t linear, bool stack) {
  const TlbEntry* entry = tlb_entry(tlb, linear);
  if (((linear + (sizeof(T) - 1)) & ~uint64_t{0xFFF}) != entry->read) {
    return static_cast<T>(cpu.mmu().load_slow(linear, sizeof(T), without_alignment(cpu), stack));
  }
  T value;
  order_before_load();
  std::memcpy(&value, reinterpret_cast<const void*>(linear + entry->addend), sizeof(T));
  return value;
}
template <typename T>
void store_element(Cpu& cpu, TlbEntry* tlb, uint64_t linear, T value, bool stack) {
  const TlbEntry* entry = tlb_entry(tlb, linear);
  if (((linear + (sizeof(T) - 1)) & ~uint64_t{0xFFF}) != entry->write) {
    cpu.mmu().store_slow(linear, sizeof(T), value, without_alignment(cpu), stack);
    return;
  }
  order_before_store();
  std::memcpy(reinterpret_cast<void*>(linear + entry->addend), &value, sizeof(T));
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

// A vector source, of which each lane of the instruction uses `kBytes` bytes, one after the other.
template <Encoding kEncoding, Source kSource, unsigned kBytes = 16>
[[gnu::always_inline]] inline Lanes<kLanes<kEncoding>> source_lanes(Cpu& cpu, const Op& op, TlbEntry* tlb) {
  if constexpr (kBytes == 16) {
    if constexpr (kSource == Source::Register) {
      return lanes<kLanes<kEncoding>>(cpu, op.rm);
    } else {
      return load_lanes<kEncoding, kSource>(cpu, op, tlb);
    }
  } else if constexpr (kEncoding == Encoding::Vex256) {
    const Xmm both = source_xmm<kSource, 2 * kBytes, Alignment::Any>(cpu, op, tlb);
    return {both, _mm_srli_si128(both, kBytes)};
  } else {
    return {source_xmm<kSource, kBytes, kSourceAlignment<kEncoding>>(cpu, op, tlb)};
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
