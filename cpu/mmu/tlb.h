// Software TLB and page walk of one processor.
#pragma once

#include <array>
#include <bitset>
#include <cstdint>
#include <memory>
#include <vector>

namespace calco::cpu {

class Cpu;
class StoreJournal;

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

constexpr unsigned kTlbBits = 12;
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
  bool user = false, readable = true, writable = false, executable = false, global = false, dirty = false;
  unsigned page_shift = 12;  // 12, 21, 22 or 30
};

// Which protection applies: one TLB each an address space, so that a change of privilege flushes nothing.
// UserAligned is User while alignment checks are on (CR0.AM and EFLAGS.AC): its entries never serve a fast path.
enum class Protection : uint8_t { Supervisor, SupervisorNoSmap, User, UserAligned, Count };

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
  // Raise the fault that an access to these 1 to 4096 bytes would raise, and access nothing.
  void probe_read(uint64_t linear, unsigned size, Protection protection, bool stack = false);
  void probe_write(uint64_t linear, unsigned size, Protection protection, bool stack = false);
  // Whether a write to these 1 to 4096 bytes would change translated or decoded code; raises faults as the write would.
  bool write_meets_code(uint64_t linear, unsigned size, Protection protection, bool stack = false);
  // Host address of `linear` for `size` bytes within one page if plain memory answers there, else null; raises faults
  // as the access would. Before a write code in these bytes is invalidated. For block moves and atomics.
  uint8_t* host_address(uint64_t linear, unsigned size, Access access, Protection protection);
  // To be called when `host`, which host_address() gave for a write to `linear`, has been written.
  void note_written(uint64_t linear, const uint8_t* host, unsigned size, Protection protection);
  // Where to fetch the instruction bytes at `linear` from: host address, or null where a device would answer. Raises
  // #PF and #GP(0).
  const uint8_t* fetch_address(uint64_t linear);

  // --- Flushing ----------------------------------------------------------------------------------------------------
  // CR3 was loaded (`keep`: bit 63 of the source with PCIDs on: what is cached for the PCID stays valid).
  void address_space_changed(bool keep);
  void flush_all();                                              // everything, globals too
  void flush_non_global();                                       // the current address space
  void invalidate_page(uint64_t linear);                         // INVLPG
  void invalidate_pcid(uint16_t pcid);                           // INVPCID type 1
  void invalidate_pcid_address(uint16_t pcid, uint64_t linear);  // INVPCID type 0
  void invalidate_all_non_global();                              // INVPCID type 3: all PCIDs
  // Takes fast write access away from the pages of guest memory that `memory_offset` lies in (they hold code now).
  void protect_page(uint64_t memory_offset);

  // Every store is noted in `journal`, which outlives that; null: no more. The Mmu keeps TLBs of their own for this, in
  // which no page is stored to the fast way. Followed by Cpu::mode_changed().
  void set_journal(StoreJournal* journal) { journal_ = journal; }
  StoreJournal* journal() const { return journal_; }

  // TLB for the processor's current state.
  TlbEntry* current_tlb();
  Protection current_protection() const;
  // Changes whenever a linear address may lead to other code than before in the current address space.
  uint64_t fetch_generation() const;
  // The same for addresses with bit 63 set. While all code there lies in global pages, no change of the address space
  // changes it.
  uint64_t upper_fetch_generation() const;
  bool a20_enabled() const { return a20_mask_ == ~uint64_t{0}; }
  void set_a20(bool enabled);  // gate A20; with the gate closed bit 20 of physical addresses is 0

  struct Counters {
    uint64_t misses = 0, flushes = 0, address_spaces_reused = 0;
  } counters;

 private:
  struct AddressSpace;
  struct Slot;
  class Walker;

  Slot find(uint64_t linear, Access access, Protection protection);
  void fill(const Slot& slot, uint64_t linear, const Translation& translation, Protection protection);
  void note_store(uint8_t* host, unsigned size);
  bool code_in_page(const Slot& slot, uint64_t linear, unsigned size) const;
  void check_address(uint64_t linear, unsigned size, Protection protection, bool stack);
  uint64_t load_in_page(uint64_t linear, unsigned size, Protection protection);
  void store_in_page(uint64_t linear, unsigned size, uint64_t value, Protection protection);
  AddressSpace& space_of(uint16_t pcid, bool& reused);
  AddressSpace* known_space(uint16_t pcid);
  void note_fetch(uint64_t linear, bool global);
  void new_upper_generation();
  void drop_non_global(AddressSpace& space);
  void drop_page(AddressSpace& space, uint64_t linear);

  Cpu& cpu_;
  std::vector<std::unique_ptr<AddressSpace>> spaces_;  // those of the most recently used PCIDs
  AddressSpace* current_ = nullptr;
  StoreJournal* journal_ = nullptr;
  uint64_t use_counter_ = 0;
  uint64_t generation_counter_ = 0;
  uint64_t upper_generation_ = 0;
  bool upper_half_is_global_ = true;       // no code was fetched from another page there since the last full flush
  std::bitset<1024> executed_upper_half_;  // AddressSpace::executed of the upper half
  uint64_t a20_mask_ = ~uint64_t{0};
};

}  // namespace calco::cpu
