// Page walks (SDM vol. 3, chapter 4).
#include <atomic>

#include "cpu/cpu.h"
#include "cpu/mmu/paging.h"
#include "cpu/mmu/store_journal.h"

namespace calco::cpu {

namespace {

constexpr uint64_t kPresentBit = 1, kWritableBit = 2, kUserBit = 4, kAccessedBit = 0x20, kDirtyBit = 0x40,
                   kPageSizeBit = 0x80, kGlobalBit = 0x100, kNoExecuteBit = uint64_t{1} << 63;

// What one walk needs to know of the processor.
struct Rules {
  bool long_mode, no_execute, write_protect, smep, smap, page_size_extensions, global_pages, gigabyte_pages;
  uint64_t reserved_physical;  // address bits of an entry beyond the physical width
};

Rules rules_of(const Cpu& cpu) {
  return {
      .long_mode = (cpu.efer & efer::kLma) != 0,
      .no_execute = (cpu.efer & efer::kNxe) != 0,
      .write_protect = (cpu.cr0 & cr0::kWp) != 0,
      .smep = (cpu.cr4 & cr4::kSmep) != 0,
      .smap = (cpu.cr4 & cr4::kSmap) != 0,
      .page_size_extensions = (cpu.cr4 & (cr4::kPse | cr4::kPae)) != 0,
      .global_pages = (cpu.cr4 & cr4::kPge) != 0,
      .gigabyte_pages = true,
      .reserved_physical = ((uint64_t{1} << 52) - 1) & ~((uint64_t{1} << kPhysicalAddressBits) - 1),
  };
}

}  // namespace

// One walk: reads entries, gathers permissions, checks them at the leaf, then sets accessed and dirty bits.
class Mmu::Walker {
 public:
  Walker(Cpu& cpu, uint64_t a20_mask, uint64_t linear, Access access, Protection protection, bool side_effects)
      : cpu_(cpu),
        rules_(rules_of(cpu)),
        a20_mask_(a20_mask),
        linear_(linear),
        access_(access),
        protection_(protection),
        side_effects_(side_effects) {}

  Translation run() {
    if ((cpu_.cr0 & cr0::kPg) == 0) return identity();
    if (rules_.long_mode) return walk_four_levels();
    if ((cpu_.cr4 & cr4::kPae) != 0) return walk_pae();
    return walk_32_bit();
  }

 private:
  struct Entry {
    uint64_t address;
    uint64_t value;
    bool wide;
  };

  Translation identity() const {
    Translation result;
    result.physical = linear_ & a20_mask_;
    result.user = result.writable = result.executable = result.dirty = true;
    result.page_shift = 12;
    return result;
  }

  Translation fault(uint32_t cause) const {
    Translation result;
    result.fault = true;
    result.error_code = cause;
    if (access_ == Access::Write) result.error_code |= page_fault::kWrite;
    if (protection_ >= Protection::User) result.error_code |= page_fault::kUser;
    if (access_ == Access::Execute && ((rules_.no_execute && paging_is_wide()) || rules_.smep)) {
      result.error_code |= page_fault::kFetch;
    }
    return result;
  }
  bool paging_is_wide() const { return (cpu_.cr4 & cr4::kPae) != 0; }

  uint64_t read_entry(uint64_t address, bool wide) const {
    address &= a20_mask_;
    const unsigned size = wide ? 8 : 4;
    const MemoryRange* range = cpu_.environment().memory_map.view(cpu_.in_smm).find(address);
    if (range != nullptr && range->host != nullptr && range->last - address >= size - 1) [[likely]] {
      const uint8_t* host = range->host + (address - range->first);
      return wide ? __atomic_load_n(reinterpret_cast<const uint64_t*>(host), __ATOMIC_RELAXED)
                  : __atomic_load_n(reinterpret_cast<const uint32_t*>(host), __ATOMIC_RELAXED);
    }
    return wide ? cpu_.environment().memory_map.read_value<uint64_t>(address, cpu_.in_smm)
                : cpu_.environment().memory_map.read_value<uint32_t>(address, cpu_.in_smm);
  }

