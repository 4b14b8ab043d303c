// The guest physical address space: which RAM, ROM or device answers at which address.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "machine/core/guest_memory.h"
#include "machine/core/register_window.h"

namespace calco {

class Log;

// What a range of guest physical addresses is. `writable` without `window` is RAM; not writable is ROM: stores are
// dropped.
struct MemoryRange {
  uint64_t first = 0;                // guest physical address of the first byte
  uint64_t last = 0;                 // of the last byte (inclusive)
  uint8_t* host = nullptr;           // host address of `first` where memory answers, else null
  bool writable = false;             // stores go to `host`
  RegisterWindow* window = nullptr;  // device that answers where `host` is null
  uint64_t window_offset = 0;        // offset of `first` in the window

  bool operator==(const MemoryRange&) const = default;
};

// An immutable, sorted, gap-free-to-search picture of the address space.
class FlatView {
 public:
  // The range that holds `address`, or null where nothing answers.
  const MemoryRange* find(uint64_t address) const;
  const std::vector<MemoryRange>& ranges() const { return ranges_; }

 private:
  friend class MemoryMap;
  std::vector<MemoryRange> ranges_;
};

// Regions laid over each other; the higher priority shows, of equal ones the later. The builder and the chipset (PAM,
// SMRAM, PCI BARs) add, move and switch regions, then commit(); readers hold an immutable FlatView.
//
// There are two views: what a processor in system management mode sees, and what everybody else does.
//
// Threads: changes with the device lock held. view() from any thread. read/write (DMA and slow paths) from any thread;
// they take the device lock for windows that do not lock themselves.
class MemoryMap {
 public:
  using RegionId = size_t;
  enum class Visibility : uint8_t { Always, OnlyInSmm, OnlyOutsideSmm };

  MemoryMap(GuestMemory& memory, std::recursive_mutex& device_lock, Log& log);
  ~MemoryMap();

  // --- Layout ----------------------------------------------------------------------------------------------------
  // `length` bytes of guest memory at memory offset `offset`; `writable` false makes it ROM.
  RegionId add_memory(std::string name, uint64_t address, uint64_t length, uint64_t offset, bool writable,
                      int priority = 0);
  RegionId add_window(std::string name, uint64_t address, uint64_t length, RegisterWindow& window, int priority = 1);
  void set_enabled(RegionId region, bool enabled);
  void set_writable(RegionId region, bool writable);
  void set_address(RegionId region, uint64_t address);
  void set_visibility(RegionId region, Visibility visibility);
  void remove(RegionId region);
  // Makes the changes since the last commit visible and tells the listeners. Without changes it does nothing.
  void commit();
  // Called after each commit with the device lock held (vCPUs drop their TLBs, KVM moves its slots).
  void add_listener(std::function<void()> listener) { listeners_.push_back(std::move(listener)); }

  // --- Use -------------------------------------------------------------------------------------------------------
  // The current picture; stays valid as long as the map (old pictures are kept, changes are rare).
  const FlatView& view(bool smm = false) const { return *views_[smm ? 1 : 0].load(std::memory_order_acquire); }
  GuestMemory& memory() const { return memory_; }

  // Accesses as a bus master makes them. Bytes that nothing answers read as ones and are dropped on writes. Code
  // tracking is honoured. Return false where any byte met nothing.
  bool read(uint64_t address, void* data, uint64_t size, bool smm = false);
  bool write(uint64_t address, const void* data, uint64_t size, bool smm = false);
  template <typename T>
  T read_value(uint64_t address, bool smm = false) {
    T value{};
    read(address, &value, sizeof(T), smm);
    return value;
  }
  template <typename T>
  void write_value(uint64_t address, T value, bool smm = false) {
    write(address, &value, sizeof(T), smm);
  }
  // One access of 1, 2, 4 or 8 bytes to a device's window, split to what the window takes.
  uint64_t read_window(const MemoryRange& range, uint64_t address, unsigned size);
  void write_window(const MemoryRange& range, uint64_t address, unsigned size, uint64_t value);

  // What a read outside SMM meets under `region`, as if it and all regions of its priority or higher were not there.
  // For windows that pass reads through; the caller holds the device lock.
  uint8_t read_byte_below(RegionId region, uint64_t address) const;

  // For `info mtree`: one line a range of the view.
  std::string describe() const;

 private:
  struct Region {
    std::string name;
    uint64_t address;
    uint64_t length;
    uint64_t memory_offset;
    bool is_memory;
    bool writable;
    RegisterWindow* window;
    int priority;
    Visibility visibility;
    bool enabled;
    bool removed;
  };
  std::unique_ptr<FlatView> flatten(bool smm) const;
  const FlatView* keep(std::unique_ptr<FlatView> view);

  GuestMemory& memory_;
  std::recursive_mutex& device_lock_;
  Log& log_;
  std::vector<Region> regions_;
  std::vector<std::function<void()>> listeners_;
  std::vector<std::unique_ptr<FlatView>> history_;
  std::atomic<const FlatView*> views_[2];
  bool changed_ = true;
};

}  // namespace calco
