// Where a block begins, ends, and may be left in between.
#include "cpu/exec/block_cache.h"
#include "cpu/mmu/tlb.h"
#include "jit/baseline/emitter.h"
#include "jit/runtime/helpers.h"

namespace calco::jit::baseline {

// --- Jumps within the code -------------------------------------------------------------------------------------------

size_t Emitter::jump_if(uint8_t condition) {
  db(0x0F);
  db(0x80 | condition);
  dd(0);
  return getSize();
}

size_t Emitter::jump_near() {
  db(0xE9);
  dd(0);
  return getSize();
}

void Emitter::bind(size_t position) { rewrite(position - 4, static_cast<uint32_t>(getSize() - position), 4); }

void Emitter::jump_to(size_t position) {
  const size_t end = jump_near();
  rewrite(end - 4, static_cast<uint32_t>(position - end), 4);
}

void Emitter::jump_to_entry(const uint8_t* executable) { jmp(cache_.writable(executable), T_NEAR); }
void Emitter::call_entry(const uint8_t* executable) { call(cache_.writable(executable)); }

void Emitter::add_to_rip(int32_t delta) {
  if (delta != 0) add(qword[host::guest_register(cpu::kRip)], delta);
}

// --- Beginning -------------------------------------------------------------------------------------------------------

// The first instruction is 8 bytes long: a dead or replaced translation gets a jump in its place, in one store.
void Emitter::emit_head() {
  cmp(dword[host::state(layout_.exit_request)], 0);
  const size_t leave = jump_if(5);
  size_t hot = 0;
  uint8_t* data = options_.count_entries ? cache_.allocate_data(16) : nullptr;
  if (data != nullptr) {
    translation_.countdown = reinterpret_cast<int32_t*>(data);
    translation_.better_code = reinterpret_cast<const void**>(data + 8);
    *translation_.countdown = translation_.countdown_start = options_.hot_threshold;
    nop(2);
    translation_.body = cache_.executable(getCurr());
    // DEC dword [rip + ...], made 8 bytes long by two prefixes that mean nothing.
    constexpr uint8_t kDs = 0x3E;
    db(kDs);
    db(kDs);
    dec(dword[rip + cache_.as_seen_from_writable(translation_.countdown)]);
    hot = jump_if(4);
  } else {
    translation_.body = cache_.executable(getCurr());
  }
  Cold head{.kind = Cold::Kind::Head};
  head.jump = leave;
  head.second_jump = hot;
  cold_.push_back(head);
  emit_measurement();
}

void Emitter::emit_measurement() {
  const auto counter = [this](size_t offset) { return host::state(layout_.counters + static_cast<int>(offset)); };
  if (options_.measurement.tier) {
    mov(byte[counter(offsetof(cpu::TranslationCounters, tier))], static_cast<uint8_t>(cpu::ExecutionTier::Baseline));
  }
  if (options_.measurement.work) {
    add(qword[counter(offsetof(cpu::TranslationCounters, baseline_instructions))],
        static_cast<uint32_t>(block_.guest.size()));
    add(qword[counter(offsetof(cpu::TranslationCounters, accesses))], ir::memory_accesses(block_));
  }
}

// --- Ends ------------------------------------------------------------------------------------------------------------

void Emitter::emit_probe() {
  if (!options_.jump_cache) return jump_to_entry(entries_.probe);
  // As Entries' probe, but here the host learns where each branch goes.
  mov(rbx, r10);
  shr(rbx, cpu::kJumpCacheBits);
  xor_(rbx, r10);
  and_(ebx, (1 << cpu::kJumpCacheBits) - 1);
  shl(ebx, 5);
  add(rbx, ptr[host::state(layout_.jump_cache)]);
  mov(rbp, r10);
  shr(rbp, 63);
  mov(rbp, ptr[host::state(layout_.jump_tags) + rbp * 8]);
  cmp(ptr[rbx + offsetof(cpu::JumpCacheEntry, rip)], r10);
  const size_t other = jump_if(5);
  cmp(ptr[rbx + offsetof(cpu::JumpCacheEntry, tag)], rbp);
  const size_t stale = jump_if(5);
  mov(rbp, r10);
  and_(rbp, -4096);
  mov(ptr[host::guest_register(cpu::kRip)], rbp);
  jmp(ptr[rbx + offsetof(cpu::JumpCacheEntry, code)]);
  bind(other);
  bind(stale);
  mov(ptr[host::guest_register(cpu::kRip)], r10);
  jump_to_entry(entries_.exit_next);
}

// The displacement just emitted belongs to a link.
void Emitter::emit_link(uint16_t target, size_t displacement) {
  Link link;
  link.from = &translation_;
  link.target = target;
  link.site = const_cast<uint8_t*>(getCode()) + displacement - 4;
  translation_.links.push_back(link);
}

void Emitter::emit_way_to(int32_t target) {
  if (in_page(target)) {
    while ((getSize() + 1) % 4 != 0) nop();
    emit_link(static_cast<uint16_t>(target), jump_near());
    return;
  }
  mov(r10, ptr[host::guest_register(cpu::kRip)]);
  lea(r10, ptr[r10 + target]);
  emit_probe();
}

void Emitter::emit_way_to(uint8_t condition, int32_t target) {
  if (in_page(target)) {
    while ((getSize() + 2) % 4 != 0) nop();
    emit_link(static_cast<uint16_t>(target), jump_if(condition));
    return;
  }
  Cold cold{.kind = Cold::Kind::BranchAway};
  cold.jump = jump_if(condition);
  cold.target = target;
  cold_.push_back(cold);
}

void Emitter::emit_terminator(const Instruction& instruction) {
  switch (instruction.opcode) {
    case Opcode::Jump:
      flush_vectors();
      return emit_way_to(static_cast<int32_t>(instruction.immediate));
    case Opcode::Branch:
      return emit_branch(instruction);
    case Opcode::JumpIndirect: {
      flush_vectors();
      move_to(r10, instruction.arguments[0]);
      if (static_cast<ir::JumpHint>(instruction.auxiliary) != ir::JumpHint::Return) record_target();
      return emit_probe();
    }
    default:
      flush_vectors();
      if (block_.last) return emit_interpret_at_end();
      add_to_rip(static_cast<int32_t>(instruction.immediate));
      return jump_to_entry(entries_.exit_interpret);
  }
}

// For the tier above, which compares with the places that were met. The cursor wraps around as a byte does.
void Emitter::record_target() {
  static_assert(kRecordedTargets * sizeof(uint64_t) == 256);
  uint8_t* data = options_.record_targets ? cache_.allocate_data(kRecordedTargets * sizeof(uint64_t) + 8) : nullptr;
  if (data == nullptr) return;
  uint8_t* const cursor = data + kRecordedTargets * sizeof(uint64_t);
  translation_.targets = reinterpret_cast<const uint64_t*>(data);
  add(byte[rip + cache_.as_seen_from_writable(cursor)], 8);
  movzx(ebx, byte[rip + cache_.as_seen_from_writable(cursor)]);
  lea(rbp, ptr[rip + cache_.as_seen_from_writable(data)]);
  mov(ptr[rbp + rbx], r10);
}

void Emitter::emit_interpret_at_end() {
  mov(r10, reinterpret_cast<uint64_t>(&translation_.interpreted[block_.interpreted.size() + 1]));
  mov(ptr[host::state(layout_.exit_link)], r10);
  jump_to_entry(entries_.interpret_at_end);
}

void Emitter::emit_branch(const Instruction& instruction) {
  flush_vectors();
  const int32_t taken = ir::taken_target(instruction);
  const int32_t not_taken = ir::not_taken_target(instruction);
  if (is_constant(instruction.arguments[0])) {
    return emit_way_to(constant(instruction.arguments[0]) != 0 ? taken : not_taken);
  }
  emit_way_to(emit_test(instruction.arguments[0]), taken);
  emit_way_to(not_taken);
}

// --- Left in between -------------------------------------------------------------------------------------------------

void Emitter::emit_bail(uint16_t page_offset) {
  flush_vectors();
  add_to_rip(page_offset);
  jump_to_entry(entries_.exit_interpret);
}

void Emitter::emit_bail_if(const Instruction& instruction) {
  const Value condition = instruction.arguments[0];
  if (is_constant(condition) && constant(condition) == 0) return;
  settle_flags();
  add_bail(instruction, is_constant(condition) ? jump_near() : jump_if(emit_test(condition)));
}

void Emitter::add_bail(const Instruction& instruction, size_t jump) {
  Cold cold{.kind = Cold::Kind::Bail};
  cold.jump = jump;
  cold.page_offset = block_.guest[instruction.guest].page_offset;
  cold.vectors_dirty = vectors_dirty_;
  cold_.push_back(cold);
}

void Emitter::emit_bail_unless_next_page(const Instruction& instruction) {
  constexpr uint8_t kNotEqual = 5;
  constexpr int kPageBytes = 4096;
  settle_flags();
  const Reg64 linear = allocate();
  const Reg64 entry = allocate();
  mov(linear, ptr[host::guest_register(cpu::kRip)]);
  add(linear, kPageBytes);
  mov(entry, linear);
  shift_to_tlb_entry(entry);
  cmp(linear, ptr[entry + offsetof(cpu::TlbEntry, execute)]);
  add_bail(instruction, jump_if(kNotEqual));
  add(linear, ptr[entry + offsetof(cpu::TlbEntry, addend)]);
  mov(entry, instruction.immediate);
  cmp(linear, entry);
  add_bail(instruction, jump_if(kNotEqual));
  host_flags_ = {};
}

void Emitter::emit_interpret(const Instruction& instruction) {
  settle_flags();
  flush_vectors();
  vectors_loaded_ = 0;
  preserve_all();
  const Reg64 operation = allocate();
  mov(operation, reinterpret_cast<uint64_t>(&translation_.interpreted[instruction.immediate]));
  mov(ptr[rsp + frame_slot(1)], operation);
  call_entry(entries_.interpret);
  x87_entered_ = false;
  host_flags_ = {};
  static_kind_ = -1;
}

// --- Behind the block ------------------------------------------------------------------------------------------------

void Emitter::emit_cold() {
  for (size_t i = 0; i < cold_.size(); ++i) {
    const Cold cold = cold_[i];
    switch (cold.kind) {
      case Cold::Kind::Bail:
        bind(cold.jump);
        vectors_dirty_ = cold.vectors_dirty;
        emit_bail(cold.page_offset);
        break;
      case Cold::Kind::BranchAway:
        bind(cold.jump);
        mov(r10, ptr[host::guest_register(cpu::kRip)]);
        lea(r10, ptr[r10 + cold.target]);
        emit_probe();
        break;
      case Cold::Kind::Head:
        // Somebody wants the processor, or the block is hot.
        bind(cold.jump);
        translation_.head_exit = cache_.executable(getCurr());
        add_to_rip(block_.page_offset);
        jump_to_entry(entries_.exit_next);
        if (cold.second_jump != 0) {
          bind(cold.second_jump);
          add_to_rip(block_.page_offset);
          mov(r10, reinterpret_cast<uint64_t>(&translation_));
          jump_to_entry(entries_.exit_hot);
        }
        break;
      case Cold::Kind::EnterX87:
        emit_cold_enter_x87(cold);
        break;
      default:
        emit_cold_access(i);
        break;
    }
  }
  for (Link& link : translation_.links) {
    const size_t displacement = static_cast<size_t>(link.site - getCode());
    link.stub = cache_.executable(getCurr());
    bind(displacement + 4);
    add_to_rip(link.target);
    mov(r10, reinterpret_cast<uint64_t>(&link));
    jump_to_entry(entries_.exit_link);
  }
}

}  // namespace calco::jit::baseline