  // Sets `bits` in an entry unless another processor changed the entry since it was read; false means: walk again.
  bool set_bits(const Entry& entry, uint64_t bits) const {
    if ((entry.value & bits) == bits) return true;
    MemoryMap& map = cpu_.environment().memory_map;
    const uint64_t address = entry.address & a20_mask_;
    const MemoryRange* range = map.view(cpu_.in_smm).find(address);
    if (range == nullptr || range->host == nullptr || !range->writable)
      return true;  // page tables in ROM stay as they are
    uint8_t* host = range->host + (address - range->first);
    cpu_.note_outside(StoreJournal::kPageTables);
    map.memory().before_store(map.memory().offset_of(host), entry.wide ? 8 : 4);
    if (entry.wide) {
      uint64_t expected = entry.value;
      return __atomic_compare_exchange_n(reinterpret_cast<uint64_t*>(host), &expected, entry.value | bits, false,
                                         __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
    }
    auto expected = static_cast<uint32_t>(entry.value);
    return __atomic_compare_exchange_n(reinterpret_cast<uint32_t*>(host), &expected,
                                       static_cast<uint32_t>(entry.value | bits), false, __ATOMIC_SEQ_CST,
                                       __ATOMIC_RELAXED);
  }

  // Reads the entry and merges its permissions. Returns 0 where it may be used, else the fault's cause bits | 1 << 31.
  static constexpr uint32_t kNoFault = 0, kFaulted = 1u << 31;
  uint32_t descend(uint64_t address, bool wide, uint64_t reserved) {
    Entry& entry = entries_[depth_++];
    entry = {address, read_entry(address, wide), wide};
    if ((entry.value & kPresentBit) == 0) return kFaulted;
    if (wide && !rules_.no_execute) reserved |= kNoExecuteBit;
    if ((entry.value & reserved) != 0) return kFaulted | page_fault::kPresent | page_fault::kReserved;
    writable_ &= (entry.value & kWritableBit) != 0;
    user_ &= (entry.value & kUserBit) != 0;
    executable_ &= !wide || (entry.value & kNoExecuteBit) == 0;
    return kNoFault;
  }

  // The leaf was read: checks permissions (SDM vol. 3, 4.6.1) and writes accessed and dirty bits back.
  Translation finish(uint64_t page_base, unsigned page_shift) {
    const Entry& leaf = entries_[depth_ - 1];
    const bool user_access = protection_ >= Protection::User;
    Translation result;
    result.page_shift = page_shift;
    result.user = user_;
    bool readable = true;
    if (user_access) {
      readable = user_;
      result.writable = user_ && writable_;
      result.executable = user_ && executable_;
    } else {
      const bool smap_blocks = user_ && rules_.smap && protection_ == Protection::Supervisor;
      readable = !smap_blocks;
      result.writable = (writable_ || !rules_.write_protect) && !smap_blocks;
      result.executable = executable_ && !(user_ && rules_.smep);
    }
    const bool allowed = access_ == Access::Execute ? result.executable
                         : access_ == Access::Read  ? readable
                                                    : result.writable;
    if (!allowed) return fault(page_fault::kPresent);
    result.readable = readable;
    result.global = rules_.global_pages && (leaf.value & kGlobalBit) != 0;
    result.dirty = access_ == Access::Write || (leaf.value & kDirtyBit) != 0;
    if (side_effects_) {
      for (unsigned level = 0; level + 1 < depth_; ++level) {
        if (!set_bits(entries_[level], kAccessedBit)) return retry();
      }
      if (!set_bits(leaf, kAccessedBit | (access_ == Access::Write ? kDirtyBit : 0))) return retry();
    }
    const uint64_t inside = (uint64_t{1} << page_shift) - 1;
    result.physical = ((page_base & ~inside) | (linear_ & inside)) & a20_mask_;
    return result;
  }
  Translation retry() { return Walker(cpu_, a20_mask_, linear_, access_, protection_, side_effects_).run(); }

  Translation walk_four_levels() {
    const uint64_t address_bits = ((uint64_t{1} << 52) - 1) & kPageMask;
    uint64_t table = cpu_.cr3 & address_bits;
    for (unsigned shift = 39;; shift -= 9) {
      const uint64_t address = table + (linear_ >> shift & 0x1FF) * 8;
      uint64_t reserved = rules_.reserved_physical;
      if (shift == 39) reserved |= kPageSizeBit;
      const uint32_t cause = descend(address, true, reserved);
      if (cause != kNoFault) return fault(cause & ~kFaulted);
      const uint64_t value = entries_[depth_ - 1].value;
      if (shift == 12) return finish(value & address_bits, 12);
      if (shift < 39 && (value & kPageSizeBit) != 0) {
        // Address bits below the page's size, but for PAT in bit 12, are reserved.
        const uint64_t low = ((uint64_t{1} << shift) - 1) & ~uint64_t{0x1FFF};
        if ((value & low) != 0) return fault(page_fault::kPresent | page_fault::kReserved);
        return finish(value & address_bits, shift);
      }
      table = value & address_bits;
    }
  }

  Translation walk_pae() {
    const uint64_t address_bits = ((uint64_t{1} << 52) - 1) & kPageMask;
    const uint64_t pointer = cpu_.pae_pointers[linear_ >> 30 & 3];
    if ((pointer & kPresentBit) == 0) return fault(0);
    // Bits 52-62 are reserved in PAE entries.
    const uint64_t reserved = rules_.reserved_physical | (uint64_t{0x7FF} << 52);
    uint32_t cause = descend((pointer & address_bits) + (linear_ >> 21 & 0x1FF) * 8, true, reserved);
    if (cause != kNoFault) return fault(cause & ~kFaulted);
    const uint64_t directory = entries_[0].value;
    if ((directory & kPageSizeBit) != 0) {
      if ((directory & 0x1FE000) != 0) return fault(page_fault::kPresent | page_fault::kReserved);
      return finish(directory & address_bits, 21);
    }
    cause = descend((directory & address_bits) + (linear_ >> 12 & 0x1FF) * 8, true, reserved);
    if (cause != kNoFault) return fault(cause & ~kFaulted);
    return finish(entries_[1].value & address_bits, 12);
  }

  Translation walk_32_bit() {
    uint32_t cause = descend((cpu_.cr3 & 0xFFFFF000) + (linear_ >> 22 & 0x3FF) * 4, false, 0);
    if (cause != kNoFault) return fault(cause & ~kFaulted);
    const uint64_t directory = entries_[0].value;
    if ((directory & kPageSizeBit) != 0 && rules_.page_size_extensions) {
      // PSE-36: bits 13-20 are physical address bits 32-39, bit 21 is reserved (SDM vol. 3, table 4-4).
      if ((directory & 0x200000) != 0) return fault(page_fault::kPresent | page_fault::kReserved);
      return finish((directory & 0xFFC00000) | (directory & 0x1FE000) << 19, 22);
    }
    cause = descend((directory & 0xFFFFF000) + (linear_ >> 12 & 0x3FF) * 4, false, 0);
    if (cause != kNoFault) return fault(cause & ~kFaulted);
    return finish(entries_[1].value & 0xFFFFF000, 12);
  }

  Cpu& cpu_;
  const Rules rules_;
  const uint64_t a20_mask_;
  const uint64_t linear_;
  const Access access_;
  const Protection protection_;
  const bool side_effects_;
  Entry entries_[4] = {};
  unsigned depth_ = 0;
  bool writable_ = true, user_ = true, executable_ = true;
};

Translation Mmu::walk(uint64_t linear, Access access, Protection protection) {
  return Walker(cpu_, a20_mask_, linear, access, protection, true).run();
}

Translation Mmu::probe(uint64_t linear) {
  // Asked as the most privileged reader, so that only absence is a fault.
  return Walker(cpu_, a20_mask_, linear, Access::Read, Protection::SupervisorNoSmap, false).run();
}

}  // namespace calco::cpu
