// MOVS, STOS, LODS, CMPS, SCAS with and without REP (SDM vol. 2, REP; vol. 1, 7.3.9.3).
//
// A repeated instruction is precise and restartable: after every element or span RCX, RSI and RDI say what is done, so
// a fault or an interrupt leaves RIP at the instruction. MOVS and STOS move whole page spans with host block moves.
#include "cpu/exec/string.h"

#include <algorithm>
#include <bit>

#include "cpu/exec/address.h"
#include "cpu/exec/handlers.h"

namespace calco::cpu {

namespace {

using decode::Mnemonic;

constexpr uint64_t kAllBits = ~uint64_t{0};

// Registers of the address size. In 64-bit and 32-bit sizes writing clears what lies above.
uint64_t address_mask(const Op& op) {
  return op.address_size == 8 ? kAllBits : op.address_size == 4 ? 0xFFFFFFFF : 0xFFFF;
}
uint64_t read_index(const Cpu& cpu, const Op& op, Register number) { return cpu.registers[number] & address_mask(op); }
void write_index(Cpu& cpu, const Op& op, Register number, uint64_t value) {
  if (op.address_size == 2) {
    write_register<uint16_t>(cpu, number, static_cast<uint16_t>(value));
  } else {
    cpu.registers[number] = value & address_mask(op);
  }
}
void advance(Cpu& cpu, const Op& op, Register number, uint64_t bytes) {
  const bool down = (cpu.system_flags & rflags::kDf) != 0;
  write_index(cpu, op, number, down ? cpu.registers[number] - bytes : cpu.registers[number] + bytes);
}

template <typename T>
T load_source(Cpu& cpu, const Op& op) {
  return load_linear<T>(cpu, segment_linear(cpu, op.segment, read_index(cpu, op, kRsi), sizeof(T), false));
}
template <typename T>
T load_destination(Cpu& cpu, const Op& op) {
  return load_linear<T>(cpu, segment_linear(cpu, kEs, read_index(cpu, op, kRdi), sizeof(T), false));
}
template <typename T>
void store_destination(Cpu& cpu, const Op& op, T value) {
  store_linear<T>(cpu, segment_linear(cpu, kEs, read_index(cpu, op, kRdi), sizeof(T), true), value);
}

// --- One element -----------------------------------------------------------------------------------------------------

template <typename T>
struct MoveString {
  static void step(Cpu& cpu, const Op& op) {
    store_destination<T>(cpu, op, load_source<T>(cpu, op));
    advance(cpu, op, kRsi, sizeof(T));
    advance(cpu, op, kRdi, sizeof(T));
  }
};
template <typename T>
struct StoreString {
  static void step(Cpu& cpu, const Op& op) {
    store_destination<T>(cpu, op, read_register<T>(cpu, kRax));
    advance(cpu, op, kRdi, sizeof(T));
  }
};
template <typename T>
struct LoadString {
  static void step(Cpu& cpu, const Op& op) {
    write_register<T>(cpu, kRax, load_source<T>(cpu, op));
    advance(cpu, op, kRsi, sizeof(T));
  }
};

template <typename T>
void remember_compare(Cpu& cpu, T left, T right) {
  cpu.flags.first = sign_extended(left);
  cpu.flags.second = sign_extended(right);
  cpu.flags.kind = flag_kind(FlagKind::Subtract, kSizeLog2<T>);
}
template <typename T>
struct CompareString {
  static bool step(Cpu& cpu, const Op& op) {
    const T left = load_source<T>(cpu, op);
    const T right = load_destination<T>(cpu, op);
    remember_compare<T>(cpu, left, right);
    advance(cpu, op, kRsi, sizeof(T));
    advance(cpu, op, kRdi, sizeof(T));
    return left == right;
  }
};
template <typename T>
struct ScanString {
  static bool step(Cpu& cpu, const Op& op) {
    const T left = read_register<T>(cpu, kRax);
    const T right = load_destination<T>(cpu, op);
    remember_compare<T>(cpu, left, right);
    advance(cpu, op, kRdi, sizeof(T));
    return left == right;
  }
};

// --- Spans
// -------------------------------------------------------------------------------------------------------------

// How many elements from `offset` on stay in one page, below the address size's wrap and within the segment; at least 1
// (whose own checks then raise what is to be raised).
template <typename T>
uint64_t span_elements(Cpu& cpu, const Op& op, unsigned segment, uint64_t offset, uint64_t count) {
  uint64_t room = address_mask(op) - offset;  // bytes behind the first
  if (!cpu.code_64()) {
    const Segment& descriptor = cpu.segments[segment];
    if (descriptor.expand_down() || offset > descriptor.limit) return 1;
    room = std::min<uint64_t>(room, descriptor.limit - offset);
  }
  const uint64_t linear = offset + (cpu.code_64() && segment < kFs ? 0 : cpu.segments[segment].base);
  room = std::min<uint64_t>(room, kPageSize - 1 - (linear & ~kPageMask));
  return std::clamp<uint64_t>((room + 1) / sizeof(T), 1, count);
}

// Moves as many elements as possible at once; false where one element must go the long way (devices, page crossings,
// segments of odd shape, descending addresses, alignment checks).
template <typename T>
bool move_span(Cpu& cpu, const Op& op, uint64_t& count) {
  const uint64_t source = read_index(cpu, op, kRsi);
  const uint64_t destination = read_index(cpu, op, kRdi);
  uint64_t elements = span_elements<T>(cpu, op, op.segment, source, count);
  elements = span_elements<T>(cpu, op, kEs, destination, elements);
  const Protection protection = cpu.mmu().current_protection();
  if (elements < 2 || protection == Protection::UserAligned) return false;
  const auto bytes = static_cast<unsigned>(elements * sizeof(T));
  const uint64_t from = segment_linear(cpu, op.segment, source, bytes, false);
  const uint8_t* from_host = cpu.mmu().host_address(from, bytes, Access::Read, protection);
  const uint64_t to = segment_linear(cpu, kEs, destination, bytes, true);
  uint8_t* to_host = cpu.mmu().host_address(to, bytes, Access::Write, protection);
  if (from_host == nullptr || to_host == nullptr) return false;
  order_before_store();
  // A destination that starts inside the source repeats the first elements over and over, as a pattern fill does.
  if (to_host > from_host && to_host < from_host + bytes) {
    for (uint64_t i = 0; i < elements; ++i) std::memcpy(to_host + i * sizeof(T), from_host + i * sizeof(T), sizeof(T));
  } else {
    std::memmove(to_host, from_host, bytes);
  }
  cpu.mmu().note_written(to, to_host, bytes, protection);
  write_index(cpu, op, kRsi, source + bytes);
  write_index(cpu, op, kRdi, destination + bytes);
  count -= elements;
  return true;
}

template <typename T>
bool store_span(Cpu& cpu, const Op& op, uint64_t& count) {
  const uint64_t destination = read_index(cpu, op, kRdi);
  const uint64_t elements = span_elements<T>(cpu, op, kEs, destination, count);
  const Protection protection = cpu.mmu().current_protection();
  if (elements < 2 || protection == Protection::UserAligned) return false;
  const auto bytes = static_cast<unsigned>(elements * sizeof(T));
  const uint64_t to = segment_linear(cpu, kEs, destination, bytes, true);
  uint8_t* to_host = cpu.mmu().host_address(to, bytes, Access::Write, protection);
  if (to_host == nullptr) return false;
  const T value = read_register<T>(cpu, kRax);
  order_before_store();
  for (uint64_t i = 0; i < elements; ++i) std::memcpy(to_host + i * sizeof(T), &value, sizeof(T));
  cpu.mmu().note_written(to, to_host, bytes, protection);
  write_index(cpu, op, kRdi, destination + bytes);
  count -= elements;
  return true;
}

template <typename T>
bool no_span(Cpu&, const Op&, uint64_t&) {
  return false;
}

// --- Repetition
// ----------------------------------------------------------------------------------------------------------

// Leaves with RIP at the instruction, to go on later.
#define CALCO_LEAVE_AT_INSTRUCTION()                  \
  cpu->registers[kRip] += op->offset;                 \
  cpu->instructions_retired += op->instructions - 1u; \
  cpu->current_op = nullptr;                          \
  return

template <typename T, template <typename> typename Operation, bool (*kSpan)(Cpu&, const Op&, uint64_t&)>
CALCO_HANDLER_CONVENTION void repeat_count(Cpu* cpu, const Op* op, TlbEntry* tlb) {
  cpu->current_op = op;
  uint64_t count = read_index(*cpu, *op, kRcx);
  const bool up = (cpu->system_flags & rflags::kDf) == 0;
  while (count != 0) {
    const bool single = (cpu->exit_request.load(std::memory_order_relaxed) & request::kSingleStep) != 0;
    if (single || !up || !kSpan(*cpu, *op, count)) {
      Operation<T>::step(*cpu, *op);
      --count;
    }
    write_index(*cpu, *op, kRcx, count);
    if (count != 0 && cpu->exit_request.load(std::memory_order_relaxed) != 0) [[unlikely]] {
      CALCO_LEAVE_AT_INSTRUCTION();
    }
  }
  CALCO_NEXT_OPERATION;
}

// CMPS and SCAS: also stops at the first element that (kEqual) differs, or is equal.
template <typename T, template <typename> typename Operation, bool kEqual>
CALCO_HANDLER_CONVENTION void repeat_compare(Cpu* cpu, const Op* op, TlbEntry* tlb) {
  cpu->current_op = op;
  uint64_t count = read_index(*cpu, *op, kRcx);
  while (count != 0) {
    const bool equal = Operation<T>::step(*cpu, *op);
    write_index(*cpu, *op, kRcx, --count);
    if (equal != kEqual) break;
    if (count != 0 && cpu->exit_request.load(std::memory_order_relaxed) != 0) [[unlikely]] {
      CALCO_LEAVE_AT_INSTRUCTION();
    }
  }
  CALCO_NEXT_OPERATION;
}

template <typename T, template <typename> typename Operation>
void once(Cpu& cpu, const Op& op) {
  Operation<T>::step(cpu, op);
}

template <template <typename> typename Operation>
Handler single_handler(unsigned size) {
  return with_size(size, []<typename T>() -> Handler { return &plain<&once<T, Operation>>; });
}
template <template <typename> typename Operation>
Selection select_compare(unsigned size, const Op& op) {
  if (!op.repeat && !op.repeat_not) return {single_handler<Operation>(size)};
  return {with_size(size, [&]<typename T>() -> Handler {
    return op.repeat ? &repeat_compare<T, Operation, true> : &repeat_compare<T, Operation, false>;
  })};
}

template <typename T>
constexpr Handler kRepeatedMove = &repeat_count<T, MoveString, &move_span<T>>;
template <typename T>
constexpr Handler kRepeatedStore = &repeat_count<T, StoreString, &store_span<T>>;

}  // namespace

const std::array<Handler, 4> kRepeatedMoves = {kRepeatedMove<uint8_t>, kRepeatedMove<uint16_t>, kRepeatedMove<uint32_t>,
                                               kRepeatedMove<uint64_t>};
const std::array<Handler, 4> kRepeatedStores = {kRepeatedStore<uint8_t>, kRepeatedStore<uint16_t>,
                                                kRepeatedStore<uint32_t>, kRepeatedStore<uint64_t>};

Selection select_string(const decode::Instruction& instruction, Op& op) {
  const bool overridden = instruction.segment_override != kNoSegment;
  const bool based = instruction.segment_override == kFs || instruction.segment_override == kGs;
  op.segment = (instruction.code_64 ? (based ? instruction.segment_override : kNoSegment)
                                    : (overridden ? instruction.segment_override : kDs)) &
               0xF;
  op.address_size = instruction.address_size & 0xF;
  const unsigned size = instruction.operands[0].size;
  op.extra = static_cast<uint8_t>(std::countr_zero(size));
  const bool repeated = op.repeat || op.repeat_not;
  switch (instruction.mnemonic) {
    case Mnemonic::Movs:
      if (!repeated) return {single_handler<MoveString>(size)};
      return {kRepeatedMoves[op.extra]};
    case Mnemonic::Stos:
      if (!repeated) return {single_handler<StoreString>(size)};
      return {kRepeatedStores[op.extra]};
    case Mnemonic::Lods:
      if (!repeated) return {single_handler<LoadString>(size)};
      return {with_size(size, []<typename T>() -> Handler { return &repeat_count<T, LoadString, &no_span<T>>; })};
    case Mnemonic::Cmps:
      return select_compare<CompareString>(size, op);
    case Mnemonic::Scas:
      return select_compare<ScanString>(size, op);
    default:
      return {};
  }
}

}  // namespace calco::cpu
