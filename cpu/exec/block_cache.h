// Predecoded blocks of one processor.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "cpu/decode/instruction.h"
#include "cpu/exec/condition.h"
#include "cpu/exec/op.h"
#include "machine/core/guest_memory.h"

namespace calco::cpu {

class Cpu;
class DroppedBlocks;
struct DroppedBlock;

// A straight run of instructions that ends at a control transfer, at an instruction that changes modes, at the end of
// its page, or after kMaximumInstructions.
struct Block {
  uint64_t memory_offset;  // of the first byte (guest_memory.h); ~0 where the code is not in plain memory
  uint32_t mode_key;
  uint16_t byte_length;
  uint16_t op_count;  // operations and the link behind them
  bool linkable;      // other blocks of its page may lead here without a look at any mapping
  uint8_t reserved[7];
  uint64_t second_page;  // memory offset of the page that the last instruction runs into, or ~0
  static const Block& of(const Op* ops) { return reinterpret_cast<const Block*>(ops)[-1]; }  // what ops() returned
  Op* ops() { return reinterpret_cast<Op*>(this + 1); }
  const Op* ops() const { return reinterpret_cast<const Op*>(this + 1); }
  uint8_t* bytes() { return reinterpret_cast<uint8_t*>(ops() + op_count); }  // what it was decoded from
};
static_assert(sizeof(Block) == 32);

// Behind the last operation of every block stands no operation but this: where a block ends in a direct jump, the
// operations that follow, once they are known. Only targets in the block's own linear page are linked, and none that
// run into the next page; so a link depends on no mapping but the one that is being executed.
struct Link {
  const Op* taken = nullptr;
  const Op* not_taken = nullptr;
  uint64_t reserved[2] = {};
};
static_assert(sizeof(Link) == sizeof(Op));

constexpr unsigned kMaximumInstructions = 64;

// Bits of Block::mode_key: what decoding depends on besides the bytes.
constexpr uint32_t kModeCodeSize = 3;  // decode::CodeSize
constexpr uint32_t kModeSingle = 4;    // blocks of one instruction
constexpr uint32_t kModeVector = 8;    // SSE instructions raise neither #NM nor #UD (CR0.TS, CR0.EM, CR4.OSFXSR)
constexpr uint32_t kModeAvx = 16;      // the same of VEX ones (CR4.OSXSAVE, XCR0)
constexpr uint32_t kModeReal = 32;     // real or virtual-8086 mode: no instructions with attribute::kNoVm86

// What a linear address was found to lead to, valid while the tag is the processor's current one.
struct JumpCacheEntry {
  uint64_t rip = ~uint64_t{0};
  uint64_t tag = 0;
  const Op* ops = nullptr;
  const void* code = nullptr;  // of a translator (translation.h): host code for the same, or its no_code()
};
constexpr unsigned kJumpCacheBits = 16;

// Threads: the vCPU's own, but for post_invalidation().
class BlockCache {
 public:
  explicit BlockCache(Cpu& cpu);
  ~BlockCache();

  // The operations at the processor's current RIP; decodes them if need be. Raises the faults of the fetch.
  const Op* find(uint64_t rip);

  // Bytes of guest memory are about to change. Any thread; the processor drops its blocks at its next boundary.
  void post_invalidation(uint64_t memory_offset, uint64_t size);
  // Drops what was posted. A dropped block's operations lead back to the dispatch loop, so the block that executes
  // stops after its current instruction, and links to dropped blocks need no cleaning.
  void process_invalidations();
  // What the dispatch loop does while no block executes: drops what was posted, and everything where memory ran full.
  void maintain();
  // Drops everything. Only while no block executes.
  void clear();
  // Whether find() may keep what it decodes and return what it kept. Changes take effect with the next tag of the jump
  // cache.
  void set_keeping(bool keeping) { keeping_ = keeping; }
  bool empty() const { return chunks_.empty(); }

  // Marks code and takes fast write access to its page away from every processor. The bytes lie in one page.
  void protect(uint64_t memory_offset, uint64_t size);
  // `op` enters a translation from now on.
  void note_entry(Op& op) { entries_.insert(&op); }
  // Blocks whose translation cannot run count again before they ask for another. Only while no block executes, or in
  // exclusively().
  void forget_translations();

