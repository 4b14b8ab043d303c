// From a region's IR to LLVM's.
#pragma once

#include <llvm/IR/ConstantFolder.h>
#include <llvm/IR/IRBuilder.h>
#include <llvm/IR/Module.h>

#include <array>
#include <deque>
#include <map>
#include <string>
#include <vector>

#include "cpu/flags.h"
#include "jit/ir/plain_vector.h"
#include "jit/llvm/compiler.h"
#include "jit/llvm/entry_point.h"
#include "jit/llvm/page_groups.h"
#include "jit/llvm/region_graph.h"
#include "jit/llvm/ssa_builder.h"
#include "jit/llvm/thunk.h"
#include "jit/runtime/state_table.h"

namespace calco::jit {

// Operations of the interpreter, the last of which makes them return.
using InterpretedOperations = std::vector<cpu::Op>;

struct LoweringInput {
  const Region& region;
  const StateLayout& layout;
  const RuntimeEntries& entries;
  const LlvmServices& services;
  const LinkCellSource& link_cell;
  bool page_cache;
  bool stack_maps;  // LLVM's code generator can say where values are; if not, code stores them
  Measurement measurement;
  // The interpreter operations and state tables that the code refers to; as long-lived as the code.
  std::deque<InterpretedOperations>& operations;
  std::deque<StateTable>& tables;
};

// Makes one function of the module, in the convention of abi.h. Used once.
class Lowering {
 public:
  static constexpr const char* kFunctionName = "region";

  Lowering(llvm::Module& module, const LoweringInput& input);
  void run();
  // Why the region cannot be compiled, if so.
  const std::string& refusal() const { return refusal_; }
  // What the function's undefined symbols are.
  const std::vector<Thunk>& thunks() const { return thunks_; }

 private:
  // Folds constants only: a phi of a loop lacks its incoming values until the loop is complete, and whoever simplifies
  // what it goes into takes it for a value that does not occur.
  using Builder = llvm::IRBuilder<llvm::ConstantFolder>;

  // The lazy flags at the current place. Where `local`, the parts are here and not yet in the variables.
  struct Flags {
    bool known = false;  // `kind` and `bits` are
    bool local = false;
    cpu::FlagKind kind{};
    unsigned bits = 64;             // operand size
    llvm::Value* first = nullptr;   // of that size
    llvm::Value* second = nullptr;  // the same; I1 for Increment and Decrement
    llvm::Value* carry = nullptr;   // I1: when set the kind is the one behind `kind`, AddCarry or SubtractBorrow
    llvm::Value* all = nullptr;     // the six flags, once computed
  };

  // lowering.cpp: blocks, state, ways out.
  void prepare_function();
  void note_tier();
  void count_work();
  void lower_block(size_t number);
  void lower(const ir::Instruction& instruction, ir::Value number);
  void lower_terminator(const ir::Instruction& instruction);
  void lower_branch(llvm::Value* condition, int32_t taken, int32_t not_taken);
  void lower_indirect_jump(const ir::Instruction& instruction);
  void compare_with_guesses(llvm::Value* distance, const std::vector<size_t>& guesses);
  void look_up_guess(llvm::Value* distance, const std::vector<size_t>& guesses);
  llvm::BasicBlock* edge_to(int32_t target, bool flags_dead);
  llvm::BasicBlock* way_to(size_t block, int32_t target);
  void poll(int32_t target);
  llvm::Value* count_round(llvm::Value* request);
  void enter_page(size_t block, int32_t target);
  llvm::BasicBlock* exit_to(int32_t target, bool flags_dead);
  llvm::BasicBlock* bail_block(const ir::Instruction& instruction);
  bool checks_target(const ir::Instruction& bail) const;
  void lower_bail(const ir::Instruction& instruction);
  void leave(int32_t page_offset, ExitReason reason);
  void leave_from_cold_block(int32_t page_offset, ExitReason reason);
  void tail_call(llvm::Function* function, bool with_registers = true);
  void interpret(const ir::Instruction& instruction);
  void interpret_at_end();
  llvm::Function* symbol(const std::string& name, Thunk::Kind kind, const void* target, llvm::FunctionType* type,
                         unsigned convention);
  llvm::Function* tail_target(const std::string& name, Thunk::Kind kind, const void* target);
  llvm::Function* runtime_function(const char* name, const void* target, llvm::Type* result,
                                   llvm::ArrayRef<llvm::Value*> arguments);
  llvm::CallInst* call_runtime(const char* name, const void* target, llvm::Type* result,
                               llvm::ArrayRef<llvm::Value*> arguments);

