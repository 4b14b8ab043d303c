#include "machine/accel/kvm/kvm_memory.h"

#include <linux/kvm.h>

#include <algorithm>
#include <bit>

#include "machine/accel/kvm/kvm_call.h"

namespace calco::machine {

KvmMemory::KvmMemory(int machine, MemoryMap& map, bool read_only)
    : machine_(machine), map_(map), read_only_(read_only) {
  update();
}

// Slots are whole pages; what a range has of other pages is left to exits.
std::vector<KvmMemory::Slot> KvmMemory::wanted_slots() const {
  std::vector<Slot> wanted;
  for (const MemoryRange& range : map_.view().ranges()) {
    if (range.host == nullptr || (!range.writable && !read_only_)) continue;
    const uint64_t first = (range.first + kPageSize - 1) & kPageMask;
    const uint64_t end = (range.last + 1) & kPageMask;
    if (first >= end) continue;
    wanted.push_back({.number = 0,
                      .address = first,
                      .size = end - first,
                      .host = range.host + (first - range.first),
                      .writable = range.writable,
                      .logged = range.writable && logging_});
  }
  return wanted;
}

uint32_t KvmMemory::free_number() const {
  uint32_t number = 0;
  while (std::ranges::any_of(slots_, [number](const Slot& slot) { return slot.number == number; })) ++number;
  return number;
}

void KvmMemory::set_slot(const Slot& slot, bool present) {
  kvm_userspace_memory_region region{};
  region.slot = slot.number;
  region.flags = (slot.logged ? KVM_MEM_LOG_DIRTY_PAGES : 0u) | (slot.writable ? 0u : KVM_MEM_READONLY);
  region.guest_phys_addr = slot.address;
  region.memory_size = present ? slot.size : 0;
  region.userspace_addr = reinterpret_cast<uint64_t>(slot.host);
  kvm_call(machine_, KVM_SET_USER_MEMORY_REGION, &region, "KVM_SET_USER_MEMORY_REGION");
}

void KvmMemory::update() {
  std::lock_guard lock(mutex_);
  update_locked();
}

// What goes away goes first: slots must not overlap. A slot whose shape changes goes and comes again, because the
// kernel changes nothing but the flags of one.
void KvmMemory::update_locked() {
  std::vector<Slot> wanted = wanted_slots();
  const auto same_place = [](const Slot& a, const Slot& b) {
    return a.address == b.address && a.size == b.size && a.host == b.host && a.writable == b.writable;
  };
  std::erase_if(slots_, [&](const Slot& slot) {
    if (std::ranges::any_of(wanted, [&](const Slot& other) { return same_place(slot, other); })) return false;
    set_slot(slot, false);
    return true;
  });
  for (Slot& slot : wanted) {
    const auto known = std::ranges::find_if(slots_, [&](const Slot& other) { return same_place(slot, other); });
    const bool fresh = known == slots_.end();
    slot.number = fresh ? free_number() : known->number;
    if (!fresh && *known == slot) continue;
    set_slot(slot, true);
    if (fresh) {
      slots_.push_back(slot);
    } else {
      *known = slot;
    }
  }
}

void KvmMemory::set_dirty_logging(bool on) {
  std::lock_guard lock(mutex_);
  logging_ = on;
  update_locked();
}

void KvmMemory::collect_dirty_pages(const std::function<void(uint64_t memory_offset)>& visit) {
  std::lock_guard lock(mutex_);
  for (const Slot& slot : slots_) {
    if (!slot.logged) continue;
    std::vector<uint64_t> bitmap((slot.size / kPageSize + 63) / 64);
    kvm_dirty_log log{};
    log.slot = slot.number;
    log.dirty_bitmap = bitmap.data();
    kvm_call(machine_, KVM_GET_DIRTY_LOG, &log, "KVM_GET_DIRTY_LOG");
    const uint64_t begin = map_.memory().offset_of(slot.host);
    for (size_t word = 0; word < bitmap.size(); ++word) {
      for (uint64_t bits = bitmap[word]; bits != 0; bits &= bits - 1) {
        visit(begin + (word * 64 + static_cast<unsigned>(std::countr_zero(bits))) * kPageSize);
      }
    }
  }
}

size_t KvmMemory::slot_count() const {
  std::lock_guard lock(mutex_);
  return slots_.size();
}

}  // namespace calco::machine