  JumpCacheEntry* jump_cache() { return jump_cache_.get(); }
  static size_t jump_cache_index(uint64_t rip) {
    return (rip ^ rip >> kJumpCacheBits) & ((size_t{1} << kJumpCacheBits) - 1);
  }

  struct Counters {
    uint64_t blocks_renewed = 0;  // in place of being decoded
    uint64_t blocks_decoded = 0, instructions_decoded = 0, invalidations = 0, clears = 0, lookups = 0;
    uint64_t undecodable = 0;      // instructions that no row fits
    uint64_t without_handler = 0;  // that the model has and nothing executes
  } counters;

 private:
  struct Fetcher;
  // Turns the bytes of one block into operations.
  class Builder {
   public:
    Builder(Cpu& cpu, Fetcher& fetcher, bool linkable);
    void build();

    std::span<const Op> operations() const { return {ops_.data(), op_count_}; }

    uint16_t byte_length = 0;
    unsigned instructions = 0;

   private:
    bool add_instruction();
    void lower_instruction(const decode::Instruction& instruction);
    void add_fault(Handler handler, unsigned looked_at);
    void add_fall_through();
    void add_entry();
    bool in_page(uint64_t delta) const;

    Cpu& cpu_;
    Fetcher& fetcher_;
    const bool linkable_;
    // No container: a fetch may raise, and nothing with a destructor lives across that. In a union, so that only what
    // is used is written.
    union {
      std::array<Op, kMaximumInstructions + 4> ops_;
    };
    size_t op_count_ = 0;
    bool ended_ = false;
    FlagSource flag_source_ = FlagSource::Unknown;
  };

  // How often translated code of a place was thrown away because the guest wrote another.
  struct Churn {
    uint64_t granule = ~uint64_t{0};
    uint64_t last = 0;  // Counters::invalidations then
    uint32_t times = 0;
  };
  static constexpr size_t kChurnSlots = 4096;
  Churn& churn_of(uint64_t memory_offset);
  void note_churn(const Block& block);
  // How often the block is interpreted before it is worth a translation.
  uint32_t threshold_of(uint64_t memory_offset);

  // In front of blocks_, whose look-up misses the host's cache several times.
  struct Recent {
    uint64_t key = ~uint64_t{0};
    Block* block = nullptr;
  };
  static constexpr size_t kRecentSlots = size_t{1} << 14;
  Recent& recent_of(uint64_t key) { return recent_[(key * 0x9E3779B97F4A7C15) >> 50]; }  // a Fibonacci hash
  static_assert(kRecentSlots == size_t{1} << (64 - 50));
  Block* known_block(uint64_t key);
  void forget(const Block& block);

  Block* decode(Fetcher& fetcher, uint64_t rip, bool keep);
  Block* renew(Fetcher& fetcher, uint64_t rip, uint64_t key);
  bool renew_operations(const uint8_t* now, Block& block, const DroppedBlock& dropped);
  Block* allocate(size_t ops);
  void invalidate(uint64_t memory_offset, uint64_t size);
  void remember(Block* block);
  void log_block(const Block& block, uint64_t rip);
  const void* code_of(const Block& block) const;

  Cpu& cpu_;
  std::unique_ptr<JumpCacheEntry[]> jump_cache_;
  std::unordered_map<uint64_t, Block*> blocks_;  // by memory offset and mode
  std::unique_ptr<Recent[]> recent_;
  std::unordered_map<uint64_t, std::vector<Block*>> pages_;
  std::vector<std::unique_ptr<uint8_t[]>> chunks_;
  size_t chunk_used_ = 0;
  std::unique_ptr<Churn[]> churn_;
  bool clear_wanted_ = false;
  bool keeping_ = true;
  std::unique_ptr<uint8_t[]> scratch_;  // for one instruction that is not kept
  std::unique_ptr<DroppedBlocks> dropped_;
  std::mutex posted_mutex_;  // leaf
  std::vector<std::pair<uint64_t, uint64_t>> posted_;
  std::atomic<bool> any_posted_ = false;  // so that the usual question needs no lock
  std::unordered_set<Op*> entries_;       // all that enter a translation are among them; some no longer do
};

}  // namespace calco::cpu
