#include "jit/runtime/quick_paths.h"

#include "cpu/compute_flags.h"
#include "cpu/exec/string.h"
#include "cpu/mmu/watched_page.h"
#include "cpu/system/processor_group.h"
#include "jit/runtime/abi.h"
#include "jit/runtime/helpers.h"

namespace calco::jit {

using cpu::Cpu;
using cpu::TlbEntry;

namespace {

[[gnu::always_inline]] inline Cpu& processor(cpu::CpuState* state) { return *static_cast<Cpu*>(state); }

constexpr uint64_t in_page(uint64_t linear) { return linear & ~kPageMask; }

[[gnu::always_inline]] inline uint8_t* host_of(uint64_t linear, const TlbEntry& entry) {
  return reinterpret_cast<uint8_t*>(linear + entry.addend);
}

// Where `size` bytes lie that may be read, or written, at once: in one page, or in two that are neighbours in host
// memory too.
[[gnu::always_inline]] inline uint8_t* plain_memory(const Cpu& cpu, uint64_t linear, uint64_t size,
                                                    uint64_t TlbEntry::* tag) {
  const TlbEntry& first = *cpu::tlb_entry(cpu.tlb, linear);
  const uint64_t last = linear + size - 1;
  if (first.*tag != (linear & kPageMask)) return nullptr;
  if ((last & kPageMask) != (linear & kPageMask)) {
    const TlbEntry& second = *cpu::tlb_entry(cpu.tlb, last);
    if (second.*tag != (last & kPageMask) || second.addend != first.addend) return nullptr;
  }
  return host_of(linear, first);
}

// Where `size` bytes lie that may be written in a page that has code, but none in them. Stores of other
// processors are no matter; that one of them marks code meanwhile is, so there must be none.
[[gnu::always_inline]] inline uint8_t* memory_beside_code(Cpu& cpu, uint64_t linear, uint64_t size) {
  const TlbEntry& entry = *cpu::tlb_entry(cpu.tlb, linear);
  if (entry.write != ((linear & kPageMask) | cpu::kTlbSlow | cpu::kTlbWatched)) return nullptr;
  if (in_page(linear) + size > kPageSize || cpu.environment().group.processors().size() != 1) return nullptr;
  uint8_t* host = host_of(linear, entry);
  const GuestMemory& memory = cpu.environment().memory_map.memory();
  return cpu::beside_code(memory, memory.offset_of(host), size) ? host : nullptr;
}

// The host's own instructions with elements of 1 << size_log2 bytes, so that what overlaps repeats as it shall.
[[gnu::always_inline]] inline void move_string(uint8_t* to, const uint8_t* from, uint64_t count, unsigned size_log2) {
  switch (size_log2) {
    case 0:
      asm volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(count)::"memory");
      break;
    case 1:
      asm volatile("rep movsw" : "+D"(to), "+S"(from), "+c"(count)::"memory");
      break;
    case 2:
      asm volatile("rep movsl" : "+D"(to), "+S"(from), "+c"(count)::"memory");
      break;
    default:
      asm volatile("rep movsq" : "+D"(to), "+S"(from), "+c"(count)::"memory");
      break;
  }
}

[[gnu::always_inline]] inline void store_string(uint8_t* to, uint64_t value, uint64_t count, unsigned size_log2) {
  switch (size_log2) {
    case 0:
      asm volatile("rep stosb" : "+D"(to), "+c"(count) : "a"(value) : "memory");
      break;
    case 1:
      asm volatile("rep stosw" : "+D"(to), "+c"(count) : "a"(value) : "memory");
      break;
    case 2:
      asm volatile("rep stosl" : "+D"(to), "+c"(count) : "a"(value) : "memory");
      break;
    default:
      asm volatile("rep stosq" : "+D"(to), "+c"(count) : "a"(value) : "memory");
      break;
  }
}

}  // namespace

