// The baseline's working parts: values in host registers, and the code of each operation.
#pragma once

#include <xbyak/xbyak.h>

#include <array>
#include <vector>

#include "jit/baseline/compiler.h"
#include "jit/runtime/host_registers.h"

namespace calco::jit::baseline {

using ir::Block;
using ir::Instruction;
using ir::kNoValue;
using ir::Opcode;
using ir::Type;
using ir::Value;

// Where a value is. Several values may share one place (a truncation is the low part of what it was made from); they
// have one root, whose place it is.
struct Place {
  enum class Kind : uint8_t {
    Nowhere,   // not computed yet, or deferred to its only use
    Scratch,   // in scratch register `number` (index into host::kScratch)
    Guest,     // the guest register `number` holds it at this moment
    Constant,  // see the instruction
    PageBase,  // in the state
    Spilled,   // in frame slot `number`
  };
  Kind kind = Kind::Nowhere;
  uint8_t number = 0;
};

class Emitter : public Xbyak::CodeGenerator {
 public:
  Emitter(const Block& block, CodeCache& cache, const BaselineEntries& entries, const StateLayout& layout,
          const Options& options, Translation& translation, uint8_t* memory, size_t size);
  void emit();

 private:
  using Type = ir::Type;
  using Reg64 = Xbyak::Reg64;
  using Reg = Xbyak::Reg;
  using Address = Xbyak::Address;

  // --- values.cpp: which value is where ----------------------------------------------------------------------------
  void analyse();
  void analyse_instruction(Value index);
  bool join_with_subtraction(Value index);
  bool keeps_upper_bits_clear(Value value) const;
  bool deferrable(Value compare) const;
  Value root(Value value) const { return roots_[value]; }
  bool dies_here(Value value) const { return last_use_[root(value)] <= current_; }
  bool is_constant(Value value) const { return block_[value].opcode == Opcode::Constant; }
  uint64_t constant(Value value) const { return block_[value].immediate; }
  int64_t signed_constant(Value value) const;
  // As Xbyak wants it: cut to the operand size, but sign-extended to 64 bits.
  uint64_t immediate(Value value) const;
  // True where the constant, at its type's size, is an immediate of that size's instructions.
  bool is_immediate(Value value) const;
  Reg64 scratch(unsigned index) const { return Reg64(host::kScratch[index]); }
  // A scratch register for this instruction; freed behind it unless a value got it by give().
  Reg64 allocate();
  void spill(unsigned index);
  void unlock(const Reg64& reg);   // may be spilled again by this instruction
  void release(const Reg64& reg);  // what allocate() gave, or a dying value's: free for the rest of the instruction
  void give(Value value, const Reg64& reg);  // the value is in this scratch (or pinned) register from now on
  void finish_instruction();
  Reg64 in_register(Value value);  // loads it if need be
  // Calls `use(const Xbyak::Operand&)` with the value as a source of `type`'s size: register or memory.
  template <typename Use>
  void with_operand(Value value, Type type, Use&& use) {
    const Place place = is_constant(value) ? Place{Place::Kind::Constant, 0} : places_[root(value)];
    const bool pinned = place.kind == Place::Kind::Guest && host::kPinned[place.number] != host::kNotPinned;
    if (place.kind == Place::Kind::Scratch || place.kind == Place::Kind::Constant || pinned) {
      use(sized(in_register(value), type));
    } else {
      use(memory_place(place, ir::bytes_of(type)));
    }
  }
  Address memory_place(const Place& place, unsigned bytes);
  void load_place(const Reg64& to, Value value);
  void move_to(const Reg64& to, Value value);  // 64 bits of the place
  // Where the result should go: the pinned register it is meant for where that is safe, a dying argument's scratch
  // register, or a fresh one.
  Reg64 destination(Value reuse = kNoValue);
  bool may_write_early(uint8_t guest) const;
  // The guest register is about to change: values that are there go elsewhere.
  void preserve(uint8_t guest);
  void preserve_all();
  void define_guest(uint8_t guest, Value value);
  static Reg sized(const Reg64& reg, Type type);
  bool same_value(Value a, Value b) const;

