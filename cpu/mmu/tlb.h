// Software TLB and page walk of one processor.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

namespace calco::cpu {

class Cpu;

// The low bits of a tag are never set in a page address, so a set bit makes the fast compare fail.
constexpr uint64_t kTlbInvalid = ~uint64_t{0};
constexpr uint64_t kTlbSlow = 1;  // page is present but needs the slow path (device, code in it, watchpoint)

// One page as the fast paths see it, 32 bytes. A tag is the linear page address where the access is allowed and plain
// memory answers; with kTlbSlow or kTlbInvalid it never equals one.
struct TlbEntry {
  uint64_t read = kTlbInvalid;
  uint64_t write = kTlbInvalid;
  uint64_t execute = kTlbInvalid;
  uint64_t addend = 0;  // host address = linear address + addend, where memory answers
};
static_assert(sizeof(TlbEntry) == 32);

constexpr unsigned kTlbBits = 10;
constexpr uint64_t kTlbEntries = uint64_t{1} << kTlbBits;

inline TlbEntry* tlb_entry(TlbEntry* tlb, uint64_t linear) { return &tlb[(linear >> 12) & (kTlbEntries - 1)]; }

enum class Access : uint8_t { Read, Write, Execute };

// Page fault error code bits (SDM vol. 3, 4.7).
namespace page_fault {
constexpr uint32_t kPresent = 1, kWrite = 2, kUser = 4, kReserved = 8, kFetch = 16;
}

// The result of translating one linear address.
struct Translation {
  uint64_t physical = 0;  // guest physical address, A20 applied
  bool fault = false;
  uint32_t error_code = 0;  // of the page fault
  bool user = false, writable = false, executable = false, global = false, dirty = false;
  unsigned page_shift = 12;  // 12, 21, 22 or 30
};

// Which protection applies: three TLBs an address space, so that a change of privilege flushes nothing.
enum class Protection : uint8_t { Supervisor, SupervisorNoSmap, User, Count };

class Mmu {
 public:
  explicit Mmu(Cpu& cpu);
  ~Mmu();

  // --- Translation -----------------------------------------------------------------------------------------------
  // Walks the page tables, sets accessed and dirty bits as hardware does. Never raises.
  Translation walk(uint64_t linear, Access access, Protection protection);
  // The same without side effects, for debuggers and `info tlb`; fault where not mapped.
  Translation probe(uint64_t linear);

  // --- Slow paths of the one load/store path (cpu/mmu/access.h) ------------------------------------------------------
  // Accesses of 1 to 8 bytes that the fast path could not do: TLB miss, page crossing, devices, code pages. Raise
  // #PF and, for non-canonical addresses, #GP(0) or (stack) #SS(0).
  uint64_t load_slow(uint64_t linear, unsigned size, Protection protection, bool stack = false);
  void store_slow(uint64_t linear, unsigned size, uint64_t value, Protection protection, bool stack = false);
  // Makes sure that `size` bytes at `linear` can be written (raises the fault that a store would), storing nothing.
  void probe_write(uint64_t linear, unsigned size, Protection protection, bool stack = false);
  void probe_read(uint64_t linear, unsigned size, Protection protection, bool stack = false);
  // Host address of `linear` for `size` bytes within one page if plain memory answers there, else null; raises faults
  // as the access would. For writes code is invalidated first. For block moves and atomics.
  uint8_t* host_address(uint64_t linear, unsigned size, Access access, Protection protection);

  // --- Flushing ----------------------------------------------------------------------------------------------------
  // CR3 was loaded (`keep`: bit 63 of the source with PCIDs on: what is cached for the PCID stays valid).
  void address_space_changed(bool keep);
  void flush_all();                                              // everything, globals too
  void flush_non_global();                                       // the current address space
  void invalidate_page(uint64_t linear);                         // INVLPG
  void invalidate_pcid(uint16_t pcid);                           // INVPCID type 1
  void invalidate_pcid_address(uint16_t pcid, uint64_t linear);  // INVPCID type 0
  void invalidate_all_non_global();                              // INVPCID type 3: all PCIDs
  // Takes fast write access away from the page of guest memory at memory offset `offset` (it holds code now).
  void protect_page(uint64_t memory_offset);

  // TLB for the processor's current state.
  TlbEntry* current_tlb();
  Protection current_protection() const;
  void set_a20(bool enabled);  // gate A20; with the gate closed bit 20 of physical addresses is 0

  struct Counters {
    uint64_t misses = 0, flushes = 0, address_spaces_reused = 0;
  } counters;

 private:
  struct AddressSpace;
  class Walker;

  Cpu& cpu_;
  std::vector<std::unique_ptr<AddressSpace>> spaces_;  // most recent users of PCIDs
  AddressSpace* current_ = nullptr;
  uint64_t use_counter_ = 0;
  uint64_t a20_mask_ = ~uint64_t{0};

  TlbEntry* fill(uint64_t linear, Access access, Protection protection);
  AddressSpace& space_of(uint16_t pcid);
};

}  // namespace calco::cpu
