// Memory accesses of chosen elements: VMASKMOV, VPMASKMOV, gathers (SDM vol. 1, 14.7.1; vol. 2, VPMASKMOV,
// VPGATHERDD). The sign of a mask element chooses; what is not chosen is not accessed and cannot fault.
#include <algorithm>
#include <array>
#include <bit>

#include "cpu/exec/vector/families.h"
#include "cpu/exec/vector/forms.h"

namespace calco::cpu::vector {
namespace {

using decode::Instruction;
using decode::Mnemonic;

template <typename T>
constexpr size_t kMaximumElements = 32 / sizeof(T);
template <typename T>
using ElementArray = std::array<T, kMaximumElements<T>>;

template <typename T>
ElementArray<T> elements(const Cpu& cpu, uint8_t number) {
  return std::bit_cast<ElementArray<T>>(cpu.vectors[number].bytes);
}
template <typename T>
void set_elements(Cpu& cpu, uint8_t number, const ElementArray<T>& value) {
  cpu.vectors[number].bytes = std::bit_cast<std::array<uint8_t, 32>>(value);
}
template <typename T>
bool is_chosen(T mask) {
  return mask >> (sizeof(T) * 8 - 1) != 0;
}

// --- VMASKMOV, VPMASKMOV
// -------------------------------------------------------------------------------------------------

// Linear address of the operand's element. Each is an access of its own to the segment's checks; only the first one's
// address is cut to the address size.
template <typename T>
uint64_t element_linear(Cpu& cpu, const Op& op, size_t number, bool write) {
  return segment_linear(cpu, op.segment, effective_address(cpu, op) + number * sizeof(T), sizeof(T), write);
}

template <typename T, size_t kCount>
void masked_load(Cpu& cpu, const Op& op, TlbEntry* tlb) {
  const auto mask = elements<T>(cpu, op.extra);
  ElementArray<T> value{};
  for (size_t i = 0; i < kCount; ++i) {
    if (is_chosen(mask[i]))
      value[i] = load_element<T>(cpu, tlb, element_linear<T>(cpu, op, i, false), op.segment == kSs);
  }
  set_elements(cpu, op.reg, value);
}
// All chosen elements must be writable before one is stored.
template <typename T, size_t kCount>
void masked_store(Cpu& cpu, const Op& op, TlbEntry* tlb) {
  const auto mask = elements<T>(cpu, op.extra);
  const auto value = elements<T>(cpu, op.reg);
  std::array<uint64_t, kCount> linear;
  const bool stack = op.segment == kSs;
  for (size_t i = 0; i < kCount; ++i) {
    if (!is_chosen(mask[i])) continue;
    linear[i] = element_linear<T>(cpu, op, i, true);
    cpu.mmu().probe_write(linear[i], sizeof(T), without_alignment(cpu), stack);
  }
  for (size_t i = 0; i < kCount; ++i) {
    if (is_chosen(mask[i])) store_element<T>(cpu, tlb, linear[i], value[i], stack);
  }
}

template <typename T>
Selection select_masked(const Instruction& instruction) {
  return by_encoding(instruction, [&]<Encoding kEncoding>() {
    constexpr size_t kCount = kLanes<kEncoding> * 16 / sizeof(T);
    return instruction.operands[0].kind == decode::OperandKind::Memory
               ? select_sse<masked_store<T, kCount>, kEncoding>()
               : select_sse<masked_load<T, kCount>, kEncoding>();
  });
}

// --- Gathers
// -------------------------------------------------------------------------------------------------------------

// The index of Op is a vector register. Each element that is done clears its mask element, so that after a fault the
// instruction goes on where it stopped.
template <typename T, typename Index, size_t kCount>
void gather(Cpu& cpu, const Op& op, TlbEntry* tlb) {
  const auto index = elements<Index>(cpu, op.index);
  auto mask = elements<T>(cpu, op.extra);
  auto value = elements<T>(cpu, op.reg);
  for (size_t i = 0; i < kCount; ++i) {
    if (!is_chosen(mask[i])) {
      mask[i] = 0;
      continue;
    }
    const auto distance = static_cast<uint64_t>(static_cast<int64_t>(static_cast<std::make_signed_t<Index>>(index[i])));
    uint64_t offset =
        cpu.registers[op.base] + (distance << op.scale) + static_cast<uint64_t>(static_cast<int64_t>(op.displacement));
    if (op.address_size == 4) offset = static_cast<uint32_t>(offset);
    // What was done so far stays where this one faults.
    set_elements(cpu, op.extra, mask);
    set_elements(cpu, op.reg, value);
    value[i] = load_element<T>(cpu, tlb, segment_linear(cpu, op.segment, offset, sizeof(T), false), op.segment == kSs);
    mask[i] = 0;
  }
  std::fill(value.begin() + kCount, value.end(), 0);
  set_elements(cpu, op.reg, value);
  set_elements<T>(cpu, op.extra, {});
}

// As many elements as the wider of data and indices allows.
template <typename T, typename Index>
Selection select_gather(const Instruction& instruction) {
  return by_encoding(instruction, []<Encoding kEncoding>() {
    constexpr size_t kCount = kLanes<kEncoding> * 16 / std::max(sizeof(T), sizeof(Index));
    return select_sse<gather<T, Index, kCount>, kEncoding>();
  });
}

}  // namespace

Selection select_masked_access(const Instruction& instruction, Op&) {
  switch (instruction.mnemonic) {
    case Mnemonic::Vmaskmovps:
    case Mnemonic::Vpmaskmovd:
      return select_masked<uint32_t>(instruction);
    case Mnemonic::Vmaskmovpd:
    case Mnemonic::Vpmaskmovq:
      return select_masked<uint64_t>(instruction);
    case Mnemonic::Vpgatherdd:
    case Mnemonic::Vgatherdps:
      return select_gather<uint32_t, uint32_t>(instruction);
    case Mnemonic::Vpgatherdq:
    case Mnemonic::Vgatherdpd:
      return select_gather<uint64_t, uint32_t>(instruction);
    case Mnemonic::Vpgatherqd:
    case Mnemonic::Vgatherqps:
      return select_gather<uint32_t, uint64_t>(instruction);
    case Mnemonic::Vpgatherqq:
    case Mnemonic::Vgatherqpd:
      return select_gather<uint64_t, uint64_t>(instruction);
    default:
      return {};
  }
}

}  // namespace calco::cpu::vector