// The end of one page and the beginning of another.
const uint64_t* load_quickly(cpu::CpuState* state, uint64_t linear, uint32_t site) {
  Cpu& cpu = processor(state);
  const unsigned size = site_size(site);
  const unsigned bits_in_first = static_cast<unsigned>(kPageSize - in_page(linear)) * 8;
  const uint64_t second_page = (linear & kPageMask) + kPageSize;
  const TlbEntry& first = *cpu::tlb_entry(cpu.tlb, linear);
  const TlbEntry& second = *cpu::tlb_entry(cpu.tlb, second_page);
  if (bits_in_first >= size * 8) return nullptr;
  if (first.read != (linear & kPageMask) || second.read != second_page) return nullptr;
  uint64_t low, high;
  __builtin_memcpy(&low, host_of(second_page - sizeof(low), first), sizeof(low));
  __builtin_memcpy(&high, host_of(second_page, second), sizeof(high));
  const uint64_t both = low >> (64 - bits_in_first) | high << bits_in_first;
  auto* value = reinterpret_cast<uint64_t*>(cpu.read_across_pages.data());
  *value = both & ~uint64_t{0} >> (64 - size * 8);
  ++cpu.translation_counters.slow_accesses;
  return value;
}

const void* store_quickly(cpu::CpuState* state, uint64_t linear, uint32_t site, uint64_t value) {
  Cpu& cpu = processor(state);
  const unsigned size = site_size(site);
  uint8_t* host = memory_beside_code(cpu, linear, size);
  if (host == nullptr) host = plain_memory(cpu, linear, size, &TlbEntry::write);
  if (host == nullptr) return nullptr;
  switch (size) {
    case 1:
      *host = static_cast<uint8_t>(value);
      break;
    case 2:
      __builtin_memcpy(host, &value, 2);
      break;
    case 4:
      __builtin_memcpy(host, &value, 4);
      break;
    default:
      __builtin_memcpy(host, &value, 8);
      break;
  }
  ++cpu.translation_counters.slow_accesses;
  return host;
}

uint8_t* find_host_address_quickly(cpu::CpuState* state, uint64_t linear, uint32_t site) {
  Cpu& cpu = processor(state);
  const unsigned size = site_size(site);
  if ((site & kSiteAligned) != 0 && (linear & (size - 1)) != 0) return nullptr;
  uint8_t* host = nullptr;
  if ((site & kSiteWrite) == 0) {
    host = plain_memory(cpu, linear, size, &TlbEntry::read);
  } else {
    host = memory_beside_code(cpu, linear, size);
    // Operands that may be locked are at most 8 bytes long, or aligned; the host's own lock across pages is no good.
    constexpr unsigned kLongestLocked = 8;
    if (host == nullptr && size > kLongestLocked) host = plain_memory(cpu, linear, size, &TlbEntry::write);
  }
  cpu.translation_counters.slow_accesses += host != nullptr ? 1 : 0;
  return host;
}

const void* interpret_quickly(cpu::CpuState* state, const cpu::Op* op) {
  Cpu& cpu = processor(state);
  const bool move = op->handler == cpu::kRepeatedMoves[op->extra % cpu::kRepeatedMoves.size()];
  if (!move && op->handler != cpu::kRepeatedStores[op->extra % cpu::kRepeatedStores.size()]) return nullptr;
  // What is compared with the interpreter pauses where that does.
  if ((cpu.exit_request.load(std::memory_order_relaxed) & cpu::request::kPiece) != 0) return nullptr;
  const bool down = (cpu.system_flags & cpu::rflags::kDf) != 0;
  const bool other_segment = move && op->segment != cpu::kNoSegment;
  if (down || other_segment || op->address_size != 8 || op[1].handler != &stop) return nullptr;
  uint64_t count = cpu.registers[cpu::kRcx];
  if (count == 0) return op;
  if (count > kPageSize >> op->extra) return nullptr;
  const uint64_t bytes = count << op->extra;
  uint8_t* to = plain_memory(cpu, cpu.registers[cpu::kRdi], bytes, &TlbEntry::write);
  if (to == nullptr) return nullptr;
  if (move) {
    const uint8_t* from = plain_memory(cpu, cpu.registers[cpu::kRsi], bytes, &TlbEntry::read);
    if (from == nullptr) return nullptr;
    move_string(to, from, count, op->extra);
    cpu.registers[cpu::kRsi] += bytes;
  } else {
    store_string(to, cpu.registers[cpu::kRax], count, op->extra);
  }
  cpu.registers[cpu::kRdi] += bytes;
  cpu.registers[cpu::kRcx] = 0;
  return op;
}

uint64_t compute_flags(const cpu::CpuState* state) { return cpu::compute_arithmetic_flags(state->flags); }

}  // namespace calco::jit
