// What crosses lanes of 16 bytes: broadcasts, permutations, insertion and extraction (SDM vol. 1, 14.2, 14.7).
#include <array>
#include <bit>

#include "cpu/exec/vector/families.h"
#include "cpu/exec/vector/forms.h"

namespace calco::cpu::vector {
namespace {

using decode::Instruction;
using decode::Mnemonic;

// --- Broadcasts
// ----------------------------------------------------------------------------------------------------------

template <typename T>
Xmm all_elements(T value) {
  std::array<T, 16 / sizeof(T)> elements;
  elements.fill(value);
  Xmm vector;
  std::memcpy(&vector, elements.data(), 16);
  return vector;
}

template <typename T, Encoding kEncoding>
void broadcast(Cpu& cpu, const Op& op, TlbEntry* tlb) {
  const T value = op.is_memory ? load_memory<T>(cpu, op, tlb) : static_cast<T>(low_qword(xmm(cpu, op.rm)));
  Lanes<kLanes<kEncoding>> result;
  result.fill(all_elements(value));
  set_lanes<kEncoding>(cpu, op.reg, result);
}
template <typename T>
Selection select_broadcast(const Instruction& instruction) {
  return by_encoding(instruction,
                     []<Encoding kEncoding>() { return select_sse<broadcast<T, kEncoding>, kEncoding>(); });
}

void broadcast_lane(Cpu& cpu, const Op& op, TlbEntry* tlb) {
  const Xmm lane = load_xmm<Source::Memory, Alignment::Any>(cpu, op, tlb);
  set_lanes<Encoding::Vex256>(cpu, op.reg, Lanes<2>{lane, lane});
}

// --- Lanes
// ---------------------------------------------------------------------------------------------------------------

void insert_lane(Cpu& cpu, const Op& op, TlbEntry* tlb) {
  const Xmm source = op.is_memory ? load_xmm<Source::Memory, Alignment::Any>(cpu, op, tlb) : xmm(cpu, op.rm);
  auto value = lanes<2>(cpu, op.extra);
  value[op.immediate & 1] = source;
  set_lanes<Encoding::Vex256>(cpu, op.reg, value);
}
void extract_lane(Cpu& cpu, const Op& op, TlbEntry* tlb) {
  const Xmm value = lanes<2>(cpu, op.reg)[op.immediate & 1];
  if (op.is_memory) {
    store_xmm<Source::Memory, Alignment::Any>(cpu, op, tlb, value);
  } else {
    set_result<Encoding::Vex256>(cpu, op.rm, value);
  }
}

// Each lane of the result: bits 0-1 choose one of four lanes, bit 3 clears it; the upper lane's are bits 4-5 and 7.
template <Source kSource>
void permute_lanes(Cpu& cpu, const Op& op, TlbEntry* tlb) {
  const auto second = source_lanes<Encoding::Vex256, kSource>(cpu, op, tlb);
  const auto first = lanes<2>(cpu, op.extra);
  const std::array<Xmm, 4> choice = {first[0], first[1], second[0], second[1]};
  Lanes<2> result;
  for (unsigned i = 0; i < 2; ++i) {
    const auto control = static_cast<unsigned>(op.immediate >> 4 * i);
    result[i] = (control & 8) != 0 ? _mm_setzero_si128() : choice[control & 3];
  }
  set_lanes<Encoding::Vex256>(cpu, op.reg, result);
}

// --- Elements
// ------------------------------------------------------------------------------------------------------------

// Quadwords of the source as fields of two bits of the immediate say.
template <Source kSource>
void permute_quadwords(Cpu& cpu, const Op& op, TlbEntry* tlb) {
  const auto source = std::bit_cast<std::array<uint64_t, 4>>(source_lanes<Encoding::Vex256, kSource>(cpu, op, tlb));
  std::array<uint64_t, 4> result;
  for (size_t i = 0; i < 4; ++i) result[i] = source[op.immediate >> 2 * i & 3];
  set_lanes<Encoding::Vex256>(cpu, op.reg, std::bit_cast<Lanes<2>>(result));
}
// Dwords of the second operand as the low three bits of the first's dwords say.
template <Source kSource>
void permute_dwords(Cpu& cpu, const Op& op, TlbEntry* tlb) {
  const auto source = std::bit_cast<std::array<uint32_t, 8>>(source_lanes<Encoding::Vex256, kSource>(cpu, op, tlb));
  auto control = cpu.vectors[op.extra].dwords;
  for (uint32_t& number : control) number = source[number & 7];
  set_lanes<Encoding::Vex256>(cpu, op.reg, std::bit_cast<Lanes<2>>(control));
}

template <Form kRegister, Form kMemory>
Selection by_place(const Op& op) {
  return op.is_memory ? select_sse<kMemory, Encoding::Vex256>() : select_sse<kRegister, Encoding::Vex256>();
}

}  // namespace

Selection select_lane(const Instruction& instruction, Op& op) {
  switch (instruction.mnemonic) {
    case Mnemonic::Vpbroadcastb:
      return select_broadcast<uint8_t>(instruction);
    case Mnemonic::Vpbroadcastw:
      return select_broadcast<uint16_t>(instruction);
    case Mnemonic::Vpbroadcastd:
    case Mnemonic::Vbroadcastss:
      return select_broadcast<uint32_t>(instruction);
    case Mnemonic::Vpbroadcastq:
    case Mnemonic::Vbroadcastsd:
      return select_broadcast<uint64_t>(instruction);
    case Mnemonic::Vbroadcastf128:
    case Mnemonic::Vbroadcasti128:
      return select_sse<broadcast_lane, Encoding::Vex256>();
    case Mnemonic::Vinsertf128:
    case Mnemonic::Vinserti128:
      return select_sse<insert_lane, Encoding::Vex256>();
    case Mnemonic::Vextractf128:
    case Mnemonic::Vextracti128:
      return select_sse<extract_lane, Encoding::Vex256>();
    case Mnemonic::Vperm2f128:
    case Mnemonic::Vperm2i128:
      return by_place<permute_lanes<Source::Register>, permute_lanes<Source::Memory>>(op);
    case Mnemonic::Vpermq:
    case Mnemonic::Vpermpd:
      return by_place<permute_quadwords<Source::Register>, permute_quadwords<Source::Memory>>(op);
    case Mnemonic::Vpermd:
    case Mnemonic::Vpermps:
      return by_place<permute_dwords<Source::Register>, permute_dwords<Source::Memory>>(op);
    default:
      return {};
  }
}

}  // namespace calco::cpu::vector
