#include "cpu/exec/block_cache.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

#include "cpu/cpu.h"
#include "cpu/decode/row.h"
#include "cpu/exec/chain.h"
#include "cpu/exec/condition.h"
#include "cpu/exec/dropped_blocks.h"
#include "cpu/exec/translation.h"
#include "cpu/mmu/paging.h"
#include "cpu/system/cpu_model.h"
#include "cpu/system/processor_group.h"

namespace calco::cpu {

namespace {

constexpr size_t kChunkBytes = size_t{4} << 20;
constexpr size_t kMaximumChunks = 24;  // beyond this everything is dropped and decoded anew
constexpr uint64_t kNowhere = ~uint64_t{0};
constexpr unsigned kMaximumLength = 15;

uint64_t block_key(uint64_t memory_offset, uint32_t mode_key) { return memory_offset | uint64_t{mode_key} << 48; }

decode::CodeSize code_size(const Cpu& cpu) {
  if (cpu.code_64()) return decode::CodeSize::Bits64;
  return cpu.segments[kCs].big() ? decode::CodeSize::Bits32 : decode::CodeSize::Bits16;
}

// What the flags will be known to come from after this instruction.
FlagSource flag_source_after(const decode::Instruction& instruction, FlagSource before) {
  using decode::Mnemonic;
  switch (instruction.mnemonic) {
    case Mnemonic::Cmp:
    case Mnemonic::Sub:
      return FlagSource::Subtract;
    case Mnemonic::And:
    case Mnemonic::Or:
    case Mnemonic::Xor:
    case Mnemonic::Test:
      return FlagSource::Logic;
    default:
      return instruction.row->flags.written != 0 ? FlagSource::Unknown : before;
  }
}

}  // namespace

// The bytes of one block as they are fetched: the rest of its page, and for an instruction that runs over the page's
// end the beginning of the next.
struct BlockCache::Fetcher {
  Cpu& cpu;
  uint64_t linear;      // of the block's first byte
  const uint8_t* host;  // where plain memory answers, else null
  uint64_t available;   // bytes up to the end of the page and of the code segment
  bool segment_ends;    // it is the segment that ends first
  uint64_t second_page = kNowhere;
  bool second_page_is_device = false;
  std::array<uint8_t, kMaximumLength> buffer{};

  std::span<const uint8_t> at(uint64_t position) {
    const uint64_t size = std::min<uint64_t>(kMaximumLength, available - position);
    if (host != nullptr) return {host + position, size};
    // Code in a device or in nothing: read byte by byte, as a processor without a cache would.
    const Translation translation = cpu.mmu().walk(linear + position, Access::Execute, cpu.mmu().current_protection());
    cpu.environment().memory_map.read(translation.physical, buffer.data(), size, cpu.in_smm);
    return {buffer.data(), size};
  }