  // --- integer.cpp ---------------------------------------------------------------------------------------------------
  void emit_instruction();
  void emit_set_register();
  void emit_segment_base();
  void emit_binary(const Instruction& instruction);
  void emit_with_carry(const Instruction& instruction);
  void emit_multiply(const Instruction& instruction);
  void emit_multiply_high(const Instruction& instruction);
  void emit_shift(const Instruction& instruction);
  void emit_unary(const Instruction& instruction);
  void emit_bit_count(const Instruction& instruction);
  void emit_address(const Instruction& instruction);
  void emit_wide(const Instruction& instruction);
  void emit_extend(const Instruction& instruction);
  void emit_truncate(const Instruction& instruction);
  void emit_insert(const Instruction& instruction);
  void emit_high_byte(const Instruction& instruction);
  void emit_select(const Instruction& instruction);
  void emit_compare_value(const Instruction& instruction);
  void apply_binary(Opcode opcode, const Reg64& to, Value b, Type type);
  void apply_shift(Opcode opcode, const Reg& to, Value count);

  // What is emitted behind the block: the rare side of an access or test.
  struct Cold {
    enum class Kind : uint8_t { Head, Load, Store, HostAddress, EnterX87, Bail, BranchAway } kind;
    size_t jump = 0, second_jump = 0;  // positions of the jumps that lead here
    size_t back = 0;
    uint8_t linear = 0, result = 0, spare = 0;  // host registers
    Type type = Type::Void;
    uint32_t site = 0;
    uint16_t page_offset = 0;
    Place value = {};  // of a store
    uint64_t value_constant = 0;
    uint16_t vectors_loaded = 0, vectors_dirty = 0;
    bool x87_entered = false;
    int32_t target = 0;
    Value flags = kNoValue;  // SetFlags to be done first
    Place flags_first = {}, flags_second = {};
  };

  // --- flags.cpp
  // -------------------------------------------------------------------------------------------------------
  void emit_set_flags(const Instruction& instruction);
  void store_flags(const Instruction& instruction);
  void emit_set_flags_with_carry(const Instruction& instruction);
  void emit_set_flags_of_shift(const Instruction& instruction);
  void emit_change_flags(const Instruction& instruction);
  void emit_condition(const Instruction& instruction);
  void emit_carry();
  void emit_get_flags();
  void store_flag_part(int offset, Value value);
  // Flags that only a fault or a way to the interpreter would show wait for one in cold code, as long as their operands
  // stay where they are; else they are stored after all.
  void settle_flags();
  void settle_flags_before_leaving();
  bool waits_for(const Place& place) const;
  void store_waiting_flags(const Cold& cold);
  void store_waiting_part(int offset, Value value, const Place& place);
  void store_flag_kind(uint32_t kind);
  Reg64 current_flags();
  void load_flags(const Reg64& to);
  size_t emit_condition_of_comparison(const Reg64& to, uint8_t condition);
  // Makes the host's flags those of the comparison and answers the host condition to use.
  uint8_t emit_compare(Value compare);
  // The host condition under which this I1 holds; emits what is needed.
  uint8_t emit_test(Value flag);
  void set_byte(const Reg64& to, uint8_t condition);

  // --- memory.cpp
  // ------------------------------------------------------------------------------------------------------
  struct Lookup {
    Reg64 linear;
    Reg64 addend;
    size_t miss;        // position of the jump to the cold path
    size_t misaligned;  // likewise, or 0
  };
  Lookup emit_lookup(Value linear, unsigned bytes, int tag_offset, unsigned alignment);
  void emit_load(const Instruction& instruction);
  void emit_store(const Instruction& instruction);
  void emit_host_address(const Instruction& instruction);
  void emit_load_host(const Instruction& instruction);
  void emit_store_host(const Instruction& instruction);
  void emit_atomic(const Instruction& instruction);
  void emit_atomic_loop(const Instruction& instruction, const Reg64& host, const Reg64& result);
  void emit_compare_exchange(const Instruction& instruction);
  void load_from(const Reg64& to, const Xbyak::RegExp& address, Type type);
  void store_to(const Xbyak::RegExp& address, Type type, Value value);
  Cold cold_access(Cold::Kind kind, const Instruction& instruction) const;
  void emit_cold_access(size_t index);

