// Pieces of execution that are compared with each other.
#include "cpu/cpu.h"
#include "cpu/exec/block_cache.h"
#include "cpu/exec/chain.h"

namespace calco::cpu {

PieceEnd Cpu::run_piece(void (*piece)(Cpu& cpu, const void* context), const void* context) {
  std::jmp_buf dispatcher;
  std::memcpy(&dispatcher, &fault_return_, sizeof(dispatcher));
  exit_request.fetch_or(request::kPiece, std::memory_order_relaxed);
  const int how = setjmp(fault_return_);
  if (how == 0) piece(*this, context);
  std::memcpy(&fault_return_, &dispatcher, sizeof(dispatcher));
  exit_request.fetch_and(~request::kPiece, std::memory_order_relaxed);
  current_op = nullptr;
  if (how == 0) return {};
  if (how == kLongjmpLeave) return {.kind = PieceEnd::Kind::Left};
  return {PieceEnd::Kind::Fault, fault_.has_error_code, fault_.vector, fault_.error_code};
}

// A block of one instruction, which kPiece keeps from chaining to the next.
void Cpu::interpret_instruction() {
  one_instruction_ = true;
  interrupt_shadow = false;
  select_mode();
  const Op* ops = next_block(*this);
  while (ops->handler == &block_dropped) {
    ops->handler(this, ops, tlb);
    ops = next_block(*this);
  }
  ops->handler(this, ops, tlb);
  current_op = nullptr;
}

void Cpu::restore(const CpuState& state) {
  static_cast<CpuState&>(*this) = state;
  one_instruction_ = false;
  current_op = nullptr;
  select_mode();
}

void Cpu::set_journal(StoreJournal* journal) {
  mmu_.set_journal(journal);
  select_mode();
}

void Cpu::raise_again(const PieceEnd& end) {
  one_instruction_ = false;
  select_mode();
  fault_ = {end.vector, end.has_error_code, end.error_code};
  std::longjmp(fault_return_, kLongjmpFault);
}

}  // namespace calco::cpu