  llvm::Value* initial_value(unsigned number);
  llvm::Type* variable_type(unsigned number);
  int variable_offset(unsigned number) const;
  llvm::Value* get(unsigned number) { return ssa_.read(block_, number, variable_type(number)); }
  void set(unsigned number, llvm::Value* value);
  llvm::Value* state_pointer(int offset);
  llvm::Value* load_state(llvm::Type* type, int offset);
  void store_state(llvm::Value* value, int offset);
  void store_variables(VariableSet set);
  // What the CpuState lacks; the first without the registers that ways out carry. `put`: where it is seldom needed.
  void store_for_exit() { store_variables(dirty_ & ~argument_variables()); }
  void put_state();
  llvm::CallInst* call_with_state(const char* name, const void* target, llvm::Type* result,
                                  std::vector<llvm::Value*> arguments, StateTable table, VariableSet set);

  llvm::BasicBlock* new_block() { return llvm::BasicBlock::Create(context_, "", function_); }
  llvm::BasicBlock* new_cold_block();
  // Branches to `unlikely` where the condition holds, and goes on in a new block.
  void branch_unlikely(llvm::Value* condition, llvm::BasicBlock* unlikely);
  llvm::Type* type_of(ir::Type type);
  llvm::Value* argument(const ir::Instruction& instruction, unsigned index);
  llvm::Value* page_base();

  // lowering_integer.cpp
  llvm::Value* lower_integer(const ir::Instruction& instruction);
  llvm::Value* lower_shift(const ir::Instruction& instruction);
  llvm::Value* lower_address(const ir::Instruction& instruction);
  llvm::Value* multiply_high(llvm::Value* a, llvm::Value* b, bool is_signed);
  llvm::Value* insert_bits(llvm::Value* into, llvm::Value* part, unsigned low);
  void wide_multiply(const ir::Instruction& instruction, bool is_signed);
  void wide_divide(const ir::Instruction& instruction, bool is_signed);
  void set_accumulators(llvm::Value* low, llvm::Value* high);

  // lowering_flags.cpp
  void lower_flags(const ir::Instruction& instruction);
  void set_flags(const ir::Instruction& instruction);
  void set_flags_of_shift(const ir::Instruction& instruction);
  void change_flags(const ir::Instruction& instruction);
  void start_flags();
  void put_flags(const Flags& flags);
  void flags_to_variables();
  std::array<llvm::Value*, 3> flag_words();
  llvm::Value* flag_first();
  llvm::Value* flag_second();
  llvm::Value* flag_carry_in();
  llvm::Value* result_of_flags();
  llvm::Value* all_flags();
  llvm::Value* flag_of_all(uint64_t flag);
  llvm::Value* carry_flag();
  llvm::Value* parity_flag();
  llvm::Value* adjust_flag();
  llvm::Value* zero_flag();
  llvm::Value* sign_flag();
  llvm::Value* overflow_flag();
  llvm::Value* condition(unsigned code);
  llvm::Value* compare(unsigned code, llvm::Value* a, llvm::Value* b);
  llvm::Value* is_negative(llvm::Value* value);
  // The two operands and the result of what set the flags, at the operand size; additions and subtractions only.
  struct Sum {
    llvm::Value *a, *b, *result;
  };
  Sum sum_of_flags();

  // lowering_memory.cpp
  llvm::Value* lower_load(const ir::Instruction& instruction);
  void lower_store(const ir::Instruction& instruction);
  llvm::Value* lower_host_address(const ir::Instruction& instruction);
  llvm::Value* lower_atomic(const ir::Instruction& instruction);
  // One access that is being made.
  struct Access {
    llvm::Value* linear;
    llvm::Value* base = nullptr;  // without the index, where there is one
    unsigned size;
    bool write = false;
    bool aligned = false;  // an address that is not a multiple of the size takes the slow path
    PageGroups::Membership group;
    llvm::BasicBlock* slow = nullptr;
  };
  Access access(const ir::Instruction& instruction, unsigned size, bool write);
  llvm::Value* call_access(const char* name, const void* target, const Access& access, llvm::Value* site,
                           llvm::Value* value);
  // Branches to `slow` where the TLB does not answer; else the host address.
  llvm::Value* look_up(const Access& access);
  llvm::Value* look_up_in_tlb(const Access& access);
  llvm::Value* look_up_in_group(const Access& access);
  llvm::Value* refresh_group(const Access& access);
  llvm::Value* look_up_in_table(const Access& access);
  void refresh_table(const Access& access);
  llvm::Value* load_slot(llvm::Value* slot);
  llvm::Value* touched_page(const Access& access);
  llvm::Value* tlb_entry(llvm::Value* linear);
  llvm::Value* tlb_field(llvm::Value* entry, size_t offset);
  void prepare_groups();
  // Behind everything that may change the TLB.
  void forget_pages();
  llvm::Value* site(const ir::Instruction& instruction, unsigned size, uint32_t bits);
  llvm::Value* host_pointer(llvm::Value* address);
  llvm::Value* load_host(llvm::Type* type, llvm::Value* address);
  void store_host(llvm::Value* value, llvm::Value* address);

