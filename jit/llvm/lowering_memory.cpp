// Guest memory: the software TLB of cpu/mmu/tlb.h, and host addresses.
#include <llvm/IR/MDBuilder.h>

#include <bit>
#include <cstddef>

#include "cpu/exec/host_memory.h"
#include "cpu/mmu/tlb.h"
#include "jit/llvm/lowering.h"

namespace calco::jit {

using ir::Opcode;
using llvm::Value;

namespace {

constexpr uint64_t kPageOffset = 0xFFF;
constexpr unsigned kEntryShift = 5;
static_assert(sizeof(cpu::TlbEntry) == 1 << kEntryShift);

}  // namespace

// --- The TLB
// -------------------------------------------------------------------------------------------------------------

Lowering::Access Lowering::access(const ir::Instruction& instruction, unsigned size, bool write) {
  const auto place = static_cast<ir::Value>(&instruction - source_->code.data());
  Access result;
  result.linear = argument(instruction, 0);
  result.size = size;
  result.write = write;
  result.group = page_groups_.membership(block_, place);
  result.slow = new_cold_block();
  const ir::Instruction& address = source_->code[instruction.arguments[0]];
  if (result.group.table && address.opcode == Opcode::Address && address.arguments[0] != ir::kNoValue) {
    result.base = builder_.CreateAdd(argument(address, 0), builder_.getInt64(address.immediate));
  }
  return result;
}

// What must equal the tag of the first byte's entry: the page of the access's last byte, so that crossing the page's
// end never does.
Value* Lowering::touched_page(const Access& access) {
  if (access.aligned) {
    // The bits below the size take part in the comparison, moved up: the lowest bit is that of kTlbSlow, and a
    // misaligned address must not look like the tag of a slow page. An aligned access crosses nothing.
    Value* const misaligned = builder_.CreateShl(builder_.CreateAnd(access.linear, access.size - 1), 1);
    return builder_.CreateOr(builder_.CreateAnd(access.linear, ~kPageOffset), misaligned);
  }
  Value* const last = builder_.CreateAdd(access.linear, builder_.getInt64(access.size - 1));
  return builder_.CreateAnd(last, ~kPageOffset);
}

Value* Lowering::look_up(const Access& access) {
  if (access.group.group == PageGroups::kNone) return look_up_in_tlb(access);
  if (access.group.table) {
    const bool known = access.base != nullptr && !access.group.refreshes && std::has_single_bit(access.size);
    return known ? look_up_in_table(access) : look_up_in_tlb(access);
  }
  if (!access.group.refreshes) return look_up_in_group(access);
  Value* const addend = refresh_group(access);
  return builder_.CreateAdd(access.linear, addend);
}

Value* Lowering::tlb_field(Value* entry, size_t offset) {
  return builder_.CreateLoad(builder_.getInt64Ty(),
                             builder_.CreateConstInBoundsGEP1_64(builder_.getInt8Ty(), entry, offset));
}

Value* Lowering::tlb_entry(Value* linear) {
  Value* const offset =
      builder_.CreateAnd(builder_.CreateLShr(linear, 12 - kEntryShift), (cpu::kTlbEntries - 1) << kEntryShift);
  return builder_.CreateInBoundsGEP(builder_.getInt8Ty(), tlb_, offset);
}

Value* Lowering::look_up_in_tlb(const Access& access) {
  Value* const entry = tlb_entry(access.linear);
  const size_t tag = access.write ? offsetof(cpu::TlbEntry, write) : offsetof(cpu::TlbEntry, read);
  branch_unlikely(builder_.CreateICmpNE(touched_page(access), tlb_field(entry, tag)), access.slow);
  return builder_.CreateAdd(access.linear, tlb_field(entry, offsetof(cpu::TlbEntry, addend)));
}

// First asks for the group's last page, which is in registers, then the TLB, which becomes the group's page. A page
// stays good until the code is left, or calls something: another processor that takes permissions away waits until this
// one has answered its request to leave (poll).
Value* Lowering::look_up_in_group(const Access& access) {
  const GroupSlots& slots = groups_[static_cast<size_t>(access.group.group)];
  llvm::BasicBlock* const miss = new_cold_block();
  llvm::BasicBlock* const hit = new_block();
  Value* const known = builder_.CreateAdd(access.linear, load_slot(slots.minus_page));
  Value* inside = builder_.CreateICmpULT(known, load_slot(slots.limit));
  if (access.aligned) {
    Value* const misaligned = builder_.CreateAnd(access.linear, access.size - 1);
    inside = builder_.CreateAnd(inside, builder_.CreateICmpEQ(misaligned, builder_.getInt64(0)));
  }
  llvm::BasicBlock* const from = builder_.GetInsertBlock();
  builder_.CreateCondBr(inside, hit, miss, llvm::MDBuilder(context_).createBranchWeights(200, 1));
  builder_.SetInsertPoint(miss);
  refresh_group(access);
  Value* const found = builder_.CreateAnd(access.linear, kPageOffset);
  builder_.CreateBr(hit);
  llvm::BasicBlock* const found_end = builder_.GetInsertBlock();
  builder_.SetInsertPoint(hit);
  llvm::PHINode* const offset = builder_.CreatePHI(builder_.getInt64Ty(), 2);
  offset->addIncoming(known, from);
  offset->addIncoming(found, found_end);
  // An addition that the access's own addressing does.
  return builder_.CreateAdd(offset, load_slot(slots.memory));
}

// Asks the TLB, and keeps the answer for the group. Returns the entry's addend.
Value* Lowering::refresh_group(const Access& access) {
  const GroupSlots& slots = groups_[static_cast<size_t>(access.group.group)];
  const PageGroups::Group& group = page_groups_.groups()[static_cast<size_t>(access.group.group)];
  Value* const entry = tlb_entry(access.linear);
  Value* const read = tlb_field(entry, offsetof(cpu::TlbEntry, read));
  Value* const write = tlb_field(entry, offsetof(cpu::TlbEntry, write));
  Value* const addend = tlb_field(entry, offsetof(cpu::TlbEntry, addend));
  branch_unlikely(builder_.CreateICmpNE(touched_page(access), access.write ? write : read), access.slow);

  // Kept only where it is good for all accesses of the group.
  Value* const page = builder_.CreateAnd(access.linear, ~kPageOffset);
  Value* limit = builder_.getInt64(kPageOffset + 2 - group.maximum_size);
  auto require = [&](Value* tag) {
    limit = builder_.CreateSelect(builder_.CreateICmpEQ(tag, page), limit, builder_.getInt64(0));
  };
  if (group.reads && access.write) require(read);
  if (group.writes && !access.write) require(write);
  builder_.CreateStore(builder_.CreateNeg(page), slots.minus_page);
  builder_.CreateStore(limit, slots.limit);
  builder_.CreateStore(builder_.CreateAdd(page, addend), slots.memory);
  return addend;
}

// The same with two pages, without a branch between them, which the host could not predict.
Value* Lowering::look_up_in_table(const Access& access) {
  const GroupSlots& slots = groups_[static_cast<size_t>(access.group.group)];
  llvm::BasicBlock* const miss = new_cold_block();
  llvm::BasicBlock* const hit = new_block();
  llvm::BasicBlock* const done = new_block();
  Value* const offset = builder_.CreateAdd(access.linear, load_slot(slots.minus_page));
  // What is aligned does not lie in both.
  Value* const misaligned = builder_.CreateAnd(access.linear, access.size - 1);
  Value* const inside = builder_.CreateAnd(builder_.CreateICmpULT(offset, load_slot(slots.limit)),
                                           builder_.CreateICmpEQ(misaligned, builder_.getInt64(0)));
  builder_.CreateCondBr(inside, hit, miss, llvm::MDBuilder(context_).createBranchWeights(200, 1));

  builder_.SetInsertPoint(miss);
  refresh_table(access);
  Value* const found = look_up_in_tlb(access);
  builder_.CreateBr(done);
  llvm::BasicBlock* const found_end = builder_.GetInsertBlock();

  builder_.SetInsertPoint(hit);
  Value* const is_first = builder_.CreateICmpULE(offset, builder_.getInt64(kPageOffset));
  Value* const memory = builder_.CreateSelect(is_first, load_slot(slots.memory), load_slot(slots.behind));
  Value* const known = builder_.CreateAdd(offset, memory);
  builder_.CreateBr(done);

  builder_.SetInsertPoint(done);
  llvm::PHINode* const address = builder_.CreatePHI(builder_.getInt64Ty(), 2);
  address->addIncoming(known, hit);
  address->addIncoming(found, found_end);
  return address;
}

// Keeps both pages, or the first one, as far as the TLB has them.
void Lowering::refresh_table(const Access& access) {
  const GroupSlots& slots = groups_[static_cast<size_t>(access.group.group)];
  const PageGroups::Group& group = page_groups_.groups()[static_cast<size_t>(access.group.group)];
  constexpr uint64_t kPage = kPageOffset + 1;
  Value* const page = builder_.CreateAnd(access.base, ~kPageOffset);
  Value* good = builder_.getTrue();
  Value* limit = builder_.getInt64(0);
  auto add_page = [&](uint64_t distance, Value* slot) {
    Value* const linear = builder_.CreateAdd(page, builder_.getInt64(distance));
    Value* const entry = tlb_entry(linear);
    auto require = [&](size_t tag) {
      good = builder_.CreateAnd(good, builder_.CreateICmpEQ(tlb_field(entry, tag), linear));
    };
    if (group.reads) require(offsetof(cpu::TlbEntry, read));
    if (group.writes) require(offsetof(cpu::TlbEntry, write));
    builder_.CreateStore(builder_.CreateAdd(page, tlb_field(entry, offsetof(cpu::TlbEntry, addend))), slot);
    limit = builder_.CreateSelect(good, builder_.getInt64(distance + kPage), limit);
  };
  add_page(0, slots.memory);
  add_page(kPage, slots.behind);
  builder_.CreateStore(limit, slots.limit);
  builder_.CreateStore(builder_.CreateNeg(page), slots.minus_page);
}

Value* Lowering::load_slot(Value* slot) { return builder_.CreateLoad(builder_.getInt64Ty(), slot); }

void Lowering::prepare_groups() {
  for (size_t i = 0; i < page_groups_.groups().size(); ++i) {
    auto slot = [&] {
      Value* const result = builder_.CreateAlloca(builder_.getInt64Ty());
      builder_.CreateStore(builder_.getInt64(0), result);
      return result;
    };
    groups_.push_back({slot(), slot(), slot(), page_groups_.groups()[i].table ? slot() : nullptr});
  }
}

void Lowering::forget_pages() {
  for (const GroupSlots& group : groups_) builder_.CreateStore(builder_.getInt64(0), group.limit);
}

// --- Accesses
// ------------------------------------------------------------------------------------------------------------

Value* Lowering::site(const ir::Instruction& instruction, unsigned size, uint32_t bits) {
  const unsigned page_offset = source_->guest[instruction.guest].page_offset;
  const bool stack = (instruction.auxiliary & ir::kStackAccess) != 0;
  return builder_.getInt32(access_site(page_offset, size, stack) | bits);
}

// The way of an access that the TLB does not answer.
Value* Lowering::call_access(const char* name, const void* target, const Access& access, Value* site, Value* value) {
  llvm::Type* const word = builder_.getInt64Ty();
  if (value == nullptr) value = llvm::PoisonValue::get(word);
  return call_with_state(name, target, word, {state_, access.linear, site, value}, {}, dirty_);
}

Value* Lowering::lower_load(const ir::Instruction& instruction) {
  const unsigned size = ir::bytes_of(instruction.type);
  llvm::Type* const type = type_of(instruction.type);
  const Access access = this->access(instruction, size, /*write=*/false);
  Value* const fast = load_host(type, look_up(access));
  llvm::BasicBlock* const fast_end = builder_.GetInsertBlock();
  llvm::BasicBlock* const done = new_block();
  builder_.CreateBr(done);

  builder_.SetInsertPoint(access.slow);
  Value* const raw = call_access("load", input_.entries.load, access, site(instruction, size, 0), nullptr);
  Value* const slow = builder_.CreateTrunc(raw, type);
  forget_pages();
  enter_x87_again();
  builder_.CreateBr(done);

  builder_.SetInsertPoint(done);
  llvm::PHINode* const value = builder_.CreatePHI(type, 2);
  value->addIncoming(fast, fast_end);
  value->addIncoming(slow, access.slow);
  return value;
}

void Lowering::lower_store(const ir::Instruction& instruction) {
  Value* const value = argument(instruction, 1);
  const unsigned size = value->getType()->getIntegerBitWidth() / 8;
  llvm::BasicBlock* const bail = bail_block(instruction);
  const Access access = this->access(instruction, size, /*write=*/true);
  store_host(value, look_up(access));
  llvm::BasicBlock* const done = new_block();
  builder_.CreateBr(done);

  builder_.SetInsertPoint(access.slow);
  Value* const raw = builder_.CreateZExt(value, builder_.getInt64Ty());
  Value* const refused = call_access("store", input_.entries.store, access, site(instruction, size, 0), raw);
  forget_pages();
  enter_x87_again();
  builder_.CreateCondBr(builder_.CreateICmpEQ(refused, builder_.getInt64(0)), done, bail);

  builder_.SetInsertPoint(done);
}

Value* Lowering::lower_host_address(const ir::Instruction& instruction) {
  const auto size = static_cast<unsigned>(instruction.immediate & 0xFF);
  const bool write = (instruction.immediate & ir::kHostWrite) != 0;
  llvm::BasicBlock* const bail = bail_block(instruction);
  Access access = this->access(instruction, size, write);
  access.aligned = (instruction.immediate & ir::kHostAligned) != 0;
  Value* const fast = look_up(access);
  llvm::BasicBlock* const fast_end = builder_.GetInsertBlock();
  llvm::BasicBlock* const done = new_block();
  builder_.CreateBr(done);

  builder_.SetInsertPoint(access.slow);
  const uint32_t bits = (write ? kSiteWrite : 0) | (access.aligned ? kSiteAligned : 0);
  Value* const slow =
      call_access("host_address", input_.entries.host_address, access, site(instruction, size, bits), nullptr);
  forget_pages();
  enter_x87_again();
  builder_.CreateCondBr(builder_.CreateICmpNE(slow, builder_.getInt64(0)), done, bail);

  builder_.SetInsertPoint(done);
  llvm::PHINode* const address = builder_.CreatePHI(builder_.getInt64Ty(), 2);
  address->addIncoming(fast, fast_end);
  address->addIncoming(slow, access.slow);
  return address;
}

// --- Host addresses
// ------------------------------------------------------------------------------------------------------

Value* Lowering::host_pointer(Value* address) { return builder_.CreateIntToPtr(address, builder_.getPtrTy()); }

// Volatile: other processors see guest memory too, so accesses are made once each and in their order, which on x86-64
// is the guest's.
Value* Lowering::load_host(llvm::Type* type, Value* address) {
  if (!cpu::kHostOrdersMemory) builder_.CreateFence(llvm::AtomicOrdering::Acquire);
  return builder_.CreateAlignedLoad(type, host_pointer(address), llvm::Align(1), /*isVolatile=*/true);
}

void Lowering::store_host(Value* value, Value* address) {
  if (!cpu::kHostOrdersMemory) builder_.CreateFence(llvm::AtomicOrdering::Release);
  builder_.CreateAlignedStore(value, host_pointer(address), llvm::Align(1), /*isVolatile=*/true);
}

Value* Lowering::lower_atomic(const ir::Instruction& instruction) {
  constexpr auto kOrder = llvm::AtomicOrdering::SequentiallyConsistent;
  Value* const operand = argument(instruction, 1);
  // Said to be aligned so that it becomes one locked instruction, which x86-64 executes at any address.
  const llvm::Align alignment(operand->getType()->getIntegerBitWidth() / 8);
  if (!cpu::kHostLocksMisaligned) {
    Value* const misaligned = builder_.CreateAnd(argument(instruction, 0), builder_.getInt64(alignment.value() - 1));
    branch_unlikely(builder_.CreateICmpNE(misaligned, builder_.getInt64(0)), bail_block(instruction));
  }
  Value* const pointer = host_pointer(argument(instruction, 0));
  if (instruction.opcode == Opcode::AtomicCompareExchange) {
    Value* const result =
        builder_.CreateAtomicCmpXchg(pointer, operand, argument(instruction, 2), alignment, kOrder, kOrder);
    return builder_.CreateExtractValue(result, 0);
  }
  auto operation = [&] {
    switch (instruction.opcode) {
      case Opcode::AtomicAdd:
        return llvm::AtomicRMWInst::Add;
      case Opcode::AtomicAnd:
        return llvm::AtomicRMWInst::And;
      case Opcode::AtomicOr:
        return llvm::AtomicRMWInst::Or;
      case Opcode::AtomicXor:
        return llvm::AtomicRMWInst::Xor;
      default:
        return llvm::AtomicRMWInst::Xchg;
    }
  };
  return builder_.CreateAtomicRMW(operation(), pointer, operand, alignment, kOrder);
}

}  // namespace calco::jit
