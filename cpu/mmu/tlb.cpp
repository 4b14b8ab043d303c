#include "cpu/mmu/tlb.h"

#include <algorithm>
#include <bitset>
#include <cstring>

#include "cpu/cpu.h"
#include "cpu/exec/block_cache.h"
#include "cpu/exec/host_memory.h"
#include "cpu/mmu/paging.h"
#include "cpu/mmu/store_journal.h"
#include "cpu/mmu/watched_page.h"

namespace calco::cpu {

namespace {

constexpr size_t kProtections = static_cast<size_t>(Protection::Count);
constexpr size_t kMaximumSpaces = 16;

// What the fast paths need not see of an entry.
struct Detail {
  uint64_t physical = 0;  // guest physical address of the page
  bool memory = false;    // TlbEntry::addend is valid
  bool global = false;
};

constexpr uint64_t page_of(uint64_t linear) { return linear & kPageMask; }

}  // namespace

// The translations cached for one PCID.
struct Mmu::AddressSpace {
  explicit AddressSpace(uint16_t id) : pcid(id) {}

  struct Table {
    // Two to a host cache line: every access of translated code reads two words of one.
    alignas(64) TlbEntry entries[kTlbEntries];
    Detail details[kTlbEntries];
    std::vector<uint16_t> non_global;  // entries that a non-global flush must drop, possibly with repetitions
    bool empty = true;                 // nothing was entered since it was cleared

    void clear() {
      if (empty) return;
      std::fill(std::begin(entries), std::end(entries), TlbEntry{});
      non_global.clear();
      empty = true;
    }
  };

  void drop(Table& table, size_t index) { table.entries[index] = TlbEntry{}; }

  uint16_t pcid;
  uint64_t last_use = 0;
  uint64_t generation = 0;
  // INVLPG of any address in a large page drops all its pieces, which lie all over the tables: hashes of the large
  // pages that some entry is a piece of.
  std::bitset<4096> large_2m;
  std::bitset<256> larger;
  std::bitset<1024> executed;  // hashes of pages that were fetched from in this generation

  bool in_large_page(uint64_t linear) const {
    return large_2m.test((linear >> 21) % large_2m.size()) || larger.test((linear >> 30) % larger.size());
  }
  void note_large_page(uint64_t linear, unsigned page_shift) {
    if (page_shift == 21) large_2m.set((linear >> 21) % large_2m.size());
    if (page_shift > 21) larger.set((linear >> 30) % larger.size());
  }

  // Those for use with or without a journal.
  Table* tables_for(bool journaled_stores) {
    if (!journaled_stores) return tables;
    if (journaled == nullptr) journaled = std::make_unique<Table[]>(kProtections);
    return journaled.get();
  }
  template <typename Visitor>
  void each_table(Visitor&& visit) {
    for (Table& table : tables) visit(table);
    if (journaled == nullptr) return;
    for (size_t i = 0; i < kProtections; ++i) visit(journaled[i]);
  }

