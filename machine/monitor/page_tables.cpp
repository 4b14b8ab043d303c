#include "machine/monitor/page_tables.h"

#include <cstring>

#include "cpu/mmu/paging.h"

namespace calco::machine {
namespace {

using cpu::Cpu;

// Bits of table entries (SDM vol. 3, table 4-14 to 4-20).
constexpr uint64_t kPresent = 1, kWritable = 2, kUser = 4, kLarge = 1u << 7;
constexpr uint64_t kAddress = ((uint64_t{1} << cpu::kPhysicalAddressBits) - 1) & kPageMask;

class TableWalk {
 public:
  TableWalk(Cpu& cpu, const std::function<void(const PageMapping&)>& visit)
      : view_(cpu.environment().memory_map.view(cpu.in_smm)), visit_(visit) {}

  // All entries of the table at `table`, each of which covers 1 << `shift` bytes.
  void walk(uint64_t table, unsigned shift, uint64_t linear, bool user, bool writable) {
    for (uint64_t index = 0; index < 512 && seen_ < kMostTableEntries; ++index) {
      ++seen_;
      const uint64_t entry = read<uint64_t>(table + index * 8);
      if ((entry & kPresent) == 0) continue;
      const uint64_t address = sign_extended(linear | index << shift);
      const bool entry_user = user && (entry & kUser) != 0;
      const bool entry_writable = writable && (entry & kWritable) != 0;
      if (shift == 12 || (shift <= 30 && (entry & kLarge) != 0)) {
        const uint64_t size = uint64_t{1} << shift;
        visit_({address, entry & kAddress & ~(size - 1), size, entry, entry_user, entry_writable});
      } else {
        walk(entry & kAddress, shift - 9, address, entry_user, entry_writable);
      }
    }
  }

  // PAE: the four pointers have no access bits.
  void walk_pae(const Cpu& cpu) {
    for (uint64_t index = 0; index < cpu.pae_pointers.size(); ++index) {
      const uint64_t entry = cpu.pae_pointers[index];
      if ((entry & kPresent) != 0) walk(entry & kAddress, 21, index << 30, true, true);
    }
  }

  void walk_32_bit(uint64_t directory, bool large_pages) {
    for (uint64_t index = 0; index < 1024; ++index) {
      const uint64_t entry = read<uint32_t>(directory + index * 4);
      if ((entry & kPresent) == 0) continue;
      const bool user = (entry & kUser) != 0;
      const bool writable = (entry & kWritable) != 0;
      if (large_pages && (entry & kLarge) != 0) {
        // PSE-36: bits 13 to 20 are address bits 32 to 39 (SDM vol. 3, 4.3).
        const uint64_t physical = (entry & 0xFFC00000) | (entry >> 13 & 0xFF) << 32;
        visit_({index << 22, physical, uint64_t{1} << 22, entry, user, writable});
      } else {
        walk_32_bit_table(entry & 0xFFFFF000, index << 22, user, writable);
      }
    }
  }

  bool complete() const { return seen_ < kMostTableEntries; }

 private:
  static uint64_t sign_extended(uint64_t linear) {
    return static_cast<uint64_t>(static_cast<int64_t>(linear << 16) >> 16);
  }

  void walk_32_bit_table(uint64_t table, uint64_t linear, bool user, bool writable) {
    for (uint64_t index = 0; index < 1024; ++index) {
      const uint64_t entry = read<uint32_t>(table + index * 4);
      if ((entry & kPresent) == 0) continue;
      visit_({linear | index << 12, entry & 0xFFFFF000, kPageSize, entry, user && (entry & kUser) != 0,
              writable && (entry & kWritable) != 0});
    }
  }

  // Entries lie in memory or count as not present: reading a device could have effects.
  template <typename T>
  T read(uint64_t address) const {
    T value = 0;
    const MemoryRange* range = view_.find(address);
    if (range == nullptr || range->host == nullptr || range->last - address < sizeof(T) - 1) return value;
    std::memcpy(&value, range->host + (address - range->first), sizeof(T));
    return value;
  }

  const FlatView& view_;
  const std::function<void(const PageMapping&)>& visit_;
  uint64_t seen_ = 0;
};

}  // namespace

bool for_each_mapping(Cpu& cpu, const std::function<void(const PageMapping&)>& visit) {
  if ((cpu.cr0 & cpu::cr0::kPg) == 0) return true;
  TableWalk walk(cpu, visit);
  if (cpu.long_mode_active()) {
    walk.walk(cpu.cr3 & kAddress, 39, 0, true, true);
  } else if ((cpu.cr4 & cpu::cr4::kPae) != 0) {
    walk.walk_pae(cpu);
  } else {
    walk.walk_32_bit(cpu.cr3 & 0xFFFFF000, (cpu.cr4 & cpu::cr4::kPse) != 0);
  }
  return walk.complete();
}

}  // namespace calco::machine