  // --- vector.cpp
  // ------------------------------------------------------------------------------------------------------
  void emit_host_vector(const Instruction& instruction);
  void emit_clear_upper_vectors();
  void load_vectors(unsigned mask);
  void store_vectors(unsigned mask);
  void move_vector(unsigned number, bool store);
  void flush_vectors();                              // dirty ones to the state; they stay cached
  void encode_indirect(uint8_t reg_bits, int base);  // ModRM of [base]
  void encode_vector(const ir::HostVectorInstruction& vector, int reg, int rm, bool memory);

  // --- x87.cpp
  // ---------------------------------------------------------------------------------------------------------
  void emit_enter_x87(const Instruction& instruction);
  void emit_cold_enter_x87(const Cold& cold);
  void emit_host_x87(const Instruction& instruction);
  void encode_x87(const ir::HostX87Instruction& x87, int base);  // with memory operand [base]
  void emit_x87_result(const ir::HostX87Instruction& x87);
  void record_x87(const Instruction& instruction, const ir::HostX87Instruction& x87);

  // --- control.cpp
  // -----------------------------------------------------------------------------------------------------
  void emit_head();
  void emit_measurement();
  void emit_terminator(const Instruction& instruction);
  void emit_branch(const Instruction& instruction);
  void emit_bail_if(const Instruction& instruction);
  void emit_interpret(const Instruction& instruction);
  void record_target();
  void add_bail(const Instruction& instruction, size_t jump);
  void emit_bail_unless_next_page(const Instruction& instruction);
  void shift_to_tlb_entry(const Reg64& address);
  void emit_interpret_at_end();
  void emit_probe();  // exact RIP in r10
  void emit_cold();
  void emit_bail(uint16_t page_offset);
  void emit_way_to(int32_t target);  // jump to a target of a terminator
  void emit_way_to(uint8_t condition, int32_t target);
  void emit_link(uint16_t target, size_t displacement);
  void add_to_rip(int32_t delta);
  static bool in_page(int32_t target) { return target >= 0 && target < 4096; }
  size_t jump_if(uint8_t condition);  // near, to be bound; answers the position behind its displacement
  size_t jump_near();
  void bind(size_t position);
  void jump_to(size_t position);  // near, back to a known position
  void jump_to_entry(const uint8_t* executable);
  void call_entry(const uint8_t* executable);

  void note_waiting_flags(Cold& cold) const;

  // What the host's flags tell at the moment.
  struct HostFlags {
    enum class Kind : uint8_t {
      Unknown,
      Compare,  // CMP first, second
      Result,   // CMP first, 0
      ZeroSign  // of CMP first, 0, only ZF, SF and PF
    } kind = Kind::Unknown;
    Value first = kNoValue, second = kNoValue;
  };

  const Block& block_;
  CodeCache& cache_;
  const BaselineEntries& entries_;
  const StateLayout& layout_;
  const Options& options_;
  Translation& translation_;
  const uint8_t* body_ = nullptr;

  Value current_ = 0;
  std::vector<Value> roots_;
  std::vector<Value> last_use_;
  std::vector<Value> use_count_;
  std::vector<Value> only_user_;
  std::vector<Place> places_;
  std::vector<int8_t> hint_;        // guest register that the root is meant for, or -1
  std::vector<Value> hint_at_;      // where it is set
  std::vector<Value> early_flags_;  // arithmetic: the SetFlags that is stored together with it, or kNoValue
  std::vector<uint8_t> skip_;       // nothing to emit
  std::array<std::vector<Value>, 16> guest_values_;  // roots whose place is the guest register
  std::array<Value, 3> scratch_owner_{kNoValue, kNoValue, kNoValue};
  unsigned locked_ = 0;      // scratch registers this instruction uses
  uint32_t slots_used_ = 0;  // frame slots, one bit each
  HostFlags host_flags_;
  Value waiting_flags_ = kNoValue;  // SetFlags
  int static_kind_ = -1;            // FlagKind of the state's triple, or -1
  Type static_type_ = Type::Void;
  uint16_t vectors_loaded_ = 0, vectors_dirty_ = 0;
  bool wide_vectors_ = false;
  bool x87_entered_ = false;      // the host's x87 unit holds the guest's registers
  bool x87_page_stored_ = false;  // X87Residence::page is this code's
  std::vector<Cold> cold_;
};

}  // namespace calco::jit::baseline