  Table tables[kProtections];
  std::unique_ptr<Table[]> journaled;  // of kProtections, where there ever was a journal
};

struct Mmu::Slot {
  TlbEntry& entry;
  Detail& detail;
  AddressSpace::Table& table;
  size_t index;
};

Mmu::Mmu(Cpu& cpu) : cpu_(cpu) {
  bool reused = false;
  current_ = &space_of(0, reused);
  new_upper_generation();
}

Mmu::~Mmu() = default;

Protection Mmu::current_protection() const {
  if (cpu_.cpl == 3) {
    const bool checks = (cpu_.cr0 & cr0::kAm) != 0 && (cpu_.system_flags & rflags::kAc) != 0;
    return checks ? Protection::UserAligned : Protection::User;
  }
  const bool no_smap = (cpu_.cr4 & cr4::kSmap) != 0 && (cpu_.system_flags & rflags::kAc) != 0;
  return no_smap ? Protection::SupervisorNoSmap : Protection::Supervisor;
}

TlbEntry* Mmu::current_tlb() {
  return current_->tables_for(journal_ != nullptr)[static_cast<size_t>(current_protection())].entries;
}

uint64_t Mmu::fetch_generation() const { return current_->generation; }

uint64_t Mmu::upper_fetch_generation() const {
  return upper_half_is_global_ ? upper_generation_ : current_->generation;
}

// The entry for `linear`, filled so that `access` is allowed, or the page fault raised.
Mmu::Slot Mmu::find(uint64_t linear, Access access, Protection protection) {
  auto& table = current_->tables_for(journal_ != nullptr)[static_cast<size_t>(protection)];
  const size_t index = (linear >> 12) & (kTlbEntries - 1);
  Slot slot{table.entries[index], table.details[index], table, index};
  const uint64_t tag = access == Access::Read    ? slot.entry.read
                       : access == Access::Write ? slot.entry.write
                                                 : slot.entry.execute;
  if (page_of(tag) == page_of(linear) && tag != kTlbInvalid) return slot;
  ++counters.misses;
  const Translation translation = walk(linear, access, protection);
  if (translation.fault) cpu_.raise_page_fault(linear, translation.error_code);
  fill(slot, linear, translation, protection);
  return slot;
}

void Mmu::fill(const Slot& slot, uint64_t linear, const Translation& translation, Protection protection) {
  const uint64_t page = page_of(linear);
  const uint64_t physical = page_of(translation.physical);
  slot.entry = TlbEntry{};
  slot.table.empty = false;
  slot.detail = {physical, false, translation.global};
  current_->note_large_page(linear, translation.page_shift);
  if (!translation.global) {
    if (slot.table.non_global.size() < kTlbEntries) slot.table.non_global.push_back(static_cast<uint16_t>(slot.index));
  }

  const MemoryRange* range = cpu_.environment().memory_map.view(cpu_.in_smm).find(physical);
  const bool whole = range != nullptr && range->host != nullptr && range->last - physical >= kPageSize - 1;
  uint64_t slow = whole && !cpu_.has_data_breakpoint(page) ? 0 : kTlbSlow;
  uint64_t slow_write = slow;
  if (whole) {
    const uint8_t* host = range->host + (physical - range->first);
    slot.entry.addend = reinterpret_cast<uint64_t>(host) - page;
    slot.detail.memory = true;
    const GuestMemory& memory = cpu_.environment().memory_map.memory();
    if (!range->writable) slow_write = kTlbSlow;
    if (slow_write == 0 && memory.watches_stores(memory.offset_of(host))) slow_write = kTlbSlow | kTlbWatched;
  }
  if (protection == Protection::UserAligned) slow = slow_write = kTlbSlow;
  if (journal_ != nullptr) slow_write = kTlbSlow;
  if (translation.readable) slot.entry.read = page | slow;
  // A clean page takes another walk at its first store, which sets the dirty bit.
  if (translation.writable && translation.dirty) slot.entry.write = page | slow_write;
  if (translation.executable) slot.entry.execute = page | (whole ? 0 : kTlbSlow);
}

void Mmu::check_address(uint64_t linear, unsigned size, Protection protection, bool stack) {
  if (cpu_.long_mode_active() && (!canonical(linear) || !canonical(linear + size - 1))) [[unlikely]] {
    cpu_.raise(stack ? kStackFault : kGeneralProtection, 0);
  }
  // Longer operands have rules of their own.
  const bool has_alignment = size <= 8 && (size & (size - 1)) == 0;
  if (protection == Protection::UserAligned && has_alignment && (linear & (size - 1)) != 0) {
    cpu_.raise(kAlignmentCheck, 0);
  }
}

// In front of a store to memory that does not go the fast way.
void Mmu::note_store(uint8_t* host, unsigned size) {
  if (journal_ == nullptr) [[likely]]
    return;
  const GuestMemory& memory = cpu_.environment().memory_map.memory();
  const uint64_t offset = memory.offset_of(host);
  if ((memory.code_granules(offset) & GuestMemory::granule_mask(offset, size)) != 0)
    journal_->note(StoreJournal::kCode);
  journal_->note_store(host, size);
}

uint64_t Mmu::load_in_page(uint64_t linear, unsigned size, Protection protection) {
  const Slot slot = find(linear, Access::Read, protection);
  uint64_t value = 0;
  if (slot.detail.memory) {
    order_before_load();
    std::memcpy(&value, reinterpret_cast<const void*>(linear + slot.entry.addend), size);
    return value;
  }
  cpu_.note_outside(StoreJournal::kDevice);
  MemoryMap& map = cpu_.environment().memory_map;
  const uint64_t physical = slot.detail.physical | (linear & ~kPageMask);
  const MemoryRange* range = map.view(cpu_.in_smm).find(physical);
  const bool device = range != nullptr && range->host == nullptr && range->last - physical >= size - 1;
  const bool power_of_two = (size & (size - 1)) == 0;
  if (device && power_of_two) return map.read_window(*range, physical, size);
  map.read(physical, &value, size, cpu_.in_smm);
  return value;
}

void Mmu::store_in_page(uint64_t linear, unsigned size, uint64_t value, Protection protection) {
  const Slot slot = find(linear, Access::Write, protection);
  MemoryMap& map = cpu_.environment().memory_map;
  const uint64_t physical = slot.detail.physical | (linear & ~kPageMask);
  if (slot.entry.write == page_of(linear)) {
    order_before_store();
    std::memcpy(reinterpret_cast<void*>(linear + slot.entry.addend), &value, size);
    return;
  }
  const MemoryRange* range = map.view(cpu_.in_smm).find(physical);
  if (slot.detail.memory && range != nullptr && range->writable) {
    auto* host = reinterpret_cast<uint8_t*>(linear + slot.entry.addend);
    note_store(host, size);
    const bool clean = map.memory().before_store(map.memory().offset_of(host), size);
    cpu_.blocks().process_invalidations();
    order_before_store();
    std::memcpy(host, &value, size);
    map.memory().after_store(map.memory().offset_of(host), size);
    if (clean && journal_ == nullptr && protection != Protection::UserAligned &&
        !cpu_.has_data_breakpoint(page_of(linear))) {
      slot.entry.write = page_of(linear);
    }
    return;
  }
  cpu_.note_outside(StoreJournal::kDevice);
  const bool device = range != nullptr && range->host == nullptr && range->last - physical >= size - 1;
  const bool power_of_two = (size & (size - 1)) == 0;
  if (device && power_of_two) {
    map.write_window(*range, physical, size, value);
    return;
  }
  map.write(physical, &value, size, cpu_.in_smm);
}

uint64_t Mmu::load_slow(uint64_t linear, unsigned size, Protection protection, bool stack) {
  check_address(linear, size, protection, stack);
  const uint64_t in_first = kPageSize - (linear & ~kPageMask);
  uint64_t value = 0;
  if (size <= in_first) [[likely]] {
    value = load_in_page(linear, size, protection);
  } else {
    const auto first_part = static_cast<unsigned>(in_first);
    const uint64_t second = cpu_.wrap_linear(linear + in_first);
    find(linear, Access::Read, protection);
    find(second, Access::Read, protection);
    value = load_in_page(linear, first_part, protection);
    value |= load_in_page(second, size - first_part, protection) << (first_part * 8);
  }
  cpu_.note_data_access(linear, size, false);
  return value;
}

void Mmu::store_slow(uint64_t linear, unsigned size, uint64_t value, Protection protection, bool stack) {
  check_address(linear, size, protection, stack);
  const uint64_t in_first = kPageSize - (linear & ~kPageMask);
  if (size <= in_first) [[likely]] {
    store_in_page(linear, size, value, protection);
  } else {
    const auto first_part = static_cast<unsigned>(in_first);
    const uint64_t second = cpu_.wrap_linear(linear + in_first);
    find(linear, Access::Write, protection);
    find(second, Access::Write, protection);
    store_in_page(linear, first_part, value & ((uint64_t{1} << (first_part * 8)) - 1), protection);
    store_in_page(second, size - first_part, value >> (first_part * 8), protection);
  }
  cpu_.note_data_access(linear, size, true);
}

// A fault on the second page reports that page's first byte.
void Mmu::probe_read(uint64_t linear, unsigned size, Protection protection, bool stack) {
  check_address(linear, size, protection, stack);
  find(linear, Access::Read, protection);
  const uint64_t last = cpu_.wrap_linear(linear + size - 1);
  if (page_of(last) != page_of(linear)) find(page_of(last), Access::Read, protection);
}

void Mmu::probe_write(uint64_t linear, unsigned size, Protection protection, bool stack) {
  check_address(linear, size, protection, stack);
  find(linear, Access::Write, protection);
  const uint64_t last = cpu_.wrap_linear(linear + size - 1);
  if (page_of(last) != page_of(linear)) find(page_of(last), Access::Write, protection);
}

bool Mmu::code_in_page(const Slot& slot, uint64_t linear, unsigned size) const {
  if (!slot.detail.memory) return false;
  const GuestMemory& memory = cpu_.environment().memory_map.memory();
  const uint64_t offset = memory.offset_of(reinterpret_cast<const uint8_t*>(linear + slot.entry.addend));
  return (memory.code_granules(offset) & GuestMemory::granule_mask(offset, size)) != 0;
}

bool Mmu::write_meets_code(uint64_t linear, unsigned size, Protection protection, bool stack) {
  check_address(linear, size, protection, stack);
  const auto in_first = static_cast<unsigned>(kPageSize - (linear & ~kPageMask));
  const bool first = code_in_page(find(linear, Access::Write, protection), linear, std::min(size, in_first));
  if (size <= in_first) return first;
  const uint64_t second = cpu_.wrap_linear(linear + in_first);
  return code_in_page(find(second, Access::Write, protection), second, size - in_first) || first;
}

uint8_t* Mmu::host_address(uint64_t linear, unsigned size, Access access, Protection protection) {
  check_address(linear, 1, protection, false);
  const Slot slot = find(linear, access, protection);
  if (!slot.detail.memory || cpu_.has_data_breakpoint(page_of(linear))) return nullptr;
  auto* host = reinterpret_cast<uint8_t*>(linear + slot.entry.addend);
  if (access == Access::Write && slot.entry.write != page_of(linear)) {
    MemoryMap& map = cpu_.environment().memory_map;
    const MemoryRange* range = map.view(cpu_.in_smm).find(slot.detail.physical);
    if (range == nullptr || !range->writable) return nullptr;
    note_store(host, size);
    const bool clean = map.memory().before_store(map.memory().offset_of(host), size);
    cpu_.blocks().process_invalidations();
    if (clean && journal_ == nullptr && protection != Protection::UserAligned) slot.entry.write = page_of(linear);
  }
  return host;
}

// Where stores take the fast path, whoever marks code in the page waits until this processor executes nothing
// (BlockCache::protect), and then looks at the bytes again.
void Mmu::note_written(uint64_t linear, const uint8_t* host, unsigned size, Protection protection) {
  const TlbEntry& entry = *tlb_entry(current_->tables[static_cast<size_t>(protection)].entries, linear);
  if (entry.write == page_of(linear)) return;
  GuestMemory& memory = cpu_.environment().memory_map.memory();
  memory.after_store(memory.offset_of(host), size);
}

const uint8_t* Mmu::fetch_address(uint64_t linear) {
  if (cpu_.long_mode_active() && !canonical(linear)) cpu_.raise(kGeneralProtection, 0);
  const Protection protection = current_protection();
  const Slot slot = find(linear, Access::Execute, protection);
  note_fetch(linear, slot.detail.global);
  return slot.detail.memory ? reinterpret_cast<const uint8_t*>(linear + slot.entry.addend) : nullptr;
}

void Mmu::note_fetch(uint64_t linear, bool global) {
  const uint64_t page = linear >> 12;
  if (linear >> 63 == 0 || !upper_half_is_global_) {
    current_->executed.set(page % current_->executed.size());
  } else if (global) {
    executed_upper_half_.set(page % executed_upper_half_.size());
  } else {
    current_->executed.set(page % current_->executed.size());
    upper_half_is_global_ = false;
    cpu_.mode_changed();
  }
}

void Mmu::new_upper_generation() {
  upper_generation_ = ++generation_counter_;
  executed_upper_half_.reset();
}

// --- Address spaces --------------------------------------------------------------------------------------------------

Mmu::AddressSpace* Mmu::known_space(uint16_t pcid) {
  for (auto& space : spaces_) {
    if (space->pcid == pcid) return space.get();
  }
  return nullptr;
}

Mmu::AddressSpace& Mmu::space_of(uint16_t pcid, bool& reused) {
  AddressSpace* space = known_space(pcid);
  reused = space != nullptr;
  if (space == nullptr && spaces_.size() < kMaximumSpaces) {
    spaces_.push_back(std::make_unique<AddressSpace>(pcid));
    space = spaces_.back().get();
    space->generation = ++generation_counter_;
  } else if (space == nullptr) {
    auto oldest = std::min_element(spaces_.begin(), spaces_.end(),
                                   [](const auto& a, const auto& b) { return a->last_use < b->last_use; });
    *oldest = std::make_unique<AddressSpace>(pcid);
    space = oldest->get();
    space->generation = ++generation_counter_;
  }
  space->last_use = ++use_counter_;
  return *space;
}

void Mmu::address_space_changed(bool keep) {
  const bool identified = (cpu_.cr4 & cr4::kPcide) != 0;
  bool reused = false;
  AddressSpace& space = space_of(identified ? cpu_.cr3 & 0xFFF : 0, reused);
  current_ = &space;
  if (keep && identified) {
    counters.address_spaces_reused += reused ? 1 : 0;
  } else {
    drop_non_global(space);
  }
  cpu_.mode_changed();
}

void Mmu::drop_non_global(AddressSpace& space) {
  ++counters.flushes;
  space.each_table([&space](AddressSpace::Table& table) {
    for (uint16_t index : table.non_global) {
      if (!table.details[index].global) space.drop(table, index);
    }
    // A list that filled up no longer names every entry.
    if (table.non_global.size() >= kTlbEntries) {
      for (size_t index = 0; index < kTlbEntries; ++index) {
        if (!table.details[index].global) space.drop(table, index);
      }
    }
    table.non_global.clear();
  });
  space.generation = ++generation_counter_;
  space.executed.reset();
}

void Mmu::flush_non_global() {
  drop_non_global(*current_);
  cpu_.mode_changed();
}

void Mmu::flush_all() {
  ++counters.flushes;
  for (auto& space : spaces_) {
    space->each_table([](AddressSpace::Table& table) { table.clear(); });
    space->large_2m.reset();
    space->larger.reset();
    space->generation = ++generation_counter_;
    space->executed.reset();
  }
  upper_half_is_global_ = true;
  new_upper_generation();
  cpu_.mode_changed();
}

void Mmu::drop_page(AddressSpace& space, uint64_t linear) {
  const size_t index = (linear >> 12) & (kTlbEntries - 1);
  space.each_table([&](AddressSpace::Table& table) {
    const TlbEntry& entry = table.entries[index];
    const uint64_t page = page_of(linear);
    if (page_of(entry.read) == page || page_of(entry.write) == page || page_of(entry.execute) == page) {
      space.drop(table, index);
    }
  });
  if (space.executed.test((linear >> 12) % space.executed.size())) {
    space.generation = ++generation_counter_;
    space.executed.reset();
  }
}

void Mmu::invalidate_page(uint64_t linear) {
  const bool large =
      std::any_of(spaces_.begin(), spaces_.end(), [linear](const auto& space) { return space->in_large_page(linear); });
  if (large) {
    flush_all();
    return;
  }
  // Global translations are dropped whatever PCID they were made under (SDM vol. 3, 4.10.4.1).
  for (auto& space : spaces_) drop_page(*space, linear);
  if (linear >> 63 != 0 && executed_upper_half_.test((linear >> 12) % executed_upper_half_.size())) {
    new_upper_generation();
  }
  cpu_.mode_changed();
}

void Mmu::invalidate_pcid(uint16_t pcid) {
  if (AddressSpace* space = known_space(pcid)) drop_non_global(*space);
  cpu_.mode_changed();
}

void Mmu::invalidate_pcid_address(uint16_t pcid, uint64_t linear) {
  if (AddressSpace* space = known_space(pcid)) {
    if (space->in_large_page(linear)) {
      drop_non_global(*space);
    } else {
      drop_page(*space, linear);
    }
  }
  cpu_.mode_changed();
}

void Mmu::invalidate_all_non_global() {
  for (auto& space : spaces_) drop_non_global(*space);
  cpu_.mode_changed();
}

void Mmu::protect_page(uint64_t memory_offset) {
  const auto host_page =
      reinterpret_cast<uint64_t>(cpu_.environment().memory_map.memory().data()) + page_of(memory_offset);
  for (auto& space : spaces_) {
    for (auto& table : space->tables) {
      if (table.empty) continue;
      for (TlbEntry& entry : table.entries) {
        if (entry.write != kTlbInvalid && entry.write + entry.addend == host_page)
          entry.write |= kTlbSlow | kTlbWatched;
      }
    }
  }
}

void Mmu::set_a20(bool enabled) {
  const uint64_t mask = enabled ? ~uint64_t{0} : ~(uint64_t{1} << 20);
  if (mask == a20_mask_) return;
  a20_mask_ = mask;
  flush_all();
}

}  // namespace calco::cpu
