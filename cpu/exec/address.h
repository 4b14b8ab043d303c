// Addresses of memory operands in the hot handlers: one handler variant for each shape of address.
#pragma once

#include "cpu/exec/handlers.h"
#include "cpu/mmu/access.h"

namespace calco::cpu {

// Base and Indexed are 64-bit code without a segment base; Based adds FS or GS; General is everything else: 16- and
// 32-bit code, 32-bit addresses.
enum class AddressShape : uint8_t { Base, Indexed, Based, General };

inline AddressShape address_shape(const decode::Instruction& instruction) {
  const decode::MemoryOperand& memory = instruction.memory;
  // In 64-bit code the decoder names only FS, GS, SS (for the kind of fault) or no segment.
  if (!instruction.code_64 || memory.address_size != 8) return AddressShape::General;
  if (memory.segment == kFs || memory.segment == kGs) return AddressShape::Based;
  return memory.index == kZero ? AddressShape::Base : AddressShape::Indexed;
}

template <AddressShape kShape>
[[gnu::always_inline]] inline uint64_t linear_address(Cpu& cpu, const Op& op, unsigned size, bool write) {
  const auto displacement = static_cast<uint64_t>(static_cast<int64_t>(op.displacement));
  if constexpr (kShape == AddressShape::Base) {
    return cpu.registers[op.base] + displacement;
  } else if constexpr (kShape == AddressShape::Indexed) {
    return cpu.registers[op.base] + (cpu.registers[op.index] << op.scale) + displacement;
  } else if constexpr (kShape == AddressShape::Based) {
    return cpu.registers[op.base] + (cpu.registers[op.index] << op.scale) + displacement +
           cpu.segments[op.segment].base;
  } else {
    return operand_linear(cpu, op, size, write);
  }
}

// Where the fast path may read, write, or both; null where the TLB does not allow it.
template <typename T>
[[gnu::always_inline]] inline const void* readable_host(const TlbEntry* tlb, uint64_t linear) {
  const TlbEntry& entry = tlb[(linear >> 12) & (kTlbEntries - 1)];
  const bool hit = ((linear + (sizeof(T) - 1)) & ~uint64_t{0xFFF}) == entry.read;
  order_before_load();
  return hit ? reinterpret_cast<const void*>(linear + entry.addend) : nullptr;
}
template <typename T>
[[gnu::always_inline]] inline void* writable_host(const TlbEntry* tlb, uint64_t linear) {
  const TlbEntry& entry = tlb[(linear >> 12) & (kTlbEntries - 1)];
  const bool hit = ((linear + (sizeof(T) - 1)) & ~uint64_t{0xFFF}) == entry.write;
  order_before_store();
  return hit ? reinterpret_cast<void*>(linear + entry.addend) : nullptr;
}

// Hot handlers of a 64-bit address shape begin with one of these. Where the TLB does not serve the access they go on,
// by tail call and so without a stack frame of their own, in their variant for AddressShape::General, which can raise.
// The shape's name must be kShape.
#define CALCO_LOAD_OPERAND(T, value, ...)                                                          \
  T value;                                                                                         \
  if constexpr (kShape == AddressShape::General) {                                                 \
    value = load_shaped<T, kShape>(*cpu, op, tlb);                                                 \
  } else {                                                                                         \
    const void* host = readable_host<T>(tlb, linear_address<kShape>(*cpu, *op, sizeof(T), false)); \
    if (host == nullptr) [[unlikely]]                                                              \
      [[clang::musttail]] return __VA_ARGS__(cpu, op, tlb);                                        \
    std::memcpy(&value, host, sizeof(T));                                                          \
  }                                                                                                \
  static_assert(true)
#define CALCO_STORE_OPERAND(T, value, ...)                                                  \
  if constexpr (kShape == AddressShape::General) {                                          \
    store_shaped<T, kShape>(*cpu, op, tlb, value);                                          \
  } else {                                                                                  \
    const T stored = value;                                                                 \
    void* host = writable_host<T>(tlb, linear_address<kShape>(*cpu, *op, sizeof(T), true)); \
    if (host == nullptr) [[unlikely]]                                                       \
      [[clang::musttail]] return __VA_ARGS__(cpu, op, tlb);                                 \
    std::memcpy(host, &stored, sizeof(T));                                                  \
  }                                                                                         \
  static_assert(true)

// Load and store of the operation's memory operand on the fast path. `current_op` is set first: anything slow may
// raise.
template <typename T, AddressShape kShape>
[[gnu::always_inline]] inline T load_shaped(Cpu& cpu, const Op* op, TlbEntry* tlb) {
  cpu.current_op = op;
  return load_linear<T>(cpu, tlb, linear_address<kShape>(cpu, *op, sizeof(T), false), op->segment == kSs);
}
template <typename T, AddressShape kShape>
[[gnu::always_inline]] inline void store_shaped(Cpu& cpu, const Op* op, TlbEntry* tlb, T value) {
  cpu.current_op = op;
  store_linear<T>(cpu, tlb, linear_address<kShape>(cpu, *op, sizeof(T), true), value, op->segment == kSs);
}

// Reads, changes and writes the operand, one lookup for both on the fast path. `change` must not raise.
template <typename T, AddressShape kShape, typename Change>
[[gnu::always_inline]] inline void modify_shaped(Cpu& cpu, const Op* op, TlbEntry* tlb, Change&& change) {
  cpu.current_op = op;
  const uint64_t linear = linear_address<kShape>(cpu, *op, sizeof(T), true);
  const TlbEntry* entry = tlb_entry(tlb, linear);
  if (((linear + (sizeof(T) - 1)) & ~uint64_t{0xFFF}) == entry->write && entry->read == entry->write) [[likely]] {
    auto* host = reinterpret_cast<void*>(linear + entry->addend);
    T value;
    order_before_load();
    std::memcpy(&value, host, sizeof(T));
    value = change(value);
    order_before_store();
    std::memcpy(host, &value, sizeof(T));
    return;
  }
  const bool stack = op->segment == kSs;
  cpu.mmu().probe_write(linear, sizeof(T), cpu.mmu().current_protection(), stack);
  const T value = change(load_linear<T>(cpu, tlb, linear, stack));
  store_linear<T>(cpu, tlb, linear, value, stack);
}

// Calls `pick.template operator()<T>()` with the unsigned type of `size` bytes.
template <typename Pick>
constexpr auto with_size(unsigned size, Pick&& pick) {
  switch (size) {
    case 1:
      return pick.template operator()<uint8_t>();
    case 2:
      return pick.template operator()<uint16_t>();
    case 4:
      return pick.template operator()<uint32_t>();
    default:
      return pick.template operator()<uint64_t>();
  }
}
// The same with the address shape as second argument: `pick.template operator()<T, kShape>()`.
template <typename Pick>
constexpr auto with_size_and_shape(unsigned size, AddressShape shape, Pick&& pick) {
  return with_size(size, [&]<typename T>() {
    switch (shape) {
      case AddressShape::Base:
        return pick.template operator()<T, AddressShape::Base>();
      case AddressShape::Indexed:
        return pick.template operator()<T, AddressShape::Indexed>();
      case AddressShape::Based:
        return pick.template operator()<T, AddressShape::Based>();
      default:
        return pick.template operator()<T, AddressShape::General>();
    }
  });
}

// A general register operand as Op::reg and Op::rm hold it.
constexpr uint8_t register_field(const decode::Operand& operand) {
  if (operand.kind != decode::OperandKind::General || operand.size != 1) return operand.number;
  return static_cast<uint8_t>(operand.number < 16 ? operand.number * 8 : (operand.number - 16) * 8 + 1);
}

template <typename T>
constexpr unsigned kSizeLog2 = sizeof(T) == 1   ? 0
                               : sizeof(T) == 2 ? 1
                               : sizeof(T) == 4 ? 2
                                                : 3;

template <typename T>
[[gnu::always_inline]] constexpr uint64_t sign_extended(T value) {
  return static_cast<uint64_t>(static_cast<int64_t>(static_cast<std::make_signed_t<T>>(value)));
}

#define CALCO_NEXT_OPERATION [[clang::musttail]] return op[1].handler(cpu, op + 1, tlb)

}  // namespace calco::cpu