  // The block's first instruction with the bytes of the next page behind it. Raises that page's faults.
  std::span<const uint8_t> across_page() {
    if (segment_ends) cpu.raise(kGeneralProtection, 0);
    std::array<uint8_t, kMaximumLength> first{};
    const std::span<const uint8_t> head = at(0);
    std::copy(head.begin(), head.end(), first.begin());
    const uint64_t next = cpu.wrap_linear(linear + available);
    const uint8_t* next_host = cpu.mmu().fetch_address(next);
    const uint64_t missing = kMaximumLength - head.size();
    if (next_host != nullptr) {
      std::memcpy(first.data() + head.size(), next_host, missing);
      second_page = cpu.environment().memory_map.memory().offset_of(next_host);
    } else {
      second_page_is_device = true;
      const Translation translation = cpu.mmu().walk(next, Access::Execute, cpu.mmu().current_protection());
      cpu.environment().memory_map.read(translation.physical, first.data() + head.size(), missing, cpu.in_smm);
    }
    buffer = first;
    return buffer;
  }
};

BlockCache::BlockCache(Cpu& cpu)
    : cpu_(cpu),
      jump_cache_(std::make_unique<JumpCacheEntry[]>(size_t{1} << kJumpCacheBits)),
      recent_(std::make_unique<Recent[]>(kRecentSlots)),
      churn_(std::make_unique<Churn[]>(kChurnSlots)),
      scratch_(std::make_unique<uint8_t[]>(sizeof(Block) + 4 * sizeof(Op))),
      dropped_(std::make_unique<DroppedBlocks>()) {}

BlockCache::~BlockCache() = default;

const Op* BlockCache::find(uint64_t rip) {
  ++counters.lookups;
  const bool wide = cpu_.code_64();
  const Segment& code = cpu_.segments[kCs];
  if (!wide && rip > code.limit) cpu_.raise(kGeneralProtection, 0);
  const uint64_t linear = wide ? rip : static_cast<uint32_t>(code.base + rip);
  const uint8_t* host = cpu_.mmu().fetch_address(linear);
  Fetcher fetcher{cpu_, linear, host, kPageSize - (linear & ~kPageMask), false};
  if (!wide && code.limit - rip < fetcher.available - 1) {
    fetcher.available = code.limit - rip + 1;
    fetcher.segment_ends = true;
  }
  // Code outside of memory is decoded each time; so is what a segment's limit may cut.
  if (host == nullptr || fetcher.segment_ends || !keeping_) return decode(fetcher, rip, false)->ops();

  const uint64_t offset = cpu_.environment().memory_map.memory().offset_of(host);
  Block* block = known_block(block_key(offset, cpu_.mode_key()));
  if (block != nullptr && block->second_page != kNowhere) {
    // The next page may have moved under the instruction that runs into it.
    const uint8_t* next = cpu_.mmu().fetch_address(cpu_.wrap_linear((linear & kPageMask) + kPageSize));
    if (next == nullptr || cpu_.environment().memory_map.memory().offset_of(next) != block->second_page) {
      return decode(fetcher, rip, false)->ops();
    }
    return block->ops();
  }
  if (block == nullptr) block = renew(fetcher, rip, block_key(offset, cpu_.mode_key()));
  if (block == nullptr) block = decode(fetcher, rip, true);
  if (block->linkable) {
    jump_cache_[jump_cache_index(rip)] = {rip, cpu_.jump_tag(rip), block->ops(), code_of(*block)};
  }
  return block->ops();
}

Block* BlockCache::known_block(uint64_t key) {
  Recent& recent = recent_of(key);
  if (recent.key == key) return recent.block;
  const auto known = blocks_.find(key);
  if (known == blocks_.end()) return nullptr;
  recent = {key, known->second};
  return known->second;
}

void BlockCache::forget(const Block& block) {
  const uint64_t key = block_key(block.memory_offset, block.mode_key);
  if (recent_of(key).block == &block) recent_of(key) = {};
  const auto known = blocks_.find(key);
  if (known != blocks_.end() && known->second == &block) blocks_.erase(known);
}

// Decodes the block at the fetcher's start; `keep` puts it into the cache.
Block* BlockCache::decode(Fetcher& fetcher, uint64_t rip, bool keep) {
  std::array<uint8_t, kMaximumInstructions * kMaximumLength> before;
  if (keep) std::memcpy(before.data(), fetcher.host, std::min<uint64_t>(before.size(), fetcher.available));
  Builder builder(cpu_, fetcher, keep);
  builder.build();
  keep = keep && !fetcher.second_page_is_device;
  const std::span<const Op> operations = builder.operations();
  const size_t room_for_bytes = (builder.byte_length + sizeof(Op) - 1) / sizeof(Op);
  Block* block = keep ? allocate(operations.size() + room_for_bytes) : reinterpret_cast<Block*>(scratch_.get());
  const GuestMemory& memory = cpu_.environment().memory_map.memory();
  *block = {.memory_offset = fetcher.host != nullptr ? memory.offset_of(fetcher.host) : kNowhere,
            .mode_key = cpu_.mode_key(),
            .byte_length = builder.byte_length,
            .op_count = static_cast<uint16_t>(operations.size()),
            .linkable = keep && fetcher.second_page == kNowhere,
            .reserved = {},
            .second_page = fetcher.second_page};
  std::copy(operations.begin(), operations.end(), block->ops());
  if (!keep) return block;
  std::memcpy(block->bytes(), before.data(), block->byte_length);

  ++counters.blocks_decoded;
  counters.instructions_decoded += builder.instructions;
  // From here on stores to these bytes are seen. Bytes that changed while they were being decoded are decoded again.
  const uint64_t in_page = std::min<uint64_t>(block->byte_length, fetcher.available);
  protect(block->memory_offset, in_page);
  bool changed = false;
  if (block->second_page != kNowhere) {
    const uint64_t in_second = block->byte_length - in_page;
    protect(block->second_page, in_second);
    changed = std::memcmp(fetcher.buffer.data() + in_page, memory.data() + block->second_page, in_second) != 0;
  }
  if (changed || std::memcmp(before.data(), fetcher.host, in_page) != 0) {
    fetcher.second_page = kNowhere;
    return decode(fetcher, rip, keep);
  }
  remember(block);
  if (cpu_.log().enabled(LogItem::InAsm)) log_block(*block, rip);
  return block;
}

// The block that was dropped here last, if what is there now differs from it in nothing but operands of the same size;
// else null.
Block* BlockCache::renew(Fetcher& fetcher, uint64_t rip, uint64_t key) {
  DroppedBlock& dropped = dropped_->of(key);
  if (dropped.key != key || !cpu_.debugger_stops().breakpoints.empty()) return nullptr;
  dropped.key = kNowhere;
  Block& block = *dropped.block;
  std::array<uint8_t, kMaximumInstructions * kMaximumLength> now;
  std::memcpy(now.data(), fetcher.host, block.byte_length);
  if (!renew_operations(now.data(), block, dropped)) return nullptr;
  // From here on stores to these bytes are seen.
  protect(block.memory_offset, block.byte_length);
  if (std::memcmp(now.data(), fetcher.host, block.byte_length) != 0) return nullptr;
  std::memcpy(block.bytes(), now.data(), block.byte_length);
  for (unsigned i = 0; i + 1u < block.op_count; ++i) block.ops()[i].handler = dropped.handlers[i];
  if (is_entry(*block.ops())) reset_entry(*block.ops(), threshold_of(block.memory_offset));
  // Where it led to may have been dropped for good.
  block.ops()[block.op_count - 1] = std::bit_cast<Op>(Link{});
  ++counters.blocks_renewed;
  remember(&block);
  if (cpu_.log().enabled(LogItem::InAsm)) log_block(block, rip);
  return &block;
}

// Makes the operations of the new bytes out of the old ones, but for their handlers, which shall be the same.
bool BlockCache::renew_operations(const uint8_t* now, Block& block, const DroppedBlock& dropped) {
  const uint8_t* before = block.bytes();
  for (unsigned i = 0; i + 1u < block.op_count; ++i) {
    Op& op = block.ops()[i];
    const Handler handler = dropped.handlers[i];
    if (op.length == 0 && handler != &fall_through && !is_entry({.handler = handler})) return false;
    if (std::memcmp(now + op.offset, before + op.offset, op.length) == 0) continue;
    const decode::FeatureSet& features = cpu_.model().features();
    decode::Instruction instruction, old;
    const auto decode = [&](const uint8_t* bytes, decode::Instruction& result) {
      const std::span<const uint8_t> span(bytes + op.offset, op.length);
      return decode::decode(span, decode::CodeSize::Bits64, features, result) == decode::Status::Ok &&
             result.length == op.length;
    };
    if (!cpu_.code_64() || !decode(now, instruction) || !decode(before, old)) return false;
    if (instruction.row != old.row || instruction.mnemonic != old.mnemonic) return false;
    instruction.code_64 = true;
    Op fresh{.handler = nullptr};
    const Selection selection = lower(instruction, op.offset, fresh);
    if (selection.handler != handler || selection.ends_block) return false;
    fresh.instructions = op.instructions;
    fresh.handler = &block_dropped;
    op = fresh;
  }
  return true;
}

// What the jump cache says of a block's translation.
const void* BlockCache::code_of(const Block& block) const {
  if (cpu_.translator() == nullptr) return nullptr;
  const Op& first = *block.ops();
  if (first.handler == &enter_translation) {
    const auto* code = reinterpret_cast<const TranslatedCode*>(first.immediate);
    if (code->runnable()) return code->entry;
  }
  return cpu_.translator()->no_code();
}

void BlockCache::forget_translations() {
  const uint32_t threshold = cpu_.translator() != nullptr ? cpu_.translator()->threshold() : 1;
  std::erase_if(entries_, [threshold](Op* op) {
    if (op->handler != &enter_translation) return true;
    if (reinterpret_cast<const TranslatedCode*>(op->immediate)->runnable()) return false;
    reset_entry(*op, threshold);
    return true;
  });
  std::fill_n(jump_cache_.get(), size_t{1} << kJumpCacheBits, JumpCacheEntry{});
}

// Once a page is enough.
void BlockCache::protect(uint64_t memory_offset, uint64_t size) {
  if (cpu_.environment().memory_map.memory().mark_code(memory_offset, size)) return;
  ProcessorGroup& group = cpu_.environment().group;
  group.exclusively(cpu_, [&] {
    for (Cpu* cpu : group.processors()) cpu->mmu().protect_page(memory_offset);
  });
}

Block* BlockCache::allocate(size_t ops) {
  const size_t bytes = sizeof(Block) + ops * sizeof(Op);
  if (chunks_.empty() || kChunkBytes - chunk_used_ < bytes) {
    chunks_.push_back(std::make_unique_for_overwrite<uint8_t[]>(kChunkBytes));
    chunk_used_ = 0;
    if (chunks_.size() > kMaximumChunks) {
      // Blocks that execute now may be linked to; the dispatch loop clears when none does.
      clear_wanted_ = true;
      cpu_.request(request::kInvalidateCode);
    }
  }
  auto* block = reinterpret_cast<Block*>(chunks_.back().get() + chunk_used_);
  chunk_used_ += bytes;
  return block;
}

void BlockCache::remember(Block* block) {
  const uint64_t key = block_key(block->memory_offset, block->mode_key);
  blocks_[key] = block;
  recent_of(key) = {key, block};
  pages_[block->memory_offset / kPageSize].push_back(block);
  if (block->second_page != kNowhere) pages_[block->second_page / kPageSize].push_back(block);
}

void BlockCache::clear() {
  blocks_.clear();
  std::fill_n(recent_.get(), kRecentSlots, Recent{});
  pages_.clear();
  entries_.clear();
  chunks_.clear();
  chunk_used_ = 0;
  dropped_->clear();
  std::fill_n(jump_cache_.get(), size_t{1} << kJumpCacheBits, JumpCacheEntry{});
  clear_wanted_ = false;
  ++counters.clears;
}

void BlockCache::maintain() {
  process_invalidations();
  if (clear_wanted_) clear();
}

void BlockCache::post_invalidation(uint64_t memory_offset, uint64_t size) {
  std::lock_guard lock(posted_mutex_);
  posted_.emplace_back(memory_offset, size);
  any_posted_.store(true, std::memory_order_release);
}

void BlockCache::process_invalidations() {
  if (!any_posted_.load(std::memory_order_acquire)) return;
  std::vector<std::pair<uint64_t, uint64_t>> posted;
  {
    std::lock_guard lock(posted_mutex_);
    posted.swap(posted_);
    any_posted_.store(false, std::memory_order_relaxed);
  }
  for (const auto& [offset, size] : posted) invalidate(offset, size);
}

void BlockCache::invalidate(uint64_t memory_offset, uint64_t size) {
  ++counters.invalidations;
  const auto page = pages_.find(memory_offset / kPageSize);
  if (page == pages_.end()) return;
  // Marks are kept a granule at a time, so whatever shares a granule with these bytes has lost its mark.
  const uint64_t first = memory_offset & ~(kCodeGranule - 1);
  const uint64_t end = (memory_offset + size + kCodeGranule - 1) & ~(kCodeGranule - 1);
  std::erase_if(page->second, [&](Block* block) {
    const uint64_t begin = block->memory_offset / kPageSize == page->first ? block->memory_offset : block->second_page;
    if (begin >= end || begin + block->byte_length <= first) return false;
    forget(*block);
    if (block->ops()->handler == &enter_translation) note_churn(*block);
    if (block->linkable) dropped_->note(block_key(block->memory_offset, block->mode_key), *block);
    // What stands behind the last operation is a link.
    for (unsigned i = 0; i + 1u < block->op_count; ++i) block->ops()[i].handler = &block_dropped;
    return true;
  });
}

// What is known of another place in the same slot is forgotten.
BlockCache::Churn& BlockCache::churn_of(uint64_t memory_offset) {
  const uint64_t granule = memory_offset / kCodeGranule;
  Churn& churn = churn_[granule % kChurnSlots];
  if (churn.granule != granule) churn = {.granule = granule, .last = counters.invalidations};
  return churn;
}

// Places where code is written anew again and again are close in time, measured in invalidations; memory that gets
// other contents now and then is not.
void BlockCache::note_churn(const Block& block) {
  constexpr uint64_t kSoon = 4096;
  Churn& churn = churn_of(block.memory_offset);
  churn.times = counters.invalidations - churn.last < kSoon ? churn.times + 1 : 0;
  churn.last = counters.invalidations;
}

uint32_t BlockCache::threshold_of(uint64_t memory_offset) {
  if (cpu_.translator()->threshold() == 1) return 1;  // everything is to be translated at once, as tests want it
  // A kernel that boots patches a place several times, and then never again.
  constexpr uint32_t kFree = 1, kDoublings = 2, kMaximumDoublings = 12;
  const uint32_t times = churn_of(memory_offset).times;
  const uint32_t doublings = std::min((std::max(times, kFree) - kFree) * kDoublings, kMaximumDoublings);
  return cpu_.translator()->threshold() << doublings;
}

void BlockCache::log_block(const Block& block, uint64_t rip) {
  const auto& disassemble = cpu_.environment().disassemble;
  const uint8_t* bytes = cpu_.environment().memory_map.memory().data() + block.memory_offset;
  const uint64_t in_page = std::min<uint64_t>(block.byte_length, kPageSize - block.memory_offset % kPageSize);
  cpu_.log().print(LogItem::InAsm, "IN: {:#x}\n{}", rip,
                   disassemble ? disassemble(bytes, in_page, code_size(cpu_), rip) : std::string());
}

// --- From bytes to operations ----------------------------------------------------------------------------------------

BlockCache::Builder::Builder(Cpu& cpu, Fetcher& fetcher, bool linkable)
    : cpu_(cpu), fetcher_(fetcher), linkable_(linkable && (cpu.mode_key() & kModeSingle) == 0) {}

void BlockCache::Builder::build() {
  const bool single = !linkable_ || (cpu_.mode_key() & kModeSingle) != 0;
  if (!single && cpu_.translates()) add_entry();
  const unsigned limit = single ? 1 : kMaximumInstructions;
  while (instructions < limit && !ended_) {
    if (!add_instruction()) break;
  }
  if (!ended_) add_fall_through();
  ops_[op_count_++] = std::bit_cast<Op>(Link{});
}

void BlockCache::Builder::add_entry() {
  Op op{.handler = nullptr};
  uint32_t threshold = cpu_.translator()->threshold();
  if (fetcher_.host != nullptr) {
    threshold = cpu_.blocks().threshold_of(cpu_.environment().memory_map.memory().offset_of(fetcher_.host));
  }
  reset_entry(op, threshold);
  ops_[op_count_++] = op;
}

// False where the block must end before the next instruction.
bool BlockCache::Builder::add_instruction() {
  if (byte_length >= fetcher_.available) return false;
  if (cpu_.debugger_stops().breakpoint_at_page_offset(fetcher_.linear + byte_length)) [[unlikely]] {
    if (instructions != 0) return false;
    ops_[op_count_++] = Op{.handler = &debugger_breakpoint};
  }
  decode::Instruction instruction;
  const decode::CodeSize size = code_size(cpu_);
  const decode::FeatureSet& features = cpu_.model().features();
  std::span<const uint8_t> bytes = fetcher_.at(byte_length);
  decode::Status status = decode::decode(bytes, size, features, instruction);
  if (status == decode::Status::NeedMoreBytes) {
    if (instructions != 0) return false;
    bytes = fetcher_.across_page();
    status = decode::decode(bytes, size, features, instruction);
  }
  instruction.code_64 = size == decode::CodeSize::Bits64;
  ++instructions;
  if (status == decode::Status::Ok && instruction.length <= fetcher_.available - byte_length) {
    fetcher_.second_page = kNowhere;  // it was enough to look
  }
  const bool real = (cpu_.mode_key() & kModeReal) != 0;
  if (status == decode::Status::Ok && real && instruction.row->has(decode::attribute::kNoVm86)) {
    status = decode::Status::InvalidOpcode;
  }
  if (status == decode::Status::Ok) {
    lower_instruction(instruction);
  } else {
    ++cpu_.blocks().counters.undecodable;
    add_fault(status == decode::Status::TooLong ? &instruction_too_long : &invalid_opcode, instruction.length);
  }
  return true;
}

// `looked_at`: the bytes that were read to find this out; a store to any of them makes another instruction of it.
void BlockCache::Builder::add_fault(Handler handler, unsigned looked_at) {
  Op op{.handler = handler};
  op.offset = byte_length;
  op.instructions = static_cast<uint8_t>(instructions);
  ops_[op_count_++] = op;
  byte_length = static_cast<uint16_t>(byte_length + std::max(1u, looked_at));
  ended_ = true;
}

void BlockCache::Builder::lower_instruction(const decode::Instruction& instruction) {
  Op op{.handler = nullptr};
  Selection selection = lower(instruction, byte_length, op);
  if (selection.handler == nullptr) {
    cpu_.log().print(LogItem::Unimplemented, "instruction {} is not executed", decode::name(instruction.mnemonic));
    ++cpu_.blocks().counters.without_handler;
    add_fault(&invalid_opcode, instruction.length);
    return;
  }
  using decode::Mnemonic;
  if (instruction.mnemonic == Mnemonic::Jcc) {
    selection = select_branch_with_flag_source(instruction, op, flag_source_);
  } else if (instruction.mnemonic == Mnemonic::Cmovcc || instruction.mnemonic == Mnemonic::Setcc) {
    selection = select_with_flag_source(instruction, op, flag_source_);
  }
  flag_source_ = flag_source_after(instruction, flag_source_);
  op.handler = selection.handler;
  op.instructions = static_cast<uint8_t>(instructions);
  byte_length = static_cast<uint16_t>(byte_length + instruction.length);
  ended_ = selection.ends_block;
  const bool direct = instruction.mnemonic == Mnemonic::Jcc || instruction.mnemonic == Mnemonic::Jmp ||
                      instruction.mnemonic == Mnemonic::Call;
  if (direct && instruction.operands[0].kind == decode::OperandKind::Relative && instruction.code_64 &&
      instruction.operand_size == 8) {
    op.immediate += byte_length;
    op.rm = static_cast<uint8_t>((in_page(op.immediate) ? kTakenLinkable : 0) |
                                 (in_page(byte_length) ? kNotTakenLinkable : 0));
  }
  ops_[op_count_++] = op;
}

void BlockCache::Builder::add_fall_through() {
  Op op{.handler = &fall_through};
  op.offset = byte_length;
  op.instructions = static_cast<uint8_t>(instructions);
  op.rm = in_page(byte_length) ? kTakenLinkable : 0;
  ops_[op_count_++] = op;
}

// True where `delta` bytes from the block's start one is still in its page, and links may be made.
bool BlockCache::Builder::in_page(uint64_t delta) const {
  const uint64_t position = (fetcher_.linear & ~kPageMask) + delta;
  return linkable_ && fetcher_.second_page == kNowhere && position < kPageSize;
}

}  // namespace calco::cpu
