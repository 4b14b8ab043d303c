#include "machine/debugger/linear_memory.h"

#include <algorithm>
#include <cstring>
#include <span>

#include "cpu/mmu/paging.h"

namespace calco::machine {
namespace {

// The host's bytes from `linear` to at most the end of its page; empty where no memory is.
std::span<uint8_t> bytes_at(cpu::Cpu& cpu, uint64_t linear, uint64_t size) {
  if (cpu.long_mode_active() ? !cpu::canonical(linear) : linear > 0xFFFFFFFF) return {};
  const cpu::Translation translation = cpu.mmu().probe(linear);
  if (translation.fault) return {};
  const MemoryRange* range = cpu.environment().memory_map.view(cpu.in_smm).find(translation.physical);
  if (range == nullptr || range->host == nullptr) return {};
  const uint64_t in_page = kPageSize - (linear & ~kPageMask);
  const uint64_t in_range = range->last - translation.physical + 1;
  return {range->host + (translation.physical - range->first), std::min({size, in_page, in_range})};
}

// The pieces of `size` bytes, until one has no memory.
std::vector<std::span<uint8_t>> pieces_of(cpu::Cpu& cpu, uint64_t linear, uint64_t size) {
  std::vector<std::span<uint8_t>> pieces;
  while (size != 0) {
    const std::span<uint8_t> piece = bytes_at(cpu, linear, size);
    if (piece.empty()) break;
    pieces.push_back(piece);
    linear += piece.size();
    size -= piece.size();
  }
  return pieces;
}

}  // namespace

std::vector<uint8_t> read_linear_memory(cpu::Cpu& cpu, uint64_t linear, uint64_t size) {
  std::vector<uint8_t> bytes;
  for (const std::span<uint8_t> piece : pieces_of(cpu, linear, size)) {
    bytes.insert(bytes.end(), piece.begin(), piece.end());
  }
  return bytes;
}

bool write_linear_memory(cpu::Cpu& cpu, uint64_t linear, std::span<const uint8_t> bytes) {
  const auto pieces = pieces_of(cpu, linear, bytes.size());
  uint64_t found = 0;
  for (const std::span<uint8_t> piece : pieces) found += piece.size();
  if (found != bytes.size()) return false;
  GuestMemory& memory = cpu.environment().memory_map.memory();
  for (const std::span<uint8_t> piece : pieces) {
    memory.before_store(memory.offset_of(piece.data()), piece.size());
    std::memcpy(piece.data(), bytes.data(), piece.size());
    bytes = bytes.subspan(piece.size());
  }
  return true;
}

}  // namespace calco::machine
