// Guest memory: the TLB lookup inline, everything else in cold code behind the block.
#include <bit>

#include "cpu/mmu/tlb.h"
#include "jit/baseline/emitter.h"

namespace calco::jit::baseline {

namespace {

constexpr int kEntryShift = 5, kPageShift = 12;
static_assert(sizeof(cpu::TlbEntry) == 1 << kEntryShift);

}  // namespace

// From a linear address to its page's entry.
void Emitter::shift_to_tlb_entry(const Reg64& address) {
  shr(address, kPageShift - kEntryShift);
  and_(address.cvt32(), static_cast<uint32_t>((cpu::kTlbEntries - 1) << kEntryShift));
  add(address, ptr[host::state(layout_.tlb)]);
}

// As load_linear() in cpu/mmu/access.h: the entry's tag must be the page of the access's last byte.
Emitter::Lookup Emitter::emit_lookup(Value linear, unsigned bytes, int tag_offset, unsigned alignment) {
  // A misaligned address leaves before all registers are taken.
  alignment > 1 ? settle_flags() : settle_flags_before_leaving();
  const Reg64 address = in_register(linear);
  const Reg64 entry = allocate();
  size_t misaligned = 0;
  if (alignment > 1) {
    test(address.cvt8(), static_cast<uint8_t>(alignment - 1));
    misaligned = jump_if(5);
  }
  mov(entry, address);
  shift_to_tlb_entry(entry);
  const Reg64 page = allocate();
  if (bytes > 1 && alignment != bytes) {
    lea(page, ptr[address + static_cast<int>(bytes - 1)]);
  } else {
    mov(page, address);
  }
  and_(page, -4096);
  cmp(page, ptr[entry + tag_offset]);
  const size_t miss = jump_if(5);
  release(page);
  mov(entry, ptr[entry + static_cast<int>(offsetof(cpu::TlbEntry, addend))]);
  host_flags_ = {};
  return {address, entry, miss, misaligned};
}

void Emitter::load_from(const Reg64& to, const Xbyak::RegExp& address, Type type) {
  switch (type) {
    case Type::I8:
      return movzx(to.cvt32(), byte[address]);
    case Type::I16:
      return movzx(to.cvt32(), word[address]);
    case Type::I32:
      return mov(to.cvt32(), dword[address]);
    default:
      return mov(to, qword[address]);
  }
}

void Emitter::store_to(const Xbyak::RegExp& address, Type type, Value value) {
  const Xbyak::AddressFrame frame(ir::bits_of(type));
  if (is_immediate(value)) {
    mov(frame[address], immediate(value));
  } else {
    mov(frame[address], sized(in_register(value), type));
  }
}

// What the cold side of an operation that may leave needs to know of its place.
Emitter::Cold Emitter::cold_access(Cold::Kind kind, const Instruction& instruction) const {
  Cold cold{.kind = kind};
  cold.page_offset = block_.guest[instruction.guest].page_offset;
  cold.vectors_loaded = vectors_loaded_;
  cold.vectors_dirty = vectors_dirty_;
  cold.x87_entered = x87_entered_;
  note_waiting_flags(cold);
  return cold;
}

void Emitter::emit_load(const Instruction& instruction) {
  const unsigned bytes = ir::bytes_of(instruction.type);
  const Lookup lookup = emit_lookup(instruction.arguments[0], bytes, offsetof(cpu::TlbEntry, read), 1);
  const int8_t guest = hint_[current_];
  const bool early = guest >= 0 && may_write_early(static_cast<uint8_t>(guest)) &&
                     !waits_for({Place::Kind::Guest, static_cast<uint8_t>(guest)});
  const Reg64 to = early ? Reg64(host::kPinned[guest]) : lookup.addend;
  load_from(to, lookup.linear + lookup.addend, instruction.type);
  Cold cold = cold_access(Cold::Kind::Load, instruction);
  cold.jump = lookup.miss;
  cold.back = getSize();
  cold.linear = static_cast<uint8_t>(lookup.linear.getIdx());
  cold.result = static_cast<uint8_t>(to.getIdx());
  cold.type = instruction.type;
  cold.site = access_site(cold.page_offset, bytes, instruction.auxiliary == ir::kStackAccess);
  cold_.push_back(cold);
  give(current_, to);
}

void Emitter::emit_store(const Instruction& instruction) {
  const Value value = instruction.arguments[1];
  const Type type = block_[value].type;
  const unsigned bytes = ir::bytes_of(type);
  const Lookup lookup = emit_lookup(instruction.arguments[0], bytes, offsetof(cpu::TlbEntry, write), 1);
  Cold cold = cold_access(Cold::Kind::Store, instruction);
  cold.value = is_constant(value) ? Place{Place::Kind::Constant, 0} : places_[root(value)];
  cold.value_constant = is_constant(value) ? constant(value) : 0;
  if (!is_constant(value) || !is_immediate(value)) {
    const Reg64 source = in_register(value);
    mov(Xbyak::AddressFrame(bytes * 8)[lookup.linear + lookup.addend], sized(source, type));
  } else {
    store_to(lookup.linear + lookup.addend, type, value);
  }
  cold.jump = lookup.miss;
  cold.back = getSize();
  cold.linear = static_cast<uint8_t>(lookup.linear.getIdx());
  cold.spare = static_cast<uint8_t>(lookup.addend.getIdx());
  cold.site = access_site(cold.page_offset, bytes, instruction.auxiliary == ir::kStackAccess);
  // What the hot path loads behind the lookup, the cold path must have loaded too when it comes back.
  cold.result = !is_constant(value) && places_[root(value)].kind == Place::Kind::Scratch
                    ? static_cast<uint8_t>(host::kScratch[places_[root(value)].number])
                    : 0xFF;
  cold_.push_back(cold);
}

void Emitter::emit_host_address(const Instruction& instruction) {
  const auto bytes = static_cast<unsigned>(instruction.immediate & 0xFF);
  const bool write = (instruction.immediate & ir::kHostWrite) != 0;
  const bool aligned = (instruction.immediate & ir::kHostAligned) != 0;
  const int tag = write ? offsetof(cpu::TlbEntry, write) : offsetof(cpu::TlbEntry, read);
  const Lookup lookup = emit_lookup(instruction.arguments[0], bytes, tag, aligned ? bytes : 1);
  add(lookup.addend, lookup.linear);
  Cold cold = cold_access(Cold::Kind::HostAddress, instruction);
  cold.jump = lookup.miss;
  cold.second_jump = lookup.misaligned;
  cold.back = getSize();
  cold.linear = static_cast<uint8_t>(lookup.linear.getIdx());
  cold.result = static_cast<uint8_t>(lookup.addend.getIdx());
  cold.site = access_site(cold.page_offset, bytes, instruction.auxiliary == ir::kStackAccess) |
              (write ? kSiteWrite : 0) | (aligned ? kSiteAligned : 0);
  cold_.push_back(cold);
  give(current_, lookup.addend);
}

void Emitter::emit_cold_access(size_t index) {
  const Cold cold = cold_[index];
  bind(cold.jump);
  if (cold.second_jump != 0) bind(cold.second_jump);
  vectors_loaded_ = cold.vectors_loaded;
  vectors_dirty_ = cold.vectors_dirty;
  store_vectors(cold.vectors_dirty);
  store_waiting_flags(cold);
  mov(ptr[rsp + frame_slot(0)], Reg64(cold.linear));
  mov(qword[rsp + frame_slot(1)], cold.site);
  if (cold.kind == Cold::Kind::Store) {
    const Reg64 spare(cold.spare);
    const bool pinned = cold.value.kind == Place::Kind::Guest && host::kPinned[cold.value.number] != host::kNotPinned;
    Reg64 source = spare;
    if (cold.value.kind == Place::Kind::Constant) {
      mov(spare, cold.value_constant);
    } else if (cold.value.kind == Place::Kind::Scratch) {
      source = scratch(cold.value.number);
    } else if (pinned) {
      source = Reg64(host::kPinned[cold.value.number]);
    } else {
      mov(spare, memory_place(cold.value, 8));
    }
    mov(ptr[rsp + frame_slot(2)], source);
    if (cold.result != 0xFF && cold.result != source.getIdx()) mov(Reg64(cold.result), source);
  }
  const bool store = cold.kind == Cold::Kind::Store;
  const bool load = cold.kind == Cold::Kind::Load;
  call_entry(store ? entries_.store : load ? entries_.load : entries_.host_address);
  size_t bail = 0;
  if (store) {
    cmp(dword[rsp + frame_slot(0)], 0);
    bail = jump_if(5);
  } else {
    load_from(Reg64(cold.result), rsp + frame_slot(0), load ? cold.type : Type::I64);
    if (!load) {
      test(Reg64(cold.result), Reg64(cold.result));
      bail = jump_if(4);
    }
  }
  // C++ ran, so the guest's x87 registers left the host's unit.
  if (cold.x87_entered) call_entry(entries_.enter_x87);
  load_vectors(cold.vectors_loaded);
  jump_to(cold.back);
  if (bail != 0) {
    // The dirty vector registers are in the state already.
    bind(bail);
    vectors_dirty_ = 0;
    emit_bail(cold.page_offset);
  }
}

// --- Through host addresses ------------------------------------------------------------------------------------------

void Emitter::emit_load_host(const Instruction& instruction) {
  const Reg64 host = in_register(instruction.arguments[0]);
  const Reg64 to = destination(instruction.arguments[0]);
  load_from(to, Xbyak::RegExp(host), instruction.type);
  give(current_, to);
}

void Emitter::emit_store_host(const Instruction& instruction) {
  const Reg64 host = in_register(instruction.arguments[0]);
  store_to(Xbyak::RegExp(host), block_[instruction.arguments[1]].type, instruction.arguments[1]);
}

namespace {

constexpr int kKeptSlot = 30;

}  // namespace

void Emitter::emit_atomic(const Instruction& instruction) {
  const Value value = instruction.arguments[1];
  const Type type = instruction.type;
  const Reg64 host = in_register(instruction.arguments[0]);
  host_flags_ = {};
  const bool used = use_count_[current_] != 0;
  const Xbyak::AddressFrame frame(ir::bits_of(type));
  if (instruction.opcode == Opcode::AtomicExchange || instruction.opcode == Opcode::AtomicAdd) {
    const Reg64 result = allocate();
    move_to(result, value);
    if (instruction.opcode == Opcode::AtomicExchange) {
      xchg(frame[host], sized(result, type));
    } else {
      lock();
      xadd(frame[host], sized(result, type));
    }
    return give(current_, result);
  }
  if (!used) {
    const Reg64 operand = in_register(value);
    lock();
    switch (instruction.opcode) {
      case Opcode::AtomicAnd:
        return and_(frame[host], sized(operand, type));
      case Opcode::AtomicOr:
        return or_(frame[host], sized(operand, type));
      default:
        return xor_(frame[host], sized(operand, type));
    }
  }
  emit_atomic_loop(instruction, host, allocate());
}

// Compare-and-exchange until nobody came between; RAX is kept in the frame meanwhile, for the operand may be in it.
void Emitter::emit_atomic_loop(const Instruction& instruction, const Reg64& host, const Reg64& result) {
  const Value value = instruction.arguments[1];
  const Type type = instruction.type;
  constexpr int kOperandSlot = 31;
  const Xbyak::AddressFrame frame(ir::bits_of(type));
  move_to(result, value);
  mov(ptr[rsp + frame_slot(kOperandSlot)], result);
  mov(ptr[rsp + frame_slot(kKeptSlot)], rax);
  mov(sized(rax, type), frame[host]);
  const size_t again = getSize();
  mov(result, rax);
  const Reg target = sized(result, type);
  const Address operand = frame[rsp + frame_slot(kOperandSlot)];
  switch (instruction.opcode) {
    case Opcode::AtomicAnd:
      and_(target, operand);
      break;
    case Opcode::AtomicOr:
      or_(target, operand);
      break;
    default:
      xor_(target, operand);
      break;
  }
  lock();
  cmpxchg(frame[host], target);
  const size_t retry = jump_if(5);
  rewrite(retry - 4, static_cast<uint32_t>(again - retry), 4);
  mov(result, rax);
  mov(rax, ptr[rsp + frame_slot(kKeptSlot)]);
  give(current_, result);
}

void Emitter::emit_compare_exchange(const Instruction& instruction) {
  const Type type = instruction.type;
  const Reg64 host = in_register(instruction.arguments[0]);
  // The desired value must not be in RAX, which takes the expected one.
  const Reg64 desired = allocate();
  move_to(desired, instruction.arguments[2]);
  mov(ptr[rsp + frame_slot(kKeptSlot)], rax);
  move_to(rax, instruction.arguments[1]);
  lock();
  cmpxchg(Xbyak::AddressFrame(ir::bits_of(type))[host], sized(desired, type));
  mov(desired, rax);
  mov(rax, ptr[rsp + frame_slot(kKeptSlot)]);
  give(current_, desired);
  host_flags_ = {};
}

}  // namespace calco::jit::baseline