  // lowering_vector.cpp
  llvm::Value* lower_vector(const ir::Instruction& instruction);
  void clear_upper_vectors();
  // False where the instruction is of another kind.
  bool lower_vector_move(const ir::HostVectorInstruction& vector, const VectorSyntax& syntax, llvm::Value* argument,
                         llvm::Value*& result);
  bool lower_vector_elements(const ir::HostVectorInstruction& vector, const VectorSyntax& syntax,
                             llvm::Value* argument);
  llvm::Value* lower_vector_assembly(const ir::HostVectorInstruction& vector, const VectorSyntax& syntax,
                                     llvm::Value* argument);
  llvm::Value* vector_logic(ir::VectorOperation operation, llvm::Value* a, llvm::Value* b, unsigned element_bits);
  llvm::Value* comparison_flags(llvm::Value* rax);
  llvm::Value* vector_operand(const VectorOperand& operand, llvm::Value* argument, unsigned bytes);
  llvm::Value* load_scalar(llvm::Value* address, unsigned bytes);
  llvm::Value* scalar_operand(const VectorOperand& operand, llvm::Value* argument, unsigned bytes);
  llvm::Type* vector_type(unsigned bytes);
  llvm::Value* get_vector(unsigned number, unsigned bytes);
  void set_vector(unsigned number, llvm::Value* value, bool vex);

  // lowering_x87.cpp
  void lower_enter_x87(const ir::Instruction& instruction);
  llvm::Value* lower_x87(const ir::Instruction& instruction);
  llvm::Value* call_enter_x87();
  void enter_x87_again();
  void record_x87(const ir::Instruction& instruction, const ir::HostX87Instruction& x87);
  llvm::Value* in_memory(llvm::Value* value);

  llvm::Module& module_;
  llvm::LLVMContext& context_;
  const LoweringInput input_;
  const Region& region_;
  RegionGraph graph_;
  PageGroups page_groups_;
  Builder builder_;
  SsaBuilder ssa_;
  llvm::Function* function_ = nullptr;
  llvm::FunctionType* function_type_ = nullptr;
  llvm::Value* state_ = nullptr;
  llvm::Value* tlb_ = nullptr;
  // The page that a group's accesses met last; stack slots that a pass turns into values.
  struct GroupSlots {
    llvm::Value* minus_page;  // 0 - linear address: adding costs the host less than subtracting
    llvm::Value* limit;       // offsets below may be accessed; 0: no page is known
    llvm::Value* memory;      // host address of the page
    llvm::Value* behind;      // of tables only: the host address of the next page, less the size of one
  };
  std::vector<GroupSlots> groups_;
  std::vector<llvm::BasicBlock*> heads_;
  std::vector<llvm::BasicBlock*> cold_;
  std::vector<Thunk> thunks_;
  std::string refusal_;

  // Of the block that is being lowered.
  size_t block_ = 0;
  const ir::Block* source_ = nullptr;
  std::vector<llvm::Value*> values_;
  VariableSet dirty_ = 0;
  Flags flags_;
  llvm::BasicBlock* bail_ = nullptr;  // of guest instruction bail_guest_, while nothing changed behind its making
  unsigned bail_guest_ = 0;
  // Leaves the indirect jump to the interpreter.
  struct TargetCheck {
    llvm::Value* condition = nullptr;
    llvm::BasicBlock* bail = nullptr;
  };
  TargetCheck target_check_;
  bool x87_entered_ = false;      // the host's x87 unit holds the guest's registers
  bool x87_page_stored_ = false;  // X87Residence::page is this code's
};

}  // namespace calco::jit
