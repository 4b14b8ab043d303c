// Guest memory as KVM sees it: slots made of the memory map.
#pragma once

#include <cstdint>
#include <functional>
#include <mutex>
#include <vector>

#include "machine/core/memory_map.h"

namespace calco::machine {

// Keeps KVM's memory slots equal to the ranges of the memory map outside of SMM: RAM is a slot, ROM a read-only slot
// (its stores exit and are dropped), everything else has none and exits. A processor in SMM is interpreted, so KVM
// needs no second address space.
//
// While a slot is being replaced, accesses of other processors to it exit as if a device were there; they are then done
// through the memory map, which knows better.
//
// Threads: update() with the device lock held (it is a listener of the map). The rest from any thread. The own lock
// nests in the device lock.
class KvmMemory {
 public:
  // `machine` is the virtual machine's descriptor; both outlive the object. Where KVM has no read-only slots
  // (`read_only` false) ROM has none either and is read by exits.
  KvmMemory(int machine, MemoryMap& map, bool read_only);
  KvmMemory(const KvmMemory&) = delete;
  KvmMemory& operator=(const KvmMemory&) = delete;

  // Makes the slots follow the map. Throws std::system_error.
  void update();

  // From now on the kernel notes which pages of RAM the guest writes, or no more.
  void set_dirty_logging(bool on);
  // Calls `visit` with the memory offset of each page that was written since the last call. Nothing without logging.
  // Stores by devices and by the interpreter are not in it.
  void collect_dirty_pages(const std::function<void(uint64_t memory_offset)>& visit);

  size_t slot_count() const;

 private:
  struct Slot {
    uint32_t number;
    uint64_t address;  // guest physical
    uint64_t size;     // bytes
    uint8_t* host;
    bool writable;
    bool logged;
    bool operator==(const Slot&) const = default;
  };

  std::vector<Slot> wanted_slots() const;
  void update_locked();
  void set_slot(const Slot& slot, bool present);
  uint32_t free_number() const;

  const int machine_;
  MemoryMap& map_;
  const bool read_only_;
  mutable std::mutex mutex_;
  bool logging_ = false;
  std::vector<Slot> slots_;
};

}  // namespace calco::machine
