#include "jit/llvm/lowering.h"

#include <fmt/format.h>
#include <llvm/IR/MDBuilder.h>

#include <algorithm>
#include <bit>
#include <cstddef>
#include <set>
#include <utility>

#include "cpu/cpu.h"
#include "cpu/exec/translation_counters.h"
#include "cpu/mmu/tlb.h"
#include "jit/llvm/stack_maps.h"

namespace calco::jit {

using ir::Opcode;

namespace {

constexpr int kRipOffset = cpu::kRip * 8;
constexpr int32_t kPageSize = 4096;

}  // namespace

Lowering::Lowering(llvm::Module& module, const LoweringInput& input)
    : module_(module),
      context_(module.getContext()),
      input_(input),
      region_(input.region),
      graph_(input.region),
      page_groups_(input.region, graph_, input.page_cache),
      builder_(context_),
      ssa_(input.region.blocks.size(), variable::kCount, graph_.constant(),
           [this](unsigned number) { return initial_value(number); }) {}

void Lowering::run() {
  prepare_function();
  for (size_t i = 0; i < region_.blocks.size(); ++i) {
    if (graph_.nodes[i].reachable) lower_block(i);
  }
  ssa_.remove_trivial_phis();
  // Host code is laid out in this order.
  for (llvm::BasicBlock* block : cold_) block->moveAfter(&function_->back());
}

void Lowering::prepare_function() {
  std::array<llvm::Type*, kArgumentRegisters.size()> types;
  for (size_t i = 0; i < types.size(); ++i) {
    types[i] =
        kArgumentRegisters[i] == cpu::kZero ? static_cast<llvm::Type*>(builder_.getPtrTy()) : builder_.getInt64Ty();
  }
  function_type_ = llvm::FunctionType::get(builder_.getVoidTy(), types, /*isVarArg=*/false);
  function_ = llvm::Function::Create(function_type_, llvm::Function::ExternalLinkage, kFunctionName, module_);
  function_->setCallingConv(llvm::CallingConv::PreserveNone);
  function_->addFnAttr(llvm::Attribute::NoUnwind);
  function_->addFnAttr("no-realign-stack");  // vectors are spilled unaligned: there is no register for a frame pointer
  for (size_t i = 0; i < types.size(); ++i) {
    if (kArgumentRegisters[i] == cpu::kZero) state_ = function_->getArg(static_cast<unsigned>(i));
  }

  llvm::BasicBlock* prologue = new_block();
  for (size_t i = 0; i < region_.blocks.size(); ++i) {
    heads_.push_back(graph_.nodes[i].reachable ? new_block() : nullptr);
    // Block 0 is entered from the prologue too.
    ssa_.set_head(i, heads_[i], graph_.nodes[i].edges_in + (i == 0 ? 1 : 0));
  }
  builder_.SetInsertPoint(prologue);
  tlb_ = load_state(builder_.getPtrTy(), input_.layout.tlb);
  prepare_groups();
  note_tier();
  block_ = ssa_.prologue();
  store_variables(graph_.stored_on_entry);
  builder_.CreateBr(heads_[0]);
  ssa_.add_edge(ssa_.prologue(), 0, prologue);
}

void Lowering::lower_block(size_t number) {
  block_ = number;
  source_ = &region_.blocks[number];
  values_.assign(source_->code.size(), nullptr);
  dirty_ = graph_.nodes[number].dirty;
  bail_ = nullptr;
  target_check_ = {};
  x87_entered_ = false;
  builder_.SetInsertPoint(heads_[number]);
  count_work();
  start_flags();
  for (size_t i = 0; i + 1 < source_->code.size(); ++i) lower(source_->code[i], static_cast<ir::Value>(i));
  lower_terminator(source_->terminator());
}

void Lowering::note_tier() {
  if (!input_.measurement.tier) return;
  const int offset = input_.layout.counters + static_cast<int>(offsetof(cpu::TranslationCounters, tier));
  builder_.CreateStore(builder_.getInt8(static_cast<uint8_t>(cpu::ExecutionTier::Optimizer)), state_pointer(offset));
}

void Lowering::count_work() {
  if (!input_.measurement.work) return;
  const auto add = [this](size_t member, uint64_t count) {
    const int offset = input_.layout.counters + static_cast<int>(member);
    store_state(builder_.CreateAdd(load_state(builder_.getInt64Ty(), offset), builder_.getInt64(count)), offset);
  };
  add(offsetof(cpu::TranslationCounters, optimizer_instructions), source_->guest.size());
  add(offsetof(cpu::TranslationCounters, accesses), ir::memory_accesses(*source_));
}

void Lowering::lower(const ir::Instruction& instruction, ir::Value number) {
  llvm::Value*& value = values_[number];
  switch (instruction.opcode) {
    case Opcode::GetRegister:
      value = get(instruction.auxiliary);
      return;
    case Opcode::SetRegister:
      return set(instruction.auxiliary, argument(instruction, 0));
    case Opcode::SegmentBase:
      value = load_state(builder_.getInt64Ty(),
                         static_cast<int>(offsetof(cpu::CpuState, segments) +
                                          instruction.auxiliary * sizeof(cpu::Segment) + offsetof(cpu::Segment, base)));
      return;
    case Opcode::PageBase:
      value = page_base();
      return;
    case Opcode::SetFlags:
    case Opcode::SetFlagsWithCarry:
    case Opcode::SetFlagsOfShift:
    case Opcode::ChangeFlags:
      return lower_flags(instruction);
    case Opcode::GetFlags:
      value = all_flags();
      return;
    case Opcode::Condition:
      value = condition(instruction.auxiliary);
      return;
    case Opcode::Carry:
      value = carry_flag();
      return;
    case Opcode::WideMultiply:
      return wide_multiply(instruction, /*is_signed=*/false);
    case Opcode::WideMultiplySigned:
      return wide_multiply(instruction, /*is_signed=*/true);
    case Opcode::WideDivide:
      return wide_divide(instruction, /*is_signed=*/false);
    case Opcode::WideDivideSigned:
      return wide_divide(instruction, /*is_signed=*/true);
    case Opcode::Load:
      value = lower_load(instruction);
      return;
    case Opcode::Store:
      return lower_store(instruction);
    case Opcode::HostAddress:
      value = lower_host_address(instruction);
      return;
    case Opcode::LoadHost:
      value = load_host(type_of(instruction.type), argument(instruction, 0));
      return;
    case Opcode::StoreHost:
      return store_host(argument(instruction, 1), argument(instruction, 0));
    case Opcode::AtomicExchange:
    case Opcode::AtomicAdd:
    case Opcode::AtomicAnd:
    case Opcode::AtomicOr:
    case Opcode::AtomicXor:
    case Opcode::AtomicCompareExchange:
      value = lower_atomic(instruction);
      return;
    case Opcode::Fence:
      builder_.CreateFence(llvm::AtomicOrdering::SequentiallyConsistent);
      return;
    case Opcode::BailIf:
      return lower_bail(instruction);
    case Opcode::Interpret:
      return interpret(instruction);
    case Opcode::HostVector:
      value = lower_vector(instruction);
      return;
    case Opcode::EnterX87:
      return lower_enter_x87(instruction);
    case Opcode::HostX87:
      value = lower_x87(instruction);
      return;
    case Opcode::ClearUpperVectors:
      return clear_upper_vectors();
    default:
      value = lower_integer(instruction);
  }
}

// --- Ways out and to other blocks
// ----------------------------------------------------------------------------------------

void Lowering::lower_terminator(const ir::Instruction& instruction) {
  switch (instruction.opcode) {
    case Opcode::Jump:
      return lower_branch(nullptr, static_cast<int32_t>(instruction.immediate),
                          static_cast<int32_t>(instruction.immediate));
    case Opcode::Branch:
      return lower_branch(argument(instruction, 0), ir::taken_target(instruction), ir::not_taken_target(instruction));
    case Opcode::JumpIndirect:
      return lower_indirect_jump(instruction);
    default:
      store_for_exit();
      if (source_->last) return interpret_at_end();
      return leave(static_cast<int32_t>(instruction.immediate), ExitReason::Interpret);
  }
}

void Lowering::lower_branch(llvm::Value* condition, int32_t taken, int32_t not_taken) {
  flags_to_variables();
  llvm::BasicBlock* from = builder_.GetInsertBlock();
  llvm::BasicBlock* if_taken = edge_to(taken, source_->flags_dead_if_taken);
  builder_.SetInsertPoint(from);
  if (taken == not_taken) {
    builder_.CreateBr(if_taken);
    return;
  }
  llvm::BasicBlock* if_not = edge_to(not_taken, source_->flags_dead_if_not_taken);
  builder_.SetInsertPoint(from);
  builder_.CreateCondBr(condition, if_taken, if_not);
}

// Whether it asks if the address that the block jumps to is canonical (frontend/control.cpp), with no store behind it
// as in a call.
bool Lowering::checks_target(const ir::Instruction& bail) const {
  const ir::Instruction& end = source_->terminator();
  if (end.opcode != Opcode::JumpIndirect || static_cast<ir::JumpHint>(end.auxiliary) == ir::JumpHint::Call)
    return false;
  const ir::Instruction& compare = (*source_)[bail.arguments[0]];
  if (compare.opcode != Opcode::Compare) return false;
  const ir::Instruction& sum = (*source_)[compare.arguments[0]];
  if (sum.opcode != Opcode::Add) return false;
  const ir::Instruction& shift = (*source_)[sum.arguments[0]];
  return shift.opcode == Opcode::ShiftArithmetic && shift.arguments[0] == end.arguments[0];
}

// The places that an indirect jump is guessed to lead to are canonical: what asks for that waits until it is none.
void Lowering::lower_bail(const ir::Instruction& instruction) {
  llvm::Value* const condition = argument(instruction, 0);
  llvm::BasicBlock* const bail = bail_block(instruction);
  if (checks_target(instruction) && !graph_.successors(block_).empty()) {
    target_check_ = {condition, bail};
  } else {
    branch_unlikely(condition, bail);
  }
}

// Compares with the places it is guessed to lead to.
void Lowering::lower_indirect_jump(const ir::Instruction& instruction) {
  const std::vector<size_t>& guesses = graph_.successors(block_);
  llvm::Value* const target = argument(instruction, 0);
  if (!guesses.empty()) {
    flags_to_variables();
    llvm::Value* const distance = builder_.CreateSub(target, page_base());
    constexpr size_t kMostCompares = 3;
    guesses.size() <= kMostCompares ? compare_with_guesses(distance, guesses) : look_up_guess(distance, guesses);
  }
  if (target_check_.bail != nullptr) branch_unlikely(target_check_.condition, target_check_.bail);
  store_for_exit();
  store_state(target, kRipOffset);
  tail_call(tail_target("probe", Thunk::Kind::Jump, input_.entries.probe));
}

// Goes on where it is none of them. `distance`: from the block's page.
void Lowering::compare_with_guesses(llvm::Value* distance, const std::vector<size_t>& guesses) {
  for (const size_t guess : guesses) {
    const int64_t place = region_.place(guess) - region_.page_start(block_);
    llvm::BasicBlock* const from = builder_.GetInsertBlock();
    llvm::BasicBlock* const way = way_to(guess, static_cast<int32_t>(place));
    llvm::BasicBlock* const next = new_block();
    builder_.SetInsertPoint(from);
    builder_.CreateCondBr(builder_.CreateICmpEQ(distance, builder_.getInt64(static_cast<uint64_t>(place))), way, next);
    builder_.SetInsertPoint(next);
  }
}

namespace {

// A multiplication and a shift that send each place to a slot of its own.
struct PerfectHash {
  uint32_t factor = 0;
  unsigned bits = 0;
  uint32_t slot(int64_t place) const { return static_cast<uint32_t>(place) * factor >> (32 - bits); }
};

bool is_perfect(const PerfectHash& hash, const std::vector<int64_t>& places) {
  std::set<uint32_t> slots;
  return std::ranges::all_of(places, [&](int64_t place) { return slots.insert(hash.slot(place)).second; });
}

PerfectHash perfect_hash(const std::vector<int64_t>& places) {
  for (unsigned bits = std::bit_width(places.size() - 1);; ++bits) {
    uint32_t factor = 0x9E3779B1;
    for (unsigned attempt = 0; attempt < 200; ++attempt, factor = factor * 0x2C1B3C6D + 2) {
      if (const PerfectHash hash{factor, bits}; is_perfect(hash, places)) return hash;
    }
  }
}

}  // namespace

// The same for many: one jump through a table, then one comparison.
void Lowering::look_up_guess(llvm::Value* distance, const std::vector<size_t>& guesses) {
  std::vector<int64_t> places;
  for (const size_t guess : guesses) places.push_back(region_.place(guess) - region_.page_start(block_));
  const PerfectHash hash = perfect_hash(places);
  llvm::Value* const product =
      builder_.CreateMul(builder_.CreateTrunc(distance, builder_.getInt32Ty()), builder_.getInt32(hash.factor));
  llvm::Value* const slot = builder_.CreateLShr(product, 32 - hash.bits);
  llvm::BasicBlock* const none = new_block();
  llvm::SwitchInst* const table = builder_.CreateSwitch(slot, none, 1u << hash.bits);
  for (size_t i = 0; i < guesses.size(); ++i) {
    llvm::BasicBlock* const compare = new_block();
    table->addCase(builder_.getInt32(hash.slot(places[i])), compare);
    builder_.SetInsertPoint(compare);
    llvm::BasicBlock* const way = way_to(guesses[i], static_cast<int32_t>(places[i]));
    builder_.SetInsertPoint(compare);
    builder_.CreateCondBr(builder_.CreateICmpEQ(distance, builder_.getInt64(static_cast<uint64_t>(places[i]))), way,
                          none);
  }
  builder_.SetInsertPoint(none);
}

// Where the way to `target` begins. Moves the insertion point.
llvm::BasicBlock* Lowering::edge_to(int32_t target, bool flags_dead) {
  const auto block = graph_.block_at(block_, target);
  return block ? way_to(*block, target) : exit_to(target, flags_dead);
}

// The same for a block of the region; every way there is one of the edges that `graph_` counts. The way begins in the
// block of the insertion point, or in one of its own.
llvm::BasicBlock* Lowering::way_to(size_t block, int32_t target) {
  const bool back = graph_.is_back_edge(block_, block);
  const bool page = graph_.changes_page(block_, block);
  if (!back && !page) {
    ssa_.add_edge(block_, block, builder_.GetInsertBlock());
    return heads_[block];
  }
  llvm::BasicBlock* const begin = new_block();
  builder_.SetInsertPoint(begin);
  if (back) poll(target);
  if (page) enter_page(block, target);
  ssa_.add_edge(block_, block, builder_.GetInsertBlock());
  builder_.CreateBr(heads_[block]);
  return begin;
}

// Every way round asks whether somebody wants the processor.
void Lowering::poll(int32_t target) {
  llvm::BasicBlock* const wanted = new_cold_block();
  llvm::LoadInst* const request = builder_.CreateLoad(builder_.getInt32Ty(), state_pointer(input_.layout.exit_request));
  request->setVolatile(true);
  llvm::Value* const reasons = input_.layout.rounds_left != 0 ? count_round(request) : request;
  branch_unlikely(builder_.CreateICmpNE(reasons, builder_.getInt32(0)), wanted);
  const llvm::IRBuilderBase::InsertPointGuard guard(builder_);
  builder_.SetInsertPoint(wanted);
  leave_from_cold_block(target, ExitReason::Next);
}

// Pieces that are compared may go round a few times: what they ask for at boundaries does not count, their number does.
llvm::Value* Lowering::count_round(llvm::Value* request) {
  llvm::Value* const place = state_pointer(input_.layout.rounds_left);
  llvm::LoadInst* const left = builder_.CreateLoad(builder_.getInt32Ty(), place);
  left->setVolatile(true);
  builder_.CreateStore(builder_.CreateSub(left, builder_.getInt32(1)), place)->setVolatile(true);
  llvm::Value* const none = builder_.CreateICmpEQ(left, builder_.getInt32(0));
  llvm::Value* const others = builder_.CreateAnd(request, builder_.getInt32(~cpu::request::kPiece));
  return builder_.CreateOr(others, builder_.CreateZExt(none, builder_.getInt32Ty()));
}

// Goes on if the block's page is mapped where it was when the region was formed, as the TLB knows it.
void Lowering::enter_page(size_t block, int32_t target) {
  const int64_t distance = region_.page_start(block) - region_.page_start(block_);
  llvm::Value* const linear = builder_.CreateAdd(page_base(), builder_.getInt64(static_cast<uint64_t>(distance)));
  llvm::Value* const entry = tlb_entry(linear);
  llvm::BasicBlock* const elsewhere = exit_to(target, /*flags_dead=*/false);
  const auto memory = reinterpret_cast<uint64_t>(region_.pages[block].memory);
  branch_unlikely(builder_.CreateICmpNE(tlb_field(entry, offsetof(cpu::TlbEntry, execute)), linear), elsewhere);
  llvm::Value* const mapped = builder_.CreateAdd(linear, tlb_field(entry, offsetof(cpu::TlbEntry, addend)));
  branch_unlikely(builder_.CreateICmpNE(mapped, builder_.getInt64(memory)), elsewhere);
  store_state(linear, kRipOffset);
}

// Leaves the region for another place.
llvm::BasicBlock* Lowering::exit_to(int32_t target, bool flags_dead) {
  const llvm::IRBuilderBase::InsertPointGuard guard(builder_);
  llvm::BasicBlock* exit = new_block();
  builder_.SetInsertPoint(exit);
  store_variables(dirty_ & ~argument_variables() & ~(flags_dead ? kFlagVariables : 0));
  if (target >= 0 && target < kPageSize) {
    void** cell = input_.link_cell(region_.original(block_), target);
    tail_call(tail_target(fmt::format("link_{:x}", region_.page_start(block_) + target), Thunk::Kind::Cell, cell));
  } else {
    store_state(builder_.CreateAdd(page_base(), builder_.getInt64(static_cast<uint64_t>(int64_t{target}))), kRipOffset);
    tail_call(tail_target("probe", Thunk::Kind::Jump, input_.entries.probe));
  }
  return exit;
}

// Leaves the guest instruction to the interpreter, with nothing of it done.
llvm::BasicBlock* Lowering::bail_block(const ir::Instruction& instruction) {
  if (bail_ != nullptr && bail_guest_ == instruction.guest) return bail_;
  bail_ = new_cold_block();
  bail_guest_ = instruction.guest;
  const llvm::IRBuilderBase::InsertPointGuard guard(builder_);
  builder_.SetInsertPoint(bail_);
  leave_from_cold_block(source_->guest[instruction.guest].page_offset, ExitReason::Interpret);
  return bail_;
}

void Lowering::leave(int32_t page_offset, ExitReason reason) {
  store_state(builder_.CreateAdd(page_base(), builder_.getInt64(static_cast<uint64_t>(int64_t{page_offset}))),
              kRipOffset);
  store_state(builder_.getInt64(static_cast<uint64_t>(reason)), input_.layout.exit_reason);
  tail_call(tail_target("exit", Thunk::Kind::Jump, input_.entries.exit));
}

// The same where it is seldom needed.
void Lowering::leave_from_cold_block(int32_t page_offset, ExitReason reason) {
  if (input_.entries.exit_stored == nullptr) {
    store_for_exit();
    return leave(page_offset, reason);
  }
  StateTable table;
  table.advance = page_offset;
  const StateLocation location{
      .kind = StateLocation::Kind::Constant, .bytes = sizeof(uint64_t), .value = static_cast<uint64_t>(reason)};
  table.entries.push_back({input_.layout.exit_reason, location});
  call_with_state("put_state", input_.entries.put_state, builder_.getVoidTy(), {state_}, std::move(table), dirty_);
  tail_call(tail_target("exit_stored", Thunk::Kind::Jump, input_.entries.exit_stored), /*with_registers=*/false);
}

void Lowering::tail_call(llvm::Function* function, bool with_registers) {
  std::array<llvm::Value*, kArgumentRegisters.size()> arguments;
  for (size_t i = 0; i < arguments.size(); ++i) {
    if (kArgumentRegisters[i] == cpu::kZero) {
      arguments[i] = state_;
    } else {
      arguments[i] = with_registers ? get(kArgumentRegisters[i]) : llvm::PoisonValue::get(builder_.getInt64Ty());
    }
  }
  llvm::CallInst* call = builder_.CreateCall(function, arguments);
  call->setCallingConv(llvm::CallingConv::PreserveNone);
  call->setTailCallKind(llvm::CallInst::TCK_MustTail);
  builder_.CreateRetVoid();
}

void Lowering::interpret(const ir::Instruction& instruction) {
  store_variables(dirty_);
  const std::vector<cpu::Op>& all = source_->interpreted;
  InterpretedOperations& run = input_.operations.emplace_back(1, all[instruction.immediate]);
  for (size_t i = instruction.immediate + 1; i < all.size() && all[i].handler != nullptr; ++i) run.push_back(all[i]);
  run.push_back(input_.services.stop_operation());
  llvm::Constant* operation = builder_.getInt64(reinterpret_cast<uintptr_t>(run.data()));
  call_runtime("interpret", input_.entries.interpret, builder_.getVoidTy(),
               {state_, llvm::ConstantExpr::getIntToPtr(operation, builder_.getPtrTy())});
  forget_pages();
  x87_entered_ = false;
  dirty_ = 0;
  for (unsigned number = 0; number < variable::kCount; ++number) {
    if ((graph_.touched & variable_bit(number)) == 0) continue;
    ssa_.write(block_, number, load_state(variable_type(number), variable_offset(number)));
  }
  flags_ = {};
  bail_ = nullptr;
}

void Lowering::interpret_at_end() {
  const InterpretedOperations& operation = input_.operations.emplace_back(1, *source_->last);
  store_state(builder_.getInt64(reinterpret_cast<uintptr_t>(operation.data())), input_.layout.exit_link);
  tail_call(tail_target("interpret_at_end", Thunk::Kind::Jump, input_.entries.interpret_at_end));
}

llvm::Function* Lowering::symbol(const std::string& name, Thunk::Kind kind, const void* target,
                                 llvm::FunctionType* type, unsigned convention) {
  if (llvm::Function* known = module_.getFunction(name)) return known;
  thunks_.push_back({name, kind, target});
  llvm::Function* function = llvm::Function::Create(type, llvm::Function::ExternalLinkage, name, module_);
  function->setCallingConv(convention);
  function->setDSOLocal(true);  // it is in the same allocation
  function->addFnAttr(llvm::Attribute::NoUnwind);
  return function;
}

llvm::Function* Lowering::tail_target(const std::string& name, Thunk::Kind kind, const void* target) {
  return symbol(name, kind, target, function_type_, llvm::CallingConv::PreserveNone);
}

llvm::Function* Lowering::runtime_function(const char* name, const void* target, llvm::Type* result,
                                           llvm::ArrayRef<llvm::Value*> arguments) {
  std::vector<llvm::Type*> types;
  for (const llvm::Value* each : arguments) types.push_back(each->getType());
  return symbol(name, Thunk::Kind::Call, target, llvm::FunctionType::get(result, types, false),
                llvm::CallingConv::PreserveAll);
}

llvm::CallInst* Lowering::call_runtime(const char* name, const void* target, llvm::Type* result,
                                       llvm::ArrayRef<llvm::Value*> arguments) {
  llvm::CallInst* call = builder_.CreateCall(runtime_function(name, target, result, arguments), arguments);
  call->setCallingConv(llvm::CallingConv::PreserveAll);
  return call;
}

// --- Guest state
// ---------------------------------------------------------------------------------------------------------

llvm::Value* Lowering::initial_value(unsigned number) {
  for (size_t i = 0; i < kArgumentRegisters.size(); ++i) {
    if (number < cpu::kZero && kArgumentRegisters[i] == number) return function_->getArg(static_cast<unsigned>(i));
  }
  const llvm::IRBuilderBase::InsertPointGuard guard(builder_);
  llvm::BasicBlock& prologue = function_->getEntryBlock();
  if (prologue.getTerminator() != nullptr) {
    builder_.SetInsertPoint(prologue.getTerminator());
  } else {
    builder_.SetInsertPoint(&prologue);
  }
  return load_state(variable_type(number), variable_offset(number));
}

llvm::Type* Lowering::variable_type(unsigned number) {
  if (number == variable::kFlagKind) return builder_.getInt32Ty();
  if (number < variable::kVector) return builder_.getInt64Ty();
  return llvm::FixedVectorType::get(builder_.getInt64Ty(), graph_.wide_vectors ? 4 : 2);
}

int Lowering::variable_offset(unsigned number) const {
  constexpr int kFlags = offsetof(cpu::CpuState, flags);
  switch (number) {
    case variable::kFlagFirst:
      return kFlags + static_cast<int>(offsetof(cpu::LazyFlags, first));
    case variable::kFlagSecond:
      return kFlags + static_cast<int>(offsetof(cpu::LazyFlags, second));
    case variable::kFlagKind:
      return kFlags + static_cast<int>(offsetof(cpu::LazyFlags, kind));
    default:
      if (number < 16) return static_cast<int>(number) * 8;
      return static_cast<int>(offsetof(cpu::CpuState, vectors) +
                              (number - variable::kVector) * sizeof(cpu::VectorRegister));
  }
}

void Lowering::set(unsigned number, llvm::Value* value) {
  ssa_.write(block_, number, value);
  dirty_ |= variable_bit(number);
  bail_ = nullptr;
}

llvm::Value* Lowering::state_pointer(int offset) {
  return builder_.CreateConstInBoundsGEP1_64(builder_.getInt8Ty(), state_,
                                             static_cast<uint64_t>(int64_t{offset - kStateBias}));
}

llvm::Value* Lowering::load_state(llvm::Type* type, int offset) {
  return builder_.CreateAlignedLoad(type, state_pointer(offset), llvm::Align(type->isIntegerTy(32) ? 4 : 8));
}

void Lowering::store_state(llvm::Value* value, int offset) {
  builder_.CreateAlignedStore(value, state_pointer(offset), llvm::Align(value->getType()->isIntegerTy(32) ? 4 : 8));
}

void Lowering::store_variables(VariableSet set) {
  for (unsigned number = 0; number < variable::kCount; ++number) {
    if ((set & ~kFlagVariables & variable_bit(number)) != 0) store_state(get(number), variable_offset(number));
  }
  if ((set & kFlagVariables) == 0) return;
  const auto words = flag_words();
  for (unsigned i = 0; i < words.size(); ++i) store_state(words[i], variable_offset(variable::kFlagFirst + i));
}

// The table says what the state's `set` is; LLVM completes it (stack_maps.h). It is the last argument.
llvm::CallInst* Lowering::call_with_state(const char* name, const void* target, llvm::Type* result,
                                          std::vector<llvm::Value*> arguments, StateTable table, VariableSet set) {
  if (input_.entries.put_state == nullptr) {
    store_variables(set);
    arguments.push_back(llvm::ConstantPointerNull::get(builder_.getPtrTy()));
    return call_runtime(name, target, result, arguments);
  }
  const size_t id = input_.tables.size();
  StateTable& kept = input_.tables.emplace_back(std::move(table));
  if (!input_.stack_maps) store_variables(std::exchange(set, 0));
  std::vector<llvm::Value*> values;
  auto put = [&](unsigned number, llvm::Value* value) {
    const auto bytes = static_cast<uint16_t>(value->getType()->getPrimitiveSizeInBits() / 8);
    kept.entries.push_back({variable_offset(number), {.kind = StateLocation::Kind::Unknown, .bytes = bytes}});
    values.push_back(value);
  };
  for (unsigned number = 0; number < variable::kCount; ++number) {
    if ((set & ~kFlagVariables & variable_bit(number)) != 0) put(number, get(number));
  }
  if ((set & kFlagVariables) != 0) {
    const auto words = flag_words();
    for (unsigned i = 0; i < words.size(); ++i) put(variable::kFlagFirst + i, words[i]);
  }
  arguments.push_back(
      llvm::ConstantExpr::getIntToPtr(builder_.getInt64(reinterpret_cast<uintptr_t>(&kept)), builder_.getPtrTy()));
  llvm::CallInst* const call = builder_.CreateCall(runtime_function(name, target, result, arguments), arguments,
                                                   llvm::OperandBundleDef("deopt", std::move(values)));
  call->setCallingConv(llvm::CallingConv::PreserveAll);
  call->addFnAttr(llvm::Attribute::get(context_, "statepoint-id", std::to_string(id)));
  return call;
}

// In front of a call that wants it whole.
void Lowering::put_state() {
  if (dirty_ == 0) return;
  if (input_.entries.put_state == nullptr) return store_variables(dirty_);
  call_with_state("put_state", input_.entries.put_state, builder_.getVoidTy(), {state_}, {}, dirty_);
}

llvm::Value* Lowering::page_base() { return load_state(builder_.getInt64Ty(), kRipOffset); }

// --- Small helpers
// -------------------------------------------------------------------------------------------------------

llvm::BasicBlock* Lowering::new_cold_block() {
  cold_.push_back(new_block());
  return cold_.back();
}

void Lowering::branch_unlikely(llvm::Value* condition, llvm::BasicBlock* unlikely) {
  llvm::BasicBlock* next = new_block();
  builder_.CreateCondBr(condition, unlikely, next, llvm::MDBuilder(context_).createBranchWeights(1, 2000));
  builder_.SetInsertPoint(next);
}

llvm::Type* Lowering::type_of(ir::Type type) { return builder_.getIntNTy(ir::bits_of(type)); }

llvm::Value* Lowering::argument(const ir::Instruction& instruction, unsigned index) {
  const ir::Value number = instruction.arguments[index];
  const ir::Instruction& definition = (*source_)[number];
  // Constants are made where they are used.
  if (definition.opcode == Opcode::Constant)
    return builder_.getIntN(ir::bits_of(definition.type), definition.immediate);
  return values_[number];
}

}  // namespace calco::jit
